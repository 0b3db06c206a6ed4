// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "recording_log.h"

namespace mla_dtype::testing {

/// Lets every thread begin at the same moment, again and again.
class StartingLine {
 public:
  explicit StartingLine(int threads) : threads_(threads) {}
  void wait() {
    const int round = round_.load();
    if (waiting_.fetch_add(1) + 1 == threads_) {
      waiting_ = 0;
      ++round_;
    } else {
      while (round_.load() == round) std::this_thread::yield();
    }
  }

 private:
  const int threads_;
  std::atomic<int> waiting_{0};
  std::atomic<int> round_{0};
};

/// 8 threads say the same 64 fresh messages, in different orders, in hundreds of rounds. `say` says
/// one; each must then be in `recording` once. `next_round` is called between the rounds.
template <class Recording, class Say, class NextRound>
void expect_exactly_once(Recording& recording, Say say, NextRound next_round) {
  constexpr int thread_count = 8;
  constexpr int message_count = 64;
  constexpr int round_count = 300;
  std::vector<std::string> messages;
  for (int i = 0; i < message_count; ++i) messages.push_back("message " + std::to_string(i));

  StartingLine line(thread_count);
  int lost = 0;
  int duplicated = 0;
  const auto run = [&](int thread) {
    for (int round = 0; round < round_count; ++round) {
      line.wait();
      // Half of the threads in step, so that they meet; the others each from their own place.
      const int first = thread % 2 == 0 ? 0 : thread * message_count / thread_count;
      for (int i = 0; i < message_count; ++i) {
        say(messages[static_cast<std::size_t>((first + i) % message_count)]);
      }
      line.wait();
      if (thread == 0) {
        std::map<std::string, int> written;
        for (const Record& record : recording.records()) ++written[record.text];
        for (const std::string& message : messages) {
          lost += written[message] == 0 ? 1 : 0;
          duplicated += written[message] > 1 ? 1 : 0;
        }
        recording.clear();
        next_round();
      }
      line.wait();
    }
  };
  std::vector<std::thread> threads;
  for (int thread = 0; thread < thread_count; ++thread) threads.emplace_back(run, thread);
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(lost, 0);
  EXPECT_EQ(duplicated, 0);
}

}  // namespace mla_dtype::testing

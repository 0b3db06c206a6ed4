// SPDX-License-Identifier: Apache-2.0

// Without these a race between calls, or with reset(), could write a message twice, lose it or its
// place, or make one thread wait for another's write.

#include <gmock/gmock.h>
#include <mla_dtype/once_log.h>

#include <atomic>
#include <cstddef>
#include <future>
#include <map>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "support/exactly_once.h"
#include "support/once_log_fixture.h"
#include "support/recording_log.h"

namespace mla_dtype {
namespace {

using ::testing::SizeIs;

using OnceLogThreads = testing::OnceLogFixture;

TEST_F(OnceLogThreads, ARecordInProgressIsNotWaitedFor) {
  std::promise<void> inside, go_on;
  std::atomic<int> writes{0};
  OnceLog slow([&](LogLevel, std::string_view) {
    ++writes;
    inside.set_value();
    go_on.get_future().wait();
  });
  std::thread writer([&] { EXPECT_TRUE(slow.info_once(LogScope::local, "A")); });
  inside.get_future().wait();
  EXPECT_FALSE(slow.info_once(LogScope::local, "A"));  // would not return if it waited
  EXPECT_EQ(writes, 1);
  go_on.set_value();
  writer.join();
  EXPECT_FALSE(slow.info_once(LogScope::local, "A"));
}

TEST_F(OnceLogThreads, ExactlyOnceUnderThreads) {
  std::atomic<int> written{0};
  testing::expect_exactly_once(
      output,
      [&](const std::string& text) { written += log.info_once(LogScope::local, text) ? 1 : 0; },
      [&] {
        EXPECT_EQ(written, 64) << "true once for each message";
        written = 0;
        log.reset();
      });
}

TEST_F(OnceLogThreads, TheLastTextBelowTheBoundIsSaidOnce) {
  std::atomic<int> writes{0};
  OnceLog counting([&](LogLevel, std::string_view) { ++writes; });
  constexpr int thread_count = 8;
  constexpr int bound = 4096;
  testing::StartingLine line(thread_count);
  std::vector<std::thread> threads;
  for (int thread = 0; thread < thread_count; ++thread) {
    threads.emplace_back([&, thread] {
      for (int round = 0; round < 300; ++round) {
        if (thread == 0) {
          counting.reset();
          for (int i = 1; i < bound; ++i) counting.info_once(LogScope::local, std::to_string(i));
          writes = 0;
        }
        line.wait();
        for (int i = 0; i < 4; ++i) counting.info_once(LogScope::local, "the last");
        line.wait();
        if (thread == 0) {
          EXPECT_EQ(writes, 1);
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST_F(OnceLogThreads, ResetDuringCallsLosesNothing) {
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      while (!stop) {
        for (int message = 0; message < 16; ++message) say(std::to_string(message));
      }
    });
  }
  for (int round = 0; round < 2000; ++round) log.reset();
  stop = true;
  for (std::thread& thread : threads) thread.join();
  log.reset();
  output.clear();
  for (int message = 0; message < 16; ++message) EXPECT_TRUE(say(std::to_string(message)));
  for (int message = 0; message < 16; ++message) EXPECT_FALSE(say(std::to_string(message)));
  EXPECT_THAT(output.records(), SizeIs(16));
}

TEST_F(OnceLogThreads, OneResetDuringCallsLetsEachMessageOutOnceMoreAtMost) {
  constexpr int thread_count = 4;
  constexpr std::size_t message_count = 8;
  testing::StartingLine line(thread_count);
  std::vector<std::thread> threads;
  for (int thread = 0; thread < thread_count; ++thread) {
    threads.emplace_back([&, thread] {
      for (int round = 0; round < 500; ++round) {
        line.wait();
        for (int i = 0; i < 4; ++i) {
          if (thread == 0 && i == 2) log.reset();
          for (std::size_t message = 0; message < message_count; ++message) {
            say(std::to_string(message));
          }
        }
        line.wait();
        if (thread == 0) {
          std::map<std::string, int> written;
          for (const testing::Record& record : output.records()) ++written[record.text];
          EXPECT_EQ(written.size(), message_count);
          for (const auto& [text, times] : written) EXPECT_EQ(times, 2) << text;
          output.clear();
          log.reset();
        }
        line.wait();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST_F(OnceLogThreads, ResetDuringCallsLosesNoRoom) {
  OnceLog busy([](LogLevel, std::string_view) {});
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 2; ++thread) {
    threads.emplace_back([&, thread] {
      for (int i = 0; !stop; ++i) {
        busy.info_once(LogScope::local, std::to_string(thread) + ' ' + std::to_string(i));
      }
    });
    threads.emplace_back([&] {
      for (int i = 0; i < 1000; ++i) busy.reset();
    });
  }
  threads[1].join();
  threads[3].join();
  stop = true;
  threads[0].join();
  threads[2].join();
  busy.reset();
  for (int i = 0; i < 4096; ++i) ASSERT_TRUE(busy.info_once(LogScope::local, std::to_string(i)));
  for (int i = 0; i < 4096; ++i) ASSERT_FALSE(busy.info_once(LogScope::local, std::to_string(i)));
}

TEST_F(OnceLogThreads, AResetIsSeenByTheNextCallOfAnyThread) {
  // Each round: one thread resets, then all say the message; it must come out exactly once.
  constexpr int thread_count = 4;
  testing::StartingLine line(thread_count);
  std::atomic<int> said{0};
  std::vector<std::thread> threads;
  for (int thread = 0; thread < thread_count; ++thread) {
    threads.emplace_back([&, thread] {
      for (int round = 0; round < 500; ++round) {
        if (thread == 0) {
          EXPECT_EQ(said.exchange(0), round == 0 ? 0 : 1);
          log.reset();
        }
        line.wait();
        said += say("A") ? 1 : 0;
        line.wait();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace mla_dtype

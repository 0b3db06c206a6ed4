// SPDX-License-Identifier: Apache-2.0

// Without this a decision's record could be lost because another decision's was said, come twice
// because two decisions say the same, or crowd out the texts that an engine says itself, unnoticed.

#include <gmock/gmock.h>
#include <mla_dtype/attention_plan.h>
#include <mla_dtype/prefill_query.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "support/data_types.h"
#include "support/engine_config.h"
#include "support/exactly_once.h"
#include "support/record_texts.h"
#include "support/recording_log.h"

namespace mla_dtype {
namespace {

using ::testing::AllOf;
using testing::bf16;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::info;
using ::testing::IsEmpty;
using testing::make_config;
using testing::Record;
using testing::row_1;
using testing::row_2;
using testing::row_3;
using ::testing::SizeIs;
using ::testing::StartsWith;

class SaidByDecision : public ::testing::Test {
 protected:
  Environment on_log(Environment env) const {
    env.log = log;
    return env;
  }
  Environment make(const char* backend, const Platform& platform = cuda(10, 0)) const {
    return on_log(make_environment(platform, backend));
  }
  std::vector<Record> records() { return output.records(); }
  static void determine(const EngineConfig& config, const Environment& env) {
    determine_prefill_query_data_type(config, bf16, env);
  }

  testing::RecordingLog output;
  const std::shared_ptr<OnceLog> log = output.log;
  const EngineConfig on = make_config("fp8", true);
  const EngineConfig off = make_config("fp8", false);
};

TEST_F(SaidByDecision, OneTextIsOneRecordWhoeverDecides) {
  for (int time = 0; time < 3; ++time) {
    determine(on, make("FLASH_ATTN"));
    determine(on, make("TRTLLM_RAGGED"));
    determine(off, make("TRTLLM_RAGGED"));
    // What these records do not speak of.
    determine(on, make("FLASHINFER", cuda(10, 3)));
    determine(on, on_log(make_environment(cuda(9, 0), tensorrt_llm_prefill_backends())));
    Environment other = make("TRTLLM_RAGGED");
    other.spellings.kv_cache_dtype = "--cache";
    other.spellings.decode_backend = "--decode";
    determine(on, other);
    determine(off, other);
    EngineConfig heads = off;
    heads.num_attention_heads = 16;
    heads.kv_lora_rank = 256;
    determine(heads, other);
  }
  ASSERT_THAT(records(), SizeIs(3));
  EXPECT_THAT(records()[0].text, StartsWith(row_2));
  EXPECT_EQ(records()[1], info(row_1));
  EXPECT_EQ(records()[2], testing::warning(row_3));
}

TEST_F(SaidByDecision, DecisionsThatSayOtherThingsAreEachHeard) {
  determine(on, make("FLASH_ATTN"));
  determine(on, make("FLASH_ATTN", cuda(9, 0)));
  determine(on, make("FLASH_ATTN", cuda(12, 0)));
  determine(make_config("auto", true), make("FLASH_ATTN"));
  std::set<std::string> texts;
  for (const Record& record : records()) texts.insert(record.text);
  EXPECT_THAT(texts, SizeIs(4));
  EXPECT_THAT(records(), SizeIs(4));
}

// Whoever else logs on it, before or after, through whatever function.
TEST_F(SaidByDecision, ATextOfTheEnginesOwnCountsToo) {
  EXPECT_TRUE(log->info_once(LogScope::local, row_1));
  determine(on, make("TRTLLM_RAGGED"));
  determine(off, make("TRTLLM_RAGGED"));
  EXPECT_FALSE(log->warning_once(LogScope::local, row_3));
  EXPECT_THAT(records(), ElementsAre(info(row_1), testing::warning(row_3)));
}

// An engine that makes an environment for each layer, or for each request.
TEST_F(SaidByDecision, DecisionsTakeNoRoomFromTexts) {
  for (int layer = 0; layer < 5000; ++layer) determine(on, make("TRTLLM_RAGGED"));
  // 5,000 that differ, with one text.
  for (int heads = 1; heads <= 5000; ++heads) {
    EngineConfig config = on;
    config.num_attention_heads = heads;
    determine(config, make("TRTLLM_RAGGED"));
  }
  ASSERT_THAT(records(), ElementsAre(info(row_1)));
  constexpr int room = 4096;
  for (const bool first : {true, false}) {
    int written = 0;
    for (int text = 1; text < room; ++text) {
      written += log->info_once(LogScope::local, "text " + std::to_string(text)) ? 1 : 0;
    }
    EXPECT_EQ(written, first ? room - 1 : 0);
    EXPECT_FALSE(log->info_once(LogScope::local, row_1));
    determine(on, make("TRTLLM_RAGGED"));
  }
  EXPECT_THAT(records(), SizeIs(room));
}

TEST_F(SaidByDecision, AResetForgetsDecisionAndText) {
  const Environment env = make("TRTLLM_RAGGED");
  for (const std::size_t expected : {1U, 2U, 3U}) {
    determine(on, env);
    determine(on, make("TRTLLM_RAGGED"));
    EXPECT_FALSE(log->info_once(LogScope::local, row_1));
    EXPECT_THAT(records(), SizeIs(expected));
    log->reset();
  }
  EXPECT_TRUE(log->info_once(LogScope::local, row_1)) << "the text";
  determine(on, env);
  EXPECT_THAT(records(), SizeIs(4));
}

TEST_F(SaidByDecision, AResetDuringTheWriteForgetsBothToo) {
  bool resets = true;
  output.then([&] {
    if (resets) log->reset();
  });
  const Environment env = make("TRTLLM_RAGGED");
  determine(on, env);
  determine(on, env);
  EXPECT_THAT(records(), SizeIs(2));
  resets = false;
  for (int time = 0; time < 3; ++time) determine(on, env);
  EXPECT_THAT(records(), SizeIs(3));
}

// A key without its text, or a text without its key, would lose the record or say it again.
TEST_F(SaidByDecision, UnderThreadsAResetLosesNothing) {
  // So that a reset meets records that are written and not yet counted as said.
  output.then([] { std::this_thread::yield(); });
  const std::vector<Environment> envs = {make("FLASH_ATTN"), make("TRTLLM_RAGGED"),
                                         make("FLASH_ATTN", cuda(9, 0))};
  const EngineConfig configs[] = {on, off, make_config("auto", true), make_config("nvfp4", true)};
  const auto decide_all = [&] {
    for (const EngineConfig& config : configs) {
      for (const Environment& env : envs) determine(config, env);
    }
  };
  decide_all();
  std::set<std::string> expected;
  for (const Record& record : records()) expected.insert(record.text);
  ASSERT_GT(expected.size(), 6U);

  constexpr int thread_count = 6;
  constexpr int round_count = 40;
  testing::StartingLine line(thread_count + 1);
  std::atomic<bool> is_last_reset_done{false};
  std::vector<std::thread> threads;
  for (int thread = 0; thread < thread_count; ++thread) {
    threads.emplace_back([&] {
      for (int round = 0; round < round_count; ++round) {
        line.wait();
        while (!is_last_reset_done) decide_all();
        decide_all();
        line.wait();
        line.wait();
      }
    });
  }
  int lost = 0;
  int repeated = 0;
  for (int round = 0; round < round_count; ++round) {
    line.wait();
    for (int reset = 0; reset < 50; ++reset) log->reset();
    output.clear();
    log->reset();
    is_last_reset_done = true;
    line.wait();
    std::multiset<std::string> said;
    for (const Record& record : records()) said.insert(record.text);
    for (const std::string& text : expected) lost += said.count(text) == 0 ? 1 : 0;
    output.clear();
    decide_all();
    repeated += static_cast<int>(records().size());
    is_last_reset_done = false;
    line.wait();
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(lost, 0);
  EXPECT_EQ(repeated, 0);
}

TEST_F(SaidByDecision, APlansRecordIsTheDecisions) {
  const auto decode = make_decode_environment(cuda(10, 0), "FLASHINFER_MLA");
  const Environment tables[] = {make("FLASH_ATTN"), make("TRTLLM_RAGGED"),
                                on_log(make_environment(cuda(10, 0), vllm_prefill_backends()))};
  for (const Environment& env : tables) {
    for (EngineConfig config : {on, off, make_config("auto", true)}) {
      config.cache_config.kv_scales = KvScales::calibrated;
      for (const bool plan_first : {true, false}) {
        log->reset();
        output.clear();
        const auto plan = plan_attention_data_types(config, bf16, env, decode);
        if (!plan_first) determine(config, env);
        const std::size_t before = records().size();
        const bool written = log_attention_plan(plan, env);
        EXPECT_EQ(written, records().size() > before);
        determine(config, env);
        EXPECT_FALSE(log_attention_plan(plan, env));
        std::set<std::string> texts;
        for (const Record& record : records()) texts.insert(record.text);
        EXPECT_EQ(texts.size(), records().size()) << "each text once";
        EXPECT_LE(records().size(), 1U) << "decode leaves the KV cache that is advised";
      }
    }
  }
}

// Where decoding leaves other remedies, the two texts differ and both are said.
TEST_F(SaidByDecision, APlanThatAdvisesOtherwiseIsHeard) {
  const Environment env = make("TRTLLM_RAGGED");
  DecodeBackend backend;
  backend.name = "MINE";
  backend.pairs = {DecodePair{}, DecodePair{}};
  backend.pairs[1].kv_cache_dtypes = {"fp8_e4m3"};
  const auto decode = make_decode_environment(cuda(10, 0), backend);
  const EngineConfig config = make_config("auto", true);
  determine(config, env);
  EXPECT_TRUE(log_attention_plan(plan_attention_data_types(config, bf16, env, decode), env));
  ASSERT_THAT(records(), SizeIs(2));
  EXPECT_THAT(records()[0].text, AllOf(StartsWith(row_2), HasSubstr("--kv-cache-dtype fp8")));
  EXPECT_THAT(records()[1].text, AllOf(StartsWith(row_2), HasSubstr("--kv-cache-dtype fp8_e4m3")));
  determine(config, env);
  EXPECT_THAT(records(), SizeIs(2));
}

}  // namespace
}  // namespace mla_dtype

// SPDX-License-Identifier: Apache-2.0

// Without this a row of the decision's table could return, log or ask something else, in any mode
// of request, unnoticed.

#include <gmock/gmock.h>
#include <mla_dtype/prefill_query.h>

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "support/decision_table.h"
#include "support/engine_config.h"
#include "support/injected_engine.h"
#include "support/record_texts.h"
#include "support/recording_log.h"

namespace mla_dtype {
namespace {

using ::testing::ElementsAre;
using testing::info;
using testing::InjectedEngine;
using ::testing::IsEmpty;
using testing::make_config;
using testing::prefill_query_rows;
using testing::PrefillQueryRow;
using testing::row_1;
using ::testing::SizeIs;
using ::testing::StartsWith;

using Outcome = PrefillQueryOutcome;

constexpr PrefillQueryOutcome decide(bool kv_cache_quantized, bool requested, bool supports) {
  return decide_prefill_query({kv_cache_quantized, requested, supports});
}
static_assert(decide(true, true, true) == Outcome::quantized);
static_assert(decide(true, true, false) == Outcome::request_refused);
static_assert(decide(false, true, true) == Outcome::request_refused);
static_assert(decide(false, true, false) == Outcome::request_refused);
static_assert(decide(true, false, true) == Outcome::available_but_off);
static_assert(decide(true, false, false) == Outcome::not_applicable);
static_assert(decide(false, false, true) == Outcome::not_applicable);
static_assert(decide(false, false, false) == Outcome::not_applicable);
static_assert(noexcept(decide_prefill_query({})));

TEST(PrefillQuery, EveryRowReturnsLogsAndAsksWhatTheTableSays) {
  for (const PrefillQueryRow& row : prefill_query_rows) {
    SCOPED_TRACE(::testing::Message() << row.kv_cache_quantized << row.requested << row.supports);
    InjectedEngine fixture(row.kv_cache_quantized, row.supports);
    fixture.env.fp8_data_type = DataType::float8_e4m3fnuz;
    const EngineConfig config = make_config("some_format", row.requested);
    std::vector<std::string> expected_asked;
    for (int call = 0; call < 3; ++call) {
      expected_asked.emplace_back("kv_cache some_format");
      if (row.kv_cache_quantized) expected_asked.emplace_back("backend some_format float16");
      EXPECT_EQ(determine_prefill_query_data_type(config, DataType::float16, fixture.env),
                row.data_type);
      EXPECT_EQ(fixture.asked, expected_asked);
      ASSERT_EQ(fixture.records().size(), row.records.size());
      for (std::size_t i = 0; i < row.records.size(); ++i) {
        EXPECT_EQ(fixture.records()[i].level, row.records[i].level);
        EXPECT_THAT(fixture.records()[i].text, StartsWith(row.records[i].text));
      }
    }
  }
}

TEST(PrefillQuery, TheDecisionAsAValueLogsNothing) {
  for (const PrefillQueryRow& row : prefill_query_rows) {
    InjectedEngine fixture(row.kv_cache_quantized, row.supports, "Because.");
    fixture.env.fp8_data_type = DataType::float8_e4m3fnuz;
    const EngineConfig config = make_config("some_format", row.requested);
    const auto decision = evaluate_prefill_query(config, DataType::float16, fixture.env);
    EXPECT_EQ(decision.data_type, row.data_type);
    EXPECT_EQ(decision.outcome, row.outcome);
    EXPECT_EQ(decision.facts.kv_cache_quantized, row.kv_cache_quantized);
    EXPECT_EQ(decision.facts.requested, row.requested);
    EXPECT_EQ(decision.facts.backend_supports, row.kv_cache_quantized && row.supports);
    EXPECT_EQ(decision.backend_reason, row.kv_cache_quantized && !row.supports ? "Because." : "");
    EXPECT_THAT(fixture.records(), IsEmpty());
    const auto asked = fixture.asked;
    EXPECT_EQ(log_prefill_query(decision, config, DataType::float16, fixture.env),
              !row.records.empty());
    EXPECT_FALSE(log_prefill_query(decision, config, DataType::float16, fixture.env));
    EXPECT_EQ(fixture.records().size(), row.records.size());
    EXPECT_EQ(fixture.asked, asked) << "no predicate is asked to compose a message";
  }
}

TEST(PrefillQuery, OnlyLocalRank0Speaks) {
  for (const PrefillQueryRow& row : prefill_query_rows) {
    InjectedEngine silent(row.kv_cache_quantized, row.supports, {},
                          {/*global_rank=*/0, /*local_rank=*/1});
    InjectedEngine speaks(row.kv_cache_quantized, row.supports, {},
                          {/*global_rank=*/8, /*local_rank=*/0});
    const EngineConfig config = make_config("x", row.requested);
    EXPECT_EQ(determine_prefill_query_data_type(config, DataType::float16, silent.env),
              determine_prefill_query_data_type(config, DataType::float16, speaks.env));
    EXPECT_THAT(silent.records(), IsEmpty());
    EXPECT_EQ(speaks.records().size(), row.records.size());
  }
}

TEST(PrefillQuery, AReasonGivenWithAYesIsIgnored) {
  InjectedEngine fixture(true, true);
  fixture.env.backend_supports_prefill_query_quantization = [](const EngineConfig&,
                                                               DataType) -> Support {
    return {true, "Because."};
  };
  const auto decision =
      evaluate_prefill_query(make_config("fp8", true), DataType::bfloat16, fixture.env);
  EXPECT_EQ(decision.outcome, Outcome::quantized);
  EXPECT_EQ(decision.backend_reason, "");
}

TEST(PrefillQuery, EveryFp8TypeAndModelTypeIsAccepted) {
  for (const DataType fp8 : {DataType::float8_e4m3fn, DataType::float8_e4m3fnuz,
                             DataType::float8_e5m2, DataType::float8_e5m2fnuz}) {
    for (const DataType model : {DataType::float32, DataType::float16, DataType::bfloat16}) {
      InjectedEngine fixture(true, true);
      fixture.env.fp8_data_type = fp8;
      EXPECT_EQ(determine_prefill_query_data_type(make_config("fp8", true), model, fixture.env),
                fp8);
      EXPECT_EQ(determine_prefill_query_data_type(make_config("fp8", false), model, fixture.env),
                model);
    }
  }
}

TEST(Explain, AsksInjectedPredicatesOnceAndAlwaysTheBackend) {
  for (const PrefillQueryRow& row : prefill_query_rows) {
    InjectedEngine fixture(row.kv_cache_quantized, row.supports, "Because.");
    fixture.env.fp8_data_type = DataType::float8_e4m3fnuz;
    const auto explanation = explain_prefill_query_data_type(
        make_config("some_format", row.requested), DataType::float16, fixture.env);
    EXPECT_THAT(fixture.asked, ElementsAre("kv_cache some_format", "backend some_format float16"));
    EXPECT_THAT(fixture.records(), IsEmpty());
    EXPECT_EQ(explanation.data_type, row.data_type);
    EXPECT_EQ(explanation.outcome, row.outcome);
    EXPECT_EQ(explanation.facts.backend_supports, row.supports);
    EXPECT_EQ(explanation.prefill_backend, "");
    EXPECT_EQ(explanation.nothing_helps, "") << "other settings were not asked about";

    std::vector<std::pair<BlockerKind, std::string>> expected;
    if (!row.requested) {
      expected.emplace_back(BlockerKind::not_requested, "use_prefill_query_quantization is off.");
    }
    if (!row.kv_cache_quantized) {
      expected.emplace_back(BlockerKind::kv_cache_not_quantized,
                            "The KV cache is not quantized: the KV-cache dtype is "
                            "\"some_format\".");
    }
    if (!row.supports) expected.emplace_back(BlockerKind::backend_refused, "Because.");
    std::vector<std::pair<BlockerKind, std::string>> actual;
    for (const Blocker& blocker : explanation.blockers) {
      actual.emplace_back(blocker.kind, blocker.sentence);
    }
    EXPECT_EQ(actual, expected);
    // The hint of row 3 is all that is known without asking again.
    EXPECT_EQ(explanation.remedies.size(), row.outcome == Outcome::available_but_off ? 1U : 0U);
  }
}

TEST(Required, IsARequestWhateverTheFlagSays) {
  for (const bool flag : {false, true}) {
    for (const PrefillQueryRow& row : prefill_query_rows) {
      InjectedEngine fixture(row.kv_cache_quantized, row.supports, "Because.");
      fixture.env.fp8_data_type = DataType::float8_e4m3fnuz;
      EngineConfig config = make_config("x", flag);
      config.attention_config.prefill_query_mode = PrefillQueryMode::required;
      if (row.kv_cache_quantized && row.supports) {
        EXPECT_EQ(determine_prefill_query_data_type(config, DataType::float16, fixture.env),
                  DataType::float8_e4m3fnuz);
        EXPECT_THAT(fixture.records(), ElementsAre(info(row_1)));
        continue;
      }
      try {
        determine_prefill_query_data_type(config, DataType::float16, fixture.env);
        ADD_FAILURE() << "nothing was thrown";
      } catch (const PrefillQueryRefused& refused) {
        const PrefillQueryRefused copy = refused;
        EXPECT_THAT(copy.what(),
                    StartsWith("FP8 prefill queries are required (prefill_query_mode), and not "
                               "possible. "));
        EXPECT_EQ(copy.explanation().outcome, Outcome::request_refused);
        ASSERT_THAT(copy.explanation().blockers, SizeIs(1)) << "the backend is not asked in vain";
        EXPECT_EQ(copy.explanation().blockers[0].kind, row.kv_cache_quantized
                                                           ? BlockerKind::backend_refused
                                                           : BlockerKind::kv_cache_not_quantized);
      }
      EXPECT_THAT(fixture.records(), IsEmpty());
      EXPECT_THAT(fixture.asked, SizeIs(row.kv_cache_quantized ? 2 : 1));
      // Asking is no error.
      EXPECT_EQ(evaluate_prefill_query(config, DataType::float16, fixture.env).outcome,
                Outcome::request_refused);
      EXPECT_EQ(explain_prefill_query_data_type(config, DataType::float16, fixture.env).outcome,
                Outcome::request_refused);
    }
  }
}

// As those who keep it for later do.
TEST(Required, ARefusalIsCopied) {
  PrefillQueryExplanation explanation{};
  explanation.prefill_backend = "A";
  PrefillQueryRefused kept("first", explanation);
  explanation.prefill_backend = "B";
  const PrefillQueryRefused other("second", explanation);
  const PrefillQueryRefused copy = kept;
  kept = other;
  EXPECT_STREQ(copy.what(), "first");
  EXPECT_EQ(copy.explanation().prefill_backend, "A");
  EXPECT_STREQ(kept.what(), "second");
  EXPECT_EQ(kept.explanation().prefill_backend, "B");
}

}  // namespace
}  // namespace mla_dtype

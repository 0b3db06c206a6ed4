// SPDX-License-Identifier: Apache-2.0

// Without this a record could be lost: its text depends on something that the key of the decision
// does not know, and another decision with that key was said.

#include <gtest/gtest.h>
#include <mla_dtype/prefill_query.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>

#include "prefill_answers.h"
#include "support/record_key_cases.h"

namespace mla_dtype::detail {
namespace {

using testing::all_changes;
using testing::Alteration;
using testing::Alterations;
using testing::Base;
using testing::bases;
using testing::Case;
using testing::RecordKind;
using testing::Said;
using testing::said_of;

// What was said with each key.
class SaidByKey {
 public:
  void add(const Case& asked, const std::string& name) {
    std::vector<Said> all;
    try {
      all = said_of(asked);
    } catch (const std::invalid_argument&) {
      return;  // what cannot be meant
    }
    for (Said& said : all) {
      const auto [found, is_new] = said_.try_emplace(said.key, Named{said, name});
      if (is_new) continue;
      const Said& before = found->second.said;
      EXPECT_EQ(before.text, said.text) << found->second.name << "; " << name;
      EXPECT_EQ(before.level, said.level) << found->second.name << "; " << name;
    }
  }
  std::size_t size() const { return said_.size(); }

 private:
  struct Named {
    Said said;
    std::string name;
  };
  std::map<std::uint64_t, Named> said_;
};

TEST(RecordKey, TheBasesAreOfEveryRecord) {
  std::map<RecordKind, int> seen;
  for (const Base& base : bases()) {
    const auto said = said_of(base.asked);
    EXPECT_TRUE(std::any_of(said.begin(), said.end(), [&](const Said& each) {
      return each.record == base.record;
    })) << static_cast<int>(base.record);
    ++seen[base.record];
  }
  EXPECT_EQ(seen.size(), 6U);
}

TEST(RecordKey, DecisionsOfOneKeySayTheSame) {
  SaidByKey said;
  for (const Base& base : bases()) {
    for (const Alteration& change : all_changes()) {
      Case changed = base.asked;
      change.apply(changed);
      said.add(changed, change.name);
      if (HasFailure()) return;  // one is enough to read
    }
  }
  EXPECT_GT(said.size(), 300U);
}

TEST(RecordKey, AlsoAfterTwoChanges) {
  SaidByKey said;
  const Alterations changes = all_changes();
  for (const Base& base : bases()) {
    for (const Alteration& first : changes) {
      Case once = base.asked;
      first.apply(once);
      for (const Alteration& second : changes) {
        Case twice = once;
        second.apply(twice);
        said.add(twice, first.name + ", " + second.name);
        if (HasFailure()) return;
      }
    }
  }
}

TEST(RecordKey, EqualDecisionsHaveEqualKeys) {
  for (const Base& base : bases()) {
    const auto copy = std::make_unique<Case>(base.asked);  // at another address
    const auto said = said_of(base.asked);
    const auto again = said_of(*copy);
    ASSERT_EQ(said.size(), again.size());
    for (std::size_t i = 0; i < said.size(); ++i) {
      EXPECT_NE(said[i].key, 0U);
      EXPECT_EQ(said[i].key, again[i].key);
    }
    // A record of its own for each, also of one decision.
    if (said.size() == 2) {
      EXPECT_NE(said[0].key, said[1].key);
    }
  }
}

// What nobody may leave out because today's texts do not speak of it.
TEST(RecordKey, EverythingThatARefusalIsMadeOfChangesTheKey) {
  Case base;
  base.config.attention_config.mla_prefill_backend = "FLASH_ATTN";
  base.config.attention_config.expected_isl = 1024;
  base.speedup = 1.25;
  base.table = base.make().prefill_table;
  const auto refused_key = [](const Case& asked) {
    const Environment env = asked.make();
    const PrefillQuestion question = ask(asked.config, asked.model_dtype, env);
    return record_key(question, evaluate(question), RecordKind::refused, LogLevel::info);
  };
  const auto expect_changed = [&](const Case& before, const char* name,
                                  const std::function<void(Case&)>& apply) {
    Case changed = before;
    apply(changed);
    EXPECT_NE(refused_key(before), refused_key(changed)) << name;
  };
  const auto expect = [&](const char* name, const std::function<void(Case&)>& apply) {
    expect_changed(base, name, apply);
  };
  expect("mode", [](Case& c) {
    c.speedup.reset();
    c.config.attention_config.prefill_query_mode = PrefillQueryMode::required;
  });
  expect("mode", [](Case& c) {
    c.config.attention_config.prefill_query_mode = PrefillQueryMode::automatic;
  });
  expect("model dtype", [](Case& c) { c.model_dtype = DataType::float16; });
  expect("qk_nope", [](Case& c) { c.config.mla_dimensions.qk_nope_head_dim = 64; });
  expect("qk_rope", [](Case& c) { c.config.mla_dimensions.qk_rope_head_dim = 128; });
  expect("v", [](Case& c) { c.config.mla_dimensions.v_head_dim = 64; });
  expect("heads", [](Case& c) { c.config.num_attention_heads = 64; });
  expect("scales", [](Case& c) { c.config.cache_config.kv_scales = KvScales::unit; });
  expect("DCP", [](Case& c) { c.config.parallel_config.decode_context_parallel_size = 2; });
  expect("KV-cache dtype", [](Case& c) { c.config.cache_config.cache_dtype = "fp8_e4m3"; });
  expect("no prediction", [](Case& c) { c.speedup.reset(); });
  expect("speedup", [](Case& c) { c.speedup = 1.2500001; });
  expect("ISL", [](Case& c) { c.config.attention_config.expected_isl = 1025; });
  expect("chosen", [](Case& c) { c.config.attention_config.mla_prefill_backend = "FLASHINFER"; });
  expect("chosen",
         [](Case& c) { c.config.attention_config.mla_prefill_backend = "ROCM_AITER_FA"; });
  expect("none chosen", [](Case& c) { c.config.attention_config.mla_prefill_backend = ""; });
  expect("request_fp8", [](Case& c) { c.spellings.request_fp8 += ' '; });
  expect("kv_cache_dtype", [](Case& c) { c.spellings.kv_cache_dtype += ' '; });
  expect("prefill_backend", [](Case& c) { c.spellings.prefill_backend += ' '; });
  expect("own KV-cache predicate", [](Case& c) { c.engines_kv_cache = true; });
  expect("own backend predicate", [](Case& c) { c.engines_answer = false; });

  // Also for an equal table: which are equal is not looked at.
  expect("table", [](Case& c) { c.table.reset(); });

  Case unpredicted = base;
  unpredicted.speedup.reset();
  expect_changed(unpredicted, "mode", [](Case& c) {
    c.config.attention_config.prefill_query_mode = PrefillQueryMode::required;
  });
  Case own = base;
  own.engines_answer = Support(false, "Because.");
  expect_changed(own, "reason", [](Case& c) { c.engines_answer = Support(false, "because."); });
  expect_changed(own, "no reason", [](Case& c) { c.engines_answer = false; });
  expect_changed(own, "answer", [](Case& c) { c.engines_answer = true; });
}

TEST(RecordKey, TheEvaluationChangesTheKey) {
  Case base;
  base.config.attention_config.expected_isl = 1024;
  base.speedup = 1.25;
  const Environment env = base.make();
  const PrefillQuestion question = ask(base.config, base.model_dtype, env);
  const Evaluation evaluation = evaluate(question);
  ASSERT_TRUE(evaluation.prediction);
  const auto key = [&](const Evaluation& asked, RecordKind record = RecordKind::refused,
                       LogLevel level = LogLevel::info) {
    return record_key(question, asked, record, level);
  };
  const std::uint64_t before = key(evaluation);
  const auto expect = [&](const char* name, auto apply) {
    Evaluation changed = evaluation;
    apply(changed);
    EXPECT_NE(before, key(changed)) << name;
  };
  using E = Evaluation;
  expect("outcome", [](E& e) { e.outcome = PrefillQueryOutcome::not_applicable; });
  expect("quantized", [](E& e) { e.facts.kv_cache_quantized = !e.facts.kv_cache_quantized; });
  expect("requested", [](E& e) { e.facts.requested = !e.facts.requested; });
  expect("supports", [](E& e) { e.facts.backend_supports = !e.facts.backend_supports; });
  expect("prediction", [](E& e) { e.prediction.reset(); });
  expect("isl", [](E& e) { ++e.prediction->isl; });
  expect("speedup", [](E& e) { e.prediction->speedup += 1e-9; });
  expect("decides", [](E& e) { e.prediction->decides = !e.prediction->decides; });
  expect("advises", [](E& e) { e.prediction->advises_change = !e.prediction->advises_change; });
  std::set<std::uint64_t> of_records;
  for (const RecordKind record :
       {RecordKind::enabled, RecordKind::does_not_pay, RecordKind::refused, RecordKind::available,
        RecordKind::automatically_off}) {
    of_records.insert(key(evaluation, record));
  }
  EXPECT_EQ(of_records.size(), 5U);
  EXPECT_NE(before, key(evaluation, RecordKind::refused, LogLevel::warning));
  EXPECT_EQ(before, key(evaluation));
}

}  // namespace
}  // namespace mla_dtype::detail

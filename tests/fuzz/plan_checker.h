// SPDX-License-Identifier: Apache-2.0
#pragma once

// Without this a plan, the number that it packs to or what is said of it could differ from its
// restatement unnoticed.

#include <mla_dtype/mla_dtype.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "check.h"
#include "decision_checker.h"
#include "engine.h"
#include "restatement/plan.h"
#include "restatement/rules.h"
#include "restatement/tables.h"
#include "support/recording_log.h"

namespace mla_dtype::fuzz {

/// A plan, packed and logged, against its restatement.
class PlanChecker : public DecisionChecker {
 public:
  using DecisionChecker::DecisionChecker;

 protected:
  std::string plan_questions() const {
    if (!decision_.quantized) return only_injected("ks");
    const bool plain = is_plain_fp8(world_, *effective(world_, setting_.cache_dtype));
    return only_injected(plain ? "kspd" : "ksp");
  }

  // Whether the predicates and tables fit together.
  bool is_plan_consistent() const {
    const auto fp8 = world_.device.fp8();
    const bool device_is_known = !world_.injected || has_decode_rows(world_);
    const bool is_e4m3 =
        world_.fp8_data_type == e4m3 || world_.fp8_data_type == DataType::float8_e4m3fnuz;
    if (!is_e4m3 || (device_is_known && fp8 && fp8 != world_.fp8_data_type)) return false;
    const std::string cache_dtype = *effective(world_, setting_.cache_dtype);
    const Cache* cache = find_cache(world_, cache_dtype);
    return cache == nullptr || cache_dtype == "auto" || cache->quantized == decision_.quantized;
  }

  void check_plan() {
    const Plan expected = fuzz::plan(world_, setting_);
    std::optional<AttentionPlan> actual;
    std::optional<PrefillQueryExplanation> refused;
    enum { none, inconsistent, no_fp8, no_kernel } thrown = none;
    try {
      actual = plan_attention_data_types(config(), model(), env_, decode_);
    } catch (const std::invalid_argument& refusal) {
      thrown = inconsistent;
      check_refusal(refusal);
    } catch (const PrefillQueryRefused& refusal) {
      thrown = no_fp8;
      CHECK(refusal.what()[0] != '\0');
      refused = refusal.explanation();
    } catch (const AttentionPlanRefused& refusal) {
      thrown = no_kernel;
      CHECK(refusal.what()[0] != '\0');
    }
    const std::string asked = take_asked();
    CHECK(output_.take().empty());
    // Where there is more than one reason, any is given.
    CHECK((thrown != none) == (expected.is_refused() || !is_plan_consistent()));
    CHECK(thrown != inconsistent || !is_plan_consistent());
    CHECK(thrown != no_fp8 || expected.no_fp8);
    CHECK(thrown != no_kernel || expected.no_kernel);
    const std::string questions = plan_questions();
    if (!actual) {
      CHECK(questions.substr(0, asked.size()) == asked);
      if (refused && !world_.injected) check_plan_remedies(*refused);
      take_asked();
      return;
    }
    CHECK(asked == questions);
    check_types(expected, *actual);
    check_plan_reasons(*actual);
    check_packed(*actual);
    check_plan_log(*actual);
  }

 private:
  void check_types(const Plan& expected, const AttentionPlan& actual) const {
    CHECK(actual.kv_cache_storage.data_type == expected.storage);
    CHECK(actual.kv_cache_view.data_type == expected.view);
    CHECK(actual.prefill_query.data_type == expected.prefill);
    CHECK(actual.prefill_key_value.data_type == expected.prefill);
    CHECK(actual.chunked_prefill_workspace.has_value() == expected.workspace.has_value());
    if (expected.workspace)
      CHECK(actual.chunked_prefill_workspace->data_type == expected.workspace);
    CHECK(actual.decode_query.data_type == expected.decode);
    CHECK(actual.output.data_type == model());
    CHECK(actual.prefill_backend.name == expected.prefill_backend);
    CHECK(actual.decode_backend == expected.decode_backend);
    for (const PlannedDataType* planned :
         {&actual.kv_cache_storage, &actual.kv_cache_view, &actual.prefill_query,
          &actual.prefill_key_value, &actual.decode_query, &actual.output}) {
      CHECK(!planned->reason.empty());
    }
    std::vector<CautionKind> cautions;
    for (const Caution& caution : actual.cautions) cautions.push_back(caution.kind);
    CHECK(cautions == expected.cautions);
    CHECK(actual.kv_cache_bytes == expected.cache_bytes);
    CHECK(actual.workspace_bytes == expected.workspace_bytes);
    const auto elements = static_cast<std::size_t>(config().kv_lora_rank) +
                          static_cast<std::size_t>(config().mla_dimensions.qk_rope_head_dim);
    CHECK(actual.unquantized_kv_cache_bytes == elements * bits(model()) / 8);
    for (const auto& [beginning, count] : count_lines(to_string(actual))) {
      CHECK(!beginning.empty() && count > 0);
    }
  }

  // A remedy's plan has to be a whole one: decoding has to follow it, too.
  void check_plan_remedies(const PrefillQueryExplanation& explanation) {
    check_remedies(explanation, [](const World& world, const Setting& other) {
      const Plan remedied = fuzz::plan(world, other);
      return !remedied.is_refused() && is_fp8(remedied.prefill);
    });
    for (const Remedy& remedy : explanation.remedies) {
      const AttentionPlan remedied =
          plan_attention_data_types(with(config(), remedy), model(), env_, decode_);
      CHECK(is_fp8(remedied.prefill_query.data_type));
    }
  }

  // The plan's prefill is the decision's.
  void check_plan_reasons(const AttentionPlan& plan) {
    const PrefillQueryExplanation& prefill = plan.prefill;
    const Decision strict = decide(world_, setting_);
    CHECK(prefill.data_type == strict.data_type);
    CHECK(prefill.outcome == strict.outcome);
    check_prediction(prefill.prediction);
    CHECK(prefill.blockers.empty() == is_fp8(strict.data_type));
    CHECK(prefill.hint == plan.prefill_backend.hint);
    // An engine's own backend is not asked about a KV cache that is not quantized.
    if (decision_.quantized || !world_.injected) {
      const auto explanation = explain_prefill_query_data_type(config(), model(), env_);
      take_asked();
      CHECK(prefill.data_type == explanation.data_type);
      CHECK(prefill.outcome == explanation.outcome);
      CHECK(prefill.facts.backend_supports == explanation.facts.backend_supports);
      CHECK(prefill.prefill_backend == explanation.prefill_backend);
      CHECK(prefill.hint == explanation.hint);
      std::vector<std::string> sentences, expected;
      for (const Blocker& blocker : prefill.blockers) sentences.push_back(blocker.sentence);
      for (const Blocker& blocker : explanation.blockers) expected.push_back(blocker.sentence);
      CHECK(sentences == expected);
    }
    if (world_.injected) return;
    check_plan_remedies(prefill);
    take_asked();
  }

  // The table of fields in attention_plan.h.
  void check_packed(const AttentionPlan& plan) const {
    const std::string& resolved = plan.kv_cache_dtype.resolved;
    const Cache* cache = find_cache(resolved);
    const bool is_own = resolved != "float32" && (cache == nullptr || cache->name == "auto");
    std::uint64_t number = 255;
    if (resolved == "float32") {
      number = 254;
    } else if (!is_own && cache != nullptr) {
      number = static_cast<std::uint64_t>(cache - caches);
    }
    if (resolved == "fp8_e4m3") number = 3;
    std::uint64_t expected = 1;
    const auto put = [&](unsigned bit, std::uint64_t value) { expected |= value << bit; };
    const auto put_type = [&](unsigned bit, DataType type) {
      put(bit, static_cast<std::uint64_t>(type));
    };
    put_type(4, plan.kv_cache_storage.data_type);
    put_type(8, plan.kv_cache_view.data_type);
    put_type(12, plan.prefill_query.data_type);
    put_type(16, plan.prefill_key_value.data_type);
    put(20, plan.chunked_prefill_workspace
                ? static_cast<std::uint64_t>(plan.chunked_prefill_workspace->data_type)
                : 15);
    put_type(24, plan.decode_query.data_type);
    put_type(28, plan.output.data_type);
    put(32, number);
    put(40, decision_.quantized ? static_cast<std::uint64_t>(config().cache_config.kv_scales) : 0);
    const std::uint64_t packed = pack(plan);
    constexpr unsigned name_bit = 44;
    CHECK((packed & ((std::uint64_t{1} << name_bit) - 1)) == expected);
    if (!is_own) CHECK(packed >> name_bit == 0);
    CHECK(rank_differences({packed, packed, packed}).empty());
    const auto differences = rank_differences({packed, packed ^ 0x1000});
    CHECK(differences.size() == 1 && differences[0].field == "prefill_query");
    CHECK(differences[0].rank == 1 && differences[0].value != differences[0].expected);
  }

  void check_plan_log(const AttentionPlan& plan) {
    output_.log->reset();
    std::vector<Record> records;
    for (int layer = 0; layer < 2; ++layer) {
      const bool written = log_attention_plan(plan, env_);
      if (layer == 0) records = output_.take();
      CHECK(written == (layer == 0 && !records.empty()));
    }
    CHECK(output_.take().empty());
    CHECK(take_asked().empty());
    std::vector<Record> expected = expected_records();
    if (made_.local_rank == 0) {
      for (const Caution& caution : plan.cautions) {
        expected.push_back(testing::warning(caution.sentence));
      }
    }
    CHECK(begin_with(records, expected));
  }
};

}  // namespace mla_dtype::fuzz

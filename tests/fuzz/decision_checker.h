// SPDX-License-Identifier: Apache-2.0
#pragma once

// Without this a decision, its explanation or a selected backend that differs from its restatement
// could go unnoticed.

#include <mla_dtype/mla_dtype.h>

#include <algorithm>
#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "check.h"
#include "checker.h"
#include "engine.h"
#include "restatement/engines.h"
#include "restatement/plan.h"
#include "restatement/rules.h"
#include "support/recording_log.h"

namespace mla_dtype::fuzz {

/// A decision, its explanation and the selection of a backend against their restatement.
class DecisionChecker : public Checker {
 public:
  using Checker::Checker;

 protected:
  void check_decision() {
    const auto decision = evaluate_prefill_query(config(), model(), env_);
    const std::string questions = only_injected(decision_.quantized ? "ksp" : "ks");
    CHECK(take_asked() == questions);
    CHECK(decision.outcome == decision_.outcome);
    CHECK(decision.data_type == decision_.data_type);
    CHECK(decision.facts.kv_cache_quantized == decision_.quantized);
    CHECK(decision.facts.requested == is_asked_for());
    CHECK(decision.facts.backend_supports == decision_.supports);
    CHECK(decide_prefill_query(decision.facts) == decision.outcome);
    CHECK(decision.backend_reason ==
          (world_.injected && decision_.quantized && !world_.supports ? made_.reason : ""));
    check_prediction(decision.prediction);
    CHECK(output_.take().empty());

    const bool is_refused_at_init =
        is_required() && decision_.outcome == PrefillQueryOutcome::request_refused;
    std::vector<Record> records;
    for (int layer = 0; layer < 3; ++layer) {
      bool refused = false;
      try {
        CHECK(determine_prefill_query_data_type(config(), model(), env_) == decision_.data_type);
      } catch (const PrefillQueryRefused& refusal) {
        refused = true;
        CHECK(refusal.explanation().outcome == PrefillQueryOutcome::request_refused);
        CHECK(!refusal.explanation().blockers.empty());
      }
      CHECK(refused == is_refused_at_init);
      CHECK(take_asked() == questions);
      if (layer == 0) {
        records = output_.take();
        CHECK(begin_with(records, is_refused_at_init ? std::vector<Record>() : expected_records()));
      }
    }
    CHECK(output_.take().empty());
    if (decision_.outcome == PrefillQueryOutcome::request_refused && !records.empty()) {
      check_refused_record(records[0].text);
    }

    if (is_refused_at_init) return;
    CHECK(!log_prefill_query(decision, config(), model(), env_));
    output_.log->reset();
    CHECK(log_prefill_query(decision, config(), model(), env_) == !records.empty());
    CHECK(output_.take() == records);
    CHECK(take_asked().empty());
  }

  void check_explanation() {
    const auto explanation = explain_prefill_query_data_type(config(), model(), env_);
    CHECK(take_asked() == only_injected("ksp"));
    CHECK(explanation.data_type == decision_.data_type);
    CHECK(explanation.outcome == decision_.outcome);
    CHECK(explanation.facts.kv_cache_quantized == decision_.quantized);
    CHECK(explanation.facts.requested == is_asked_for());
    CHECK(explanation.facts.backend_supports ==
          (decision_.quantized ? decision_.supports : backend_would_support(world_, setting_)));
    CHECK(explanation.kv_cache_dtype.requested == setting_.cache_dtype);
    CHECK(explanation.kv_cache_dtype.resolved != "auto");
    const std::string cache_dtype = *effective(world_, setting_.cache_dtype);
    if (cache_dtype != "auto") CHECK(explanation.kv_cache_dtype.resolved == cache_dtype);
    check_blockers(explanation);
    check_prediction(explanation.prediction);
    check_payoff(explanation.payoff);

    if (world_.injected) {
      CHECK(explanation.prefill_backend.empty());
      CHECK(explanation.nothing_helps.empty());
      CHECK(explanation.hint.empty());
      const bool flag_helps =
          decision_.outcome == PrefillQueryOutcome::available_but_off && !is_automatic(world_);
      CHECK(explanation.remedies.size() == (flag_helps ? 1 : 0));
      if (flag_helps) CHECK(explanation.remedies[0].request);
    } else {
      const std::string choice = fixed_choice(world_, setting_);
      if (!choice.empty()) {
        CHECK(explanation.prefill_backend == choice);
      } else if (!is_required()) {
        const Row* row = selected(world_, setting_);
        CHECK(explanation.prefill_backend == (row == nullptr ? "" : row->name));
      }
      CHECK(explanation.hint == select_prefill_backend(config(), model(), env_).hint);
      take_asked();
      check_remedies(explanation, [](const World& world, const Setting& other) {
        return is_fp8(decide(world, other).data_type);
      });
      for (const Remedy& remedy : explanation.remedies) {
        const auto remedied = evaluate_prefill_query(with(config(), remedy), model(), env_);
        CHECK(is_fp8(remedied.data_type));
      }
      take_asked();
    }

    auto lines = count_lines(to_string(explanation));
    CHECK(lines["data type"] == 1 && lines["outcome"] == 1 && lines["KV-cache dtype"] == 1);
    CHECK(lines["blocker"] == explanation.blockers.size());
    CHECK(lines["remedy"] == explanation.remedies.size());
    CHECK(output_.take().empty());
  }

  void check_selection() {
    const auto selection = select_prefill_backend(config(), model(), env_);
    CHECK(take_asked() == only_injected("ks"));
    const Row* row = selected(world_, setting_);
    CHECK(selection.name == (row == nullptr ? "" : row->name));
    CHECK(selection.chosen == setting_.choice);
    CHECK(selection.takes_fp8_queries == (row != nullptr && takes_fp8(world_, *row, setting_)));

    // Those that were preferred, and, if the request was in vain, all that cannot follow it.
    std::vector<std::string> rejected, expected;
    for (const auto& other : selection.rejected) {
      rejected.push_back(other.name);
      CHECK(!other.blockers.empty());
    }
    const std::string taken = setting_.choice.empty() ? fixed_choice(world_, setting_) : "";
    const bool in_vain = setting_.requested && !selection.takes_fp8_queries && taken.empty();
    World open = world_;
    open.first_usable = false;
    bool is_preferred = true;
    for (const Row* other : candidates(open, setting_)) {
      if (other->name == (row != nullptr ? row->name : taken)) {
        if (row == nullptr) expected.push_back(taken);
        is_preferred = false;
      } else if ((is_preferred || in_vain) && !is_only_unasked(*other)) {
        expected.push_back(other->name);
      }
    }
    std::sort(rejected.begin(), rejected.end());
    std::sort(expected.begin(), expected.end());
    CHECK(rejected == expected);

    const bool another_could =
        std::any_of(world_.rows.begin(), world_.rows.end(),
                    [&](const Row& other) { return takes_fp8(world_, other, setting_); });
    if (selection.takes_fp8_queries || !another_could) {
      CHECK(selection.hint.empty());
    } else if (!prediction(world_) || *prediction(world_) >= 1.02) {
      CHECK(!selection.hint.empty());
    }

    output_.log->reset();
    CHECK(log_prefill_backend(selection, env_) == (made_.local_rank == 0));
    CHECK(!log_prefill_backend(selection, env_));
    const auto records = output_.take();
    CHECK(records.size() == (made_.local_rank != 0 ? 0U : selection.hint.empty() ? 1U : 2U));
    if (!records.empty()) check_selection_record(records[0].text, selection);
    CHECK(take_asked().empty());
  }

  // An engine that answers by the table itself, in a predicate of its own.
  void check_wrapped_answer() {
    Environment wrapped = env_;
    wrapped.backend_supports_prefill_query_quantization = [&](const EngineConfig& asked,
                                                              DataType model_dtype) {
      return prefill_backend_supports(asked, model_dtype, env_);
    };
    CHECK(is_refused([&] { return select_prefill_backend(config(), model(), wrapped); }));
    const auto decision = evaluate_prefill_query(config(), model(), wrapped);
    CHECK(take_asked() == only_injected(decision_.quantized ? "ksk" : "ks"));
    // Nor does it ask for FP8 queries itself.
    const bool is_by_kv_cache = asks_by_kv_cache(world_, setting_);
    CHECK(is_by_kv_cache || decision.data_type == decision_.data_type);
    const Support support = prefill_backend_supports(config(), model(), env_);
    CHECK(take_asked() == only_injected("k"));
    CHECK(support.supported || !support.reason.empty());
    // It asks for no prediction, which may be what decides between the rows.
    if (is_automatic(world_) && setting_.choice.empty()) return;
    CHECK(support.supported == (decision_.quantized ? backend_supports(world_, setting_)
                                                    : backend_would_support(world_, setting_)));
    CHECK(is_by_kv_cache || decision.outcome == decision_.outcome);
  }

 private:
  // After the row's text: what failed, that nothing helps or what would, what is predicted.
  void check_refused_record(const std::string& text) {
    const auto explanation = explain_prefill_query_data_type(config(), model(), env_);
    take_asked();
    std::string expected;
    for (const Blocker& blocker : explanation.blockers) {
      const bool is_said =
          !world_.injected || decision_.quantized || blocker.kind != BlockerKind::backend_refused;
      if (is_said) expected += " " + blocker.sentence;
    }
    const auto speedup = prediction(world_);
    const bool pays = !speedup || *speedup >= 1.02;
    std::size_t position = row_text(decision_.outcome, made_.spellings).size();
    const auto find = [&](const std::string& part) {
      position = text.find(part, position);
      CHECK(position != std::string::npos);
      position += part.size();
    };
    if (!made_.spellings.request_fp8.empty() && !made_.spellings.kv_cache_dtype.empty()) {
      CHECK(text.substr(position, expected.size()) == expected);
    }
    find(expected);
    if (!explanation.nothing_helps.empty()) find(" " + explanation.nothing_helps);
    const std::string advice = " To enable FP8 prefill attention, set: ";
    if (!explanation.remedies.empty() && pays) {
      find(advice + explanation.remedies[0].spelling);
    } else {
      CHECK(text.find(advice) == std::string::npos);
    }
    const bool is_all = pays && !is_automatic(world_) && !explanation.payoff;
    if (is_all) CHECK(position == text.size());
  }

  // Why not the others is said of those that run on this device.
  static void check_selection_record(const std::string& text,
                                     const PrefillBackendSelection& selection) {
    const auto is_elsewhere = [](const RejectedPrefillBackend& backend) {
      return std::any_of(
          backend.blockers.begin(), backend.blockers.end(),
          [](const Blocker& blocker) { return blocker.kind == BlockerKind::backend_device; });
    };
    const bool nothing_else =
        selection.name.empty() &&
        std::all_of(selection.rejected.begin(), selection.rejected.end(), is_elsewhere);
    for (const RejectedPrefillBackend& backend : selection.rejected) {
      const bool is_said = nothing_else || !is_elsewhere(backend);
      for (const Blocker& blocker : backend.blockers) {
        const bool is_about_device = blocker.kind == BlockerKind::backend_device;
        if (is_said || is_about_device) {
          CHECK((text.find(blocker.sentence) != std::string::npos) == is_said);
        }
      }
    }
  }

  // An engine that looks for what runs without FP8 queries has nothing against it.
  bool is_only_unasked(const Row& row) const {
    return world_.first_usable && setting_.requested && row.fp8_queries == Fp8Queries::required &&
           takes_fp8(world_, row, setting_);
  }

  void check_payoff(const std::optional<PrefillPayoff>& actual) const {
    const std::optional<Payoff> expected = payoff(world_, setting_);
    CHECK(actual.has_value() == expected.has_value());
    if (!actual) return;
    CHECK(actual->device == world_.device_name);
    CHECK(actual->bf16_backend == expected->bf16_backend);
    CHECK(actual->bf16_backend_runs == expected->bf16_backend_runs);
    CHECK(actual->fp8_backend == expected->fp8_backend);
    const PrefillCostModel* model =
        find_prefill_cost_model(world_.device_name, expected->bf16_backend, expected->fp8_backend);
    CHECK(model != nullptr && actual->source == model->source);
    CHECK(actual->longest_isl == model->longest_isl);
    const auto isl = break_even_isl(*model, config().mla_dimensions, config().num_attention_heads);
    const bool is_measured = isl && *isl <= model->longest_isl;
    CHECK(actual->break_even_isl == (is_measured ? isl : std::nullopt));
    CHECK(actual->speedup_at_4096 > 0);
  }

  bool is_asked_for() const {
    return setting_.requested || (decision_.supports && asks_by_kv_cache(world_, setting_));
  }

  static bool has(const PrefillQueryExplanation& explanation, BlockerKind kind) {
    return std::any_of(explanation.blockers.begin(), explanation.blockers.end(),
                       [&](const Blocker& blocker) { return blocker.kind == kind; });
  }

  void check_blockers(const PrefillQueryExplanation& explanation) const {
    CHECK(explanation.blockers.empty() == is_fp8(explanation.data_type));
    // Without a flag it is told only where nothing else is.
    const bool is_told = has_flag(world_) || explanation.blockers.size() == 1;
    CHECK(!has(explanation, BlockerKind::not_requested) || !is_asked_for());
    CHECK(has(explanation, BlockerKind::not_requested) || is_asked_for() || !has_flag(world_));
    CHECK(is_told || !has(explanation, BlockerKind::not_requested));
    CHECK(has(explanation, BlockerKind::kv_cache_not_quantized) == !decision_.quantized);
    for (const Blocker& blocker : explanation.blockers) {
      CHECK(!blocker.sentence.empty());
      CHECK(!to_string(blocker.kind).empty());
    }
    if (world_.injected) return;
    const bool any_bars_scales =
        std::any_of(world_.rows.begin(), world_.rows.end(),
                    [&](const Row& row) { return !takes_scales(world_, row); });
    const bool any_bars_ranks = std::any_of(world_.rows.begin(), world_.rows.end(),
                                            [](const Row& row) { return !row.fp8_over_ranks; });
    CHECK(!has(explanation, BlockerKind::dynamic_kv_scales) || any_bars_scales);
    CHECK(!has(explanation, BlockerKind::decode_context_parallel) ||
          (is_spread(world_) && any_bars_ranks));
    if (setting_.choice.empty()) return;
    const Row& row = *candidates(world_, setting_).front();
    CHECK(has(explanation, BlockerKind::dynamic_kv_scales) == !takes_scales(world_, row));
    CHECK(has(explanation, BlockerKind::decode_context_parallel) ==
          (is_spread(world_) && !row.fp8_over_ranks));
    const bool is_here = row.devices.empty() || contain(row.devices, world_.device);
    CHECK(has(explanation, BlockerKind::backend_device) == !is_here);
    CHECK(has(explanation, BlockerKind::backend_unavailable) == !row.available);
    CHECK(has(explanation, BlockerKind::dimensions) ==
          !(row.dimensions.empty() || holds(row.dimensions, config().mla_dimensions)));
    CHECK(has(explanation, BlockerKind::head_count) ==
          (config().num_attention_heads % row.head_multiple != 0));
  }
};

}  // namespace mla_dtype::fuzz

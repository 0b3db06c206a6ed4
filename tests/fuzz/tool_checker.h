// SPDX-License-Identifier: Apache-2.0
#pragma once

// Without this the tool's JSON could say something else than the library, or its command lines not
// do what they are offered for.

#include <mla_dtype/mla_dtype.h>

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "case_checker.h"
#include "tool_case.h"

namespace mla_dtype::fuzz {

/// The library's answer, as the tool has to show it.
class ToolChecker : public PlanChecker {
 public:
  using Json = nlohmann::json;
  using PlanChecker::PlanChecker;

  void check(ToolWords& tool) {
    const ToolAnswer answer = run_tool(tool.words_for(made_));
    ask();
    CHECK(answer.exit_code == (refusal_.empty() ? 0 : 3));
    const Json json = Json::parse(answer.out);
    check_json(json);
    const ToolWords::Words command = ToolWords::command_for(made_);
    if (!command.empty()) check_command(json, tool.rest_for(made_), command);
  }

 private:
  void check_json(const Json& json) const {
    check_decision_in(json);
    check_reasons_in(json);
    check_plan_in(json["plan"]);
    check_joint_in(json["joint"]);
    CHECK(
        (json["refusal"].is_null() ? "" : json["refusal"]).get<std::string>().rfind(refusal_, 0) ==
        0);
    CHECK(json["refused"] == !refusal_.empty());
    const World& world = made_.world;
    CHECK(json["device"] == Json({{"name", or_null(world.device_name)},
                                  {"capability", to_string(world.device.platform())}}));
    CHECK(json["log"] == log());
  }

  // Behind `--` the same settings give the same answer, and each command that is offered is enough.
  void check_command(Json expected, const ToolWords::Words& rest,
                     const ToolWords::Words& command) const {
    const auto run = [&](const ToolWords::Words& behind) {
      ToolWords::Words words = rest;
      words.emplace_back("--");
      words.insert(words.end(), behind.begin(), behind.end());
      return run_tool(words);
    };
    const ToolAnswer answer = run(command);
    CHECK(answer.exit_code == (refusal_.empty() ? 0 : 3));
    const Json json = Json::parse(answer.out);
    for (const char* const list : {"remedies", "run_remedies"}) {
      CHECK(json[list].size() == expected[list].size());
      for (std::size_t i = 0; i < json[list].size(); ++i) {
        const Json& offered = json[list][i]["command"];
        expected[list][i]["command"] = offered;
        if (offered.is_null()) continue;
        const ToolAnswer changed = run({offered.get<std::string>()});  // pasted as one word
        CHECK(changed.exit_code == 0);
        const std::string data_type = Json::parse(changed.out)["data_type"];
        CHECK(list != std::string_view("remedies") || is_fp8(*parse_data_type(data_type)));
      }
    }
    CHECK(json == expected);
  }

  static Json or_null(const std::string& text) { return text.empty() ? Json() : Json(text); }
  template <class Value>
  static Json or_null(const std::optional<Value>& value) {
    return value ? Json(*value) : Json();
  }

  // As an engine does at init.
  void ask() {
    explanation_ = explain_prefill_query_data_type(config(), model(), env_);
    selection_ = select_prefill_backend(config(), model(), env_);
    try {
      plan_ = plan_attention_data_types(config(), model(), env_, decode_);
      explanation_ = plan_->prefill;
      selection_ = plan_->prefill_backend;
    } catch (const PrefillQueryRefused& refused) {
      explanation_ = refused.explanation();
      refusal_ = refused.what();
    } catch (const AttentionPlanRefused& refused) {
      refusal_ = refused.what();
      run_remedies_ = refused.remedies();
      explanation_.hint.clear();
      std::vector<Remedy> kept;
      for (const Remedy& remedy : explanation_.remedies) {
        if (!is_no_kernel(with(config(), remedy))) kept.push_back(remedy);
      }
      explanation_.remedies = kept;
    }
  }

  bool is_no_kernel(const EngineConfig& changed) const {
    try {
      static_cast<void>(plan_attention_data_types(changed, model(), env_, decode_));
      return false;
    } catch (const AttentionPlanRefused&) {
      return true;
    }
  }

  void check_decision_in(const Json& json) const {
    const PrefillQueryExplanation& expected = explanation_;
    CHECK(json["model_dtype"] == to_string(model()));
    CHECK(json["data_type"] == to_string(expected.data_type));
    CHECK(json["outcome"] == to_string(expected.outcome));
    CHECK(json["facts"] == Json({{"kv_cache_quantized", expected.facts.kv_cache_quantized},
                                 {"requested", expected.facts.requested},
                                 {"backend_supports", expected.facts.backend_supports}}));
    const KvCacheResolution& cache = expected.kv_cache_dtype;
    CHECK(json["kv_cache_dtype"] == Json({{"requested", cache.requested},
                                          {"resolved", cache.resolved},
                                          {"reason", cache.reason}}));
    CHECK(json["prefill_backend"] == or_null(expected.prefill_backend));
    CHECK(json["decode_backend"] == or_null(plan_ ? plan_->decode_backend : ""));
  }

  static Json in_json(const std::vector<Blocker>& blockers) {
    Json result = Json::array();
    for (const Blocker& blocker : blockers) {
      result.push_back({{"kind", to_string(blocker.kind)},
                        {"value", blocker.value},
                        {"sentence", blocker.sentence}});
    }
    return result;
  }

  static Json in_json(const std::vector<Remedy>& remedies) {
    Json result = Json::array();
    for (const Remedy& remedy : remedies) {
      result.push_back({{"request", remedy.request},
                        {"cache_dtype", or_null(remedy.cache_dtype)},
                        {"prefill_backend", or_null(remedy.prefill_backend)},
                        {"decode_backend", or_null(remedy.decode_backend)},
                        {"spelling", remedy.spelling},
                        {"command", Json()}});
    }
    return result;
  }

  void check_reasons_in(const Json& json) const {
    const PrefillQueryExplanation& expected = explanation_;
    CHECK(json["blockers"] == in_json(expected.blockers));
    CHECK(json["remedies"] == in_json(expected.remedies));
    CHECK(json["run_remedies"] == in_json(run_remedies_));
    CHECK(json["nothing_helps"] == or_null(expected.nothing_helps));
    CHECK(json["hint"] == or_null(expected.hint));
    Json rejected = Json::array();
    for (const auto& [name, blockers] : selection_.rejected) {
      rejected.push_back({{"name", name}, {"blockers", in_json(blockers)}});
    }
    CHECK(json["rejected_prefill_backends"] == rejected);
    const Json& prediction = json["prediction"];
    CHECK(prediction.is_null() == !expected.prediction.has_value());
    if (expected.prediction) {
      CHECK(prediction["isl"] == expected.prediction->isl);
      CHECK(prediction["speedup"] == expected.prediction->speedup);
      CHECK(prediction["decides"] == expected.prediction->decides);
      CHECK(prediction["advises_change"] == expected.prediction->advises_change);
    }
    const Json& payoff = json["payoff"];
    CHECK(payoff.is_null() == !expected.payoff.has_value());
    if (!expected.payoff) return;
    CHECK(payoff["device"] == expected.payoff->device);
    CHECK(payoff["bf16_backend"] == expected.payoff->bf16_backend);
    CHECK(payoff["bf16_backend_runs"] == expected.payoff->bf16_backend_runs);
    CHECK(payoff["fp8_backend"] == expected.payoff->fp8_backend);
    CHECK(payoff["break_even_isl"] == or_null(expected.payoff->break_even_isl));
    CHECK(payoff["source"] == expected.payoff->source);
  }

  static Json in_json(const std::optional<PlannedDataType>& planned) {
    if (!planned) return {};
    return {{"data_type", to_string(planned->data_type)}, {"reason", planned->reason}};
  }

  void check_plan_in(const Json& json) const {
    CHECK(json.is_null() == !plan_.has_value());
    if (!plan_) return;
    CHECK(json["kv_cache_storage"] == in_json(plan_->kv_cache_storage));
    CHECK(json["kv_cache_view"] == in_json(plan_->kv_cache_view));
    CHECK(json["prefill_query"] == in_json(plan_->prefill_query));
    CHECK(json["prefill_key_value"] == in_json(plan_->prefill_key_value));
    CHECK(json["chunked_prefill_workspace"] == in_json(plan_->chunked_prefill_workspace));
    CHECK(json["decode_query"] == in_json(plan_->decode_query));
    CHECK(json["output"] == in_json(plan_->output));
    CHECK(json["kv_cache_bytes"] == or_null(plan_->kv_cache_bytes));
    CHECK(json["unquantized_kv_cache_bytes"] == plan_->unquantized_kv_cache_bytes);
    CHECK(json["workspace_bytes"] == or_null(plan_->workspace_bytes));
    Json cautions = Json::array();
    for (const Caution& caution : plan_->cautions) {
      cautions.push_back({{"kind", to_string(caution.kind)}, {"sentence", caution.sentence}});
    }
    CHECK(json["cautions"] == cautions);
    CHECK(std::stoull(json["packed"].get<std::string>(), nullptr, 16) == pack(*plan_));
  }

  // What vLLM would do if it looked at the flag when it selects a backend.
  void check_joint_in(const Json& json) const {
    World joint = world_;
    joint.first_usable = false;
    const DataType data_type = decide(joint, setting_of(joint)).data_type;
    const bool is_told = made_.engine == Engine::vllm && data_type != explanation_.data_type;
    CHECK(json.is_null() == !is_told);
    if (is_told) CHECK(json["data_type"] == to_string(data_type));
  }

  Json log() const {
    Json result = Json::array();
    if (!plan_ || made_.local_rank != 0) return result;
    for (const auto& [level, text] : records(*plan_, env_)) {
      result.push_back({{"level", level == LogLevel::info ? "info" : "warning"}, {"text", text}});
    }
    return result;
  }

  PrefillQueryExplanation explanation_;
  PrefillBackendSelection selection_;
  std::optional<AttentionPlan> plan_;
  std::string refusal_;
  std::vector<Remedy> run_remedies_;
};

}  // namespace mla_dtype::fuzz

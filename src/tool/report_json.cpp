// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "json_output.h"
#include "report.h"

namespace mla_dtype::tool {
namespace {

using tool::or_null;
using tool::to_json;

OrderedJson to_json(const std::vector<Remedy>& remedies, const std::vector<std::string>& commands,
                    std::size_t first_command) {
  OrderedJson result = OrderedJson::array();
  for (std::size_t i = 0; i < remedies.size(); ++i) {
    const Remedy& remedy = remedies[i];
    result.push_back({{"request", remedy.request},
                      {"cache_dtype", or_null(remedy.cache_dtype)},
                      {"prefill_backend", or_null(remedy.prefill_backend)},
                      {"decode_backend", or_null(remedy.decode_backend)},
                      {"spelling", remedy.spelling},
                      {"command", or_null(commands[first_command + i])}});
  }
  return result;
}

OrderedJson to_json(const std::vector<RejectedPrefillBackend>& backends) {
  OrderedJson result = OrderedJson::array();
  for (const RejectedPrefillBackend& backend : backends) {
    result.push_back({{"name", backend.name}, {"blockers", to_json(backend.blockers)}});
  }
  return result;
}

OrderedJson to_json(const std::vector<LogRecord>& log) {
  OrderedJson result = OrderedJson::array();
  for (const LogRecord& record : log) {
    result.push_back({{"level", name_of(record.level)}, {"text", record.text}});
  }
  return result;
}

OrderedJson to_json(const PlannedDataType& planned) {
  return {{"data_type", to_string(planned.data_type)}, {"reason", planned.reason}};
}

OrderedJson to_json(const std::vector<Caution>& cautions) {
  OrderedJson result = OrderedJson::array();
  for (const Caution& caution : cautions) {
    result.push_back({{"kind", to_string(caution.kind)}, {"sentence", caution.sentence}});
  }
  return result;
}

OrderedJson or_null(const std::optional<PlannedDataType>& planned) {
  return planned ? to_json(*planned) : OrderedJson();
}

OrderedJson or_null(const std::optional<AttentionPlan>& plan) {
  if (!plan) return {};
  return {
      {"kv_cache_storage", to_json(plan->kv_cache_storage)},
      {"kv_cache_view", to_json(plan->kv_cache_view)},
      {"prefill_query", to_json(plan->prefill_query)},
      {"prefill_key_value", to_json(plan->prefill_key_value)},
      {"chunked_prefill_workspace", or_null(plan->chunked_prefill_workspace)},
      {"decode_query", to_json(plan->decode_query)},
      {"output", to_json(plan->output)},
      {"kv_cache_bytes", or_null(plan->kv_cache_bytes)},
      {"unquantized_kv_cache_bytes", plan->unquantized_kv_cache_bytes},
      {"workspace_bytes", or_null(plan->workspace_bytes)},
      {"cautions", to_json(plan->cautions)},
      // A text: many readers of JSON take numbers for doubles, which have 53 bits.
      {"packed", fmt::format("{:#018x}", pack(*plan))},
  };
}

OrderedJson or_null(const std::optional<PrefillPayoff>& payoff) {
  if (!payoff) return {};
  return {{"device", payoff->device},
          {"bf16_backend", payoff->bf16_backend},
          {"bf16_backend_runs", payoff->bf16_backend_runs},
          {"fp8_backend", payoff->fp8_backend},
          {"break_even_isl", or_null(payoff->break_even_isl)},
          {"longest_isl", payoff->longest_isl},
          {"speedup_at_4096", payoff->speedup_at_4096},
          {"source", payoff->source}};
}

OrderedJson prediction_or_null(const Report& report) {
  const std::optional<PrefillPrediction>& prediction = report.explanation.prediction;
  if (!prediction) return {};
  return {{"isl", prediction->isl},
          {"speedup", prediction->speedup},
          {"decides", prediction->decides},
          {"advises_change", prediction->advises_change},
          {"break_even_isl", or_null(report.break_even->isl)},
          {"source", report.break_even->source}};
}

OrderedJson joint_or_null(const Report& report) {
  if (!report.joint) return {};
  return {{"data_type", to_string(report.joint->data_type)},
          {"prefill_backend", or_null(report.joint->prefill_backend)}};
}

OrderedJson model_json(const Question& question) {
  const EngineConfig& config = question.config;
  return {{"path", or_null(question.model_path)},
          {"model_type", or_null(question.model_type)},
          {"text_model_type", or_null(question.text_model_type)},
          {"qk_nope_head_dim", config.mla_dimensions.qk_nope_head_dim},
          {"qk_rope_head_dim", config.mla_dimensions.qk_rope_head_dim},
          {"v_head_dim", config.mla_dimensions.v_head_dim},
          {"kv_lora_rank", config.kv_lora_rank},
          {"num_attention_heads", question.num_attention_heads},
          {"heads_of_a_rank", config.num_attention_heads},
          {"index_topk", config.index_topk == 0 ? OrderedJson() : OrderedJson(config.index_topk)}};
}

}  // namespace

OrderedJson device_json(const Question& question) {
  return {{"name", or_null(question.device_name)}, {"capability", to_string(question.platform)}};
}

OrderedJson to_json(const Report& report) {
  const Question& question = report.question;
  const PrefillQueryExplanation& explanation = report.explanation;
  const PrefillQueryFacts& facts = explanation.facts;
  const KvCacheResolution& cache = explanation.kv_cache_dtype;
  const std::size_t first_run_command = explanation.remedies.size();
  return {
      {"schema", schema},
      {"engine", question.engine_name},
      {"facts_as_of", question.engine.facts_as_of},
      {"device", device_json(question)},
      {"model", model_json(question)},
      {"model_dtype", to_string(question.model_dtype)},
      {"data_type", to_string(explanation.data_type)},
      {"outcome", to_string(explanation.outcome)},
      {"facts",
       {{"kv_cache_quantized", facts.kv_cache_quantized},
        {"requested", facts.requested},
        {"backend_supports", facts.backend_supports}}},
      {"kv_cache_dtype",
       {{"requested", cache.requested}, {"resolved", cache.resolved}, {"reason", cache.reason}}},
      {"prefill_backend", or_null(explanation.prefill_backend)},
      {"decode_backend", or_null(report.decode_backend)},
      {"blockers", to_json(explanation.blockers)},
      {"remedies", to_json(explanation.remedies, report.commands, 0)},
      {"nothing_helps", or_null(explanation.nothing_helps)},
      {"hint", or_null(explanation.hint)},
      {"joint", joint_or_null(report)},
      {"prediction", prediction_or_null(report)},
      {"payoff", or_null(explanation.payoff)},
      {"rejected_prefill_backends", to_json(report.selection.rejected)},
      {"notes", question.notes},
      {"log", to_json(report.log)},
      {"refused", !report.refusal.empty()},
      {"refusal", or_null(report.refusal)},
      {"run_remedies", to_json(report.run_remedies, report.commands, first_run_command)},
      {"plan", or_null(report.plan)},
  };
}

}  // namespace mla_dtype::tool

// SPDX-License-Identifier: Apache-2.0
#include "report.h"

#include <fmt/format.h>
#include <mla_dtype/fmt.h>

#include <algorithm>

#include "json_output.h"

namespace mla_dtype::tool {
namespace {

using tool::or_null;
using tool::to_json;

bool runs_on_device(const RejectedPrefillBackend& backend) {
  return std::none_of(backend.blockers.begin(), backend.blockers.end(), [](const Blocker& blocker) {
    return blocker.kind == BlockerKind::backend_device;
  });
}

OrderedJson to_json(const std::vector<Remedy>& remedies) {
  OrderedJson result = OrderedJson::array();
  for (const Remedy& remedy : remedies) {
    result.push_back({{"request", remedy.request},
                      {"cache_dtype", or_null(remedy.cache_dtype)},
                      {"prefill_backend", or_null(remedy.prefill_backend)},
                      {"spelling", remedy.spelling}});
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

// A line for each backend that an automatic selection did not take, though it runs on the device.
void append_rejected(std::string& text, const PrefillBackendSelection& selection) {
  if (!selection.chosen.empty()) return;
  for (const RejectedPrefillBackend& backend : selection.rejected) {
    if (!runs_on_device(backend)) continue;
    text += fmt::format("rejected: {}:", backend.name);
    for (const Blocker& blocker : backend.blockers) text += ' ' + blocker.sentence;
    text += '\n';
  }
}

}  // namespace

std::string to_text(const Report& report) {
  std::string text = to_string(report.explanation) + '\n';
  if (report.explanation.prediction) append_break_even(text, *report.break_even);
  append_rejected(text, report.selection);
  if (report.plan) text += '\n' + to_string(*report.plan) + '\n';
  return text;
}

std::string to_json(const Report& report) {
  const PrefillQueryExplanation& explanation = report.explanation;
  const PrefillQueryFacts& facts = explanation.facts;
  const KvCacheResolution& cache = explanation.kv_cache_dtype;
  return to_document({
      {"schema", schema},
      {"device", to_string(report.platform)},
      {"model_dtype", to_string(report.model_dtype)},
      {"data_type", to_string(explanation.data_type)},
      {"outcome", to_string(explanation.outcome)},
      {"facts",
       {{"kv_cache_quantized", facts.kv_cache_quantized},
        {"requested", facts.requested},
        {"backend_supports", facts.backend_supports}}},
      {"kv_cache_dtype",
       {{"requested", cache.requested}, {"resolved", cache.resolved}, {"reason", cache.reason}}},
      {"prefill_backend", or_null(explanation.prefill_backend)},
      {"blockers", to_json(explanation.blockers)},
      {"remedies", to_json(explanation.remedies)},
      {"nothing_helps", or_null(explanation.nothing_helps)},
      {"hint", or_null(explanation.hint)},
      {"prediction", prediction_or_null(report)},
      {"payoff", or_null(explanation.payoff)},
      {"rejected_prefill_backends", to_json(report.selection.rejected)},
      {"log", to_json(report.log)},
      {"refused", report.refused},
      {"plan", or_null(report.plan)},
  });
}

}  // namespace mla_dtype::tool

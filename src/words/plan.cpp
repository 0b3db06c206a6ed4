// SPDX-License-Identifier: Apache-2.0
#include "facts/data_types.h"
#include "words/form.h"
#include "words/invalid_argument.h"
#include "words/sentences.h"

namespace mla_dtype::detail {
namespace {

std::string prefill_reason(const PrefillQueryExplanation& explanation, bool is_by_kv_cache) {
  if (is_by_kv_cache) return "The KV cache is FP8, and the prefill backend goes by it.";
  if (explanation.outcome == PrefillQueryOutcome::quantized) {
    return explanation.prediction && explanation.prediction->decides
               ? "FP8 prefill queries are possible, and predicted to be faster."
               : "FP8 prefill queries are requested and possible.";
  }
  std::string text;
  for (const Blocker& blocker : explanation.blockers) text += ' ' + blocker.sentence;
  return text.erase(0, 1);
}

std::string decode_reason(const PrefillQuestion& question, const DecodeChoice& decode,
                          bool is_fp8) {
  const std::string backend =
      decode.row != nullptr ? "decode backend " + decode.row->backend.name : "the decode backend";
  if (is_fp8) return filled("The KV cache is FP8, and {} takes FP8 queries with it.", backend);
  if (!question.kv_cache_quantized) {
    return filled("The KV cache is not quantized; {} reads it.", backend);
  }
  if (decode.pair != nullptr) {
    return filled("The KV cache is quantized; {} reads it with queries in the model's data type.",
                  backend);
  }
  const auto& answer = decode.fp8_queries;
  if (!answer) return "The KV cache is quantized, but not plain FP8.";
  return answer->reason.empty() ? "The decode backend does not take FP8 queries." : answer->reason;
}

std::string workspace_reason(const PrefillQuestion& question) {
  if (question.config.parallel_config.decode_context_parallel_size > 1) {
    return "The decode-context-parallel size is above 1: the model's data type.";
  }
  return is_flashmla_layout(question.format) ? "fp8_ds_mla is dequantized to bfloat16."
                                             : "That of the prefill queries.";
}

std::string caution(const CautionFact& fact, const PrefillQuestion& question) {
  constexpr std::string_view sentences[] = {
      ("Attention is computed in FP8 with KV scales of 1: what exceeds the range of FP8 is cut "
       "off. Calibrated scales avoid that."),
      "Attention is computed in FP8, and it is not known whether the KV scales are calibrated.",
      ("The KV cache is quantized for storage only: decode computes in the model's data type, "
       "which saves memory but no time."),
      "On this device ({device}) prefill backend {backend} may run in FP8 whatever {flag} says.",
      "FP8 attention of backend {backend} was wrong {known_wrong}.",
      ("Attention is computed in FP8 with a scale of keys that is not that of values, although MLA "
       "has one latent for both."),
      "Attention is computed in FP8 with KV scales that are estimated.",
      "On this device ({device}) FP8 queries are slower: it computes in no FP8."};
  return fill_in(sentences[static_cast<std::size_t>(fact.kind)], [&](std::string_view name) {
    if (name == "device") return device_name(*question.device);
    if (name == "backend") return to_text(fact.backend);
    return to_text(name == "flag" ? flag_name(question.env.spellings) : fact.known_wrong);
  });
}

void explain_kv_cache(const PrefillQuestion& question, AttentionPlan& plan) {
  const DataType view = cache_view(question);
  const std::string reason =
      filled("KV-cache dtype {}: {}.", in_quotes(plan.kv_cache_dtype.resolved),
             plan.kv_cache_dtype.reason);
  plan.kv_scales = question.config.cache_config.kv_scales;
  plan.kv_cache_storage = {is_fp8(view) ? DataType::uint8 : view, reason};
  plan.kv_cache_view = {view, reason};
  plan.kv_cache_bytes = cache_bytes(question);
  plan.unquantized_kv_cache_bytes =
      latent_size(question.config) * size_in_bytes(question.model_dtype);
}

}  // namespace

AttentionPlan explain_plan(PrefillQuestion question, const Evaluation& evaluation,
                           const DecodeChoice& decode) {
  const DataType model_dtype = question.model_dtype;
  AttentionPlan plan{};
  plan.prefill = explain(question, evaluation);
  if (question.table != nullptr) plan.prefill_backend = explain_selection(question);
  plan.kv_cache_dtype = plan.prefill.kv_cache_dtype;
  const KvCacheFormat*& format = question.format;
  const bool is_known = format != nullptr && format->quantized == question.kv_cache_quantized;
  if (!is_known) format = nullptr;  // `auto` is the engine's to decide
  if (decode.row != nullptr) {
    plan.decode_backend = decode.row->backend.name;
    if (const std::string& stored = decode.pair->stored_as; !stored.empty()) {
      plan.kv_cache_dtype.resolved = stored;
      plan.kv_cache_dtype.reason = filled("decode backend {} stores it so", plan.decode_backend);
      format = find_kv_cache_format(stored);
      question.kv_cache_quantized = true;
    }
  }
  explain_kv_cache(question, plan);
  const DataType prefill = plan.prefill.data_type;
  const bool is_by_kv_cache = evaluation.facts.requested && !question.requested;
  plan.prefill_query = {prefill, prefill_reason(plan.prefill, is_by_kv_cache)};
  plan.prefill_key_value = {prefill, "Always that of the prefill queries."};
  if (const auto type = workspace_type(question, prefill)) {
    plan.chunked_prefill_workspace = {*type, workspace_reason(question)};
    plan.workspace_bytes = latent_size(question.config) * size_in_bytes(*type);
  }
  const bool is_fp8_decode = decode.fp8_queries && decode.fp8_queries->supported;
  plan.decode_query = {is_fp8_decode ? question.env.fp8_data_type : model_dtype,
                       decode_reason(question, decode, is_fp8_decode)};
  plan.output = {model_dtype, "Always the model's data type."};
  for (const auto& fact : cautions_of(plan, question, evaluation.row, decode.row)) {
    plan.cautions.push_back({fact.kind, caution(fact, question)});
  }
  return plan;
}

DecodeBackendSelection explain_decode(const PrefillQuestion& question) {
  DecodeBackendSelection result;
  std::vector<DecodeChoice> rejected_choices;
  const DecodeChoice selected = select_decode(question, &rejected_choices);
  if (selected.row != nullptr) {
    result.name = selected.row->backend.name;
    result.queries = selected.pair->queries;
  }
  for (const DecodeChoice& choice : rejected_choices) {
    RejectedPrefillBackend& rejected = result.rejected.emplace_back();
    rejected.name = choice.row->backend.name;
    for (const BlockerKind kind : choice.blockers) {
      rejected.blockers.push_back(describe({kind, nullptr, choice.row}, question));
    }
  }
  return result;
}

std::string decode_refusal(const PrefillQuestion& question) {
  const std::string why = reasons(explain_decode(question).rejected, /*is_found=*/false);
  return question.decode_choice != nullptr ? why.substr(1)
                                           : "No known decode backend can be used." + why;
}

std::string in_lines(const AttentionPlan& plan) {
  std::string text;
  const auto add = [&](std::string_view name, std::string_view type, std::string_view reason) {
    const auto column = [](std::string_view word, std::size_t width) {
      return to_text(word).append(width - std::min(width, word.size()), ' ');
    };
    text += filled("{}{}{}\n", column(name, 26), column(type, 17), one_line(reason));
  };
  const auto add_type = [&](std::string_view name, const std::optional<PlannedDataType>& planned) {
    if (planned) add(name, to_string(planned->data_type), planned->reason);
  };
  add_type("KV-cache storage", plan.kv_cache_storage);
  add_type("KV-cache view", plan.kv_cache_view);
  add_type("prefill query", plan.prefill_query);
  add_type("prefill key and value", plan.prefill_key_value);
  add_type("chunked-prefill workspace", plan.chunked_prefill_workspace);
  add_type("decode query", plan.decode_query);
  add_type("output", plan.output);
  add("KV cache", plan.kv_cache_bytes ? filled("{} bytes", *plan.kv_cache_bytes) : "not known",
      filled("For a token and layer; {} in the model's data type.",
             plan.unquantized_kv_cache_bytes));
  if (plan.workspace_bytes) {
    add("workspace", filled("{} bytes", *plan.workspace_bytes), "For a token.");
  }
  for (const Caution& each : plan.cautions) {
    text += filled("caution: {}\n", one_line(each.sentence));
  }
  text.pop_back();
  return text;
}

std::string show(unsigned value, PackedKind kind) {
  const auto type = static_cast<DataType>(value);
  std::string_view name;
  if (kind == PackedKind::scales && value <= static_cast<unsigned>(KvScales::dynamic)) {
    name = to_string(static_cast<KvScales>(value));
  } else if (kind == PackedKind::data_type) {
    if (is_data_type(type)) name = to_string(type);
    if (value == packed_no_type) name = "none";
  } else if (kind == PackedKind::kv_cache) {
    if (value < kv_cache_formats().size()) name = kv_cache_formats()[value].name;
    if (value == packed_model_cache) name = "the model's data type";
    if (value == packed_own_cache) name = "a KV-cache dtype of the engine's own";
  }
  return name.empty() ? to_text(value) : std::string(name);
}

std::string compose(const std::vector<RankDifference>& differences) {
  std::string text = "The ranks do not have the same attention data types as rank 0:";
  constexpr std::size_t most_shown = 64;
  for (std::size_t i = 0; i < differences.size(); ++i) {
    if (i == most_shown) return text + filled(" And {} more.", differences.size() - i);
    const auto& [rank, field, value, expected] = differences[i];
    text += filled(" rank {} has {} {} instead of {}.", rank, field, value, expected);
  }
  return text;
}

}  // namespace mla_dtype::detail

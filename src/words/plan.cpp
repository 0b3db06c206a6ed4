// SPDX-License-Identifier: Apache-2.0
#include "words/plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "facts/data_types.h"
#include "facts/kv_cache_formats.h"
#include "words/invalid_argument.h"
#include "words/prefill_query.h"

namespace mla_dtype::detail {

std::string kv_cache_reason(const KvCacheResolution& kv_cache_dtype) {
  return fmt::format("KV-cache dtype {}: {}.", in_quotes(kv_cache_dtype.resolved),
                     kv_cache_dtype.reason);
}

std::string prefill_reason(const PrefillQueryExplanation& explanation) {
  if (explanation.outcome == PrefillQueryOutcome::quantized) {
    return explanation.prediction && explanation.prediction->decides
               ? "FP8 prefill queries are possible, and predicted to be faster."
               : "FP8 prefill queries are requested and possible.";
  }
  std::string text;
  for (const Blocker& blocker : explanation.blockers) {
    if (!text.empty()) text += ' ';
    text += blocker.sentence;
  }
  return text;
}

std::string decode_reason(Decode decode, const DecodeTable* table,
                          const std::string& engines_reason) {
  switch (decode) {
    case Decode::unquantized:
      return "The KV cache is not quantized.";
    case Decode::fp8:
      return "The KV cache is FP8, and the decode backend takes FP8 queries with it.";
    case Decode::model_queries:
      return fmt::format(
          "Decode backend {} reads this KV cache with queries in the model's data type.",
          table->backend.name);
    case Decode::not_plain_fp8:
      return "The KV cache is quantized, but not plain FP8.";
    default:
      return engines_reason.empty() ? "The decode backend does not take FP8 queries."
                                    : engines_reason;
  }
}

std::string decode_refusal(Decode decode, const DecodeTable& table,
                           const PrefillQuestion& question) {
  if (decode == Decode::wrong_scales) {
    return fmt::format("Decode backend {} takes KV scales of 1 only, and these are {}.",
                       table.backend.name, kv_scales_name(question.config.cache_config.kv_scales));
  }
  const bool is_model_cache = question.cache_dtype == "auto";
  return fmt::format(
      "Decode backend {} does not read a KV cache of dtype {} for a {} model on this device ({}).",
      table.backend.name,
      in_quotes(is_model_cache ? to_string(question.model_dtype) : question.cache_dtype),
      to_string(question.model_dtype), device_name(table.platform));
}

std::string workspace_reason(const PrefillQuestion& question) {
  if (question.config.parallel_config.decode_context_parallel_size > 1) {
    return "The decode-context-parallel size is above 1: the model's data type.";
  }
  return question.format != nullptr && is_flashmla_layout(*question.format)
             ? "fp8_ds_mla is dequantized to bfloat16."
             : "That of the prefill queries.";
}

Caution caution(CautionKind kind, const PrefillQuestion& question, const PrefillRow* backend) {
  switch (kind) {
    case CautionKind::unit_scales:
      return {kind,
              "Attention is computed in FP8 with KV scales of 1: what exceeds the range of FP8 is "
              "cut off. Calibrated scales avoid that."};
    case CautionKind::unknown_scales:
      return {kind,
              "Attention is computed in FP8, and it is not known whether the KV scales are "
              "calibrated."};
    case CautionKind::storage_only:
      return {kind,
              "The KV cache is quantized for storage only: decode computes in the model's data "
              "type, which saves memory but no time."};
    case CautionKind::flag_ignored:
      break;
  }
  return {kind,
          fmt::format("On this device ({}) prefill backend {} may run in FP8 whatever {} says.",
                      device_name(question.table->platform), backend->backend.name,
                      flag_name(question.env.spellings))};
}

std::string in_lines(const AttentionPlan& plan) {
  std::string text;
  const auto add = [&](std::string_view name, std::string_view type, std::string_view reason) {
    text += fmt::format("{:<26}{:<17}{}\n", name, type, one_line(reason));
  };
  const auto add_type = [&](std::string_view name, const PlannedDataType& planned) {
    add(name, to_string(planned.data_type), planned.reason);
  };
  add_type("KV-cache storage", plan.kv_cache_storage);
  add_type("KV-cache view", plan.kv_cache_view);
  add_type("prefill query", plan.prefill_query);
  add_type("prefill key and value", plan.prefill_key_value);
  if (plan.chunked_prefill_workspace) {
    add_type("chunked-prefill workspace", *plan.chunked_prefill_workspace);
  }
  add_type("decode query", plan.decode_query);
  add_type("output", plan.output);
  const auto add_bytes = [&](std::string_view name, std::optional<std::size_t> bytes,
                             std::string_view of) {
    add(name, bytes ? fmt::format("{} bytes", *bytes) : "not known", of);
  };
  add_bytes("KV cache", plan.kv_cache_bytes,
            fmt::format("For a token and layer; {} in the model's data type.",
                        plan.unquantized_kv_cache_bytes));
  if (plan.chunked_prefill_workspace) {
    add_bytes("workspace", plan.workspace_bytes, "For a token.");
  }
  for (const Caution& each : plan.cautions) text += fmt::format("caution: {}\n", each.sentence);
  text.pop_back();
  return text;
}

std::string show(unsigned value, PackedKind kind) {
  switch (kind) {
    case PackedKind::number:
      break;
    case PackedKind::scales:
      if (value <= static_cast<unsigned>(KvScales::dynamic)) {
        return std::string(kv_scales_name(static_cast<KvScales>(value)));
      }
      break;
    case PackedKind::data_type:
      if (value == packed_no_type) return "none";
      if (is_data_type(static_cast<DataType>(value))) {
        return std::string(to_string(static_cast<DataType>(value)));
      }
      break;
    case PackedKind::kv_cache:
      if (value == packed_model_cache) return "the model's data type";
      if (value == packed_own_cache) return "a KV-cache dtype of the engine's own";
      if (value < kv_cache_formats().size()) return std::string(kv_cache_formats()[value].name);
      break;
  }
  return fmt::to_string(value);
}

std::string compose(const std::vector<RankDifference>& differences) {
  std::string text = "The ranks do not have the same attention data types as rank 0:";
  constexpr std::size_t most_shown = 64;
  for (std::size_t i = 0; i < std::min(differences.size(), most_shown); ++i) {
    const RankDifference& difference = differences[i];
    text += fmt::format(" rank {} has {} {} instead of {}.", difference.rank, difference.field,
                        difference.value, difference.expected);
  }
  if (differences.size() > most_shown) {
    text += fmt::format(" And {} more.", differences.size() - most_shown);
  }
  return text;
}

}  // namespace mla_dtype::detail

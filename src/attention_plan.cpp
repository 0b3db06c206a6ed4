// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <mla_dtype/attention_plan.h>
#include <mla_dtype/kv_cache.h>

#include <algorithm>
#include <iterator>
#include <memory>
#include <utility>

#include "bad_data_type.h"
#include "cache_dtype.h"
#include "invalid_argument.h"
#include "prefill_candidates.h"
#include "prefill_plan.h"

namespace mla_dtype {
namespace {

// The predicate of make_decode_environment(). A plan finds it in the environment, and looks into
// the row itself.
struct BuiltInDecodeBackend {
  Platform platform;
  std::shared_ptr<const DecodeBackend> backend;

  Support operator()(const EngineConfig& config, DataType model_dtype) const {
    const std::string_view cache_dtype = detail::effective_cache_dtype(config);
    if (decode_queries(*backend, platform, cache_dtype, model_dtype) == DecodeQueries::fp8) {
      return true;
    }
    return {false, fmt::format("Decode backend {} does not take FP8 queries with this KV cache.",
                               backend->name)};
  }
};

const BuiltInDecodeBackend* built_in_backend(const DecodeEnvironment& decode) {
  return decode.decode_backend_supports_quantized_query.target<BuiltInDecodeBackend>();
}

constexpr std::string_view scales_names[] = {"unknown", "calibrated", "unit", "dynamic"};

bool refuses_scales(const DecodeBackend& backend, KvScales scales) {
  return backend.needs_unit_scales &&
         (scales == KvScales::calibrated || scales == KvScales::dynamic);
}

// The KV caches that decoding leaves open.
unsigned cache_choices(const DecodeEnvironment& decode, const EngineConfig& config,
                       DataType model_dtype) {
  const auto* const built_in = built_in_backend(decode);
  if (built_in == nullptr) return ~0U;
  if (refuses_scales(*built_in->backend, config.cache_config.kv_scales)) return 0;
  unsigned result = 0;
  for (const KvCacheFormat& format : kv_cache_formats()) {
    if (decode_queries(*built_in->backend, built_in->platform, format.name, model_dtype) !=
        DecodeQueries::none) {
      result |= detail::bit_of(format);
    }
  }
  return result;
}

void check_backend(const DecodeBackend& backend) {
  detail::check_name("decode backend's name", backend.name);
  for (const DecodePair& pair : backend.pairs) {
    const bool is_fp8_pair = pair.queries == DecodeQueries::fp8;
    if (pair.queries == DecodeQueries::none || pair.queries > DecodeQueries::fp8 ||
        (is_fp8_pair && pair.kv_cache_dtypes.empty())) {
      detail::throw_invalid_argument(
          fmt::format("decode backend {}, queries", backend.name),
          fmt::format("DecodeQueries({})", static_cast<unsigned>(pair.queries)),
          "model; or fp8, with quantized KV caches");
    }
    for (const std::string& name : pair.kv_cache_dtypes) {
      const auto* const format = detail::find_kv_cache_format(name);
      if (name.empty() || (format != nullptr &&
                           !(is_fp8_pair ? detail::is_plain_fp8(*format) : format->quantized))) {
        detail::throw_invalid_argument(
            fmt::format("decode backend {}, kv_cache_dtypes", backend.name),
            detail::in_quotes(name),
            is_fp8_pair ? "fp8, fp8_e4m3, and the engine's own" : "quantized KV-cache dtypes");
      }
    }
  }
}

// Where a KV cache of E4M3 or E5M2 is the platform's own variant of it.
DataType platform_variant(DataType type, DataType platform_fp8) {
  const bool fnuz = platform_fp8 == DataType::float8_e4m3fnuz;
  if (type == DataType::float8_e4m3fn && fnuz) return DataType::float8_e4m3fnuz;
  if (type == DataType::float8_e5m2 && fnuz) return DataType::float8_e5m2fnuz;
  return type;
}

// The KV cache as kernels and the allocator see it. An engine's own format is bytes.
struct CacheTypes {
  DataType storage, view;
};

CacheTypes cache_types(const KvCacheFormat* format, bool quantized, DataType model_dtype,
                       DataType platform_fp8) {
  if (format == nullptr) {
    const DataType type = quantized ? DataType::uint8 : model_dtype;
    return {type, type};
  }
  const DataType view = platform_variant(format->data_type.value_or(model_dtype), platform_fp8);
  return {is_fp8(view) ? DataType::uint8 : view, view};
}

// Bytes of one token's latent in one layer.
std::optional<std::size_t> cache_bytes(const KvCacheFormat* format, DataType view,
                                       const EngineConfig& config) {
  const auto latent = static_cast<std::size_t>(config.kv_lora_rank);
  const auto rope = static_cast<std::size_t>(config.mla_dimensions.qk_rope_head_dim);
  if (format == nullptr) return std::nullopt;
  // FlashMLA's layout: the latent in FP8, a float32 scale for each 128 elements, then the rotary
  // part in bfloat16 (656 bytes for DeepSeek-V3).
  if (format->name == "fp8_ds_mla") return latent + (latent + 127) / 128 * 4 + rope * 2;
  if (format->packed || format->scales == KvCacheScales::per_token_head) return std::nullopt;
  return (latent + rope) * size_in_bytes(view);
}

PlannedDataType plan_decode(const EngineConfig& config, DataType model_dtype,
                            const Environment& env, const DecodeEnvironment& decode,
                            const KvCacheFormat* format, std::string_view cache_dtype,
                            bool quantized) {
  PlannedDataType unquantized{model_dtype, "The KV cache is not quantized."};
  PlannedDataType fp8{env.fp8_data_type,
                      "The KV cache is FP8, and the decode backend takes FP8 queries with it."};
  const auto* const built_in = built_in_backend(decode);
  if (built_in == nullptr) {
    if (!quantized) return unquantized;
    if (format == nullptr || !detail::is_plain_fp8(*format)) {
      return {model_dtype, "The KV cache is quantized, but not plain FP8."};
    }
    const Support support = decode.decode_backend_supports_quantized_query(config, model_dtype);
    if (support.supported) return fp8;
    return {model_dtype, support.reason.empty() ? "The decode backend does not take FP8 queries."
                                                : support.reason};
  }
  const DecodeBackend& backend = *built_in->backend;
  const KvScales scales = config.cache_config.kv_scales;
  if (quantized && refuses_scales(backend, scales)) {
    throw AttentionPlanRefused(
        fmt::format("Decode backend {} takes KV scales of 1 only, and these are {}.", backend.name,
                    scales_names[static_cast<std::size_t>(scales)]));
  }
  // One of the engine's own that is not quantized is in the model dtype.
  const bool is_model_cache =
      !quantized && (format == nullptr || cache_dtype == to_string(model_dtype));
  const std::string_view asked = is_model_cache ? std::string_view() : cache_dtype;
  switch (decode_queries(backend, built_in->platform, asked, model_dtype)) {
    case DecodeQueries::fp8:
      return fp8;
    case DecodeQueries::model:
      if (!quantized) return unquantized;
      return {model_dtype, fmt::format("Decode backend {} reads this KV cache with queries in the "
                                       "model's data type.",
                                       backend.name)};
    case DecodeQueries::none:
      break;
  }
  throw AttentionPlanRefused(fmt::format(
      "Decode backend {} does not read a KV cache of dtype {} for a {} model on this device ({}).",
      backend.name, detail::in_quotes(cache_dtype), to_string(model_dtype),
      detail::device_name(built_in->platform)));
}

// What was injected must be of one device.
void check_agreement(const Environment& env, const DecodeEnvironment& decode,
                     const detail::PlannedPrefill& prefill) {
  const auto* const built_in = built_in_backend(decode);
  if (built_in == nullptr) return;
  if (prefill.has_table && prefill.platform != built_in->platform) {
    detail::throw_invalid_argument(
        "device of the decode backend", detail::device_name(built_in->platform),
        fmt::format("that of the prefill backends, {}", detail::device_name(prefill.platform)));
  }
  const auto fp8 = fp8_data_type(built_in->platform);
  if (fp8 && *fp8 != env.fp8_data_type) {
    detail::throw_bad_data_type(
        "fp8_data_type", env.fp8_data_type,
        fmt::format("{}, that of the decode backend's device", to_string(*fp8)));
  }
}

// A known KV-cache dtype is quantized or not, whatever a predicate of the engine's own says; `auto`
// may be the engine's to decide, unless the checkpoint does.
const KvCacheFormat* checked_format(const PrefillQueryExplanation& explanation) {
  const auto* const format = detail::find_kv_cache_format(explanation.kv_cache_dtype.resolved);
  const bool quantized = explanation.facts.kv_cache_quantized;
  if (format == nullptr || format->quantized == quantized) return format;
  if (explanation.kv_cache_dtype.requested == "auto" && quantized) return nullptr;
  detail::throw_invalid_argument("is_quantized_kv_cache",
                                 fmt::format("{} for {}", quantized, format->name), "what it is");
}

void check_prefill_backend(const detail::PlannedPrefill& prefill) {
  if (prefill.has_table && prefill.selection.name.empty()) {
    throw AttentionPlanRefused(detail::selection_text(prefill.selection));
  }
}

std::vector<Caution> cautions_of(const AttentionPlan& plan, const detail::PlannedPrefill& prefill) {
  std::vector<Caution> result;
  // vllm#37054, sglang#34765, TensorRT-LLM#3675
  if (is_fp8(plan.prefill_query.data_type) || is_fp8(plan.decode_query.data_type)) {
    if (plan.kv_scales == KvScales::unit) {
      result.push_back(
          {CautionKind::unit_scales,
           "Attention is computed in FP8 with KV scales of 1: what exceeds the range of "
           "FP8 is cut off. Calibrated scales avoid that."});
    } else if (plan.kv_scales == KvScales::unknown) {
      result.push_back({CautionKind::unknown_scales,
                        "Attention is computed in FP8, and it is not known whether the KV scales "
                        "are calibrated."});
    }
  }
  // sglang#14348, flashinfer#3484
  if (plan.prefill.facts.kv_cache_quantized && !is_fp8(plan.decode_query.data_type)) {
    result.push_back({CautionKind::storage_only,
                      "The KV cache is quantized for storage only: decode computes in the model's "
                      "data type, which saves memory but no time."});
  }
  // vllm#42509
  if (prefill.has_table && prefill.platform == rocm("gfx950") &&
      plan.prefill_backend.name == "ROCM_AITER_FA") {
    result.push_back({CautionKind::flag_ignored,
                      "On gfx950 AITER may run prefill in FP8 whatever "
                      "use_prefill_query_quantization says."});
  }
  return result;
}

std::string prefill_reason(const PrefillQueryExplanation& explanation) {
  if (explanation.outcome == PrefillQueryOutcome::quantized) {
    return detail::is_decisive(explanation.prediction)
               ? "FP8 prefill queries are possible, and predicted to be faster."
               : "FP8 prefill queries are requested and possible.";
  }
  std::vector<std::string_view> sentences;
  for (const Blocker& blocker : explanation.blockers) sentences.push_back(blocker.sentence);
  return fmt::format("{}", fmt::join(sentences, " "));
}

std::optional<PlannedDataType> plan_workspace(const EngineConfig& config, DataType model_dtype,
                                              const KvCacheFormat* format, DataType prefill_query) {
  if (!config.scheduler_config.enable_chunked_prefill) return std::nullopt;
  // vllm/model_executor/layers/attention/mla_attention.py
  if (config.parallel_config.decode_context_parallel_size > 1) {
    return PlannedDataType{model_dtype,
                           "The decode-context-parallel size is above 1: the model's data type."};
  }
  if (format != nullptr && format->name == "fp8_ds_mla") {
    return PlannedDataType{DataType::bfloat16, "fp8_ds_mla is dequantized to bfloat16."};
  }
  return PlannedDataType{prefill_query, "That of the prefill queries."};
}

}  // namespace

DecodeEnvironment make_decode_environment(const Platform& platform, const DecodeBackend& backend) {
  check_backend(backend);
  DecodeEnvironment env;
  env.decode_backend_supports_quantized_query =
      BuiltInDecodeBackend{platform, std::make_shared<const DecodeBackend>(backend)};
  return env;
}

DecodeEnvironment make_decode_environment(const Platform& platform,
                                          std::string_view decode_backend) {
  std::vector<std::string_view> names;
  for (const DecodeBackend& backend : vllm_decode_backends()) {
    if (backend.name == decode_backend) return make_decode_environment(platform, backend);
    names.push_back(backend.name);
  }
  detail::throw_unknown_name("decode_backend", decode_backend, names);
}

std::string_view to_string(CautionKind kind) {
  switch (kind) {
    case CautionKind::unit_scales:
      return "unit_scales";
    case CautionKind::unknown_scales:
      return "unknown_scales";
    case CautionKind::storage_only:
      return "storage_only";
    case CautionKind::flag_ignored:
      return "flag_ignored";
  }
  detail::throw_out_of_range("kind", "CautionKind", static_cast<unsigned>(kind));
}

AttentionPlan plan_attention_data_types(const EngineConfig& config, DataType model_dtype,
                                        const Environment& env, const DecodeEnvironment& decode) {
  if (!decode.decode_backend_supports_quantized_query) {
    detail::throw_invalid_argument("decode_backend_supports_quantized_query", "null", "a callable");
  }
  if (env.fp8_data_type != DataType::float8_e4m3fn &&
      env.fp8_data_type != DataType::float8_e4m3fnuz) {
    detail::throw_bad_data_type("fp8_data_type", env.fp8_data_type,
                                "float8_e4m3fn, float8_e4m3fnuz: attention is computed in E4M3");
  }
  detail::PlannedPrefill prefill =
      detail::plan_prefill(config, model_dtype, env, cache_choices(decode, config, model_dtype));
  check_agreement(env, decode, prefill);
  check_prefill_backend(prefill);

  AttentionPlan plan{};
  plan.prefill = std::move(prefill.explanation);
  plan.prefill_backend = std::move(prefill.selection);
  plan.kv_cache_dtype = plan.prefill.kv_cache_dtype;
  plan.kv_scales = config.cache_config.kv_scales;

  const KvCacheFormat* const format = checked_format(plan.prefill);
  const bool quantized = plan.prefill.facts.kv_cache_quantized;
  const std::string_view cache_dtype = plan.kv_cache_dtype.resolved;
  const CacheTypes cache = cache_types(format, quantized, model_dtype, env.fp8_data_type);
  const std::string cache_reason = fmt::format(
      "KV-cache dtype {}: {}.", detail::in_quotes(cache_dtype), plan.kv_cache_dtype.reason);
  const DataType query = plan.prefill.data_type;
  plan.kv_cache_storage = {cache.storage, cache_reason};
  plan.kv_cache_view = {cache.view, cache_reason};
  plan.prefill_query = {query, prefill_reason(plan.prefill)};
  plan.prefill_key_value = {query, "Always that of the prefill queries."};
  plan.chunked_prefill_workspace = plan_workspace(config, model_dtype, format, query);
  plan.decode_query = plan_decode(config, model_dtype, env, decode, format, cache_dtype, quantized);
  plan.output = {model_dtype, "Always the model's data type."};
  plan.cautions = cautions_of(plan, prefill);

  const std::size_t elements = static_cast<std::size_t>(config.kv_lora_rank) +
                               static_cast<std::size_t>(config.mla_dimensions.qk_rope_head_dim);
  plan.kv_cache_bytes = format != nullptr || quantized
                            ? cache_bytes(format, cache.view, config)
                            : std::optional(elements * size_in_bytes(cache.view));
  plan.unquantized_kv_cache_bytes = elements * size_in_bytes(model_dtype);
  if (plan.chunked_prefill_workspace) {
    plan.workspace_bytes = elements * size_in_bytes(plan.chunked_prefill_workspace->data_type);
  }
  return plan;
}

AttentionPlanRefused::AttentionPlanRefused(const AttentionPlanRefused&) noexcept = default;
AttentionPlanRefused& AttentionPlanRefused::operator=(const AttentionPlanRefused&) noexcept =
    default;
AttentionPlanRefused::~AttentionPlanRefused() = default;

bool log_attention_plan(const AttentionPlan& plan, const Environment& env) {
  bool written = detail::log_planned_prefill(plan.prefill, env);
  OnceLog& log = env.log != nullptr ? *env.log : default_once_log();
  for (const Caution& caution : plan.cautions) {
    written |= log.warning_once(LogScope::local, caution.sentence);
  }
  return written;
}

std::string to_string(const AttentionPlan& plan) {
  std::string text;
  const auto add = [&](std::string_view name, std::string_view type, std::string_view reason) {
    text += fmt::format("{:<26}{:<17}{}\n", name, type, detail::one_line(reason));
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
  for (const Caution& caution : plan.cautions)
    text += fmt::format("caution: {}\n", caution.sentence);
  text.pop_back();
  return text;
}

// Packing.

namespace {

constexpr unsigned packed_version = 1;
constexpr unsigned no_type = 15;
constexpr unsigned model_cache = 254;
constexpr unsigned own_cache = 255;

enum class FieldKind { number, data_type, kv_cache, scales };

struct Field {
  std::string_view name;
  unsigned shift, bits;
  FieldKind kind;
};

constexpr Field fields[] = {
    {"version", 0, 4, FieldKind::number},
    {"kv_cache_storage", 4, 4, FieldKind::data_type},
    {"kv_cache_view", 8, 4, FieldKind::data_type},
    {"prefill_query", 12, 4, FieldKind::data_type},
    {"prefill_key_value", 16, 4, FieldKind::data_type},
    {"chunked_prefill_workspace", 20, 4, FieldKind::data_type},
    {"decode_query", 24, 4, FieldKind::data_type},
    {"output", 28, 4, FieldKind::data_type},
    {"kv_cache_dtype", 32, 8, FieldKind::kv_cache},
    {"kv_scales", 40, 4, FieldKind::scales},
    {"kv_cache_name", 44, 20, FieldKind::number},
};

// Two formats of the engine's own are two KV caches. FNV-1a, folded: the same everywhere.
unsigned name_hash(std::string_view name) {
  std::uint32_t hash = 2166136261U;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 16777619U;
  return (hash >> 20 ^ hash) & 0xfffffU;
}

unsigned value_of(std::uint64_t packed, const Field& field) {
  return static_cast<unsigned>(packed >> field.shift & ((std::uint64_t{1} << field.bits) - 1));
}

// Packed plans come from other processes: any value is shown.
std::string show(unsigned value, FieldKind kind) {
  switch (kind) {
    case FieldKind::number:
      break;
    case FieldKind::scales:
      if (value < std::size(scales_names)) return std::string(scales_names[value]);
      break;
    case FieldKind::data_type:
      if (value == no_type) return "none";
      if (detail::is_data_type(static_cast<DataType>(value))) {
        return std::string(to_string(static_cast<DataType>(value)));
      }
      break;
    case FieldKind::kv_cache:
      if (value == model_cache) return "the model's data type";
      if (value == own_cache) return "a KV-cache dtype of the engine's own";
      if (value < kv_cache_formats().size()) return std::string(kv_cache_formats()[value].name);
      break;
  }
  return fmt::to_string(value);
}

}  // namespace

std::uint64_t pack(const AttentionPlan& plan) {
  const auto number = [](const PlannedDataType& planned) {
    to_string(planned.data_type);  // throws for what is no data type
    return static_cast<unsigned>(planned.data_type);
  };
  std::string_view cache_dtype = plan.kv_cache_dtype.resolved;
  if (cache_dtype == "fp8_e4m3") cache_dtype = "fp8";  // two names for one KV cache
  const auto* const format = detail::find_kv_cache_format(cache_dtype);
  const bool is_own = format == nullptr && plan.kv_cache_dtype.requested != "auto";
  const unsigned values[] = {
      packed_version,
      number(plan.kv_cache_storage),
      number(plan.kv_cache_view),
      number(plan.prefill_query),
      number(plan.prefill_key_value),
      plan.chunked_prefill_workspace ? number(*plan.chunked_prefill_workspace) : no_type,
      number(plan.decode_query),
      number(plan.output),
      format != nullptr ? static_cast<unsigned>(format - kv_cache_formats().data())
      : is_own          ? own_cache
                        : model_cache,
      plan.prefill.facts.kv_cache_quantized ? static_cast<unsigned>(plan.kv_scales) : 0,
      is_own ? name_hash(cache_dtype) : 0,
  };
  static_assert(std::size(values) == std::size(fields));
  std::uint64_t packed = 0;
  for (std::size_t i = 0; i < std::size(values); ++i) {
    packed |= std::uint64_t{values[i]} << fields[i].shift;
  }
  return packed;
}

std::vector<RankDifference> rank_differences(const std::vector<std::uint64_t>& packed_plans) {
  std::vector<RankDifference> result;
  for (std::size_t rank = 1; rank < packed_plans.size(); ++rank) {
    for (const Field& field : fields) {
      const unsigned value = value_of(packed_plans[rank], field);
      const unsigned expected = value_of(packed_plans[0], field);
      if (value == expected) continue;
      result.push_back({rank, field.name, show(value, field.kind), show(expected, field.kind)});
    }
  }
  return result;
}

void check_ranks_agree(const std::vector<std::uint64_t>& packed_plans) {
  if (packed_plans.empty()) {
    detail::throw_invalid_argument("packed_plans", "none", "one of each rank");
  }
  const auto differences = rank_differences(packed_plans);
  if (differences.empty()) return;
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
  throw AttentionPlanRefused(text);
}

}  // namespace mla_dtype

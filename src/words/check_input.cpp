// SPDX-License-Identifier: Apache-2.0
#include "decision/prefill_question.h"
#include "facts/data_types.h"
#include "words/form.h"
#include "words/invalid_argument.h"

namespace mla_dtype::detail {
void throw_bad_data_type(std::string_view field, DataType type, std::string_view accepted) {
  const std::string value = is_data_type(type)
                                ? in_quotes(to_string(type))
                                : filled("DataType({})", static_cast<unsigned>(type));
  throw_invalid_argument(field, value, accepted);
}

void check_dimensions(const MlaDimensions& dimensions) {
  check_size("qk_nope_head_dim", dimensions.qk_nope_head_dim);
  check_size("qk_rope_head_dim", dimensions.qk_rope_head_dim, 0);
  check_size("v_head_dim", dimensions.v_head_dim);
}

void check_model_data_type(DataType type, std::string_view field) {
  if (!is_model_data_type(type)) throw_bad_data_type(field, type, "bfloat16, float16, float32");
}

void check_quant_algo(std::string_view cache_dtype, std::string_view quant_algo) {
  if (cache_dtype != "auto" || quant_algo.empty() || kv_cache_dtype_of(quant_algo)) return;
  throw_unknown_name("checkpoint_kv_cache_quant_algo", quant_algo, known_quant_algos());
}

void check_config(const EngineConfig& config) {
  const AttentionConfig& attention = config.attention_config;
  check_enumerator("prefill_query_mode", "PrefillQueryMode", attention.prefill_query_mode,
                   PrefillQueryMode::automatic);
  check_that(attention.expected_isl || attention.prefill_query_mode != PrefillQueryMode::automatic,
             "expected_isl", "none", "1 and above, where prefill_query_mode is automatic");
  check_at_least(1, "expected_isl", attention.expected_isl.value_or(1));
  check_at_least(1, "max_num_batched_tokens",
                 config.scheduler_config.max_num_batched_tokens.value_or(1));
  const CacheConfig& cache = config.cache_config;
  check_enumerator("kv_scales", "KvScales", cache.kv_scales, KvScales::dynamic);
  check_quant_algo(cache.cache_dtype, cache.checkpoint_kv_cache_quant_algo);
  check_dimensions(config.mla_dimensions);
  check_size("kv_lora_rank", config.kv_lora_rank);
  check_size("index_topk", config.index_topk, 0);
  check_size("num_attention_heads", config.num_attention_heads);
  check_size("decode_context_parallel_size", config.parallel_config.decode_context_parallel_size);
}

const KvCacheFormat& known_kv_cache_format(std::string_view cache_dtype,
                                           const std::vector<EngineKvCacheFormat>& own) {
  const auto* const format = find_kv_cache_format(cache_dtype);
  if (format != nullptr) return *format;
  std::vector<std::string_view> names;
  for (const KvCacheFormat& known : kv_cache_formats()) names.push_back(known.name);
  for (const EngineKvCacheFormat& known : own) names.push_back(known.format.name);
  throw_unknown_name("cache_dtype", cache_dtype, names);
}

void check_kv_cache_formats(const std::vector<EngineKvCacheFormat>& formats) {
  for (const EngineKvCacheFormat& own : formats) {
    const KvCacheFormat& format = own.format;
    check_name("kv_cache_formats", format.name);
    const auto is_same = [&](const auto& other) { return other.format.name == format.name; };
    if (find_kv_cache_format(format.name) != nullptr ||
        std::count_if(formats.begin(), formats.end(), is_same) != 1) {
      throw_invalid_argument("kv_cache_formats", in_quotes(format.name), "names not known already");
    }
    check_enumerator("kv_cache_formats, scales", "KvCacheScales", format.scales,
                     KvCacheScales::packed);
    const bool has_type = format.data_type.has_value();
    if (has_type && !is_data_type(*format.data_type)) {
      throw_bad_data_type("kv_cache_formats, data_type", *format.data_type, "those of DataType");
    }
    const bool has_scales = format.scales != KvCacheScales::none;
    if (format.quantized ? !has_type || !has_scales : has_type && is_fp8(*format.data_type)) {
      throw_invalid_argument("kv_cache_formats", in_quotes(format.name),
                             "quantized ones with a data type and scales, others without FP8");
    }
  }
}

}  // namespace mla_dtype::detail

// SPDX-License-Identifier: Apache-2.0
#include "decision/attention_plan.h"

#include <iterator>

namespace mla_dtype {
namespace detail {
namespace {

bool runs_on(const DecodePair& pair, const Platform& platform) {
  if (pair.queries == DecodeQueries::fp8 && !fp8_data_type(platform)) return false;
  return accepts(pair.devices, platform);
}

bool reads(const DecodePair& pair, const PrefillQuestion& question) {
  const auto& listed = pair.kv_cache_dtypes;
  if (listed.empty()) {
    return !question.kv_cache_quantized && cache_view(question) == question.model_dtype;
  }
  // What is to become another format has to be listed as it is.
  return pair.stored_as.empty() ? lists(listed, question) : holds(listed, question.cache_dtype);
}

bool takes_heads(const HeadCounts& heads, std::int64_t count) {
  const bool any = heads.one_of.empty() && heads.up_to == 0 && heads.multiple_of == 0;
  return any || holds(heads.one_of, count) || count <= heads.up_to ||
         (heads.multiple_of != 0 && count % heads.multiple_of == 0);
}

// The packed format keeps the rotary part apart (vllm#55543).
bool has_all_parts(const DecodePair& pair, const PrefillQuestion& question) {
  const auto* const format =
      pair.stored_as.empty() ? question.format : find_kv_cache_format(pair.stored_as);
  return !is_flashmla_layout(format) || question.config.mla_dimensions.qk_rope_head_dim > 0;
}

Blockers of_row(const DecodeRow& row, const PrefillQuestion& question) {
  const EngineConfig& config = question.config;
  const DecodeBackend& backend = row.backend;
  Blockers result;
  result.add_if(!row.available.supported, BlockerKind::backend_unavailable);
  result.add_if(backend.sparse != is_sparse(config), BlockerKind::sparse_attention);
  result.add_if(!accepts(backend.dimensions, config.mla_dimensions) ||
                    !accepts(backend.qk_nope_head_dims, config.mla_dimensions.qk_nope_head_dim) ||
                    !accepts(backend.latent_sizes, latent_size(config)),
                BlockerKind::dimensions);
  const KvScales scales = config.cache_config.kv_scales;
  result.add_if(question.kv_cache_quantized && backend.needs_unit_scales &&
                    (scales == KvScales::calibrated || scales == KvScales::dynamic),
                BlockerKind::dynamic_kv_scales);
  return result;
}

// Whether, and how, it runs. Of a row that fails, what the pair fails by that gets furthest.
DecodeChoice decode_with(const DecodeRow& row, const PrefillQuestion& question) {
  DecodeChoice result = {&row, nullptr, of_row(row, question)};
  const std::int64_t ranks = question.config.parallel_config.decode_context_parallel_size;
  // Each rank has the queries of all that share its KV cache.
  const std::int64_t heads = question.config.num_attention_heads * ranks;
  std::ptrdiff_t most = 0;
  BlockerKind why = BlockerKind::backend_device;
  for (const DecodePair& pair : row.backend.pairs) {
    // In the order in which they are asked.
    const std::pair<BlockerKind, bool> conditions[] = {
        {BlockerKind::backend_device, runs_on(pair, *question.device)},
        {BlockerKind::model_dtype, accepts(pair.model_dtypes, question.model_dtype)},
        {BlockerKind::kv_cache_format, reads(pair, question)},
        {BlockerKind::dimensions, has_all_parts(pair, question)},
        {BlockerKind::decode_context_parallel, ranks == 1 || pair.with_decode_context_parallel},
        {BlockerKind::head_count, takes_heads(pair.heads, heads)}};
    const auto* const failed = std::find_if(std::begin(conditions), std::end(conditions),
                                            [](const auto& each) { return !each.second; });
    if (failed == std::end(conditions)) {
      result.pair = &pair;
      result.fp8_queries = Support(pair.queries == DecodeQueries::fp8);
      return result;
    }
    if (failed - conditions < most) continue;
    most = failed - conditions;
    why = failed->first;
  }
  result.blockers.add(why);
  return result;
}

// Two formats of the engine's own are two KV caches. FNV-1a, folded: the same everywhere.
unsigned name_hash(std::string_view name) {
  std::uint32_t hash = 2166136261U;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 16777619U;
  return (hash >> 20 ^ hash) & 0xfffffU;
}

unsigned number(const PlannedDataType& planned) {
  static_cast<void>(size_in_bytes(planned.data_type));  // throws for what is no data type
  return static_cast<unsigned>(planned.data_type);
}

}  // namespace

std::vector<const DecodeRow*> decodes_in_order(const PrefillQuestion& question) {
  const bool sparse = is_sparse(question.config);
  const auto suits = [&](const DecodeRow& row) { return row.backend.sparse == sparse; };
  const auto& table = question.decode->rows;
  const bool none_suits = std::none_of(table.begin(), table.end(), suits);
  std::vector<const DecodeRow*> rows;
  for (const bool preferred : {true, false}) {
    for (const DecodeRow& row : table) {
      const DecodeBackend& backend = row.backend;
      const bool goes_first =
          (backend.preferred_with_quantized_kv_cache && question.kv_cache_quantized) ||
          question.config.num_attention_heads <= backend.preferred_up_to_heads;
      if ((none_suits || suits(row)) && goes_first == preferred) rows.push_back(&row);
    }
  }
  return rows;
}

const DecodeRow* find_named(const DecodeTable& table, bool is_sparse) {
  const DecodeRow* named = nullptr;
  for (const DecodeRow& row : table.rows) {
    const bool fits = named == nullptr || row.backend.sparse == is_sparse;
    if (row.backend.name == table.named && fits) named = &row;
  }
  return named;
}

DecodeChoice select_decode(const PrefillQuestion& question, std::vector<DecodeChoice>* rejected) {
  if (question.decode == nullptr) return {};
  std::vector<const DecodeRow*> rows = {question.decode_choice};
  if (question.decode_choice == nullptr) rows = decodes_in_order(question);
  for (const DecodeRow* const row : rows) {
    DecodeChoice choice = decode_with(*row, question);
    if (choice.blockers.empty()) return choice;
    if (rejected != nullptr) rejected->push_back(std::move(choice));
  }
  return {};
}

bool can_decode(const PrefillQuestion& question) {
  return question.decode == nullptr || select_decode(question).row != nullptr;
}

DataType cache_view(const PrefillQuestion& question) {
  const KvCacheFormat* const format = question.format;
  if (format == nullptr) {
    return question.kv_cache_quantized ? DataType::uint8 : question.model_dtype;
  }
  // E4M3 and E5M2 are the platform's own variants of them.
  const DataType type = format->data_type.value_or(question.model_dtype);
  const bool fnuz = question.env.fp8_data_type == DataType::float8_e4m3fnuz;
  if (type == DataType::float8_e4m3fn && fnuz) return DataType::float8_e4m3fnuz;
  if (type == DataType::float8_e5m2 && fnuz) return DataType::float8_e5m2fnuz;
  return type;
}

std::size_t latent_size(const EngineConfig& config) {
  return static_cast<std::size_t>(config.kv_lora_rank + config.mla_dimensions.qk_rope_head_dim);
}

std::optional<std::size_t> cache_bytes(const PrefillQuestion& question) {
  const EngineConfig& config = question.config;
  const KvCacheFormat* const format = question.format;
  if (format == nullptr && question.kv_cache_quantized) return std::nullopt;
  for (const EngineKvCacheFormat& own : question.env.kv_cache_formats) {
    if (format == &own.format && own.token_bytes) return own.token_bytes(config);
  }
  if (is_flashmla_layout(format)) {
    const auto latent = static_cast<std::size_t>(config.kv_lora_rank);
    return latent + (latent + 127) / 128 * sizeof(float) + (latent_size(config) - latent) * 2;
  }
  const bool has_own_layout =
      format != nullptr && (format->packed || format->scales == KvCacheScales::per_token_head);
  if (has_own_layout) return std::nullopt;
  return latent_size(config) * size_in_bytes(cache_view(question));
}

// vllm/model_executor/layers/attention/mla_attention.py
std::optional<DataType> workspace_type(const PrefillQuestion& question, DataType prefill_query) {
  const EngineConfig& config = question.config;
  if (!config.scheduler_config.enable_chunked_prefill) return std::nullopt;
  if (config.parallel_config.decode_context_parallel_size > 1) return question.model_dtype;
  return is_flashmla_layout(question.format) ? DataType::bfloat16 : prefill_query;
}

std::vector<CautionFact> cautions_of(const AttentionPlan& plan, const PrefillQuestion& question,
                                     const PrefillRow* prefill, const DecodeRow* decode) {
  std::vector<CautionFact> result;
  const CacheConfig& cache = question.config.cache_config;
  const bool is_fp8_prefill = is_fp8(plan.prefill_query.data_type);
  const bool is_fp8_decode = is_fp8(plan.decode_query.data_type);
  const auto add_if = [&](bool is_so, const CautionFact& fact) {
    if (is_so) result.push_back(fact);
  };
  if (is_fp8_prefill || is_fp8_decode) {
    // vllm#37054, TensorRT-LLM#3675, #16916
    add_if(cache.kv_scales == KvScales::unit, {CautionKind::unit_scales});
    add_if(cache.kv_scales == KvScales::unknown, {CautionKind::unknown_scales});
    add_if(cache.k_and_v_scales_differ, {CautionKind::unequal_scales});      // sglang#34765
    add_if(cache.kv_scales_are_estimated, {CautionKind::estimated_scales});  // ATOM#2191
  }
  // sglang#14348, flashinfer#3484
  add_if(question.kv_cache_quantized && !is_fp8_decode, {CautionKind::storage_only});
  if (prefill != nullptr && holds(prefill->backend.ignores_flag_on, *question.device)) {
    result.push_back({CautionKind::flag_ignored, prefill->backend.name});
  }
  add_if((is_fp8_prefill || is_fp8_decode) && question.device != nullptr &&
             !fp8_data_type(*question.device),
         {CautionKind::no_fp8_units});
  const auto add_known_wrong = [&](bool is_fp8, const auto* row) {
    if (!is_fp8 || row == nullptr || row->backend.known_wrong.empty()) return;
    result.push_back({CautionKind::known_wrong, row->backend.name, row->backend.known_wrong});
  };
  add_known_wrong(is_fp8_prefill, prefill);
  add_known_wrong(is_fp8_decode, decode);
  return result;
}

std::uint64_t pack_plan(const AttentionPlan& plan) {
  const std::string_view cache_dtype = storage_name(plan.kv_cache_dtype.resolved);
  const auto* const format = find_kv_cache_format(cache_dtype);
  // Of a format that decoding stores, too.
  const bool is_quantized =
      plan.prefill.facts.kv_cache_quantized || (format != nullptr && format->quantized);
  const unsigned values[] = {
      /*version=*/1,
      number(plan.kv_cache_storage),
      number(plan.kv_cache_view),
      number(plan.prefill_query),
      number(plan.prefill_key_value),
      plan.chunked_prefill_workspace ? number(*plan.chunked_prefill_workspace) : packed_no_type,
      number(plan.decode_query),
      number(plan.output),
      format == nullptr ? packed_own_cache : index_of(*format).value_or(packed_model_cache),
      is_quantized ? static_cast<unsigned>(plan.kv_scales) : 0,
      format == nullptr ? name_hash(cache_dtype) : 0,
  };
  static_assert(std::size(values) == std::size(packed_fields));
  std::uint64_t packed = 0;
  for (std::size_t i = 0; i < std::size(values); ++i) {
    packed |= std::uint64_t{values[i]} << packed_fields[i].shift;
  }
  return packed;
}

}  // namespace detail

DecodeQueries decode_queries(const DecodeBackend& backend, const Platform& platform,
                             std::string_view kv_cache_dtype, DataType model_dtype) noexcept {
  for (const DecodePair& pair : backend.pairs) {
    const bool reads_cache = kv_cache_dtype.empty()
                                 ? pair.kv_cache_dtypes.empty()
                                 : detail::holds(pair.kv_cache_dtypes, kv_cache_dtype);
    const bool takes_model = detail::accepts(pair.model_dtypes, model_dtype);
    if (reads_cache && takes_model && detail::runs_on(pair, platform)) return pair.queries;
  }
  return DecodeQueries::none;
}

}  // namespace mla_dtype

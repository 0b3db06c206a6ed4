// SPDX-License-Identifier: Apache-2.0
#include <iterator>

#include "decision/attention_plan.h"

namespace mla_dtype {
namespace detail {
namespace {

// Whether the device can.
bool runs_on(const DecodePair& pair, const Platform& platform) {
  if (pair.queries == DecodeQueries::fp8 && !fp8_data_type(platform)) return false;
  return accepts(pair.devices, platform);
}

// One that only the engine knows, and is not quantized, is taken to be.
bool is_in_model_dtype(const PrefillQuestion& question) {
  if (question.kv_cache_quantized) return false;
  return question.format == nullptr ||
         question.format->data_type.value_or(question.model_dtype) == question.model_dtype;
}

// What is to become another format has to be listed as it is.
bool reads(const DecodePair& pair, const PrefillQuestion& question) {
  const auto& listed = pair.kv_cache_dtypes;
  if (listed.empty()) return is_in_model_dtype(question);
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
  return format == nullptr || !is_flashmla_layout(*format) ||
         question.config.mla_dimensions.qk_rope_head_dim > 0;
}

// In the order in which they are asked: of a row that fails, the one that all pairs fail by.
constexpr BlockerKind pair_conditions[] = {
    BlockerKind::backend_device,          BlockerKind::model_dtype,
    BlockerKind::kv_cache_format,         BlockerKind::dimensions,
    BlockerKind::decode_context_parallel, BlockerKind::head_count};

// How many of them the pair fulfils before the first that it does not.
std::size_t fulfilled(const DecodePair& pair, const PrefillQuestion& question) {
  const std::int64_t ranks = question.config.parallel_config.decode_context_parallel_size;
  // Each rank has the queries of all that share its KV cache.
  const std::int64_t heads = question.config.num_attention_heads * ranks;
  const bool conditions[] = {runs_on(pair, question.decode->platform),
                             accepts(pair.model_dtypes, question.model_dtype),
                             reads(pair, question),
                             has_all_parts(pair, question),
                             ranks == 1 || pair.with_decode_context_parallel,
                             takes_heads(pair.heads, heads)};
  static_assert(std::size(conditions) == std::size(pair_conditions));
  return static_cast<std::size_t>(std::find(std::begin(conditions), std::end(conditions), false) -
                                  std::begin(conditions));
}

Blockers of_row(const DecodeRow& row, const PrefillQuestion& question) {
  const EngineConfig& config = question.config;
  const DecodeBackend& backend = row.backend;
  Blockers result;
  if (!row.available.supported) result.add(BlockerKind::backend_unavailable);
  if (backend.sparse != is_sparse(config)) result.add(BlockerKind::sparse_attention);
  if (!accepts(backend.dimensions, config.mla_dimensions) ||
      !accepts(backend.qk_nope_head_dims, config.mla_dimensions.qk_nope_head_dim) ||
      !accepts(backend.latent_sizes, latent_size(config))) {
    result.add(BlockerKind::dimensions);
  }
  const KvScales scales = config.cache_config.kv_scales;
  if (question.kv_cache_quantized && backend.needs_unit_scales &&
      (scales == KvScales::calibrated || scales == KvScales::dynamic)) {
    result.add(BlockerKind::dynamic_kv_scales);
  }
  return result;
}

// Whether, and how, it runs.
DecodeChoice decode_with(const DecodeRow& row, const PrefillQuestion& question) {
  DecodeChoice result = {&row, nullptr, of_row(row, question)};
  std::size_t most = 0;
  for (const DecodePair& pair : row.backend.pairs) {
    const std::size_t count = fulfilled(pair, question);
    if (count == std::size(pair_conditions)) {
      result.pair = &pair;
      return result;
    }
    most = std::max(most, count);
  }
  result.blockers.add(pair_conditions[most]);
  return result;
}

}  // namespace

std::vector<const DecodeRow*> decodes_in_order(const PrefillQuestion& question) {
  const bool sparse = is_sparse(question.config);
  const auto& table = question.decode->rows;
  const bool none_suits = std::none_of(table.begin(), table.end(), [&](const DecodeRow& row) {
    return row.backend.sparse == sparse;
  });
  std::vector<const DecodeRow*> rows;
  for (const bool preferred : {true, false}) {
    for (const DecodeRow& row : table) {
      const DecodeBackend& backend = row.backend;
      const bool goes_first =
          (backend.preferred_with_quantized_kv_cache && question.kv_cache_quantized) ||
          question.config.num_attention_heads <= backend.preferred_up_to_heads;
      if ((none_suits || backend.sparse == sparse) && goes_first == preferred) rows.push_back(&row);
    }
  }
  return rows;
}

const DecodeRow* find_named(const DecodeTable& table, bool is_sparse) {
  const DecodeRow& named = table.rows[*table.named];
  for (const DecodeRow& row : table.rows) {
    if (row.backend.name == named.backend.name && row.backend.sparse == is_sparse) return &row;
  }
  return &named;
}

DecodeSelection select_decode(const PrefillQuestion& question) {
  DecodeSelection result;
  if (question.decode == nullptr) return result;
  std::vector<const DecodeRow*> rows = {question.decode_choice};
  if (question.decode_choice == nullptr) rows = decodes_in_order(question);
  for (const DecodeRow* const row : rows) {
    const DecodeChoice choice = decode_with(*row, question);
    if (choice.blockers.empty()) {
      result.selected = choice;
      break;
    }
    result.rejected.push_back(choice);
  }
  return result;
}

bool can_decode(const PrefillQuestion& question) {
  return question.decode == nullptr || select_decode(question).selected.row != nullptr;
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

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mla_dtype/attention_plan.h>

#include "decision/prefill_question.h"

namespace mla_dtype::detail {

struct DecodeRow {
  DecodeBackend backend{};
  Support available = true;
};

/// The decode backends of an engine on its device, in its order.
struct DecodeTable {
  Platform platform{};
  std::vector<DecodeRow> rows{};
  std::string named{};  ///< the backend that runs; empty: the first that can
};

/// The named row; of two of that name that for sparse models, or the other. Null: none is.
const DecodeRow* find_named(const DecodeTable& table, bool is_sparse);

/// Those of the table for such models, as they are preferred; where there are none, all.
std::vector<const DecodeRow*> decodes_in_order(const PrefillQuestion& question);

/// A decode backend with the KV cache and the model of a question.
struct DecodeChoice {
  const DecodeRow* row = nullptr;        ///< null: none can run
  const DecodePair* pair = nullptr;      ///< how it reads the KV cache; null: it does not
  Blockers blockers{};                   ///< what keeps it from running
  std::optional<Support> fp8_queries{};  ///< what it says of them; none: it was not asked
};

/// The choice, or the first that runs; those that go before it are added to `rejected`. Of a
/// question without a table: nothing.
DecodeChoice select_decode(const PrefillQuestion& question,
                           std::vector<DecodeChoice>* rejected = nullptr);

/// Whether decoding can run, as far as it is asked about.
bool can_decode(const PrefillQuestion& question);

/// The KV cache as kernels see it.
DataType cache_view(const PrefillQuestion& question);

/// Of one token's latent in one layer, as the engine says of a format of its own; none where the
/// type alone does not say it. A null format: the engine contradicts `auto`.
std::optional<std::size_t> cache_bytes(const PrefillQuestion& question);

/// The elements of one token's latent in one layer.
std::size_t latent_size(const EngineConfig& config);

/// The type of the chunked-prefill workspace; none without chunked prefill.
std::optional<DataType> workspace_type(const PrefillQuestion& question, DataType prefill_query);

/// One thing to be cautioned about; where it is about a backend, that, and what it is known for.
struct CautionFact {
  CautionKind kind;
  std::string_view backend{};
  std::string_view known_wrong{};
};

/// What is to be cautioned about in a plan that is complete but for this. `prefill`, `decode`: what
/// runs; null: it is not known.
std::vector<CautionFact> cautions_of(const AttentionPlan& plan, const PrefillQuestion& question,
                                     const PrefillRow* prefill, const DecodeRow* decode);

// A plan in 64 bits: attention_plan.h has the table.

enum class PackedKind { number, data_type, kv_cache, scales };

struct PackedField {
  std::string_view name;
  unsigned shift, bits;
  PackedKind kind;
};

inline constexpr PackedField packed_fields[] = {
    {"version", 0, 4, PackedKind::number},
    {"kv_cache_storage", 4, 4, PackedKind::data_type},
    {"kv_cache_view", 8, 4, PackedKind::data_type},
    {"prefill_query", 12, 4, PackedKind::data_type},
    {"prefill_key_value", 16, 4, PackedKind::data_type},
    {"chunked_prefill_workspace", 20, 4, PackedKind::data_type},
    {"decode_query", 24, 4, PackedKind::data_type},
    {"output", 28, 4, PackedKind::data_type},
    {"kv_cache_dtype", 32, 8, PackedKind::kv_cache},
    {"kv_scales", 40, 4, PackedKind::scales},
    {"kv_cache_name", 44, 20, PackedKind::number},
};

inline constexpr unsigned packed_no_type = 15;
inline constexpr unsigned packed_model_cache = 254;
inline constexpr unsigned packed_own_cache = 255;

constexpr unsigned packed_value(std::uint64_t packed, const PackedField& field) {
  return static_cast<unsigned>(packed >> field.shift & ((std::uint64_t{1} << field.bits) - 1));
}

/// std::invalid_argument for a plan with a data type out of range.
std::uint64_t pack_plan(const AttentionPlan& plan);

}  // namespace mla_dtype::detail

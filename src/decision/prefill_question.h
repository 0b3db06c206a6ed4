// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mla_dtype/prefill_query.h>

#include <algorithm>

#include "facts/kv_cache_formats.h"

namespace mla_dtype::detail {

/// Like std::find, which compilers keep out of line.
template <class Items, class Item>
bool holds(const Items& items, const Item& item) {
  for (const auto& each : items) {
    if (each == item) return true;
  }
  return false;
}

template <class Devices>
bool holds(const std::vector<DeviceRange>& ranges, const Devices& devices) {
  return std::any_of(ranges.begin(), ranges.end(),
                     [&](const DeviceRange& range) { return range.contains(devices); });
}

/// Adds it where it is not held yet; whether it did.
template <class Item>
bool add_once(std::vector<Item>& items, Item item) {
  if (holds(items, item)) return false;
  items.push_back(std::move(item));
  return true;
}

/// Whether a row takes it. An empty list stands for all.
template <class Items, class Item>
bool accepts(const Items& items, const Item& item) {
  return items.empty() || holds(items, item);
}

/// A set of enumerators, as bits; its items come in the order of the enumeration.
template <class Enum>
class EnumSet {
 public:
  constexpr EnumSet() = default;
  constexpr EnumSet(Enum item)  // NOLINT: implicit, a set of one
      : bits_(1U << static_cast<unsigned>(item)) {}

  constexpr bool empty() const { return bits_ == 0; }
  constexpr bool has(EnumSet any) const { return (bits_ & any.bits_) != 0; }
  constexpr void add(EnumSet others) { bits_ |= others.bits_; }
  constexpr void add_if(bool is_so, EnumSet others) { bits_ |= is_so ? others.bits_ : 0; }
  constexpr EnumSet operator|(EnumSet other) const { return EnumSet(bits_ | other.bits_); }
  constexpr EnumSet operator&(EnumSet other) const { return EnumSet(bits_ & other.bits_); }
  /// To ask with, not to go through: it has bits that are no enumerators.
  constexpr EnumSet operator~() const { return EnumSet(~bits_); }

  // Its own iterator: what is left of it.
  constexpr EnumSet begin() const { return *this; }
  constexpr EnumSet end() const { return {}; }
  constexpr bool operator!=(EnumSet other) const { return bits_ != other.bits_; }
  constexpr void operator++() { bits_ &= bits_ - 1; }
  constexpr Enum operator*() const {
    unsigned item = 0;
    while ((bits_ >> item & 1U) == 0) ++item;
    return static_cast<Enum>(item);
  }

 private:
  explicit constexpr EnumSet(unsigned bits) : bits_(bits) {}
  unsigned bits_ = 0;
};

using Blockers = EnumSet<BlockerKind>;

/// What keeps the backend from running at all.
inline Blockers not_usable(const PrefillBackend& backend) {
  constexpr Blockers always = Blockers(BlockerKind::backend_device) | BlockerKind::model_dtype |
                              BlockerKind::dimensions | BlockerKind::head_count |
                              BlockerKind::backend_unavailable;
  return backend.sparse ? always | BlockerKind::sparse_attention : always;
}

/// What keeps a backend from FP8 queries on a device, whatever the model.
inline constexpr Blockers of_device = Blockers(BlockerKind::backend_device) |
                                      BlockerKind::backend_without_fp8 | BlockerKind::fp8_device;

/// ... whatever the KV cache.
inline constexpr Blockers all_but_kv_cache = ~Blockers(BlockerKind::kv_cache_format);

/// One prefill backend on the engine's device.
struct PrefillRow {
  PrefillBackend backend;
  Support available = true;
  Blockers on_device{};  ///< what can be said before there is a model
};

/// The prefill backends of an engine on its device, in its order. Never changes once it is made:
/// one serves any number of threads.
struct PrefillTable {
  PrefillTable() = default;
  PrefillTable(PrefillTable&&) = default;  // no copy: `named` is one of its own rows

  Platform platform{};
  std::vector<PrefillRow> rows{};
  const PrefillRow* named = nullptr;  ///< of `rows`: what runs where the operator chooses none
  BackendSelection selection = BackendSelection::first_with_fp8;  ///< ... where none is named
  std::vector<std::string> kv_cache_dtypes{};  ///< that may be advised; empty: any
  std::uint64_t id = 0;                        ///< no two of a process have the same

  const PrefillRow* find(std::string_view name) const;
};

/// Asks `is_available` once for each row. The rows are taken to be checked.
PrefillTable make_prefill_table(const Platform& platform, std::vector<PrefillBackend> backends,
                                const PrefillBackendAvailability& is_available);

struct DecodeRow;

/// A decision on prefill queries before it is taken. Its explanation and records are worded from
/// this alone, so record_key() has to know what is read of the configuration and environment.
struct PrefillQuestion {
  // By hand: g++ clears a large aggregate first, which takes a fifth of a whole decision.
  PrefillQuestion(const EngineConfig& its_config, const Environment& its_env, DataType its_dtype,
                  std::string_view its_cache_dtype)
      : config(its_config), env(its_env), model_dtype(its_dtype), cache_dtype(its_cache_dtype) {}

  const EngineConfig& config;
  const Environment& env;
  DataType model_dtype;

  std::string_view cache_dtype;           ///< what `auto` comes to by the checkpoint
  bool is_from_checkpoint = false;        ///< whether it came to something else
  const KvCacheFormat* format = nullptr;  ///< null: known to the engine alone
  const PrefillTable* table = nullptr;    ///< null: a predicate of the engine's own answers alone
  const Platform* device = nullptr;       ///< that of the tables; null: without one it is not known
  /// By the operator, by name, or by an engine that does not look at the request. Null: it is open.
  const PrefillRow* chosen = nullptr;

  // The answers of predicates.
  bool kv_cache_quantized = false;
  bool requested = false;  ///< by the flag, by the mode, or by what is predicted
  std::optional<PrefillPrediction> prediction{};
  std::optional<Support> engines_answer{};  ///< where its own predicate was asked

  // A plan's. Null: decoding is not asked about.
  const DecodeTable* decode = nullptr;
  const DecodeRow* decode_choice = nullptr;  ///< by the operator; null: the first that can

  /// Whether the library answers for other KV caches, too.
  bool knows_kv_caches() const { return !env.is_quantized_kv_cache; }
  const std::string& operators_choice() const {
    return config.attention_config.mla_prefill_backend;
  }
  bool is_chosen_by_name() const { return !operators_choice().empty() || table->named != nullptr; }
  PrefillQueryMode mode() const { return config.attention_config.prefill_query_mode; }
  bool is_required() const { return mode() == PrefillQueryMode::required; }
  bool is_automatic() const { return mode() == PrefillQueryMode::automatic; }
  /// Whether what is predicted speaks against FP8 queries; then no setting brings them.
  bool is_ruled_out() const { return is_automatic() && !requested; }
};

inline bool is_sparse(const EngineConfig& config) { return config.index_topk > 0; }

/// Whether a row that lists these reads the KV cache: what an operator typed has to be listed;
/// where the checkpoint says it, what is stored alike may be.
inline bool lists(const std::vector<std::string>& names, const PrefillQuestion& question) {
  const auto storage = storage_name(question.cache_dtype);
  for (const std::string& name : names) {
    if (name == question.cache_dtype) return true;
    if (question.is_from_checkpoint && storage_name(name) == storage) return true;
  }
  return false;
}

/// The configuration and the environment of a question, both checked; no predicate is asked.
PrefillQuestion make_question(const EngineConfig& config, DataType model_dtype,
                              const Environment& env);

bool is_requested(const PrefillQuestion& question);

/// Whether it goes before the rows that are not.
inline bool is_preferred(const PrefillRow& row, const PrefillQuestion& question) {
  return holds(row.backend.preferred_dimensions, question.config.mla_dimensions);
}

/// The first of the table that passes, a preferred one before all others. Null: none.
template <class Test>
const PrefillRow* first_row(const PrefillQuestion& question, Test test) {
  const PrefillRow* first = nullptr;
  for (const PrefillRow& row : question.table->rows) {
    if ((first != nullptr && !is_preferred(row, question)) || !test(row)) continue;
    if (is_preferred(row, question)) return &row;
    first = &row;
  }
  return first;
}

/// All that pass, in the same order.
template <class Test>
std::vector<const PrefillRow*> rows_in_order(const PrefillQuestion& question, Test test) {
  std::vector<const PrefillRow*> rows;
  for (const bool preferred : {true, false}) {
    for (const PrefillRow& row : question.table->rows) {
      if (is_preferred(row, question) == preferred && test(row)) rows.push_back(&row);
    }
  }
  return rows;
}

}  // namespace mla_dtype::detail

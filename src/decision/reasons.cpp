// SPDX-License-Identifier: Apache-2.0
#include <tuple>

#include "decision/attention_plan.h"
#include "decision/evaluate.h"

namespace mla_dtype::detail {
namespace {

using Rows = std::vector<const PrefillRow*>;

bool is_fp8_backend(const PrefillRow& row) { return row.backend.fp8_queries != Fp8Queries::never; }

// Those that have none of these against FP8 queries.
Rows rows_without(Blockers these, const PrefillQuestion& question) {
  return rows_in_order(
      question, [&](const PrefillRow& row) { return !blockers_of(row, question).has(these); });
}

// By all whose reading counts: of what could take FP8 queries with another KV cache; if there is
// none, of what ever takes any. The operator's choice stands alone.
bool is_kv_cache_refused(const PrefillQuestion& question) {
  Rows rows = rows_without(all_but_kv_cache, question);
  if (rows.empty()) rows = rows_in_order(question, is_fp8_backend);
  if (holds(rows, question.chosen)) rows = {question.chosen};
  return !rows.empty() && std::all_of(rows.begin(), rows.end(), [&](const PrefillRow* row) {
    return blockers_of(*row, question).has(BlockerKind::kv_cache_format);
  });
}

// Those that speak for the table. The choice; or, where it is open and none can, each that the
// device would let do it; or else the one that runs, or comes nearest to it.
Rows speakers(const PrefillQuestion& question, const Evaluation& evaluation) {
  if (question.chosen != nullptr) return {question.chosen};
  if (!rows_without(all_but_kv_cache, question).empty()) return {};
  Rows possible = rows_without(of_device, question);
  if (!possible.empty()) return possible;
  if (evaluation.row != nullptr) return {evaluation.row};
  Rows nearest = rows_without(BlockerKind::backend_device, question);
  if (nearest.empty()) nearest = rows_in_order(question, is_fp8_backend);
  if (nearest.empty()) nearest = rows_without({}, question);
  return {nearest.front()};
}

// What a KV cache is stored as: two spellings of that come to the same.
std::string_view storage_of(const KvCacheFormat* format, const PrefillQuestion& question) {
  if (format == nullptr) return {};
  const bool has_a_name_of_its_own = format->quantized || format->packed;
  return has_a_name_of_its_own ? storage_name(format->name)
                               : to_string(format->data_type.value_or(question.model_dtype));
}

// Whether it is the smaller of the two, or comes to the same.
bool covers(const Change& least, const Change& change, const PrefillQuestion& question) {
  const auto storage = storage_of(least.kv_cache, question);
  return (storage.empty() || storage == storage_of(change.kv_cache, question)) &&
         (least.row == nullptr || least.row == change.row) &&
         (least.decode == nullptr || least.decode == change.decode);
}

// None, then all known that the engine's operators can set, those most like the question's first.
std::vector<const KvCacheFormat*> kv_cache_options(const PrefillQuestion& question) {
  std::vector<const KvCacheFormat*> options = {nullptr};
  // A predicate of the engine's own is not asked about others.
  const bool is_open = question.table != nullptr || !question.is_required();
  if (!question.knows_kv_caches() || !is_open) return options;
  const std::string& algo = question.config.cache_config.checkpoint_kv_cache_quant_algo;
  const bool is_auto_a_format = effective_cache_dtype("auto", algo) == "auto";
  const auto distance = [&](const KvCacheFormat& format) {
    const bool is_alike = storage_of(&format, question) == storage_of(question.format, question);
    return is_alike ? 1 : format.quantized == question.kv_cache_quantized ? 2 : 3;
  };
  for (const int wanted : {1, 2, 3}) {
    const auto add = [&](const KvCacheFormat& format) {
      const bool can_be_set =
          question.table == nullptr || accepts(question.table->kv_cache_dtypes, format.name);
      if (can_be_set && distance(format) == wanted) options.push_back(&format);
    };
    for (const KvCacheFormat& format : kv_cache_formats()) {
      if (is_auto_a_format || format.name != "auto") add(format);
    }
    for (const auto& own : question.env.kv_cache_formats) add(own.format);
  }
  return options;
}

// Each least set of changes that is enough, the smallest first.
template <class IsEnough>
std::vector<Change> least(const PrefillQuestion& question,
                          const std::vector<const DecodeRow*>& decodes, IsEnough is_enough) {
  Rows rows = {nullptr};
  if (question.table != nullptr) {
    // Where an engine has backends for sparse attention alone, each model takes only its own kind.
    const bool takes_any =
        first_row(question, [](const auto& row) { return row.backend.sparse; }) == nullptr;
    rows = rows_without(takes_any ? Blockers() : BlockerKind::sparse_attention, question);
    rows.insert(rows.begin(), nullptr);
  }
  const std::vector<const KvCacheFormat*> kv_caches = kv_cache_options(question);
  std::vector<Change> result;
  const auto try_out = [&](const Change& change) {
    const bool has_one_to_spare =
        std::any_of(result.begin(), result.end(),
                    [&](const Change& smaller) { return covers(smaller, change, question); });
    if (!has_one_to_spare && is_enough(with(question, change))) result.push_back(change);
  };
  for (int size = 0; size <= 3; ++size) {
    for (const DecodeRow* decode : decodes) {
      for (const PrefillRow* row : rows) {
        for (const KvCacheFormat* kv_cache : kv_caches) {
          const bool is_of_size =
              (kv_cache != nullptr) + (row != nullptr) + (decode != nullptr) == size;
          if (is_of_size) try_out({kv_cache, row, decode});
        }
      }
    }
  }
  return result;
}

// Whether an operator of these backends asks for FP8 queries; else they go by the KV cache.
bool has_flag(const PrefillTable& table) {
  EnumSet<Fp8Queries> all;
  for (const PrefillRow& row : table.rows) all.add(row.backend.fp8_queries);
  return !all.has(Fp8Queries::by_kv_cache) ||
         all.has(EnumSet<Fp8Queries>(Fp8Queries::optional) | Fp8Queries::required);
}

}  // namespace

std::vector<Obstacle> obstacles(const PrefillQuestion& question, const Evaluation& evaluation) {
  std::vector<Obstacle> result;
  if (evaluation.outcome == PrefillQueryOutcome::quantized) return result;
  const PrefillTable* const table = question.table;
  if (!evaluation.facts.kv_cache_quantized) {
    result.push_back({BlockerKind::kv_cache_not_quantized});
  } else if (table != nullptr && is_kv_cache_refused(question)) {
    result.push_back({BlockerKind::kv_cache_format});
  }
  const auto& answer = question.engines_answer;  // where there is no table
  if (answer && !answer->supported) result.push_back({BlockerKind::backend_refused});
  for (const PrefillRow* const row : table != nullptr ? speakers(question, evaluation) : Rows()) {
    const Blockers against = blockers_of(*row, question) & all_but_kv_cache;
    for (const BlockerKind kind : against) result.push_back({kind, row});
  }
  const bool is_told = table == nullptr || has_flag(*table) || result.empty();
  if (!evaluation.facts.requested && is_told) {
    result.insert(result.begin(), {BlockerKind::not_requested});
  }
  return result;
}

PrefillQuestion with(const PrefillQuestion& question, const Change& change) {
  PrefillQuestion changed = question;
  if (const KvCacheFormat* const format = change.kv_cache; format != nullptr) {
    changed.cache_dtype = format->name;
    changed.is_from_checkpoint = false;
    changed.format = format;
    changed.kv_cache_quantized = format->quantized;
  }
  if (change.row != nullptr) changed.chosen = change.row;
  if (change.decode != nullptr) changed.decode_choice = change.decode;
  return changed;
}

std::vector<Change> least_changes(const PrefillQuestion& question) {
  if (question.is_ruled_out()) return {};
  return least(question, {nullptr}, [](PrefillQuestion changed) {
    changed.requested = true;
    return evaluate(changed).outcome == PrefillQueryOutcome::quantized && can_decode(changed);
  });
}

std::vector<Change> least_changes_to_run(const PrefillQuestion& question) {
  std::vector<const DecodeRow*> decodes;
  if (question.decode_choice != nullptr) decodes = decodes_in_order(question);
  decodes.push_back(nullptr);
  const auto is_enough = [](const PrefillQuestion& changed) {
    return can_decode(changed) && (changed.table == nullptr || selected_row(changed) != nullptr);
  };
  std::vector<Change> result;
  std::vector<std::tuple<const PrefillRow*, const DecodeRow*, std::string_view>> effects;
  for (const Change& change : least(question, decodes, is_enough)) {
    const PrefillQuestion changed = with(question, change);
    const DecodeChoice choice = select_decode(changed);
    // Decoding may store two KV caches as one.
    const bool is_as_it_is = choice.pair == nullptr || choice.pair->stored_as.empty();
    const std::string_view cache = is_as_it_is ? changed.cache_dtype : choice.pair->stored_as;
    if (add_once(effects, {change.row, choice.row, cache})) result.push_back(change);
  }
  return result;
}

Hopeless why_hopeless(PrefillQuestion question, const std::vector<Change>& changes) {
  constexpr Blockers of_configuration =
      Blockers(BlockerKind::dynamic_kv_scales) | BlockerKind::decode_context_parallel;
  const auto any_without = [&](Blockers these) { return !rows_without(these, question).empty(); };
  if (any_without(all_but_kv_cache)) {
    if (question.is_ruled_out()) return Hopeless::prediction;
    if (!changes.empty() || !question.knows_kv_caches()) return Hopeless::no;
    question.decode = nullptr;
    return least_changes(question).empty() ? Hopeless::model : Hopeless::decode;
  }
  if (is_sparse(question.config) && !any_without(BlockerKind::sparse_attention)) {
    return Hopeless::model;
  }
  if (!any_without(of_device)) return Hopeless::device;
  return any_without(all_but_kv_cache & ~of_configuration) ? Hopeless::configuration
                                                           : Hopeless::model;
}

Blockers rejection(const PrefillRow& row, const PrefillQuestion& question) {
  Blockers against = blockers_of(row, question);
  const Blockers not_usable = detail::not_usable(row.backend);
  if (against.has(not_usable)) return against & not_usable;
  const bool needs_fp8 = row.backend.fp8_queries == Fp8Queries::required;
  const bool is_fp8_wanted =
      question.is_required() || needs_fp8 || (question.requested && question.chosen == nullptr);
  if (!is_fp8_wanted) return {};
  if (!question.kv_cache_quantized) {
    against = (against & all_but_kv_cache) | BlockerKind::kv_cache_not_quantized;
  }
  if (!question.requested) against.add(BlockerKind::not_requested);
  if (needs_fp8 && !against.empty()) against.add(BlockerKind::backend_needs_fp8);
  return against;
}

const PrefillRow* selected_row(const PrefillQuestion& question) {
  const PrefillRow* const chosen = question.chosen;
  if (chosen == nullptr) return select(question);
  return rejection(*chosen, question).empty() ? chosen : nullptr;
}

std::vector<const PrefillRow*> rejected_rows(const PrefillQuestion& question) {
  Rows result;
  const PrefillRow* const selected = selected_row(question);
  for (const PrefillRow* const row : rows_without({}, question)) {
    if (question.is_chosen_by_name() && row != question.chosen) continue;
    if (row != selected && !rejection(*row, question).empty()) result.push_back(row);
    // Where FP8 queries are requested in vain, those behind the selected one were passed over, too.
    const bool is_in_vain = question.requested && !takes_fp8(*row, question);
    if (row == question.chosen || (row == selected && !is_in_vain)) break;
  }
  return result;
}

const PrefillRow* advised_row(const PrefillQuestion& question) {
  const PrefillRow* const subject = select(question);  // the choice, also one that is rejected
  // With another KV cache, which this is not about, the remedies are.
  if (!can_decode(question) || question.is_ruled_out()) return nullptr;
  if (subject != nullptr && takes_fp8(*subject, question)) {
    return subject != selected_row(question) ? subject : nullptr;
  }
  if (subject != nullptr && !may_advise(question.prediction)) return nullptr;
  return first_row(question, [&](const PrefillRow& row) { return takes_fp8(row, question); });
}

}  // namespace mla_dtype::detail

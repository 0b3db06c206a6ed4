// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "decision/evaluate.h"
#include "facts/kv_cache_formats.h"

namespace mla_dtype::detail {
namespace {

using Rows = std::vector<const PrefillRow*>;

template <class Test>
Rows those(const Rows& rows, Test test) {
  Rows result;
  std::copy_if(rows.begin(), rows.end(), std::back_inserter(result), test);
  return result;
}

bool is_fp8_backend(const PrefillRow* row) { return row->backend.fp8_queries != Fp8Queries::never; }

// Whose reading of the KV cache counts: of what could take FP8 queries with another one; if there
// is none, of what ever takes any. The operator's choice stands alone.
Rows readers(const PrefillQuestion& question) {
  const Rows all = rows_in_order(question);
  const auto fits = [&](const PrefillRow* row) { return would_take_fp8(*row, question); };
  const PrefillRow* const chosen = question.chosen;
  if (chosen != nullptr && fits(chosen)) return {chosen};
  Rows fitting = those(all, fits);
  if (!fitting.empty()) return fitting;
  if (chosen != nullptr && is_fp8_backend(chosen)) return {chosen};
  return those(all, is_fp8_backend);
}

bool is_kv_cache_refused(const PrefillQuestion& question) {
  const Rows rows = readers(question);
  return !rows.empty() && std::all_of(rows.begin(), rows.end(), [&](const PrefillRow* row) {
    return blockers_of(*row, question).has(BlockerKind::kv_cache_format);
  });
}

// Those that speak for the table. The choice; or, where it is open and none can, each that the
// device would let do it; or else the one that runs, or comes nearest to it.
Rows speakers(const PrefillQuestion& question, const Evaluation& evaluation) {
  if (question.chosen != nullptr) return {question.chosen};
  const Rows all = rows_in_order(question);
  const auto fits = [&](const PrefillRow* row) { return would_take_fp8(*row, question); };
  if (std::any_of(all.begin(), all.end(), fits)) return {};
  Rows possible = those(all, [](const PrefillRow* row) { return !row->on_device.has(of_device); });
  if (!possible.empty()) return possible;
  if (evaluation.choice.row != nullptr) return {evaluation.choice.row};
  auto nearest = std::find_if(all.begin(), all.end(), [](const PrefillRow* row) {
    return !row->on_device.has(BlockerKind::backend_device);
  });
  if (nearest == all.end()) nearest = std::find_if(all.begin(), all.end(), is_fp8_backend);
  return {nearest != all.end() ? *nearest : all.front()};
}

// The question with that change, and none of the flag.
PrefillQuestion with(const PrefillQuestion& question, const Change& change) {
  PrefillQuestion changed =
      change.kv_cache != nullptr ? with_kv_cache(question, *change.kv_cache) : question;
  if (change.row != nullptr) changed.chosen = change.row;
  return changed;
}

bool is_enough(const PrefillQuestion& question, const Change& change) {
  const bool is_cache_left = change.kv_cache == nullptr
                                 ? question.may_keep_kv_cache
                                 : (question.kv_caches_left & bit_of(*change.kv_cache)) != 0;
  if (!is_cache_left) return false;
  const PrefillQuestion changed = with(question, change);
  if (changed.chosen != nullptr) return takes_fp8(*changed.chosen, changed);
  const auto& rows = question.table->rows;
  return std::any_of(rows.begin(), rows.end(),
                     [&](const PrefillRow& row) { return takes_fp8(row, changed); });
}

// One spelling of each KV cache that is enough with this backend.
std::vector<Change> changes_of_kv_cache(const PrefillQuestion& question, const PrefillRow* row) {
  std::vector<Change> result;
  if (!question.knows_kv_caches()) return result;
  unsigned offered = 0;
  for (const KvCacheFormat& format : kv_cache_formats()) {
    const Change change = {&format, row};
    if ((offered & bit_of(format)) != 0 || !is_enough(question, change)) continue;
    offered |= bits_stored_like(format);
    result.push_back(change);
  }
  return result;
}

// Why the backend is not selected; empty if nothing speaks against it.
Blockers rejection(const PrefillRow& row, const PrefillQuestion& question) {
  Blockers against = blockers_of(row, question);
  if (against.has(not_usable)) return against & not_usable;
  const bool needs_fp8 = row.backend.fp8_queries == Fp8Queries::required;
  const bool is_fp8_wanted =
      question.is_required() || needs_fp8 || (question.requested && question.chosen == nullptr);
  if (!is_fp8_wanted) return {};
  if (!question.kv_cache_quantized) {
    against = against - BlockerKind::kv_cache_format;
    against.add(BlockerKind::kv_cache_not_quantized);
  }
  if (!question.requested) against.add(BlockerKind::not_requested);
  if (needs_fp8 && !against.empty()) against.add(BlockerKind::backend_needs_fp8);
  return against;
}

std::vector<Selection::Rejected> rejected_rows(const PrefillQuestion& question,
                                               const PrefillRow* selected) {
  std::vector<Selection::Rejected> result;
  for (const PrefillRow* const row : rows_in_order(question)) {
    // Where FP8 queries are requested in vain, those behind the selected one were passed over, too.
    const bool is_last =
        !question.requested || question.chosen != nullptr || takes_fp8(*row, question);
    if (row == selected && is_last) break;
    if (row == selected) continue;
    const Blockers why = rejection(*row, question);
    if (!why.empty()) result.push_back({row, why});
  }
  return result;
}

// Which backend could take FP8 queries where what runs, or should run, cannot.
const PrefillRow* advised_row(const PrefillQuestion& question, const PrefillRow* selected) {
  const PrefillRow* const subject = question.chosen != nullptr ? question.chosen : selected;
  // With another KV cache, which this is not about, the remedies are.
  if (!question.may_keep_kv_cache || question.is_ruled_out() ||
      (selected != nullptr && takes_fp8(*selected, question))) {
    return nullptr;
  }
  if (subject != nullptr && takes_fp8(*subject, question)) return subject;
  if (subject != nullptr && !may_advise(question.prediction)) return nullptr;
  for (const PrefillRow* const row : rows_in_order(question)) {
    if (takes_fp8(*row, question)) return row;
  }
  return nullptr;
}

}  // namespace

std::vector<Obstacle> obstacles(const PrefillQuestion& question, const Evaluation& evaluation) {
  std::vector<Obstacle> result;
  if (evaluation.outcome == PrefillQueryOutcome::quantized) return result;
  if (!evaluation.facts.requested) result.push_back({BlockerKind::not_requested});
  if (!evaluation.facts.kv_cache_quantized) {
    result.push_back({BlockerKind::kv_cache_not_quantized});
  }
  if (question.table == nullptr) {
    if (question.engines_answer && !question.engines_answer->supported) {
      result.push_back({BlockerKind::backend_refused});
    }
    return result;
  }
  if (evaluation.facts.kv_cache_quantized && is_kv_cache_refused(question)) {
    result.push_back({BlockerKind::kv_cache_format});
  }
  for (const PrefillRow* const row : speakers(question, evaluation)) {
    const Blockers against = blockers_of(*row, question) - BlockerKind::kv_cache_format;
    for (const BlockerKind kind : against.kinds()) result.push_back({kind, row});
  }
  return result;
}

std::vector<Change> least_changes(const PrefillQuestion& question) {
  if (question.is_ruled_out()) return {};
  if (is_enough(question, {})) return {{}};
  std::vector<Change> result = changes_of_kv_cache(question, nullptr);
  const Rows rows = rows_in_order(question);
  for (const PrefillRow* const row : rows) {
    if (is_enough(question, {nullptr, row})) result.push_back({nullptr, row});
  }
  for (const PrefillRow* const row : rows) {
    if (is_enough(question, {nullptr, row})) continue;
    for (const Change& change : changes_of_kv_cache(question, row)) {
      if (!is_enough(question, {change.kv_cache, nullptr})) result.push_back(change);
    }
  }
  return result;
}

Hopeless why_hopeless(const PrefillQuestion& question, const std::vector<Change>& changes) {
  const auto& rows = question.table->rows;
  const auto any_row = [&](auto test) { return std::any_of(rows.begin(), rows.end(), test); };
  constexpr Blockers of_configuration =
      Blockers(BlockerKind::dynamic_kv_scales) | BlockerKind::decode_context_parallel;
  const auto fits = [&](const PrefillRow& row) { return would_take_fp8(row, question); };
  if (any_row(fits)) {
    if (question.is_ruled_out()) return Hopeless::prediction;
    if (!changes.empty() || !question.knows_kv_caches()) return Hopeless::no;
    PrefillQuestion without_decoding = question;
    without_decoding.may_keep_kv_cache = true;
    without_decoding.kv_caches_left = ~0U;
    return least_changes(without_decoding).empty() ? Hopeless::model : Hopeless::decode;
  }
  if (!any_row([](const PrefillRow& row) { return !row.on_device.has(of_device); })) {
    return Hopeless::device;
  }
  const auto would_fit = [&](const PrefillRow& row) {
    return (blockers_of(row, question) - of_configuration - BlockerKind::kv_cache_format).empty();
  };
  return any_row(would_fit) ? Hopeless::configuration : Hopeless::model;
}

Selection make_selection(const PrefillQuestion& question) {
  Selection result;
  result.selected = select(question).row;
  if (question.chosen == nullptr || !question.is_chosen_by_name()) {
    result.rejected = rejected_rows(question, result.selected);
  }
  if (question.chosen != nullptr) {
    const Blockers why = rejection(*question.chosen, question);
    if (!why.empty()) {
      result.rejected.push_back({question.chosen, why});
      result.selected = nullptr;
    }
  }
  result.takes_fp8 = result.selected != nullptr && takes_fp8(*result.selected, question);
  result.advised = advised_row(question, result.selected);
  return result;
}

}  // namespace mla_dtype::detail

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mla_dtype/attention_plan.h>

#include <cstddef>
#include <optional>
#include <vector>

#include "decision/prefill_question.h"

namespace mla_dtype::detail {

struct DecodeRow {
  DecodeBackend backend = {};
  Support available = true;
};

/// The decode backends of an engine on its device, in its order.
struct DecodeTable {
  Platform platform = {};
  std::vector<DecodeRow> rows = {};
  std::optional<std::size_t> named = {};  ///< the row that runs; none: the first that can
};

/// The named row; of two of that name the one for such models.
const DecodeRow* find_named(const DecodeTable& table, bool is_sparse);

/// Those of the table for such models, as they are preferred; where there are none, all.
std::vector<const DecodeRow*> decodes_in_order(const PrefillQuestion& question);

/// A decode backend with the KV cache and the model of a question.
struct DecodeChoice {
  const DecodeRow* row = nullptr;    ///< null: none of the table can
  const DecodePair* pair = nullptr;  ///< how it reads the KV cache; null: it does not
  Blockers blockers = {};            ///< what keeps it from running

  bool runs() const { return row != nullptr && blockers.empty(); }
};

DecodeChoice decode_with(const DecodeRow& row, const PrefillQuestion& question);

/// The choice, or the first that runs. Only of a question with a table.
DecodeChoice select_decode(const PrefillQuestion& question);

/// Those that go before the first that runs, or all.
std::vector<DecodeChoice> rejected_decodes(const PrefillQuestion& question);

/// Whether decoding can run, as far as it is asked about.
bool can_decode(const PrefillQuestion& question);

}  // namespace mla_dtype::detail

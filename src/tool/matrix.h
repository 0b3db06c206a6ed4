// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "json_output.h"
#include "question.h"

namespace mla_dtype::tool {

/// For each prefill backend of the engine and each of its KV-cache dtypes the decision where the
/// backend is chosen and, if the engine has a flag, FP8 queries are requested.
struct Matrix {
  struct Cell {
    std::string_view kv_cache_dtype;  ///< static
    DataType data_type;
    std::vector<Blocker> blockers;
  };
  struct Column {
    std::string prefill_backend;
    std::vector<Cell> cells;  ///< in the order of `kv_cache_dtypes`
  };

  std::vector<std::string_view> kv_cache_dtypes;  ///< static
  std::vector<Column> columns;
};

/// What the question says of the operator's choices does not count.
Matrix make_matrix(const Question& question);

std::string to_text(const Matrix& matrix);
OrderedJson to_json(const Matrix& matrix, const Question& question);

}  // namespace mla_dtype::tool

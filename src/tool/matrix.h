// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mla_dtype/config.h>
#include <mla_dtype/data_type.h>
#include <mla_dtype/platform.h>
#include <mla_dtype/prefill_backend.h>

#include <string>
#include <string_view>
#include <vector>

namespace mla_dtype::tool {

/// For each prefill backend of the library's tables and each KV-cache dtype the decision where the
/// backend is chosen and FP8 queries are requested.
struct Matrix {
  struct Cell {
    std::string_view kv_cache_dtype;  ///< static
    DataType data_type;
    std::vector<Blocker> blockers;
  };
  struct Column {
    std::string_view prefill_backend;  ///< static
    std::vector<Cell> cells;           ///< in the order of kv_cache_formats()
  };

  Platform platform;
  DataType model_dtype;
  MlaDimensions dimensions;
  std::vector<Column> columns;
};

/// `config` gives what the model has; what it says of the operator's choices does not count.
Matrix make_matrix(const EngineConfig& config, DataType model_dtype, const Platform& platform);

std::string to_text(const Matrix& matrix);
std::string to_json(const Matrix& matrix);

}  // namespace mla_dtype::tool

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mla_dtype/attention_plan.h>
#include <mla_dtype/config.h>
#include <mla_dtype/cost_model.h>
#include <mla_dtype/data_type.h>
#include <mla_dtype/platform.h>
#include <mla_dtype/prefill_backend.h>
#include <mla_dtype/prefill_query.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

// What the tool shows, as text and as JSON, each ending in a newline.

namespace mla_dtype::tool {

/// The text as one line of plain ASCII, whatever it holds.
std::string in_plain(std::string text);

/// A cost model, and what it says of a model's dimensions.
struct BreakEven {
  std::optional<std::int64_t> isl;  ///< none: at no ISL is FP8 faster for good
  std::string source;
};

BreakEven make_break_even(const PrefillCostModel& model, const MlaDimensions& dimensions);

/// A log record that a decision wrote.
struct LogRecord {
  std::string level, text;
};

/// A decision, and what goes with it.
struct Report {
  Platform platform;
  DataType model_dtype;
  PrefillQueryExplanation explanation;
  PrefillBackendSelection selection;
  std::optional<BreakEven> break_even;  ///< of the model that the prediction comes from, if any
  std::vector<LogRecord> log;
  bool refused;                       ///< required, and not possible; or no kernel can run the plan
  std::optional<AttentionPlan> plan;  ///< none where none was asked for, or it is refused
};

/// The explanation, with its prediction the break-even; then what speaks against the backends that
/// an automatic selection did not take, though they run on the device; after an empty line the
/// plan, if there is one. Without the log.
std::string to_text(const Report& report);

std::string to_json(const Report& report);

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

/// What a cost model predicts, by ISL.
struct Curve {
  struct Point {
    std::int64_t isl;
    double speedup;
  };

  MlaDimensions dimensions;
  std::int64_t context_tokens;  ///< that come before those of each ISL
  std::vector<Point> points;    ///< in ascending order
  BreakEven break_even;         ///< without context
};

/// `config` gives the dimensions, and with its expected ISL one more point.
Curve make_curve(const PrefillCostModel& model, const EngineConfig& config,
                 std::int64_t context_tokens);

std::string to_text(const Curve& curve);
std::string to_json(const Curve& curve);

}  // namespace mla_dtype::tool

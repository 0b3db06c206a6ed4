// SPDX-License-Identifier: Apache-2.0
#include "matrix.h"

#include <fmt/format.h>
#include <mla_dtype/kv_cache.h>
#include <mla_dtype/prefill_query.h>

#include <algorithm>
#include <cstddef>
#include <utility>

#include "json_output.h"

namespace mla_dtype::tool {
namespace {

std::size_t longest_cache_dtype() {
  std::size_t result = 0;
  for (const KvCacheFormat& format : kv_cache_formats()) {
    result = std::max(result, format.name.size());
  }
  return result;
}

// One line of the table. Each cell is as wide as its column's head.
void append_row(std::string& text, const Matrix& matrix, std::string_view head,
                const std::vector<std::string_view>& cells) {
  std::string row = fmt::format("{:<{}}", head, longest_cache_dtype());
  for (std::size_t i = 0; i < cells.size(); ++i) {
    row += fmt::format("  {:<{}}", cells[i], matrix.columns[i].prefill_backend.size());
  }
  row.erase(row.find_last_not_of(' ') + 1);
  text += row + '\n';
}

bool contains(const std::vector<std::string_view>& sentences, std::string_view sentence) {
  return std::find(sentences.begin(), sentences.end(), sentence) != sentences.end();
}

// Each sentence against the backend once, in the order of the cells.
std::vector<std::string_view> distinct_sentences(const Matrix::Column& column) {
  std::vector<std::string_view> result;
  for (const Matrix::Cell& cell : column.cells) {
    for (const Blocker& blocker : cell.blockers) {
      if (!contains(result, blocker.sentence)) result.push_back(blocker.sentence);
    }
  }
  return result;
}

// A line for each sentence against a backend. One against all of them is about the KV cache alone,
// and there are many: these come last, once.
void append_sentences(std::string& text, const Matrix& matrix) {
  std::vector<std::vector<std::string_view>> sentences;
  for (const Matrix::Column& column : matrix.columns) {
    sentences.push_back(distinct_sentences(column));
  }
  const auto is_against_all = [&](std::string_view sentence) {
    return std::all_of(sentences.begin(), sentences.end(),
                       [&](const auto& of_column) { return contains(of_column, sentence); });
  };
  for (std::size_t i = 0; i < sentences.size(); ++i) {
    for (const std::string_view sentence : sentences[i]) {
      if (is_against_all(sentence)) continue;
      text += fmt::format("{}: {}\n", matrix.columns[i].prefill_backend, sentence);
    }
  }
  for (const std::string_view sentence : sentences.front()) {
    if (is_against_all(sentence)) text += fmt::format("every backend: {}\n", sentence);
  }
}

Matrix::Column make_column(const std::string& prefill_backend, EngineConfig config,
                           DataType model_dtype, const Environment& env) {
  Matrix::Column column{prefill_backend, {}};
  config.attention_config.mla_prefill_backend = prefill_backend;
  for (const KvCacheFormat& format : kv_cache_formats()) {
    config.cache_config.cache_dtype = format.name;
    auto explanation = explain_prefill_query_data_type(config, model_dtype, env);
    column.cells.push_back({format.name, explanation.data_type, std::move(explanation.blockers)});
  }
  return column;
}

}  // namespace

Matrix make_matrix(const EngineConfig& config, DataType model_dtype, const Platform& platform) {
  EngineConfig asked = config;
  asked.attention_config = {};
  asked.attention_config.use_prefill_query_quantization = true;
  Matrix matrix{platform, model_dtype, config.mla_dimensions, {}};
  for (const auto* const table : {&vllm_prefill_backends(), &tensorrt_llm_prefill_backends()}) {
    const Environment env = make_environment(platform, *table);
    for (const PrefillBackend& backend : *table) {
      matrix.columns.push_back(make_column(backend.name, asked, model_dtype, env));
    }
  }
  return matrix;
}

std::string to_text(const Matrix& matrix) {
  std::vector<std::string_view> cells;
  for (const Matrix::Column& column : matrix.columns) cells.push_back(column.prefill_backend);
  std::string text;
  append_row(text, matrix, "KV-cache dtype", cells);
  for (std::size_t row = 0; row < kv_cache_formats().size(); ++row) {
    cells.clear();
    for (const Matrix::Column& column : matrix.columns) {
      cells.push_back(is_fp8(column.cells[row].data_type) ? "FP8" : "-");
    }
    append_row(text, matrix, kv_cache_formats()[row].name, cells);
  }
  text += '\n';
  append_sentences(text, matrix);
  return text;
}

std::string to_json(const Matrix& matrix) {
  OrderedJson cells = OrderedJson::array();
  for (const Matrix::Column& column : matrix.columns) {
    for (const Matrix::Cell& cell : column.cells) {
      cells.push_back({{"prefill_backend", column.prefill_backend},
                       {"kv_cache_dtype", cell.kv_cache_dtype},
                       {"data_type", to_string(cell.data_type)},
                       {"blockers", to_json(cell.blockers)}});
    }
  }
  return to_document({
      {"schema", schema},
      {"device", to_string(matrix.platform)},
      {"model_dtype", to_string(matrix.model_dtype)},
      {"mla_dimensions", to_json(matrix.dimensions)},
      {"cells", std::move(cells)},
  });
}

}  // namespace mla_dtype::tool

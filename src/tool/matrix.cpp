// SPDX-License-Identifier: Apache-2.0
#include "matrix.h"

#include <fmt/format.h>

#include <algorithm>

#include "engine.h"
#include "report.h"

namespace mla_dtype::tool {
namespace {

constexpr std::string_view corner = "KV-cache dtype";

std::size_t longest_cache_dtype(const Matrix& matrix) {
  std::size_t result = corner.size();
  for (const std::string_view name : matrix.kv_cache_dtypes) result = std::max(result, name.size());
  return result;
}

// One line of the table. Each cell is as wide as its column's head.
void append_row(std::string& text, const Matrix& matrix, std::string_view head,
                const std::vector<std::string_view>& cells) {
  std::string row = fmt::format("{:<{}}", head, longest_cache_dtype(matrix));
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
                           DataType model_dtype, const Environment& env,
                           const std::vector<std::string_view>& kv_cache_dtypes) {
  Matrix::Column column{prefill_backend, {}};
  config.attention_config.mla_prefill_backend = prefill_backend;
  for (const std::string_view name : kv_cache_dtypes) {
    config.cache_config.cache_dtype = name;
    auto explanation = explain_prefill_query_data_type(config, model_dtype, env);
    column.cells.push_back({name, explanation.data_type, std::move(explanation.blockers)});
  }
  return column;
}

}  // namespace

Matrix make_matrix(const Question& question) {
  EngineConfig asked = question.config;
  asked.attention_config = {};
  asked.attention_config.use_prefill_query_quantization =
      !question.engine.spellings.request_fp8.empty();
  Matrix matrix{kv_cache_dtypes(find_engine(question.engine_name)), {}};
  const Environment env = make_environment(question.platform, question.engine);
  for (const PrefillBackend& backend : question.engine.prefill_backends) {
    matrix.columns.push_back(
        make_column(backend.name, asked, question.model_dtype, env, matrix.kv_cache_dtypes));
  }
  return matrix;
}

std::string to_text(const Matrix& matrix) {
  std::vector<std::string_view> cells;
  for (const Matrix::Column& column : matrix.columns) cells.push_back(column.prefill_backend);
  std::string text;
  append_row(text, matrix, corner, cells);
  for (std::size_t row = 0; row < matrix.kv_cache_dtypes.size(); ++row) {
    cells.clear();
    for (const Matrix::Column& column : matrix.columns) {
      cells.push_back(is_fp8(column.cells[row].data_type) ? "FP8" : "-");
    }
    append_row(text, matrix, matrix.kv_cache_dtypes[row], cells);
  }
  text += '\n';
  append_sentences(text, matrix);
  return text;
}

OrderedJson to_json(const Matrix& matrix, const Question& question) {
  OrderedJson cells = OrderedJson::array();
  for (const Matrix::Column& column : matrix.columns) {
    for (const Matrix::Cell& cell : column.cells) {
      cells.push_back({{"prefill_backend", column.prefill_backend},
                       {"kv_cache_dtype", cell.kv_cache_dtype},
                       {"data_type", to_string(cell.data_type)},
                       {"blockers", to_json(cell.blockers)}});
    }
  }
  return {
      {"schema", schema},
      {"engine", question.engine_name},
      {"facts_as_of", question.engine.facts_as_of},
      {"device", device_json(question)},
      {"model_dtype", to_string(question.model_dtype)},
      {"mla_dimensions", to_json(question.config.mla_dimensions)},
      {"cells", std::move(cells)},
  };
}

}  // namespace mla_dtype::tool

// SPDX-License-Identifier: Apache-2.0
#include "tool_report.h"

#include <fmt/format.h>
#include <mla_dtype/fmt.h>
#include <mla_dtype/kv_cache.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

namespace mla_dtype::tool {
namespace {

using Json = nlohmann::ordered_json;

constexpr int schema = 1;  // of all JSON objects; counts up where a reader may break

bool runs_on_device(const RejectedPrefillBackend& backend) {
  return std::none_of(backend.blockers.begin(), backend.blockers.end(), [](const Blocker& blocker) {
    return blocker.kind == BlockerKind::backend_device;
  });
}

Json or_null(const std::string& text) { return text.empty() ? Json() : Json(text); }

Json to_json(const std::vector<Blocker>& blockers) {
  Json result = Json::array();
  for (const Blocker& blocker : blockers) {
    result.push_back({{"kind", to_string(blocker.kind)},
                      {"value", blocker.value},
                      {"sentence", blocker.sentence}});
  }
  return result;
}

Json to_json(const std::vector<Remedy>& remedies) {
  Json result = Json::array();
  for (const Remedy& remedy : remedies) {
    result.push_back({{"request", remedy.request},
                      {"cache_dtype", or_null(remedy.cache_dtype)},
                      {"prefill_backend", or_null(remedy.prefill_backend)},
                      {"spelling", remedy.spelling}});
  }
  return result;
}

Json to_json(const std::vector<RejectedPrefillBackend>& backends) {
  Json result = Json::array();
  for (const RejectedPrefillBackend& backend : backends) {
    result.push_back({{"name", backend.name}, {"blockers", to_json(backend.blockers)}});
  }
  return result;
}

Json to_json(const std::vector<LogRecord>& log) {
  Json result = Json::array();
  for (const LogRecord& record : log) {
    result.push_back({{"level", record.level}, {"text", record.text}});
  }
  return result;
}

Json to_json(const MlaDimensions& dimensions) {
  return {{"qk_nope_head_dim", dimensions.qk_nope_head_dim},
          {"qk_rope_head_dim", dimensions.qk_rope_head_dim},
          {"v_head_dim", dimensions.v_head_dim}};
}

Json to_json(const PlannedDataType& planned) {
  return {{"data_type", to_string(planned.data_type)}, {"reason", planned.reason}};
}

Json to_json(const std::vector<Caution>& cautions) {
  Json result = Json::array();
  for (const Caution& caution : cautions) {
    result.push_back({{"kind", to_string(caution.kind)}, {"sentence", caution.sentence}});
  }
  return result;
}

template <class Number>
Json or_null(const std::optional<Number>& number) {
  return number ? Json(*number) : Json();
}

Json or_null(const std::optional<PlannedDataType>& planned) {
  return planned ? to_json(*planned) : Json();
}

Json or_null(const std::optional<AttentionPlan>& plan) {
  if (!plan) return {};
  return {
      {"kv_cache_storage", to_json(plan->kv_cache_storage)},
      {"kv_cache_view", to_json(plan->kv_cache_view)},
      {"prefill_query", to_json(plan->prefill_query)},
      {"prefill_key_value", to_json(plan->prefill_key_value)},
      {"chunked_prefill_workspace", or_null(plan->chunked_prefill_workspace)},
      {"decode_query", to_json(plan->decode_query)},
      {"output", to_json(plan->output)},
      {"kv_cache_bytes", or_null(plan->kv_cache_bytes)},
      {"unquantized_kv_cache_bytes", plan->unquantized_kv_cache_bytes},
      {"workspace_bytes", or_null(plan->workspace_bytes)},
      {"cautions", to_json(plan->cautions)},
      // A text: many readers of JSON take numbers for doubles, which have 53 bits.
      {"packed", fmt::format("{:#018x}", pack(*plan))},
  };
}

Json prediction_or_null(const Report& report) {
  const std::optional<PrefillPrediction>& prediction = report.explanation.prediction;
  if (!prediction) return {};
  return {{"isl", prediction->isl},
          {"speedup", prediction->speedup},
          {"decides", prediction->decides},
          {"advises_change", prediction->advises_change},
          {"break_even_isl", or_null(report.break_even->isl)},
          {"source", report.break_even->source}};
}

std::string to_document(const Json& json) {
  return json.dump(/*indent=*/2, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace) +
         '\n';
}

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

// A line for each backend that an automatic selection did not take, though it runs on the device.
void append_rejected(std::string& text, const PrefillBackendSelection& selection) {
  if (!selection.chosen.empty()) return;
  for (const RejectedPrefillBackend& backend : selection.rejected) {
    if (!runs_on_device(backend)) continue;
    text += fmt::format("rejected: {}:", backend.name);
    for (const Blocker& blocker : backend.blockers) text += ' ' + blocker.sentence;
    text += '\n';
  }
}

void append_break_even(std::string& text, const BreakEven& break_even) {
  text += "break-even: ";
  if (!break_even.isl) {
    text += "none: there is no ISL from which on FP8 prefill attention is predicted to be faster\n";
  } else if (*break_even.isl == 1) {
    text += "FP8 prefill attention is predicted to be faster at every ISL\n";
  } else {
    text += fmt::format(
        "FP8 prefill attention is predicted to be faster from ISL {} on; below, quantizing "
        "queries, keys and values may cost more than it gains\n",
        *break_even.isl);
  }
  text += fmt::format("cost model: {}\n", in_plain(break_even.source));
}

}  // namespace

std::string in_plain(std::string text) {
  for (char& c : text) {
    if (c < ' ' || c > '~') c = '?';
  }
  return text;
}

BreakEven make_break_even(const PrefillCostModel& model, const MlaDimensions& dimensions) {
  return {break_even_isl(model, dimensions), model.source};
}

std::string to_text(const Report& report) {
  std::string text = to_string(report.explanation) + '\n';
  if (report.explanation.prediction) append_break_even(text, *report.break_even);
  append_rejected(text, report.selection);
  if (report.plan) text += '\n' + to_string(*report.plan) + '\n';
  return text;
}

std::string to_json(const Report& report) {
  const PrefillQueryExplanation& explanation = report.explanation;
  const PrefillQueryFacts& facts = explanation.facts;
  const KvCacheResolution& cache = explanation.kv_cache_dtype;
  return to_document({
      {"schema", schema},
      {"device", to_string(report.platform)},
      {"model_dtype", to_string(report.model_dtype)},
      {"data_type", to_string(explanation.data_type)},
      {"outcome", to_string(explanation.outcome)},
      {"facts",
       {{"kv_cache_quantized", facts.kv_cache_quantized},
        {"requested", facts.requested},
        {"backend_supports", facts.backend_supports}}},
      {"kv_cache_dtype",
       {{"requested", cache.requested}, {"resolved", cache.resolved}, {"reason", cache.reason}}},
      {"prefill_backend", or_null(explanation.prefill_backend)},
      {"blockers", to_json(explanation.blockers)},
      {"remedies", to_json(explanation.remedies)},
      {"nothing_helps", or_null(explanation.nothing_helps)},
      {"hint", or_null(explanation.hint)},
      {"prediction", prediction_or_null(report)},
      {"rejected_prefill_backends", to_json(report.selection.rejected)},
      {"log", to_json(report.log)},
      {"refused", report.refused},
      {"plan", or_null(report.plan)},
  });
}

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
  Json cells = Json::array();
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

Curve make_curve(const PrefillCostModel& model, const EngineConfig& config,
                 std::int64_t context_tokens) {
  const MlaDimensions& dimensions = config.mla_dimensions;
  std::set<std::int64_t> isls;
  for (std::int64_t isl = 256; isl <= 131072; isl *= 2) isls.insert(isl);
  if (config.attention_config.expected_isl) isls.insert(*config.attention_config.expected_isl);
  Curve curve{dimensions, context_tokens, {}, make_break_even(model, dimensions)};
  for (const std::int64_t isl : isls) {
    curve.points.push_back(
        {isl, predicted_prefill_speedup(model, isl, context_tokens, dimensions)});
  }
  return curve;
}

std::string to_text(const Curve& curve) {
  const std::size_t width = fmt::formatted_size("{}", curve.points.back().isl);
  std::string text = fmt::format("{:>{}}  speedup\n", "ISL", width);
  for (const auto& [isl, speedup] : curve.points) {
    text += fmt::format("{:>{}}  {:>6.2f}x\n", isl, width, speedup);
  }
  text += '\n';
  if (curve.context_tokens != 0) {
    text +=
        fmt::format("context: {} tokens before those of each ISL; the break-even is without it\n",
                    curve.context_tokens);
  }
  append_break_even(text, curve.break_even);
  return text;
}

std::string to_json(const Curve& curve) {
  Json points = Json::array();
  for (const auto& [isl, speedup] : curve.points) {
    points.push_back({{"isl", isl}, {"speedup", speedup}});
  }
  return to_document({{"schema", schema},
                      {"source", curve.break_even.source},
                      {"mla_dimensions", to_json(curve.dimensions)},
                      {"context_tokens", curve.context_tokens},
                      {"points", std::move(points)},
                      {"break_even_isl", or_null(curve.break_even.isl)}});
}

}  // namespace mla_dtype::tool

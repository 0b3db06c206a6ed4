// SPDX-License-Identifier: Apache-2.0
#include "tool_inputs.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <ios>
#include <limits>
#include <nlohmann/json.hpp>
#include <numeric>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string_view>
#include <system_error>
#include <utility>
#include <variant>
#include <vector>

namespace mla_dtype::tool {
namespace {

using Json = nlohmann::json;

// Enough to find the place; values come from files of any size.
std::string shortened(const std::string& text) {
  constexpr std::size_t max_bytes = 160;
  return text.size() <= max_bytes ? text : text.substr(0, max_bytes) + "...";
}

// The value as it may stand in a message: in printable ASCII, and an array or object, which may be
// nested to any depth, only by what it is.
std::string show(const Json& value) {
  if (value.is_structured()) return fmt::format("an {}", value.type_name());
  return shortened(value.dump(/*indent=*/-1, ' ', /*ensure_ascii=*/true));
}

[[noreturn]] void reject(const std::string& what, std::string_view accepted) {
  throw std::invalid_argument(fmt::format("{} is not accepted; accepted: {}", what, accepted));
}

[[noreturn]] void reject(const std::string& field, const Json& value, std::string_view accepted) {
  reject(fmt::format("{}: {}", field, show(value)), accepted);
}

// A JSON object. A key that is given twice is an error: readers differ in which of them they take.
Json parse_object(std::istream& input) {
  std::vector<std::set<std::string>> keys;  // of each object that is open
  const auto check_keys = [&](int, Json::parse_event_t event, const Json& parsed) {
    if (event == Json::parse_event_t::object_start) keys.emplace_back();
    if (event == Json::parse_event_t::object_end) keys.pop_back();
    if (event == Json::parse_event_t::key && !keys.back().insert(parsed).second) {
      reject(show(parsed) + " twice", "each key once");
    }
    return true;
  };
  try {
    Json json = Json::parse(input, check_keys);
    if (!json.is_object()) reject(show(json), "a JSON object");
    return json;
  } catch (const Json::exception& error) {
    const std::string text = error.what();  // begins with an identifier in brackets
    throw std::invalid_argument("not JSON: " + shortened(text.substr(text.find("] ") + 2)));
  }
}

Json read_object(const std::string& path) {
  try {
    std::ifstream file;
    file.exceptions(std::ios::failbit);
    file.open(path);
    return parse_object(file);
  } catch (const std::ios::failure&) {  // also later: a directory can be opened
    throw std::invalid_argument("cannot be read");
  }
}

// The member of that name; null where there is none, which means the same here.
const Json& member(const Json& object, const char* name) {
  static const Json null;
  const auto found = object.find(name);
  return found == object.end() ? null : *found;
}

const Json& object_or_null(const Json& object, const char* name) {
  const Json& value = member(object, name);
  if (!value.is_null() && !value.is_object()) reject(name, value, "an object");
  return value;
}

// Empty: none.
std::string string_member(const Json& object, const char* name) {
  const Json& value = member(object, name);
  if (value.is_null()) return {};
  if (!value.is_string()) reject(name, value, "a string");
  return value;
}

int to_positive_integer(const std::string& field, const Json& value) {
  constexpr int max = std::numeric_limits<int>::max();
  const bool accepted = value.is_number_unsigned() && value.get<std::uint64_t>() >= 1 &&
                        value.get<std::uint64_t>() <= std::uint64_t{max};
  if (!accepted) reject(field, value, fmt::format("a whole number from 1 to {}", max));
  return value.get<int>();
}

// `where` is what the object's fields are named after.
std::optional<int> positive_integer(const Json& object, const char* name,
                                    const std::string& where = {}) {
  const Json& value = member(object, name);
  if (value.is_null()) return std::nullopt;
  return to_positive_integer(where + name, value);
}

// Those that there are.
void read_dimensions(const Json& object, const std::string& where, MlaDimensions& dimensions) {
  const auto read = [&](const char* name, int& number) {
    number = positive_integer(object, name, where).value_or(number);
  };
  read("qk_nope_head_dim", dimensions.qk_nope_head_dim);
  read("qk_rope_head_dim", dimensions.qk_rope_head_dim);
  read("v_head_dim", dimensions.v_head_dim);
}

// `dtype`, in older files `torch_dtype`; in a multimodal model's file also beside the dimensions.
void read_dtype(const Json& model, const Json& text_model, ModelConfig& result) {
  for (const Json* const from : {&model, &text_model}) {
    for (const char* const field : {"dtype", "torch_dtype"}) {
      std::string dtype = string_member(*from, field);
      if (dtype.empty()) continue;
      if (dtype != "auto") result.dtype = std::move(dtype);
      result.dtype_field = field;
      return;
    }
  }
}

// The algorithm that a kv_cache_scheme stands for.
std::string algo_of_scheme(const Json& scheme) {
  const Json& bits = member(scheme, "num_bits");
  if (member(scheme, "type") != "float") return {};
  if (bits == 8 && member(scheme, "dynamic") == false) return "FP8";
  return bits == 4 ? "NVFP4" : "";
}

// vllm/utils/torch_utils.py, get_kv_cache_quant_algo_string.
std::string read_kv_cache_quant_algo(const Json& quantization_config) {
  const std::string method = string_member(quantization_config, "quant_method");
  if (method.rfind("modelopt", 0) != 0) return {};
  const Json& nested = object_or_null(quantization_config, "quantization");
  const Json& inner = nested.is_null() ? quantization_config : nested;
  for (const char* const name : {"kv_cache_scheme", "kv_cache_quant_algo"}) {
    for (const Json* const from : {&inner, &quantization_config}) {
      const Json& value = member(*from, name);
      if (value.empty() || value == "") continue;  // empty: also null
      if (value.is_object()) return algo_of_scheme(value);
      if (!value.is_string()) reject(name, value, "a string, an object");
      return value;
    }
  }
  return {};
}

constexpr const char* flag_key = "use_prefill_query_quantization";
constexpr const char* backend_key = "mla_prefill_backend";

std::string in_lower_case(std::string_view text) {
  std::string result(text);
  for (char& c : result) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return result;
}

// Levenshtein's: so many characters to insert, to remove or to replace.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i + 1);
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({row[j] + 1, row[j + 1] + 1, replaced});
    }
  }
  return row[b.size()];
}

// Whether `known` was meant: also in another case, or with `-` for each `_`.
bool is_misspelled(std::string_view known, const std::string& key) {
  constexpr std::size_t max_errors = 3;
  // The length first: a key may have any.
  return key.size() <= known.size() + max_errors &&
         edit_distance(known, in_lower_case(key)) <= max_errors;
}

// vLLM's option has many keys, and most do not matter here. One that was meant to matter does.
void check_spelling(const std::string& key) {
  for (const auto& [known, other] : {std::pair(flag_key, backend_key), {backend_key, flag_key}}) {
    if (is_misspelled(known, key)) {
      reject(show(key), fmt::format("{} (nearest), {}", known, other));
    }
  }
}

// A cost model. Which numbers can be meant, the library says.

// Nothing else is in a file that is made for the tool.
void check_keys(const Json& object, const std::string& where,
                const std::vector<std::string_view>& known) {
  for (const auto& [key, value] : object.items()) {
    if (std::find(known.begin(), known.end(), key) == known.end()) {
      reject(where + show(key), fmt::format("{}", fmt::join(known, ", ")));
    }
  }
}

double read_number(const Json& object, const std::string& where, const char* name) {
  const Json& value = member(object, name);
  if (!value.is_number()) reject(where + name, value, "a number");
  return value;
}

PrefillTiming read_timing(const std::string& field, const Json& point) {
  if (!point.is_object()) reject(field, point, "an object");
  const std::string where = field + '.';
  check_keys(point, where, {"isl", "bf16_ms", "fp8_ms"});
  return {to_positive_integer(where + "isl", member(point, "isl")),
          read_number(point, where, "bf16_ms"), read_number(point, where, "fp8_ms")};
}

PrefillCurve read_curve(const Json& points) {
  if (!points.is_array()) reject("curve", points, "an array");
  PrefillCurve result;
  for (const Json& point : points) {
    result.push_back(read_timing(fmt::format("curve[{}]", result.size()), point));
  }
  return result;
}

// In whichever of the two forms they have.
std::variant<PrefillThroughput, PrefillCurve> read_costs(const Json& model) {
  constexpr std::string_view forms = "either bf16_tflops, fp8_tflops and quantize_ns, or curve";
  const Json& curve = member(model, "curve");
  std::string numbers;
  for (const char* const name : {"bf16_tflops", "fp8_tflops", "quantize_ns"}) {
    if (!member(model, name).is_null()) numbers = name;
  }
  if (numbers.empty() && curve.is_null()) reject("bf16_tflops, curve: none", forms);
  if (numbers.empty()) return read_curve(curve);
  if (!curve.is_null()) reject(numbers + " with curve", forms);
  return PrefillThroughput{read_number(model, "", "bf16_tflops"),
                           read_number(model, "", "fp8_tflops"),
                           read_number(model, "", "quantize_ns")};
}

}  // namespace

AttentionConfigArgument parse_attention_config(const std::string& json) {
  std::istringstream input(json);
  const Json object = parse_object(input);
  AttentionConfigArgument result;
  for (const auto& [key, value] : object.items()) {
    if (key == flag_key) {
      if (!value.is_boolean()) reject(key.c_str(), value, "true, false");
      result.use_prefill_query_quantization = value.get<bool>();
    } else if (key == backend_key) {
      if (value.is_null()) continue;
      if (!value.is_string() || value == "") {
        reject(key.c_str(), value, "the name of a prefill backend, null");
      }
      result.mla_prefill_backend = value.get<std::string>();
    } else {
      check_spelling(key);
      result.other_keys.push_back(show(key));
    }
  }
  return result;
}

std::string hf_config_path(const std::string& file_or_directory) {
  const std::filesystem::path path = file_or_directory;
  std::error_code none;  // what cannot be looked at is not a directory, and cannot be read either
  return std::filesystem::is_directory(path, none) ? (path / "config.json").string()
                                                   : file_or_directory;
}

ModelConfig read_hf_config(const std::string& path) {
  const Json model = read_object(path);
  // Of a multimodal model, the part that has the attention.
  const Json& nested = object_or_null(model, "text_config");
  const Json& text_model = nested.is_null() ? model : nested;

  if (!positive_integer(text_model, "kv_lora_rank")) {
    reject("kv_lora_rank: none", "a model with Multi-head Latent Attention");
  }
  ModelConfig result;
  const auto read = [&](const char* name, int& number) {
    number = positive_integer(text_model, name).value_or(number);
  };
  read("kv_lora_rank", result.kv_lora_rank);
  read("num_attention_heads", result.num_attention_heads);
  read_dimensions(text_model, "", result.dimensions);
  read_dtype(model, text_model, result);
  const Json& own = object_or_null(model, "quantization_config");
  result.kv_cache_quant_algo = read_kv_cache_quant_algo(
      own.is_null() ? object_or_null(text_model, "quantization_config") : own);
  return result;
}

PrefillCostModel read_cost_model(const std::string& path) {
  const Json model = read_object(path);
  check_keys(model, "",
             {"bf16_tflops", "fp8_tflops", "quantize_ns", "curve", "dimensions", "source"});
  PrefillCostModel result{read_costs(model)};
  const Json& dimensions = object_or_null(model, "dimensions");
  check_keys(dimensions, "dimensions.", {"qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim"});
  read_dimensions(dimensions, "dimensions.", result.dimensions);
  result.source = string_member(model, "source");
  if (result.source.empty()) result.source = path;
  make_prefill_speedup_predictor(result);  // checks it
  return result;
}

}  // namespace mla_dtype::tool

// SPDX-License-Identifier: Apache-2.0
#include "tool_inputs.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <ios>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <stdexcept>
#include <utility>

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

[[noreturn]] void reject(const std::string& what, const char* accepted) {
  throw std::invalid_argument(fmt::format("{} is not accepted; accepted: {}", what, accepted));
}

[[noreturn]] void reject(const char* field, const Json& value, const char* accepted) {
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

std::optional<int> positive_integer(const Json& object, const char* name) {
  constexpr int max = std::numeric_limits<int>::max();
  const Json& value = member(object, name);
  if (value.is_null()) return std::nullopt;
  const bool accepted = value.is_number_unsigned() && value.get<std::uint64_t>() >= 1 &&
                        value.get<std::uint64_t>() <= std::uint64_t{max};
  if (!accepted) reject(name, value, fmt::format("a whole number from 1 to {}", max).c_str());
  return value.get<int>();
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

}  // namespace

AttentionConfigArgument parse_attention_config(const std::string& json) {
  std::istringstream input(json);
  const Json object = parse_object(input);
  AttentionConfigArgument result;
  for (const auto& [key, value] : object.items()) {
    if (key == "use_prefill_query_quantization") {
      if (!value.is_boolean()) reject(key.c_str(), value, "true, false");
      result.use_prefill_query_quantization = value.get<bool>();
    } else if (key == "mla_prefill_backend") {
      if (value.is_null()) continue;
      if (!value.is_string()) reject(key.c_str(), value, "a string, null");
      std::string name = value;
      std::transform(name.begin(), name.end(), name.begin(), [](char c) {
        return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
      });
      result.mla_prefill_backend = std::move(name);
    } else {
      result.other_keys.push_back(show(key));
    }
  }
  return result;
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
  MlaDimensions& dimensions = result.dimensions;
  const auto read = [&](const char* name, int& dimension) {
    dimension = positive_integer(text_model, name).value_or(dimension);
  };
  read("qk_nope_head_dim", dimensions.qk_nope_head_dim);
  read("qk_rope_head_dim", dimensions.qk_rope_head_dim);
  read("v_head_dim", dimensions.v_head_dim);
  read_dtype(model, text_model, result);
  const Json& own = object_or_null(model, "quantization_config");
  result.kv_cache_quant_algo = read_kv_cache_quant_algo(
      own.is_null() ? object_or_null(text_model, "quantization_config") : own);
  return result;
}

}  // namespace mla_dtype::tool

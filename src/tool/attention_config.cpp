// SPDX-License-Identifier: Apache-2.0
#include "attention_config.h"

#include <fmt/format.h>
#include <mla_dtype/nearest_name.h>

#include <sstream>

#include "json_input.h"

namespace mla_dtype::tool {
namespace {

constexpr const char* flag_key = "use_prefill_query_quantization";
constexpr const char* backend_key = "mla_prefill_backend";

// vLLM's option has many keys, and most do not matter here. One that was meant to matter does.
void check_spelling(const std::string& key) {
  constexpr std::size_t max_errors = 3;
  const std::string_view meant = nearest_name(key, {flag_key, backend_key}, max_errors);
  if (meant.empty()) return;
  const std::string_view other = meant == flag_key ? backend_key : flag_key;
  reject(described(key), fmt::format("{} (nearest), {}", meant, other));
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
    } else if (key == backend_key || key == "backend") {
      if (value.is_null()) continue;
      const bool is_prefill = key == backend_key;
      if (!value.is_string() || value == "") {
        reject(key.c_str(), value,
               is_prefill ? "the name of a prefill backend, null" : "the name of a backend, null");
      }
      (is_prefill ? result.mla_prefill_backend : result.backend) = value.get<std::string>();
    } else {
      check_spelling(key);
      result.other_keys.push_back(described(key));
    }
  }
  return result;
}

}  // namespace mla_dtype::tool

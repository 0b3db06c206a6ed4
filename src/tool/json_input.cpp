// SPDX-License-Identifier: Apache-2.0
#include "json_input.h"

#include <fmt/format.h>

#include <fstream>
#include <ios>
#include <limits>
#include <set>
#include <stdexcept>

namespace mla_dtype::tool {
namespace {

// Enough to find the place; values come from files of any size.
std::string shortened(const std::string& text) {
  constexpr std::size_t max_bytes = 160;
  return text.size() <= max_bytes ? text : text.substr(0, max_bytes) + "...";
}

}  // namespace

std::string described(const Json& value) {
  if (value.is_structured()) return fmt::format("an {}", value.type_name());
  return shortened(
      value.dump(/*indent=*/-1, ' ', /*ensure_ascii=*/true, Json::error_handler_t::replace));
}

void reject(const std::string& what, std::string_view accepted) {
  throw std::invalid_argument(fmt::format("{} is not accepted; accepted: {}", what, accepted));
}

void reject(const std::string& field, const Json& value, std::string_view accepted) {
  reject(fmt::format("{}: {}", field, described(value)), accepted);
}

Json parse_object(std::istream& input) {
  std::vector<std::set<std::string>> keys;  // of each object that is open
  const auto check_keys = [&](int, Json::parse_event_t event, const Json& parsed) {
    if (event == Json::parse_event_t::object_start) keys.emplace_back();
    if (event == Json::parse_event_t::object_end) keys.pop_back();
    if (event == Json::parse_event_t::key && !keys.back().insert(parsed).second) {
      reject(described(parsed) + " twice", "each key once");
    }
    return true;
  };
  try {
    Json json = Json::parse(input, check_keys);
    if (!json.is_object()) reject(described(json), "a JSON object");
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

std::string string_member(const Json& object, const char* name) {
  const Json& value = member(object, name);
  if (value.is_null()) return {};
  if (!value.is_string()) reject(name, value, "a string");
  return value;
}

std::int64_t to_positive_integer(const std::string& field, const Json& value) {
  constexpr int max = std::numeric_limits<int>::max();
  const bool accepted = value.is_number_unsigned() && value.get<std::uint64_t>() >= 1 &&
                        value.get<std::uint64_t>() <= std::uint64_t{max};
  if (!accepted) reject(field, value, fmt::format("a whole number from 1 to {}", max));
  return value.get<std::int64_t>();
}

std::optional<std::int64_t> positive_integer(const Json& object, const char* name,
                                             const std::string& where) {
  const Json& value = member(object, name);
  if (value.is_null()) return std::nullopt;
  return to_positive_integer(where + name, value);
}

void read_dimensions(const Json& object, const std::string& where, MlaDimensions& dimensions) {
  const auto read = [&](const char* name, std::int64_t& number) {
    number = positive_integer(object, name, where).value_or(number);
  };
  read("qk_nope_head_dim", dimensions.qk_nope_head_dim);
  read("qk_rope_head_dim", dimensions.qk_rope_head_dim);
  read("v_head_dim", dimensions.v_head_dim);
}

}  // namespace mla_dtype::tool

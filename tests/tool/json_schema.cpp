// SPDX-License-Identifier: Apache-2.0
#include "tool/json_schema.h"

#include <algorithm>
#include <fstream>
#include <regex>

namespace mla_dtype::tool {
namespace {

using Json = nlohmann::ordered_json;

const Json& schema() {
  static const Json json = Json::parse(std::ifstream(MLA_DTYPE_SCHEMA));
  return json;
}

bool is_of_type(const Json& value, const std::string& type) {
  if (type == "integer") return value.is_number_integer();
  return type == "number" ? value.is_number() : type == value.type_name();
}

std::string errors(const Json& value, const Json& rule, const std::string& at);

std::string object_errors(const Json& value, const Json& rule, const std::string& at) {
  std::string result;
  const Json properties = rule.value("properties", Json::object());
  for (const Json& name : rule.value("required", Json::array())) {
    if (!value.contains(name.get<std::string>())) result += at + ": no " + name.dump() + '\n';
  }
  for (const auto& [name, member] : value.items()) {
    if (properties.contains(name)) {
      result += errors(member, properties.at(name), at + '/' + name);
    } else if (rule.value("additionalProperties", true) == false) {
      result += at + ": unknown \"" + name + "\"\n";
    }
  }
  return result;
}

bool is_of_a_type(const Json& value, const Json& types) {
  if (types.is_string()) return is_of_type(value, types);
  for (const Json& type : types) {
    if (is_of_type(value, type)) return true;
  }
  return false;
}

std::string any_of_errors(const Json& value, const Json& rules, const std::string& at) {
  std::string result;
  for (const Json& rule : rules) {
    const std::string wrong = errors(value, rule, at);
    if (wrong.empty()) return {};
    result += wrong;
  }
  return result;
}

std::string keyword_errors(const Json& value, const std::string& keyword, const Json& operand,
                           const Json& rule, const std::string& at) {
  const auto wrong_unless = [&](bool right) {
    return right ? "" : at + ": " + keyword + ' ' + operand.dump().substr(0, 200) + '\n';
  };
  if (keyword == "$ref") {
    const std::string name = operand.get<std::string>().substr(std::string("#/$defs/").size());
    return errors(value, schema().at("$defs").at(name), at);
  }
  if (keyword == "anyOf") return any_of_errors(value, operand, at);
  if (keyword == "type") return wrong_unless(is_of_a_type(value, operand));
  if (keyword == "const") return wrong_unless(value == operand);
  if (keyword == "enum") {
    return wrong_unless(std::find(operand.begin(), operand.end(), value) != operand.end());
  }
  if (keyword == "minimum") return wrong_unless(!value.is_number() || value >= operand);
  if (keyword == "pattern") {
    const std::regex pattern(operand.get<std::string>());
    return wrong_unless(!value.is_string() || std::regex_search(value.get<std::string>(), pattern));
  }
  if (keyword == "properties") return value.is_object() ? object_errors(value, rule, at) : "";
  if (keyword == "items") {
    std::string result;
    for (const Json& item : value.is_array() ? value : Json::array()) {
      result += errors(item, operand, at + "/[]");
    }
    return result;
  }
  const bool is_known = keyword == "required" || keyword == "additionalProperties" ||
                        keyword == "title" || keyword == "description" || keyword == "$schema" ||
                        keyword == "$defs";
  return is_known ? "" : at + ": the schema has " + keyword + ", which is not checked\n";
}

std::string errors(const Json& value, const Json& rule, const std::string& at) {
  std::string result;
  for (const auto& [keyword, operand] : rule.items()) {
    result += keyword_errors(value, keyword, operand, rule, at);
  }
  return result;
}

}  // namespace

std::string schema_errors(const Json& value) { return errors(value, schema(), ""); }

}  // namespace mla_dtype::tool

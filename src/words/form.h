// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace mla_dtype::detail {

// Texts with values in them. Of no library: which one an engine has is its own to say.

std::string to_text(double number);
inline std::string to_text(std::string_view text) { return std::string(text); }
template <class Number, std::enable_if_t<std::is_integral_v<Number>, int> = 0>
std::string to_text(Number number) {
  if constexpr (std::is_same_v<Number, bool>) return number ? "true" : "false";
  return std::to_string(number);
}

std::string decimals(double number, int digits);
std::string hex_byte(unsigned value);

template <class Item>
std::string join(const std::vector<Item>& items, std::string_view separator) {
  std::string text;
  for (const Item& item : items) {
    if (&item != &items.front()) text += separator;
    text += to_text(item);
  }
  return text;
}

/// The form with `value_of(name)` for each `{name}`.
template <class ValueOf>
std::string fill_in(std::string_view form, ValueOf value_of) {
  std::string text;
  for (auto open = form.find('{'); open != form.npos; open = form.find('{')) {
    const auto close = form.find('}', open);
    if (close == form.npos) break;
    text.append(form.substr(0, open)).append(value_of(form.substr(open + 1, close - open - 1)));
    form.remove_prefix(close + 1);
  }
  return text.append(form);
}

/// The form with a value for each `{}`, in order.
std::string fill(std::string_view form, std::initializer_list<std::string> values);
template <class... Values>
std::string filled(std::string_view form, const Values&... values) {
  return fill(form, {to_text(values)...});
}

}  // namespace mla_dtype::detail

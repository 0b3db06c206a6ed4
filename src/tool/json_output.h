// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mla_dtype/prefill_backend.h>

#include <nlohmann/json.hpp>

// What the JSON that the tool shows is made of.

namespace mla_dtype::tool {

using OrderedJson = nlohmann::ordered_json;

constexpr int schema = 2;  ///< of all JSON objects; counts up where a reader may break

OrderedJson to_json(const std::vector<Blocker>& blockers);
OrderedJson to_json(const MlaDimensions& dimensions);

/// Null where the text is empty.
OrderedJson or_null(const std::string& text);

template <class Number>
OrderedJson or_null(const std::optional<Number>& number) {
  return number ? OrderedJson(*number) : OrderedJson();
}

/// As it is shown, ending in a newline.
std::string to_document(const OrderedJson& json);

}  // namespace mla_dtype::tool

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/format.h>

#include <stdexcept>
#include <string>

namespace mla_dtype::tool {

/// Calls `make`, and puts where it comes from before what it finds wrong.
template <class Make>
decltype(auto) from(const std::string& source, Make make) {
  try {
    return make();
  } catch (const std::invalid_argument& error) {
    throw std::invalid_argument(fmt::format("{}: {}", source, error.what()));
  }
}

}  // namespace mla_dtype::tool

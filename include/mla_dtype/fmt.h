// SPDX-License-Identifier: Apache-2.0
#pragma once

// Prints the library's enumerations with fmt, and so with spdlog, by their names; string format
// specs hold: fmt::format("{:>10}", mla_dtype::DataType::int8). Apart from the other headers
// because of what <fmt/format.h> costs to include.

#include <fmt/format.h>
#include <mla_dtype/data_type.h>
#include <mla_dtype/platform.h>
#include <mla_dtype/prefill_query.h>

#include <string_view>

template <>
struct fmt::formatter<mla_dtype::DataType> : fmt::formatter<std::string_view> {
  template <class FormatContext>
  auto format(mla_dtype::DataType type, FormatContext& context) const {
    return fmt::formatter<std::string_view>::format(mla_dtype::to_string(type), context);
  }
};

template <>
struct fmt::formatter<mla_dtype::PrefillQueryOutcome> : fmt::formatter<std::string_view> {
  template <class FormatContext>
  auto format(mla_dtype::PrefillQueryOutcome outcome, FormatContext& context) const {
    return fmt::formatter<std::string_view>::format(mla_dtype::to_string(outcome), context);
  }
};

template <>
struct fmt::formatter<mla_dtype::Platform> : fmt::formatter<std::string_view> {
  template <class FormatContext>
  auto format(const mla_dtype::Platform& platform, FormatContext& context) const {
    return fmt::formatter<std::string_view>::format(mla_dtype::to_string(platform), context);
  }
};

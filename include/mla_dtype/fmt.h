// SPDX-License-Identifier: Apache-2.0
#pragma once

// Prints the library's enumerations and values with fmt, and so with spdlog, as to_string() does;
// string format specs hold: fmt::format("{:>10}", mla_dtype::DataType::int8). Apart from the other
// headers because of what <fmt/format.h> costs to include.

#include <fmt/format.h>
#include <mla_dtype/attention_plan.h>
#include <mla_dtype/data_type.h>
#include <mla_dtype/kv_cache.h>
#include <mla_dtype/platform.h>
#include <mla_dtype/prefill_backend.h>
#include <mla_dtype/prefill_query.h>

#include <string_view>

namespace mla_dtype::detail {

/// Prints what to_string() gives.
template <class T>
struct ToStringFormatter : fmt::formatter<std::string_view> {
  template <class FormatContext>
  auto format(const T& value, FormatContext& context) const {
    return fmt::formatter<std::string_view>::format(to_string(value), context);
  }
};

}  // namespace mla_dtype::detail

template <>
struct fmt::formatter<mla_dtype::DataType>
    : mla_dtype::detail::ToStringFormatter<mla_dtype::DataType> {};

template <>
struct fmt::formatter<mla_dtype::KvCacheScales>
    : mla_dtype::detail::ToStringFormatter<mla_dtype::KvCacheScales> {};

template <>
struct fmt::formatter<mla_dtype::Platform>
    : mla_dtype::detail::ToStringFormatter<mla_dtype::Platform> {};

template <>
struct fmt::formatter<mla_dtype::BlockerKind>
    : mla_dtype::detail::ToStringFormatter<mla_dtype::BlockerKind> {};

template <>
struct fmt::formatter<mla_dtype::PrefillQueryOutcome>
    : mla_dtype::detail::ToStringFormatter<mla_dtype::PrefillQueryOutcome> {};

/// Several lines.
template <>
struct fmt::formatter<mla_dtype::PrefillQueryExplanation>
    : mla_dtype::detail::ToStringFormatter<mla_dtype::PrefillQueryExplanation> {};

template <>
struct fmt::formatter<mla_dtype::CautionKind>
    : mla_dtype::detail::ToStringFormatter<mla_dtype::CautionKind> {};

/// Several lines.
template <>
struct fmt::formatter<mla_dtype::AttentionPlan>
    : mla_dtype::detail::ToStringFormatter<mla_dtype::AttentionPlan> {};

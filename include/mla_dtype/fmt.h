// SPDX-License-Identifier: Apache-2.0
#pragma once

// Prints values with fmt, and so with spdlog, as to_string() does (explanations and plans in
// several lines); format specs of strings hold: fmt::format("{:>10}", DataType::int8).

#include <mla_dtype/features.h>

#if defined(SPDLOG_USE_STD_FORMAT)
#error "this spdlog formats with the standard library: mla_dtype/fmt.h is for fmt"
#elif !__has_include(MLA_DTYPE_FMT_HEADER)
#error "mla_dtype/fmt.h needs fmt, which this program does not have"
#endif

#include MLA_DTYPE_FMT_HEADER
#include <mla_dtype/attention_plan.h>

namespace mla_dtype::detail {

template <class T, class... Types>
inline constexpr bool is_one_of = (std::is_same_v<T, Types> || ...);
template <class T>
inline constexpr bool is_printed =
    is_one_of<T, DataType, KvCacheScales, Platform, BlockerKind, PrefillQueryOutcome,
              PrefillQueryExplanation, CautionKind, AttentionPlan>;
}  // namespace mla_dtype::detail

template <class T>
struct fmt::formatter<T, char, std::enable_if_t<mla_dtype::detail::is_printed<T>>>
    : fmt::formatter<std::string_view> {
  template <class FormatContext>
  auto format(const T& value, FormatContext& context) const {
    return fmt::formatter<std::string_view>::format(to_string(value), context);
  }
};

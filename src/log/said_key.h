// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>

namespace mla_dtype::detail {

/// What stands for a (level, text): a 64-bit hash of both, never 0.
std::uint64_t said_key(int level, std::string_view text) noexcept;

}  // namespace mla_dtype::detail

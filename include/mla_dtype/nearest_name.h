// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mla_dtype/export.h>

#include <cstddef>
#include <string_view>
#include <vector>

namespace mla_dtype {

/// The one of `names` that `value` was probably meant to be, a view of it; empty: none is near.
///
///     nearest_name("max_model_length", {"dtype", "max_model_len"})  // "max_model_len"
///
/// Near is the name with the fewest typing errors, at most a third of its length, whatever the case
/// and the separators; else one that begins with the value (`int8` for `int8_per_token_head`), or
/// that the value spells on (`fp8_e4m3fnuz` for `fp8_e4m3`). A value that adds words means another
/// thing: `FLASHMLA_SPARSE` is not near to `FLASHMLA`. With `max_errors` only typing errors make a
/// name near, at most so many and a third of it, and separators count: for options of which most
/// are not known here. Takes no lock; allocates; linear in `names`. A value of over 64 bytes: none.
[[nodiscard]] MLA_DTYPE_EXPORT std::string_view nearest_name(
    std::string_view value, const std::vector<std::string_view>& names,
    std::size_t max_errors = std::string_view::npos);

}  // namespace mla_dtype

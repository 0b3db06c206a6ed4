// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

namespace mla_dtype::detail {

/// The KV-cache dtype that a decision is taken with: what `auto` comes to where the checkpoint says
/// so, else the string as it is, known or not. Does not allocate. An unknown quantization:
/// std::invalid_argument.
std::string_view effective_cache_dtype(std::string_view cache_dtype,
                                       std::string_view checkpoint_kv_cache_quant_algo);

}  // namespace mla_dtype::detail

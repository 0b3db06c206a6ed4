// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace mla_dtype::tool {

/// What the value of `--attention-config` says; nothing where it is silent or says null.
struct AttentionConfigArgument {
  std::optional<bool> use_prefill_query_quantization;
  std::optional<std::string> mla_prefill_backend;  ///< as typed; never empty
  std::optional<std::string> backend;              ///< the same: of decoding
  std::vector<std::string> other_keys;             ///< quoted, in printable ASCII
};

/// Reads a JSON object as vLLM's option of that name takes it. A key that is almost one of the two
/// is a typing error: std::invalid_argument, as for whatever cannot be meant.
AttentionConfigArgument parse_attention_config(const std::string& json);

}  // namespace mla_dtype::tool

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace mla_dtype::tool {

/// Whether models of this type are known to have Multi-head Latent Attention.
bool is_known_model_type(std::string_view text_model_type);

/// Whether they all have sparse attention, so that a file without index_topk lacks it.
bool is_sparse_model_type(std::string_view text_model_type);

/// What an operator of this engine should know of this model; empty: nothing.
std::string note_on_model(std::string_view engine, std::string_view model_type,
                          std::string_view text_model_type, std::string_view kv_cache_dtype);

}  // namespace mla_dtype::tool

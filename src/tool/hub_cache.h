// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace mla_dtype::tool {

/// Whether this may be a model's name on Hugging Face's hub: `ORGANISATION/NAME`.
bool is_hub_name(const std::string& name);

/// The directory of the hub's cache that has the model, as it was downloaded last; empty: none.
std::string find_hub_snapshot(const std::string& name);

}  // namespace mla_dtype::tool

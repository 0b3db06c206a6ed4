// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mla_dtype/engine_profile.h>

namespace mla_dtype::tool {

/// An engine, as `--engine` names it.
struct Engine {
  std::string_view name;
  const EngineProfile& (*profile)();
};

const std::vector<Engine>& engines();

/// The KV-cache dtypes that its operators may type; static.
std::vector<std::string_view> kv_cache_dtypes(const Engine& engine);

/// In any case; std::invalid_argument for another name.
const Engine& find_engine(std::string_view name);

/// What `engine` is to a model with or without sparse attention: SGLang's operators choose the
/// backends of the two by different options.
EngineProfile profile_for(const Engine& engine, bool is_sparse);

/// Whether the text is this name in any case.
bool spells(std::string_view typed, std::string_view name);

/// The name as the table has it, if it has it in some case; else as typed, which the library then
/// refuses as it stands.
template <class Backend>
std::string name_in(const std::vector<Backend>& table, const std::string& typed) {
  for (const Backend& backend : table) {
    if (spells(typed, backend.name)) return backend.name;
  }
  return typed;
}

}  // namespace mla_dtype::tool

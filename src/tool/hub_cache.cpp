// SPDX-License-Identifier: Apache-2.0
#include "hub_cache.h"

#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <system_error>
#include <utility>

namespace mla_dtype::tool {
namespace {

namespace fs = std::filesystem;

fs::path environment(const char* name) {
  const char* const value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): one thread
  return value == nullptr ? "" : value;
}

// huggingface_hub's constants.py.
fs::path hub_cache() {
  for (const auto& [name, below] : {std::pair<const char*, const char*>{"HF_HUB_CACHE", ""},
                                    {"HF_HOME", "hub"},
                                    {"XDG_CACHE_HOME", "huggingface/hub"},
                                    {"HOME", ".cache/huggingface/hub"}}) {
    const fs::path base = environment(name);
    if (!base.empty()) return base / below;
  }
  return {};
}

}  // namespace

bool is_hub_name(const std::string& name) {
  const std::size_t slash = name.find('/');
  return slash != name.npos && slash != 0 && slash + 1 < name.size() && name[0] != '.' &&
         name[0] != '~' && name.find('/', slash + 1) == name.npos;
}

std::string find_hub_snapshot(const std::string& name) {
  std::string directory = "models--" + name;
  directory.replace(directory.find('/'), 1, "--");
  const fs::path model = hub_cache() / directory;
  std::string revision;
  std::ifstream(model / "refs" / "main") >> revision;
  const fs::path snapshot = model / "snapshots" / revision;
  std::error_code none;
  const bool is_here = !revision.empty() && (fs::exists(snapshot / "config.json", none) ||
                                             fs::exists(snapshot / "params.json", none));
  return is_here ? snapshot.string() : "";
}

}  // namespace mla_dtype::tool

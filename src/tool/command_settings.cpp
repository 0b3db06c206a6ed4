// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "command_line.h"

namespace mla_dtype::tool {

void set(CommandLine::Settings& settings, const std::string& name, const std::string& value) {
  for (auto& [known, old] : settings) {
    if (known == name) {
      old = value;
      return;
    }
  }
  settings.emplace_back(name, value);
}

std::string take(CommandLine::Settings& settings, const std::string& name) {
  const auto found = std::find_if(settings.begin(), settings.end(),
                                  [&](const auto& each) { return each.first == name; });
  if (found == settings.end()) return {};
  std::string value = found->second;
  settings.erase(found);
  return value;
}

}  // namespace mla_dtype::tool

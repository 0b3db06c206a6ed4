// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "command_line.h"

namespace mla_dtype::tool {
namespace {

template <class Settings>
auto place_of(Settings& settings, const std::string& name) {
  return std::find_if(settings.begin(), settings.end(),
                      [&](const auto& each) { return each.first == name; });
}

}  // namespace

const std::string* find(const CommandLine::Settings& settings, const std::string& name) {
  const auto found = place_of(settings, name);
  return found == settings.end() ? nullptr : &found->second;
}

void set(CommandLine::Settings& settings, const std::string& name, const std::string& value) {
  const auto found = place_of(settings, name);
  if (found == settings.end()) {
    settings.emplace_back(name, value);
  } else {
    found->second = value;
  }
}

std::string take(CommandLine::Settings& settings, const std::string& name) {
  const auto found = place_of(settings, name);
  if (found == settings.end()) return {};
  std::string value = found->second;
  settings.erase(found);
  return value;
}

}  // namespace mla_dtype::tool

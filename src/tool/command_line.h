// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "engine.h"

namespace mla_dtype::tool {

/// An engine's own command line.
struct CommandLine {
  /// An option with its value, or a word that is neither.
  struct Item {
    std::vector<std::string> words;
    std::string name;     ///< with `-` for `_`, without the dashes before it; empty: no option
    std::string value;    ///< empty: none
    std::string setting;  ///< the option of this tool that it is read for; empty: it is ignored
  };
  using Settings = std::vector<std::pair<std::string, std::string>>;

  const Engine* engine = nullptr;    ///< null: there is no command line
  std::vector<std::string> program;  ///< all words before the items
  std::vector<Item> items;
  Settings settings;               ///< options of this tool, and their values; each once
  std::vector<std::string> notes;  ///< on files that are not read
  std::string file;                ///< that some of the settings may come from; empty: none
};

/// The value of a setting, or null; sets one, in the place of an older one; takes one away, and
/// returns its value, if any.
const std::string* find(const CommandLine::Settings& settings, const std::string& name);
void set(CommandLine::Settings& settings, const std::string& name, const std::string& value);
std::string take(CommandLine::Settings& settings, const std::string& name);

/// Reads `vllm serve ...`, `python3 -m sglang.launch_server ...`, `trtllm-serve ...`, whatever
/// comes before. What does not concern the decision is left. std::invalid_argument for a command of
/// no known engine, and for an option that is almost one of those that are read.
CommandLine read_command_line(const std::vector<std::string>& words);

/// The command with the change that the library spells as options, for a shell; empty where it
/// cannot be made there.
std::string changed(const CommandLine& command, const std::string& spelling);

}  // namespace mla_dtype::tool

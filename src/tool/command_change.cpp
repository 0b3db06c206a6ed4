// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "command_file.h"
#include "command_line.h"
#include "command_options.h"
#include "json_output.h"
#include "shell.h"

namespace mla_dtype::tool {
namespace {

using Item = CommandLine::Item;

void set_value(Item& item, const std::string& value) {
  item.value = value;
  if (item.words.size() == 2) {
    item.words[1] = value;
  } else {
    item.words[0] = item.words[0].substr(0, item.words[0].find('=') + 1) + value;
  }
}

// One object of what the items say, the last whole one or all single keys, and of the change.
std::string merged(const std::vector<Item*>& items, const OrderedJson& change) {
  OrderedJson all = OrderedJson::object();
  for (const Item* const item : items) {
    OrderedJson value = OrderedJson::parse(item->value, nullptr, /*allow_exceptions=*/false);
    if (value.is_discarded()) value = item->value;
    const std::size_t point = item->name.find('.');
    if (point != item->name.npos) {
      all[item->name.substr(point + 1)] = value;
    } else if (value.is_object()) {
      all = value;
    }
  }
  all.update(change);
  return all.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
}

// Sets one option: in its last place, or behind all others.
void set_option(const std::string& engine, std::vector<Item>& items, const std::string& option,
                std::string value) {
  const std::string name = option_key(option);
  const EngineOption* const known = find_option(engine, name);
  std::vector<Item*> given;
  for (Item& item : items) {
    if (known != nullptr && item.setting == known->setting) given.push_back(&item);
  }
  const OrderedJson json = OrderedJson::parse(value, nullptr, /*allow_exceptions=*/false);
  if (json.is_object()) value = merged(given, json);
  if (given.empty()) {
    items.push_back(
        {{option, value}, name, value, known != nullptr ? std::string(known->setting) : ""});
    return;
  }
  Item& last = *given.back();
  if (last.name.find('.') != last.name.npos) last.words = {option, value};
  set_value(last, value);
  const Item* const kept = &last;
  const std::string setting = last.setting;
  std::vector<Item> rest;
  for (const Item& item : items) {
    if (item.setting != setting || &item == kept) rest.push_back(item);
  }
  items = std::move(rest);
}

// Whether the option is set, but not by an item of its own: in the file that they name, or by a
// path of TensorRT-LLM's --set.
bool is_set_elsewhere(const CommandLine& command, const std::string& option) {
  const EngineOption* const known = find_option(command.engine->name, option_key(option));
  if (known == nullptr) return false;
  const std::string setting(known->setting);
  CommandLine by_paths;
  for (const Item& item : command.items) {
    if (item.setting == "set") set_path(by_paths, item.value);
  }
  const bool is_by_item = std::any_of(command.items.begin(), command.items.end(),
                                      [&](const Item& item) { return item.setting == setting; });
  return find(by_paths.settings, setting) != nullptr ||
         (!command.file.empty() && find(command.settings, setting) != nullptr && !is_by_item);
}

}  // namespace

std::string changed(const CommandLine& command, const std::string& spelling) {
  if (command.engine == nullptr || spelling.empty() || spelling[0] != '-') return {};
  std::vector<Item> items = command.items;
  const std::vector<std::string> change = shell_words(spelling);
  for (std::size_t i = 0; i + 1 < change.size(); i += 2) {
    if (is_set_elsewhere(command, change[i])) return {};
    set_option(std::string(command.engine->name), items, change[i], change[i + 1]);
  }
  std::vector<std::string> words = command.program;
  for (const Item& item : items) words.insert(words.end(), item.words.begin(), item.words.end());
  return shell_line(words);
}

}  // namespace mla_dtype::tool

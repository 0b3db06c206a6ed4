// SPDX-License-Identifier: Apache-2.0
#include "command_line.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <stdexcept>

#include "command_options.h"
#include "json_input.h"
#include "message.h"
#include "simple_yaml.h"

namespace mla_dtype::tool {
namespace {

using Item = CommandLine::Item;
using Words = std::vector<std::string>;

std::string base_name(const std::string& path) { return path.substr(path.rfind('/') + 1); }

bool contains(const std::string& text, const char* part) { return text.find(part) != text.npos; }

// How a word begins an engine's options, if it does.
const char* engine_begun_by(const std::string& word, const std::string& next) {
  const std::string base = base_name(word);
  if (base == "trtllm-serve" || word == "tensorrt_llm.commands.serve") return "tensorrt-llm";
  if (word == "sglang.launch_server" || (base == "sglang" && next == "serve")) return "sglang";
  if (word.rfind("vllm.entrypoints", 0) == 0 || contains(word, "vllm/vllm-openai")) return "vllm";
  return base == "vllm" && next == "serve" ? "vllm" : nullptr;
}

// Finds the engine, and returns where its options begin.
std::size_t find_program(const Words& words, CommandLine& command) {
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string next = i + 1 < words.size() ? words[i + 1] : "";
    if (const char* const engine = engine_begun_by(words[i], next)) {
      command.engine = &find_engine(engine);
      return next == "serve" ? i + 2 : i + 1;
    }
  }
  throw std::invalid_argument(
      "--: no engine in the command line; understood: vllm serve ..., python3 -m "
      "sglang.launch_server ..., trtllm-serve ...");
}

std::string option_name(const std::string& word) {
  std::string name =
      word.substr(word.find_first_not_of('-'), word.find('=') - word.find_first_not_of('-'));
  std::replace(name.begin(),
               name.begin() + static_cast<std::ptrdiff_t>(std::min(name.find('.'), name.size())),
               '_', '-');
  return name;
}

bool is_option(const std::string& word) {
  return word.size() > 1 && word[0] == '-' && word.find_first_not_of('-') != word.npos &&
         (word[1] < '0' || word[1] > '9');
}

bool is_boolean(const std::string& word) { return spells(word, "true") || spells(word, "false"); }

// `--attention-config.mla_prefill_backend`: what stands before the point is the option.
const EngineOption* known_option(const Engine& engine, const std::string& name) {
  return find_option(engine.name, name.substr(0, name.find('.')));
}

Item read_option(const Words& words, std::size_t at, const Engine& engine) {
  const std::string& word = words[at];
  const std::size_t equals = word.find('=');
  Item item{{word}, option_name(word), {}, {}};
  const EngineOption* const known = known_option(engine, item.name);
  if (known != nullptr) item.setting = known->setting;
  if (known == nullptr) check_spelling(engine.name, item.name);
  const bool is_switch_here = known != nullptr ? !known->value.empty() : is_switch(item.name);
  const bool has_next = at + 1 < words.size();
  if (equals != word.npos) {
    item.value = word.substr(equals + 1);
  } else if (is_switch_here ? has_next && is_boolean(words[at + 1])
                            : has_next && !is_option(words[at + 1])) {
    item.words.push_back(words[at + 1]);
    item.value = words[at + 1];
  } else if (known != nullptr && !is_switch_here) {
    throw std::invalid_argument(fmt::format("--: {} has no value", in_plain(word)));
  }
  if (known != nullptr && is_switch_here) {
    const bool is_off = spells(item.value, "false");
    if (is_off && known->value == "true") {
      item.value = "false";
    } else if (!is_off) {
      item.value = known->value;
    }
  }
  return item;
}

std::vector<Item> read_items(const Words& words, std::size_t begin, const Engine& engine) {
  std::vector<Item> items;
  bool has_model = false;
  for (std::size_t i = begin; i < words.size(); i += items.back().words.size()) {
    if (is_option(words[i])) {
      items.push_back(read_option(words, i, engine));
      has_model |= items.back().setting == "--model";
    } else {
      items.push_back({{words[i]}, {}, words[i], has_model ? "" : "--model"});
      has_model = true;
    }
  }
  return items;
}

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

// A value behind `--attention-config.KEY`: JSON if it is, else a text.
Json json_or_text(const std::string& value) {
  Json json = Json::parse(value, nullptr, /*allow_exceptions=*/false);
  return json.is_discarded() ? Json(value) : json;
}

// Several of them, and those of single keys, together.
std::string attention_config(const std::vector<const Item*>& items) {
  if (items.size() == 1 && !contains(items[0]->name, ".")) return items[0]->value;
  Json all = Json::object();
  for (const Item* const item : items) {
    const std::size_t point = item->name.find('.');
    const Json value = json_or_text(item->value);
    if (point != item->name.npos) {
      all[item->name.substr(point + 1)] = value;
    } else if (value.is_object()) {
      all.update(value);
    } else {
      return item->value;  // which is then refused
    }
  }
  return all.dump();
}

// With data-parallel attention the ranks of a group share the heads: attn_tp_size
// (python/sglang/srt/layers/dp_attention.py).
void finish_sglang(CommandLine::Settings& settings) {
  const std::string backend = take(settings, "attention-backend");
  const std::string groups = take(settings, "data-parallel-size");
  const bool is_divided = take(settings, "enable-dp-attention") == "true";
  const auto has = [&](const char* name) {
    return std::any_of(settings.begin(), settings.end(),
                       [&](const auto& each) { return each.first == name; });
  };
  if (!backend.empty() && backend != "dsa" && backend != "nsa") {
    for (const char* const phase : {"--prefill-backend", "--decode-backend"}) {
      if (!has(phase)) set(settings, phase, backend);
    }
  }
  if (!is_divided || groups.empty()) return;
  const std::string ranks = take(settings, "--tensor-parallel-size");
  const auto number = [](const std::string& text) {
    int result = 0;
    std::from_chars(text.data(), text.data() + text.size(), result);
    return result;
  };
  const int all = number(ranks), each = number(groups);
  if (all < 1 || each < 1 || all % each != 0) {
    throw std::invalid_argument(fmt::format(
        "--: with --enable-dp-attention --tp {} is divided by --dp {}, which leaves a remainder",
        in_plain(ranks.empty() ? "1" : ranks), in_plain(groups)));
  }
  set(settings, "--tensor-parallel-size", std::to_string(all / each));
}

// What a command line and its file both say: versions differ in which of them counts.
void set_from_file(CommandLine& command, const std::string& name, const std::string& value) {
  for (const auto& [known, given] : command.settings) {
    if (known == name && given != value) {
      throw std::invalid_argument(
          fmt::format("--: {} says {} for {}, and the command line {}: versions differ in which "
                      "counts, so give it once",
                      in_plain(command.file), in_plain(value), name, in_plain(given)));
    }
  }
  set(command.settings, name, value);
}

// Its LlmArgs that matter here. With attention data parallelism each rank has all heads.
void finish_trtllm(CommandLine& command) {
  command.file = take(command.settings, "config");
  if (command.file.empty()) return;
  const auto yaml = read_simple_yaml(command.file);
  const auto unread = [&](const std::string& what, const char* give) {
    command.notes.push_back(fmt::format("{}: {} is not read; if it matters, give {} before --",
                                        command.file, what, give));
  };
  if (!yaml) return unread("the file", "--kv-cache-dtype, --tensor-parallel-size");
  const auto value_of = [&](const char* key) {
    const auto found = yaml->find(key);
    return found == yaml->end() ? std::string() : found->second;
  };
  if (value_of("kv_cache_config") == "?") unread("kv_cache_config", "--kv-cache-dtype");
  for (const auto& [key, setting] :
       {std::pair<const char*, const char*>{"kv_cache_config.dtype", "--kv-cache-dtype"},
        {"tensor_parallel_size", "--tensor-parallel-size"},
        {"max_num_tokens", "--max-num-batched-tokens"},
        {"enable_chunked_prefill", "--enable-chunked-prefill"},
        {"dtype", "--model-dtype"}}) {
    const std::string value = value_of(key);
    if (value == "?") unread(key, setting);
    if (!value.empty() && value != "?") set_from_file(command, setting, value);
  }
  if (value_of("enable_attention_dp") == "true")
    set(command.settings, "--tensor-parallel-size", "1");
}

// Words that this tool takes otherwise.
void translate(CommandLine::Settings& settings) {
  const std::string dtype = take(settings, "--model-dtype");
  if (!dtype.empty() && dtype != "auto") {
    set(settings, "--model-dtype",
        dtype == "half"    ? "float16"
        : dtype == "float" ? "float32"
                           : dtype);
  }
  const std::string chunk = take(settings, "--max-num-batched-tokens");
  if (chunk == "-1") set(settings, "--enable-chunked-prefill", "false");  // SGLang
  if (!chunk.empty() && chunk != "-1") set(settings, "--max-num-batched-tokens", chunk);
}

}  // namespace

CommandLine read_command_line(const Words& words) {
  CommandLine command;
  if (words.empty()) return command;
  const std::size_t begin = find_program(words, command);
  command.program.assign(words.begin(), words.begin() + static_cast<std::ptrdiff_t>(begin));
  command.items = read_items(words, begin, *command.engine);
  std::vector<const Item*> attention;
  for (const Item& item : command.items) {
    if (item.setting == "--attention-config") {
      attention.push_back(&item);
    } else if (!item.setting.empty()) {
      set(command.settings, item.setting, item.value);
    }
  }
  if (!attention.empty()) set(command.settings, "--attention-config", attention_config(attention));
  if (command.engine->name == "sglang") finish_sglang(command.settings);
  if (command.engine->name == "tensorrt-llm") finish_trtllm(command);
  translate(command.settings);
  return command;
}

}  // namespace mla_dtype::tool

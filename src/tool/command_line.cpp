// SPDX-License-Identifier: Apache-2.0
#include "command_line.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <stdexcept>

#include "command_file.h"
#include "command_options.h"
#include "json_input.h"
#include "message.h"
#include "shell.h"

namespace mla_dtype::tool {
namespace {

using Item = CommandLine::Item;
using Words = std::vector<std::string>;

std::string base_name(const std::string& path) { return path.substr(path.rfind('/') + 1); }

bool contains(const std::string& text, const char* part) { return text.find(part) != text.npos; }

// Of several words, as behind `bash -c`.
bool is_command(const std::string& word) { return word.find_first_of(" \t\n") != word.npos; }

// How a word begins an engine's options, if it does.
const char* engine_begun_by(const std::string& word, const std::string& next) {
  if (is_command(word)) return nullptr;
  const std::string base = base_name(word);
  if (base == "trtllm-serve" || word == "tensorrt_llm.commands.serve") return "tensorrt-llm";
  if (word == "sglang.launch_server" || (base == "sglang" && next == "serve")) return "sglang";
  if (word.rfind("vllm.entrypoints", 0) == 0 || contains(word, "vllm/vllm-openai")) return "vllm";
  return base == "vllm" && next == "serve" ? "vllm" : nullptr;
}

// The words from the engine's on, and how many of them are not its options; 0: there is none.
std::size_t length_of_program(const Words& words) {
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string next = i + 1 < words.size() ? words[i + 1] : "";
    if (engine_begun_by(words[i], next) != nullptr) return i + (next == "serve" ? 2 : 1);
  }
  return 0;
}

// A command that is one word of another is taken out of it.
Words unwrapped(const Words& words) {
  if (length_of_program(words) != 0) return words;
  for (const std::string& word : words) {
    if (!is_command(word)) continue;
    Words inner = shell_words(word);
    if (length_of_program(inner) != 0) return inner;
  }
  throw std::invalid_argument(
      "--: no engine in the command line; understood: vllm serve ..., python3 -m "
      "sglang.launch_server ..., trtllm-serve ...");
}

// The engine of a program that was found.
const Engine& engine_of(const Words& program) {
  const std::size_t last = program.size() - 1;
  const char* const engine = engine_begun_by(program[last], "");
  return find_engine(engine != nullptr ? engine
                                       : engine_begun_by(program[last - 1], program[last]));
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

// A switch that is on has the value of the table; one that is turned off, its opposite, if any.
void read_switch(const EngineOption& known, Item& item) {
  if (!spells(item.value, "false")) {
    item.value = known.value;
  } else if (known.value == "true") {
    item.value = "false";
  } else {
    item.setting.clear();
  }
}

Item read_option(const Words& words, std::size_t at, const Engine& engine) {
  const std::string& word = words[at];
  const std::size_t equals = word.find('=');
  Item item{{word}, option_name(word), {}, {}};
  const EngineOption* const known = known_option(engine, item.name);
  if (known == nullptr) check_option_spelling(engine.name, item.name);
  if (known != nullptr) item.setting = known->setting;
  const bool takes_none = known != nullptr ? !known->value.empty() : is_switch(item.name);
  const bool has_next = at + 1 < words.size();
  if (equals != word.npos) {
    item.value = word.substr(equals + 1);
  } else if (has_next && (takes_none ? is_boolean(words[at + 1]) : !is_option(words[at + 1]))) {
    item.words.push_back(words[at + 1]);
    item.value = words[at + 1];
  }
  if (known == nullptr) return item;
  if (takes_none) {
    read_switch(*known, item);
  } else if (item.value.empty()) {
    throw std::invalid_argument(fmt::format("--: {} has no value", in_plain(word)));
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

// A value behind `--attention-config.KEY`: JSON if it is, as Python spells it, too; else a text.
Json json_or_text(const std::string& value) {
  if (is_boolean(value)) return spells(value, "true");
  Json json = Json::parse(value, nullptr, /*allow_exceptions=*/false);
  return json.is_discarded() ? Json(value) : json;
}

// The last one, or those of single keys together (vllm/utils/argparse_utils.py@00da11e37). What
// comes of both is not known.
std::string attention_config(const std::vector<const Item*>& items) {
  const auto is_key = [](const Item* item) { return contains(item->name, "."); };
  if (std::none_of(items.begin(), items.end(), is_key)) return items.back()->value;
  if (!std::all_of(items.begin(), items.end(), is_key)) {
    throw std::invalid_argument(
        "--: --attention-config is given as JSON and by single keys, of which vLLM may forget one: "
        "give it once");
  }
  Json all = Json::object();
  for (const Item* const item : items) {
    all[item->name.substr(item->name.find('.') + 1)] = json_or_text(item->value);
  }
  return all.dump(-1, ' ', false, Json::error_handler_t::replace);  // it may be no UTF-8
}

int positive(const std::string& option, const std::string& text) {
  int result = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), result);
  if (error != std::errc() || end != text.data() + text.size() || result < 1) {
    reject(fmt::format("--: --{}: {}", option, described(Json(text))), "a whole number from 1 on");
  }
  return result;
}

// The heads are divided by attn_tp_size (python/sglang/srt/layers/dp_attention.py,
// compute_dp_attention_world_info).
void divide_ranks_of_sglang(CommandLine::Settings& settings) {
  const std::string groups = take(settings, "data-parallel-size");
  const std::string contexts = take(settings, "attention-context-parallel-size");
  int divisor = contexts.empty() ? 1 : positive("attn-cp-size", contexts);
  if (take(settings, "enable-dp-attention") == "true" && !groups.empty()) {
    divisor *= positive("dp-size", groups);
  }
  if (divisor == 1) return;
  const std::string ranks = take(settings, "--tensor-parallel-size");
  const int all = ranks.empty() ? 1 : positive("tp-size", ranks);
  if (all % divisor != 0) {
    throw std::invalid_argument(
        fmt::format("--: {} ranks (--tp) cannot be divided by {} (--dp with --enable-dp-attention, "
                    "--attn-cp-size)",
                    all, divisor));
  }
  set(settings, "--tensor-parallel-size", std::to_string(all / divisor));
}

void finish_sglang(CommandLine::Settings& settings) {
  const std::string backend = take(settings, "attention-backend");
  if (!backend.empty() && backend != "dsa" && backend != "nsa") {
    for (const char* const phase : {"--prefill-backend", "--decode-backend"}) {
      if (find(settings, phase) == nullptr) set(settings, phase, backend);
    }
  }
  divide_ranks_of_sglang(settings);
}

// What lies elsewhere, and may matter.
void note_what_is_elsewhere(CommandLine& command) {
  for (const std::string& word : command.program) {
    if (word.rfind("VLLM_ATTENTION_BACKEND=", 0) != 0) continue;
    command.notes.emplace_back(
        "VLLM_ATTENTION_BACKEND is not read: older vLLM chose the decode backend by it, newer by "
        "--attention-backend");
  }
  for (const Item& item : command.items) {
    const bool names_draft =
        item.name == "speculative-draft-model-path" || item.name == "speculative-config.model" ||
        (item.name.rfind("speculative-config", 0) == 0 && contains(item.value, "\"model\""));
    if (names_draft) {
      command.notes.emplace_back(
          "the answer is not of the draft model: give its directory by another --model, with the "
          "target's");
    }
  }
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

CommandLine read_command_line(const Words& given) {
  CommandLine command;
  if (given.empty()) return command;
  const Words words = unwrapped(given);
  const std::size_t begin = length_of_program(words);
  command.program.assign(words.begin(), words.begin() + static_cast<std::ptrdiff_t>(begin));
  command.engine = &engine_of(command.program);
  command.items = read_items(words, begin, *command.engine);
  std::vector<const Item*> attention;
  std::vector<std::string> paths;  // of TensorRT-LLM's --set
  for (const Item& item : command.items) {
    if (item.setting == "--attention-config") {
      attention.push_back(&item);
    } else if (item.setting == "set") {
      paths.push_back(item.value);
    } else if (!item.setting.empty()) {
      set(command.settings, item.setting, item.value);
    }
  }
  if (!attention.empty()) set(command.settings, "--attention-config", attention_config(attention));
  read_command_file(command);
  for (const std::string& path : paths) set_path(command, path);
  if (command.engine->name == "sglang") finish_sglang(command.settings);
  translate(command.settings);
  note_what_is_elsewhere(command);
  return command;
}

}  // namespace mla_dtype::tool

// SPDX-License-Identifier: Apache-2.0
#include "command_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

#include "command_options.h"
#include "message.h"
#include "simple_yaml.h"

namespace mla_dtype::tool {
namespace {

// TensorRT-LLM's LlmArgs. An older version has kv_cache_dtype at the top.
std::string setting_of_path(const std::string& path) {
  for (const auto& [known, setting] :
       {std::pair<const char*, const char*>{"kv_cache_config.dtype", "--kv-cache-dtype"},
        {"kv_cache_dtype", "--kv-cache-dtype"},
        {"tensor_parallel_size", "--tensor-parallel-size"},
        {"max_num_tokens", "--max-num-batched-tokens"},
        {"enable_chunked_prefill", "--enable-chunked-prefill"},
        {"attn_backend", "--decode-backend"},
        {"attention_backend", "--decode-backend"},
        {"enable_attention_dp", "enable_attention_dp"},
        {"dtype", "--model-dtype"}}) {
    if (path == known) return setting;
  }
  return {};
}

std::string setting_of(const CommandLine& command, const std::string& key) {
  if (command.engine->name == "tensorrt-llm") return setting_of_path(key);
  const EngineOption* const known = find_option(command.engine->name, option_key(key));
  return known == nullptr ? "" : std::string(known->setting);
}

// vLLM's and SGLang's command lines outrank their files. Of TensorRT-LLM's, serve.py@00209af1 lets
// the file count, trtllm-serve.rst@0434755f the command line.
void set_from_file(CommandLine& command, const std::string& setting, const std::string& value) {
  const std::string* const other = find(command.settings, setting);
  if (other == nullptr) return set(command.settings, setting, value);
  if (command.engine->name != "tensorrt-llm" || *other == value) return;
  throw std::invalid_argument(
      fmt::format("--: {} is {} in {}, and {} in the command line, and versions of TensorRT-LLM "
                  "differ in which counts: give it once",
                  setting, in_plain(value), in_plain(command.file), in_plain(*other)));
}

void note_unread(CommandLine& command, const std::string& what) {
  command.notes.push_back(fmt::format(
      "{}: {} is not read; if it sets the KV-cache dtype, the ranks or the backends, give these "
      "before --",
      command.file, what));
}

// With attention data parallelism each rank has all heads.
void finish_trtllm(CommandLine& command) {
  const std::string value = take(command.settings, "enable_attention_dp");
  if (spells(value, "true")) set(command.settings, "--tensor-parallel-size", "1");
}

}  // namespace

void read_command_file(CommandLine& command) {
  command.file = take(command.settings, "config");
  if (command.file.empty()) return;
  const auto yaml = read_simple_yaml(command.file);
  if (!yaml) return note_unread(command, "the file");
  for (const auto& [key, value] : *yaml) {
    const std::string setting = setting_of(command, key);
    if (value == "?" && (!setting.empty() || key == "kv_cache_config")) {
      note_unread(command, key);
    } else if (!setting.empty()) {
      set_from_file(command, setting, value);
    }
  }
  finish_trtllm(command);
}

void set_path(CommandLine& command, const std::string& path_and_value) {
  const std::size_t equals = path_and_value.find('=');
  const std::string setting = setting_of_path(path_and_value.substr(0, equals));
  if (setting.empty() || equals == path_and_value.npos) return;
  set(command.settings, setting, path_and_value.substr(equals + 1));
  finish_trtllm(command);
}

}  // namespace mla_dtype::tool

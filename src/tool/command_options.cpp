// SPDX-License-Identifier: Apache-2.0
#include "command_options.h"

#include <fmt/format.h>
#include <mla_dtype/nearest_name.h>

#include <algorithm>
#include <array>
#include <stdexcept>

namespace mla_dtype::tool {
namespace {

// vllm/engine/arg_utils.py.
const std::vector<EngineOption>& vllm_options() {
  static const std::vector<EngineOption> options = {
      {"model", "--model"},
      {"kv-cache-dtype", "--kv-cache-dtype"},
      {"tensor-parallel-size", "--tensor-parallel-size"},
      {"tp", "--tensor-parallel-size"},
      {"decode-context-parallel-size", "--decode-context-parallel-size"},
      {"dcp", "--decode-context-parallel-size"},
      {"attention-config", "--attention-config"},
      {"ac", "--attention-config"},
      {"attention-backend", "--decode-backend"},
      {"dtype", "--model-dtype"},
      {"max-num-batched-tokens", "--max-num-batched-tokens"},
      {"enable-chunked-prefill", "--enable-chunked-prefill", "true"},
      {"no-enable-chunked-prefill", "--enable-chunked-prefill", "false"},
      {"calculate-kv-scales", "--kv-scales", "dynamic"},
      {"config", "config"},
  };
  return options;
}

// python/sglang/srt/server_args.py. `nsa` is the former name of `dsa`.
const std::vector<EngineOption>& sglang_options() {
  static const std::vector<EngineOption> options = {
      {"model-path", "--model"},
      {"model", "--model"},
      {"kv-cache-dtype", "--kv-cache-dtype"},
      {"tensor-parallel-size", "--tensor-parallel-size"},
      {"tp-size", "--tensor-parallel-size"},
      {"tp", "--tensor-parallel-size"},
      {"data-parallel-size", "data-parallel-size"},
      {"dp-size", "data-parallel-size"},
      {"dp", "data-parallel-size"},
      {"enable-dp-attention", "enable-dp-attention", "true"},
      {"attention-context-parallel-size", "attention-context-parallel-size"},
      {"attn-cp-size", "attention-context-parallel-size"},
      {"attention-backend", "attention-backend"},
      {"prefill-attention-backend", "--prefill-backend"},
      {"decode-attention-backend", "--decode-backend"},
      {"dsa-prefill-backend", "--prefill-backend"},
      {"dsa-decode-backend", "--decode-backend"},
      {"nsa-prefill-backend", "--prefill-backend"},
      {"nsa-decode-backend", "--decode-backend"},
      {"dtype", "--model-dtype"},
      {"chunked-prefill-size", "--max-num-batched-tokens"},
      {"config", "config"},
  };
  return options;
}

// tensorrt_llm/commands/serve.py.
const std::vector<EngineOption>& trtllm_options() {
  static const std::vector<EngineOption> options = {
      {"model", "--model"},
      {"kv-cache-dtype", "--kv-cache-dtype"},
      {"tp-size", "--tensor-parallel-size"},
      {"tensor-parallel-size", "--tensor-parallel-size"},
      {"max-num-tokens", "--max-num-batched-tokens"},
      {"enable-chunked-prefill", "--enable-chunked-prefill", "true"},
      {"extra-llm-api-options", "config"},
      {"config", "config"},
      {"set", "set"},
  };
  return options;
}

}  // namespace

const std::vector<EngineOption>& options_of(std::string_view engine) {
  if (engine == "sglang") return sglang_options();
  return engine == "vllm" ? vllm_options() : trtllm_options();
}

std::string option_key(std::string option) {
  option.erase(0, option.find_first_not_of('-'));
  std::replace(option.begin(), option.end(), '_', '-');
  return option;
}

const EngineOption* find_option(std::string_view engine, std::string_view name) {
  for (const EngineOption& option : options_of(engine)) {
    if (option.name == name) return &option;
  }
  return nullptr;
}

bool is_switch(std::string_view name) {
  constexpr std::array<std::string_view, 5> prefixes = {"enable-", "disable-", "no-", "trust-",
                                                        "skip-"};
  constexpr std::array<std::string_view, 6> names = {
      "enforce-eager", "async-scheduling", "headless", "language-model-only", "quiet", "verbose"};
  return std::find(names.begin(), names.end(), name) != names.end() ||
         std::any_of(prefixes.begin(), prefixes.end(), [&](std::string_view prefix) {
           return name.substr(0, prefix.size()) == prefix;
         });
}

// Short names are all near to one another, and a switch may be the opposite of its neighbour. What
// a name begins, argparse takes for it if nothing else begins so.
void check_option_spelling(std::string_view engine, const std::string& name) {
  constexpr std::size_t shortest = 10, max_errors = 2;
  std::vector<std::string_view> names;
  std::string_view meant;
  for (const EngineOption& option : options_of(engine)) {
    if (option.name.size() < shortest || !option.value.empty()) continue;
    names.push_back(option.name);
    const bool is_begun = name.size() >= shortest && option.name.substr(0, name.size()) == name;
    if (is_begun) meant = option.name;
  }
  if (meant.empty()) meant = nearest_name(name, names, max_errors);
  if (meant.empty()) return;
  throw std::invalid_argument(
      fmt::format("--: --{} is not known; if --{} is meant, write it so", name, meant));
}

}  // namespace mla_dtype::tool

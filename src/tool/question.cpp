// SPDX-License-Identifier: Apache-2.0
#include "question.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <mla_dtype/attention_plan.h>
#include <mla_dtype/nearest_name.h>

#include <algorithm>

#include "attention_config.h"
#include "engine.h"
#include "from.h"
#include "json_input.h"
#include "model.h"
#include "prediction.h"

namespace mla_dtype::tool {
namespace {

// A setting for which there is an option, and a key of --attention-config.
template <class Value>
std::optional<Value> agreed(const char* option, const std::optional<Value>& by_option,
                            const std::optional<Value>& by_key) {
  if (by_option && by_key && *by_option != *by_key) {
    throw std::invalid_argument(
        fmt::format("{} says {}, and --attention-config {}", option, *by_option, *by_key));
  }
  return by_option ? by_option : by_key;
}

// Of an engine that was read in part, another name may well be one of its backends.
template <class Backend>
void check_that_it_is_known(const std::string& name, const std::vector<Backend>& rows,
                            const Question& question) {
  if (question.engine_name == "vllm") return;
  std::vector<std::string> names;
  for (const Backend& row : rows) {
    if (row.sparse != (question.config.index_topk != 0)) continue;
    if (row.name == name) return;
    if (std::find(names.begin(), names.end(), row.name) == names.end()) names.push_back(row.name);
  }
  throw std::invalid_argument(fmt::format("of {}'s {} nothing is known here; known are: {}",
                                          question.engine.name, described(Json(name)),
                                          fmt::join(names, ", ")));
}

// The choice, as the engine's row spells it.
std::string read_prefill_backend(const char* source, const std::string& typed,
                                 const Question& question) {
  const auto& rows = question.engine.prefill_backends;
  EngineConfig config;
  std::string name = name_in(rows, typed);
  config.attention_config.mla_prefill_backend = name;
  from(source, [&] {
    if (name.empty()) reject("\"\"", "the name of a prefill backend");
    check_that_it_is_known(name, rows, question);
    static_cast<void>(select_prefill_backend(config, DataType::bfloat16, question.platform, rows));
  });
  return name;
}

std::string read_decode_backend(const char* source, const std::string& typed,
                                const Question& question) {
  const auto& rows = question.engine.decode_backends;
  std::string name = name_in(rows, typed);
  from(source, [&] {
    if (name.empty()) reject("\"\"", "the name of a decode backend");
    check_that_it_is_known(name, rows, question);
    static_cast<void>(make_decode_environment(question.platform, question.engine, nullptr, name));
  });
  return name;
}

PrefillQueryMode read_prefill_query_mode(const std::string& name) {
  if (name == "required") return PrefillQueryMode::required;
  return name == "automatic" ? PrefillQueryMode::automatic : PrefillQueryMode::by_flag;
}

// The two ways to set the same.
struct Choices {
  std::optional<bool> flag;
  std::optional<std::string> prefill_backend, decode_backend;
};

Choices by_options(const CLI::App& app, const Arguments& arguments, const Question& question) {
  Choices choices;
  if (app.count("--use-prefill-query-quantization") != 0) {
    choices.flag = arguments.use_prefill_query_quantization;
  }
  const auto read = [&](const char* option, const std::string& typed, auto read_name) {
    std::optional<std::string> name;
    if (app.count(option) == 0) return name;
    name = spells(typed, "auto") ? "auto" : read_name(option, typed, question);
    return name;
  };
  choices.prefill_backend =
      read("--prefill-backend", arguments.prefill_backend, read_prefill_backend);
  choices.decode_backend = read("--decode-backend", arguments.decode_backend, read_decode_backend);
  return choices;
}

Choices by_attention_config(const Arguments& arguments, Question& question) {
  constexpr const char* option = "--attention-config";
  const AttentionConfigArgument keys =
      from(option, [&] { return parse_attention_config(arguments.attention_config); });
  Choices choices;
  choices.flag = keys.use_prefill_query_quantization;
  if (keys.mla_prefill_backend) {
    choices.prefill_backend = read_prefill_backend(option, *keys.mla_prefill_backend, question);
  }
  if (keys.backend && !spells(*keys.backend, "auto")) {
    choices.decode_backend =
        read_decode_backend("--attention-config: backend", *keys.backend, question);
  }
  for (const std::string& key : keys.other_keys) {
    question.notes.push_back(fmt::format("{}: {} is not looked at", option, key));
  }
  return choices;
}

void read_attention(const CLI::App& app, const Arguments& arguments, Question& question) {
  Choices choices = by_options(app, arguments, question);
  if (app.count("--attention-config") != 0) {
    const Choices keys = by_attention_config(arguments, question);
    choices.flag = agreed("--use-prefill-query-quantization", choices.flag, keys.flag);
    choices.prefill_backend =
        agreed("--prefill-backend", choices.prefill_backend, keys.prefill_backend);
    choices.decode_backend =
        agreed("--decode-backend", choices.decode_backend, keys.decode_backend);
  }
  if (choices.flag.value_or(false) && question.engine.spellings.request_fp8.empty()) {
    throw std::invalid_argument(
        fmt::format("--use-prefill-query-quantization: {} has no such flag; FP8 prefill goes by "
                    "the KV cache: --kv-cache-dtype",
                    question.engine.name));
  }
  AttentionConfig& attention = question.config.attention_config;
  attention.use_prefill_query_quantization = choices.flag.value_or(false);
  if (choices.prefill_backend.value_or("auto") != "auto") {
    attention.mla_prefill_backend = *choices.prefill_backend;
  }
  if (choices.decode_backend.value_or("auto") != "auto") {
    question.decode_backend = *choices.decode_backend;
  }
  attention.prefill_query_mode = read_prefill_query_mode(arguments.prefill_query_mode);
  attention.expected_isl = arguments.expected_isl;
}

KvScales read_kv_scales(const std::string& name) {
  if (name == "calibrated") return KvScales::calibrated;
  if (name == "unit") return KvScales::unit;
  return name == "dynamic" ? KvScales::dynamic : KvScales::unknown;
}

void read_plan(const Arguments& arguments, EngineConfig& config) {
  config.cache_config.kv_scales = read_kv_scales(arguments.kv_scales);
  config.parallel_config.decode_context_parallel_size = arguments.decode_context_parallel_size;
  config.scheduler_config.enable_chunked_prefill = arguments.enable_chunked_prefill;
  config.scheduler_config.max_num_batched_tokens = arguments.max_num_batched_tokens;
}

void read_device(const CLI::App& app, const Arguments& arguments, Question& question) {
  const bool is_given = app.count("--device") != 0;
  if (!is_given && !arguments.curve) {
    question.notes.emplace_back(
        "no --device was given: the answer is for none; nvidia-smi "
        "--query-gpu=name,compute_cap --format=csv says which it is");
  }
  const Device device = from("--device", [&] {
    return arguments.device == "none" ? Device{} : parse_device(arguments.device);
  });
  question.platform = device.platform;
  question.device_name = device.name;
}

void read_kv_cache_dtype(const Engine& engine, const std::string& typed, Question& question) {
  from("--kv-cache-dtype", [&] {
    if (engine.name == "vllm") return static_cast<void>(is_quantized_kv_cache(typed));
    std::vector<std::string_view> names = kv_cache_dtypes(engine);
    if (std::find(names.begin(), names.end(), typed) != names.end()) return;
    const std::string_view nearest = nearest_name(typed, names);
    std::stable_partition(names.begin(), names.end(), [&](auto name) { return name == nearest; });
    std::vector<std::string> accepted(names.begin(), names.end());
    if (!nearest.empty()) accepted.front() += " (nearest)";
    reject(described(Json(typed)), fmt::format("{}", fmt::join(accepted, ", ")));
  });
  question.config.cache_config.cache_dtype = typed;
}

}  // namespace

std::vector<ModelName> named_models(const Arguments& arguments) {
  std::vector<ModelName> names;
  for (const std::string& path : arguments.models) names.push_back({"--model", path});
  if (arguments.hf_config) names.push_back({"--hf-config", *arguments.hf_config});
  if (names.empty()) names.emplace_back();
  return names;
}

Question read_question(const CLI::App& app, const Arguments& arguments, const ModelName& model) {
  const Engine& engine =
      from("--engine", [&]() -> const Engine& { return find_engine(arguments.engine); });
  Question question;
  question.engine_name = engine.name;
  read_device(app, arguments, question);
  read_kv_cache_dtype(engine, arguments.kv_cache_dtype, question);
  read_model(app, arguments, model, question);
  question.engine = profile_for(engine, question.config.index_topk != 0);
  read_attention(app, arguments, question);
  read_plan(arguments, question.config);
  read_prediction(app, arguments, question);
  return question;
}

}  // namespace mla_dtype::tool

// SPDX-License-Identifier: Apache-2.0
#include "question.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <mla_dtype/attention_plan.h>
#include <mla_dtype/decode_backend.h>
#include <mla_dtype/kv_cache.h>
#include <mla_dtype/prefill_backend.h>
#include <mla_dtype/prefill_query.h>

#include <algorithm>
#include <filesystem>
#include <stdexcept>
#include <string_view>

#include "attention_config.h"
#include "cost_model_file.h"
#include "from.h"
#include "message.h"
#include "model_config.h"

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

// The model: as its config.json has it, unless an option says otherwise.
void read_model(const CLI::App& app, const Arguments& arguments, Question& question) {
  question.model_dtype =
      from("--model-dtype", [&] { return parse_model_data_type(arguments.model_dtype); });
  if (app.count("--hf-config") != 0) {
    const std::string path = hf_config_path(arguments.hf_config);
    const std::string source = "--hf-config: " + path;
    const ModelConfig model = from(source, [&] { return read_hf_config(path); });
    if (app.count("--model-dtype") == 0 && !model.dtype.empty()) {
      question.model_dtype = from(source + ": " + model.dtype_field,
                                  [&] { return parse_model_data_type(model.dtype); });
    }
    question.config.mla_dimensions = model.dimensions;
    question.config.kv_lora_rank = model.kv_lora_rank;
    question.config.num_attention_heads = model.num_attention_heads;
    question.config.index_topk = model.index_topk;
    CacheConfig& cache = question.config.cache_config;
    cache.checkpoint_kv_cache_quant_algo = model.kv_cache_quant_algo;
    from(source, [&] {
      return resolve_kv_cache_dtype(cache.cache_dtype, question.model_dtype,
                                    cache.checkpoint_kv_cache_quant_algo);
    });
  }
  const auto take = [&](const char* option, std::int64_t given, std::int64_t& taken) {
    if (app.count(option) != 0) taken = given;
  };
  const MlaDimensions& given = arguments.dimensions;
  MlaDimensions& taken = question.config.mla_dimensions;
  take("--qk-nope-head-dim", given.qk_nope_head_dim, taken.qk_nope_head_dim);
  take("--qk-rope-head-dim", given.qk_rope_head_dim, taken.qk_rope_head_dim);
  take("--v-head-dim", given.v_head_dim, taken.v_head_dim);
  take("--kv-lora-rank", arguments.kv_lora_rank, question.config.kv_lora_rank);
  take("--num-attention-heads", arguments.num_attention_heads, question.config.num_attention_heads);
}

// Whether the text is this name, which is in upper case, in any case.
bool spells(const std::string& typed, std::string_view name) {
  return std::equal(name.begin(), name.end(), typed.begin(), typed.end(), [](char known, char c) {
    return (c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c) == known;
  });
}

// The name as the table has it, if it has it in some case; else as typed, which the library then
// refuses as it stands.
template <class Backend>
std::string name_in(const std::vector<Backend>& table, const std::string& typed) {
  for (const Backend& backend : table) {
    if (spells(typed, backend.name)) return backend.name;
  }
  return typed;
}

std::string prefill_backend_name(const std::string& typed) {
  return name_in(tensorrt_llm_prefill_backends(), name_in(vllm_prefill_backends(), typed));
}

// The choice of --prefill-backend.
std::string read_prefill_backend(const std::string& typed, const Platform& platform) {
  if (spells(typed, "AUTO")) return "auto";
  std::string name = prefill_backend_name(typed);
  from("--prefill-backend", [&] { return make_environment(platform, name); });
  return name;
}

// The choice of that key in --attention-config. What is wrong with it is said as of a configuration
// that has it: the key has another name than the option, and knows no `auto`.
std::string read_mla_prefill_backend(const std::string& typed, const Platform& platform) {
  EngineConfig config;
  config.attention_config.mla_prefill_backend = prefill_backend_name(typed);
  std::vector<PrefillBackend> backends = vllm_prefill_backends();
  const auto& others = tensorrt_llm_prefill_backends();
  backends.insert(backends.end(), others.begin(), others.end());
  from("--attention-config",
       [&] { return select_prefill_backend(config, DataType::bfloat16, platform, backends); });
  return config.attention_config.mla_prefill_backend;
}

PrefillQueryMode read_prefill_query_mode(const std::string& name) {
  if (name == "required") return PrefillQueryMode::required;
  return name == "automatic" ? PrefillQueryMode::automatic : PrefillQueryMode::by_flag;
}

void read_attention(const CLI::App& app, const Arguments& arguments, Question& question) {
  std::optional<bool> flag;
  if (app.count("--use-prefill-query-quantization") != 0) {
    flag = arguments.use_prefill_query_quantization;
  }
  std::optional<std::string> backend;
  if (app.count("--prefill-backend") != 0) {
    backend = read_prefill_backend(arguments.prefill_backend, question.platform);
  }
  if (app.count("--attention-config") != 0) {
    AttentionConfigArgument keys = from(
        "--attention-config", [&] { return parse_attention_config(arguments.attention_config); });
    if (keys.mla_prefill_backend) {
      keys.mla_prefill_backend =
          read_mla_prefill_backend(*keys.mla_prefill_backend, question.platform);
    }
    flag = agreed("--use-prefill-query-quantization", flag, keys.use_prefill_query_quantization);
    backend = agreed("--prefill-backend", backend, keys.mla_prefill_backend);
    for (const std::string& key : keys.other_keys) {
      question.notes.push_back(fmt::format("--attention-config: {} is not looked at", key));
    }
  }
  AttentionConfig& attention = question.config.attention_config;
  attention.use_prefill_query_quantization = flag.value_or(false);
  if (backend && *backend != "auto") attention.mla_prefill_backend = *backend;
  attention.prefill_query_mode = read_prefill_query_mode(arguments.prefill_query_mode);
  attention.expected_isl = arguments.expected_isl;
}

// What was measured on the device, or, where nothing was, on all.
std::string measured_on(const std::string& device_name) {
  std::vector<std::string> here, all;
  for (const MeasuredPrefill& each : measured_prefills()) {
    all.push_back(fmt::format("{}:{}:{}", each.device_name, each.bf16_backend, each.fp8_backend));
    if (each.device_name == device_name) here.push_back(all.back());
  }
  return fmt::format("{}", fmt::join(here.empty() ? all : here, ", "));
}

// `B200:FLASH_ATTN:TRTLLM_RAGGED`; nothing where it is not of this form, or names a file.
std::optional<PrefillCostModel> measured_cost_model(const std::string& name) {
  const std::size_t bf16 = name.find(':');
  const std::size_t fp8 = bf16 == name.npos ? name.npos : name.find(':', bf16 + 1);
  if (fp8 == name.npos || std::filesystem::exists(name)) return std::nullopt;
  const Device device = parse_device(name.substr(0, bf16));
  const auto* const model = find_prefill_cost_model(
      device.name, name.substr(bf16 + 1, fp8 - bf16 - 1), name.substr(fp8 + 1));
  if (model != nullptr) return *model;
  throw std::invalid_argument(
      fmt::format("{} was not measured; these were: {}", in_plain(name), measured_on(device.name)));
}

PrefillCostModel named_cost_model(const std::string& name) {
  if (spells(name, "H100")) return h100_prefill_cost_model();
  if (auto measured = from("--cost-model", [&] { return measured_cost_model(name); })) {
    return *std::move(measured);
  }
  return from("--cost-model: " + name, [&] { return read_cost_model(name); });
}

// What was measured with the backends that would be chosen between; null: nothing.
const PrefillCostModel* model_in_question(const Question& question) {
  Environment env =
      make_environment(question.platform, backends_for(question.config.attention_config));
  env.device_name = question.device_name;
  EngineConfig config = question.config;
  config.attention_config.prefill_query_mode = PrefillQueryMode::by_flag;
  config.attention_config.use_prefill_query_quantization = true;
  config.attention_config.expected_isl.reset();
  const auto payoff = explain_prefill_query_data_type(config, question.model_dtype, env).payoff;
  return payoff ? find_prefill_cost_model(payoff->device, payoff->bf16_backend, payoff->fp8_backend)
                : nullptr;
}

void take(const PrefillCostModel& model, Question& question) {
  question.cost_model = model;
  question.notes.push_back(
      fmt::format("no --cost-model was given: it is that of {}", model.source));
}

// The library's model, with a note. Where there is none, that is noted, too, or, where `option` is
// nothing without a prediction, an error.
void take_default_cost_model(const char* option, bool is_needed, Question& question) {
  if (const auto* const model = model_in_question(question)) {
    return take(*model, question);
  }
  const std::string device =
      question.device_name.empty() ? to_string(question.platform) : question.device_name;
  const std::string none = fmt::format(
      "{}: no cost model of device {} is known with these backends, so nothing is predicted: "
      "--cost-model gives one",
      option, device);
  if (is_needed) throw std::invalid_argument(none);
  question.notes.push_back(none);
}

// A curve is of no backend: the one that is not of engines, unless a device is meant.
void take_curves_cost_model(bool is_device_given, Question& question) {
  if (is_device_given) {
    throw std::invalid_argument(fmt::format("--curve: --cost-model says of what: h100, a file, {}",
                                            measured_on(question.device_name)));
  }
  take(h100_prefill_cost_model(), question);
}

void read_prediction(const CLI::App& app, const Arguments& arguments, Question& question) {
  const bool is_automatic = arguments.prefill_query_mode == "automatic";
  const char* const option = is_automatic ? "--prefill-query-mode automatic" : "--expected-isl";
  if (is_automatic && !arguments.expected_isl) {
    throw std::invalid_argument(fmt::format("{}: needs --expected-isl", option));
  }
  const bool is_given = app.count("--cost-model") != 0;
  if (arguments.curve || arguments.expected_isl) {
    if (is_given) {
      question.cost_model = named_cost_model(arguments.cost_model);
    } else if (arguments.curve) {
      take_curves_cost_model(app.count("--device") != 0, question);
    } else {
      take_default_cost_model(option, is_automatic, question);
    }
  } else if (is_given) {
    throw std::invalid_argument("--cost-model: needs --expected-isl or --curve");
  }
}

KvScales read_kv_scales(const std::string& name) {
  if (name == "calibrated") return KvScales::calibrated;
  if (name == "unit") return KvScales::unit;
  return name == "dynamic" ? KvScales::dynamic : KvScales::unknown;
}

void read_plan(const CLI::App& app, const Arguments& arguments, Question& question) {
  EngineConfig& config = question.config;
  config.cache_config.kv_scales = read_kv_scales(arguments.kv_scales);
  config.parallel_config.decode_context_parallel_size = arguments.decode_context_parallel_size;
  config.scheduler_config.enable_chunked_prefill = arguments.enable_chunked_prefill;
  config.scheduler_config.max_num_batched_tokens = arguments.max_num_batched_tokens;
  if (app.count("--decode-backend") == 0) return;
  question.decode_backend = name_in(vllm_decode_backends(), arguments.decode_backend);
  from("--decode-backend",
       [&] { return make_decode_environment(question.platform, *question.decode_backend); });
}

void read_device(const CLI::App& app, const Arguments& arguments, Question& question) {
  const bool is_given = app.count("--device") != 0;
  if (!is_given && !arguments.curve) {
    question.notes.emplace_back("no --device was given: the answer is for none");
  }
  const Device device = from("--device", [&] {
    return arguments.device == "none" ? Device{} : parse_device(arguments.device);
  });
  question.platform = device.platform;
  question.device_name = device.name;
}

}  // namespace

// The table that the chosen backend is in, or vLLM's.
const std::vector<PrefillBackend>& backends_for(const AttentionConfig& attention) {
  const auto& other = tensorrt_llm_prefill_backends();
  const bool is_other = std::any_of(other.begin(), other.end(), [&](const PrefillBackend& backend) {
    return backend.name == attention.mla_prefill_backend;
  });
  return is_other ? other : vllm_prefill_backends();
}

Question read_question(const CLI::App& app, const Arguments& arguments) {
  check_combination(app, arguments);
  Question question;
  read_device(app, arguments, question);
  from("--kv-cache-dtype", [&] { return is_quantized_kv_cache(arguments.kv_cache_dtype); });
  question.config.cache_config.cache_dtype = arguments.kv_cache_dtype;
  read_model(app, arguments, question);
  read_attention(app, arguments, question);
  read_plan(app, arguments, question);
  read_prediction(app, arguments, question);
  return question;
}

}  // namespace mla_dtype::tool

// SPDX-License-Identifier: Apache-2.0

// mla-dtype: what would my engine do, and why? Prints the decision with its reasons on stdout, for
// a decode backend with the whole plan, and its log records on stderr. Exits with
//   0, or
//   1 if the output cannot be written,
//   2 for bad arguments,
//   3 if FP8 prefill queries are required and not possible, or no kernel can run the plan.

#include <fmt/format.h>
#include <mla_dtype/mla_dtype.h>
#include <spdlog/logger.h>
#include <spdlog/sinks/ringbuffer_sink.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <exception>
#include <limits>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tool_inputs.h"
#include "tool_report.h"

namespace {

using namespace mla_dtype;

struct Arguments {
  std::string kv_cache_dtype = "auto";
  bool use_prefill_query_quantization = false;
  std::string prefill_backend = "auto";
  std::string attention_config;
  std::string prefill_query_mode = "by_flag";
  std::optional<int> expected_isl;
  std::optional<int> max_num_batched_tokens;
  std::string cost_model;
  bool curve = false;
  int context_tokens = 0;
  std::string hf_config;
  std::string model_dtype = "bfloat16";
  MlaDimensions dimensions;
  int kv_lora_rank = EngineConfig{}.kv_lora_rank;
  int num_attention_heads = EngineConfig{}.num_attention_heads;
  std::string kv_scales = "unknown";
  int decode_context_parallel_size = 1;
  bool enable_chunked_prefill = true;
  std::string decode_backend;
  std::string device = "none";
  RankInfo rank;
  std::string refused_request_level = "info";
  bool matrix = false;
  bool json = false;
};

// What the arguments come to.
struct Question {
  Platform platform;
  DataType model_dtype = DataType::bfloat16;
  EngineConfig config;
  std::optional<std::string> decode_backend;   // none: no plan is asked for
  std::optional<PrefillCostModel> cost_model;  // none: nothing is predicted
  std::vector<std::string> notes;              // on what was not given, or is not looked at
};

// CLI11 takes an empty text, as of a shell variable that is not set, for 0.
const CLI::Validator is_number([](const std::string& text) { return text.empty() ? "empty" : ""; },
                               "", "number");

template <class Number>
void add_positive(CLI::App& app, const char* option, Number& number, const char* description) {
  app.add_option(option, number, description)
      ->check(CLI::Range(1, std::numeric_limits<int>::max(), "POSITIVE"))
      ->capture_default_str();
}

// A flag that is also given as `=true` and `=false`, and no other way.
void add_switch(CLI::App& app, const char* option, bool& value, const char* description) {
  app.add_flag(option, value, description)->check(CLI::IsMember({"true", "false"}));
}

void add_model_options(CLI::App& app, Arguments& arguments) {
  app.add_option("--hf-config", arguments.hf_config,
                 "the model's config.json, or its directory: dimensions, heads, data types");
  app.add_option("--model-dtype", arguments.model_dtype, "bfloat16, float16 or float32")
      ->capture_default_str();
  add_positive(app, "--qk-nope-head-dim", arguments.dimensions.qk_nope_head_dim,
               "head dimension of queries and keys without the rotary part");
  add_positive(app, "--qk-rope-head-dim", arguments.dimensions.qk_rope_head_dim,
               "head dimension of the rotary part");
  add_positive(app, "--v-head-dim", arguments.dimensions.v_head_dim, "head dimension of values");
  add_positive(app, "--kv-lora-rank", arguments.kv_lora_rank,
               "elements of the latent that stands for keys and values");
  add_positive(app, "--num-attention-heads", arguments.num_attention_heads,
               "query heads of one rank; a config.json gives those of the whole model");
  app.add_option("--kv-scales", arguments.kv_scales,
                 "how the scales of a quantized KV cache came to be")
      ->check(CLI::IsMember({"unknown", "calibrated", "unit", "dynamic"}))
      ->capture_default_str();
}

// What only a plan needs, and the parallelism, which the decision needs, too.
void add_plan_options(CLI::App& app, Arguments& arguments) {
  app.add_option("--decode-backend", arguments.decode_backend,
                 "FLASHMLA, FLASHINFER_MLA, ...: print every data type of attention with it");
  add_positive(app, "--decode-context-parallel-size", arguments.decode_context_parallel_size,
               "over how many ranks the KV cache of a sequence is spread");
  add_switch(app, "--enable-chunked-prefill", arguments.enable_chunked_prefill,
             "prefill long inputs in parts, through a workspace: on, unless =false");
  add_positive(app, "--max-num-batched-tokens", arguments.max_num_batched_tokens,
               "tokens of such a part: what is predicted then counts its cost");
}

void add_prediction_options(CLI::App& app, Arguments& arguments) {
  add_positive(app, "--expected-isl", arguments.expected_isl,
               "input sequence length in tokens: predict what FP8 prefill queries bring there");
  app.add_option("--cost-model", arguments.cost_model,
                 "what prefill attention costs: h100, which --device 9.0 implies, or a JSON file: "
                 "'{\"bf16_tflops\": 550, \"fp8_tflops\": 780, \"quantize_ns\": 0.5}' or "
                 "'{\"curve\": [{\"isl\": 1024, \"bf16_ms\": 0.1, \"fp8_ms\": 0.13}, ...]}', with "
                 "\"dimensions\" and \"source\" if need be");
  CLI::Option* const curve =
      app.add_flag("--curve", arguments.curve,
                   "show what is predicted for ISL 256 to 131072, and from which on FP8 is faster")
          ->disable_flag_override();
  app.add_option("--context-tokens", arguments.context_tokens,
                 "with --curve: tokens before each prefill, as of chunked prefill, prefix caching")
      ->check(is_number)
      ->check(CLI::Range(0, std::numeric_limits<int>::max(), "NONNEGATIVE"))
      ->capture_default_str()
      ->needs(curve);
}

void add_options(CLI::App& app, Arguments& arguments) {
  app.add_option("--device", arguments.device,
                 "10.3, sm_103, compute_103, gfx942, gfx942:sramecc+:xnack-, ... or none")
      ->capture_default_str();
  add_model_options(app, arguments);
  app.add_option("--kv-cache-dtype", arguments.kv_cache_dtype,
                 "KV-cache dtype: auto, bfloat16, fp8, fp8_e4m3, ...")
      ->capture_default_str();
  add_switch(app, "--use-prefill-query-quantization", arguments.use_prefill_query_quantization,
             "ask for FP8 prefill queries, keys and values");
  app.add_option("--prefill-backend", arguments.prefill_backend,
                 "FLASHINFER, TRTLLM_FMHA, ... or auto: whichever of vLLM's is selected")
      ->capture_default_str();
  app.add_option("--attention-config", arguments.attention_config,
                 "the same two settings as vLLM takes them: '{\"use_prefill_query_quantization\": "
                 "true, \"mla_prefill_backend\": \"FLASHINFER\"}'");
  app.add_option("--prefill-query-mode", arguments.prefill_query_mode,
                 "required: the model cannot run without FP8 prefill queries; automatic: ask for "
                 "them if they are predicted to be faster at --expected-isl")
      ->check(CLI::IsMember({"by_flag", "required", "automatic"}))
      ->capture_default_str();
  add_prediction_options(app, arguments);
  add_plan_options(app, arguments);
  app.add_option("--local-rank", arguments.rank.local_rank,
                 "rank on this node; only 0 logs the decision")
      ->check(is_number)
      ->capture_default_str();
  app.add_option("--global-rank", arguments.rank.global_rank, "rank among all processes")
      ->check(is_number)
      ->capture_default_str();
  app.add_option("--refused-request-level", arguments.refused_request_level,
                 "level of the record of a refused request")
      ->check(CLI::IsMember({"info", "warning"}))
      ->capture_default_str();
  app.add_flag("--matrix", arguments.matrix,
               "show which backends take FP8 queries on the device, with which KV-cache dtypes")
      ->disable_flag_override();
  app.add_flag("--json", arguments.json, "one JSON object on stdout, with the log records in it")
      ->disable_flag_override();
  app.set_version_flag("--version", fmt::format("mla-dtype {}.{}.{}", MLA_DTYPE_VERSION_MAJOR,
                                                MLA_DTYPE_VERSION_MINOR, MLA_DTYPE_VERSION_PATCH));
  app.footer(
      "Exits with 0, or 1: the output cannot be written; 2: bad arguments; 3: FP8 prefill queries\n"
      "are required (--prefill-query-mode) and not possible, or no kernel can run what is given\n"
      "with --decode-backend.");
}

// What is shown in place of a decision depends on these options alone. Any other one that is given
// is an error: it was meant to matter.
void check_others(const CLI::App& app, const std::string& shown,
                  const std::vector<std::string>& others) {
  for (const CLI::Option* const option : app.get_options()) {
    const std::string name = option->get_name();
    const bool matters =
        name == shown || std::find(others.begin(), others.end(), name) != others.end();
    if (option->count() != 0 && !matters) {
      throw std::invalid_argument(fmt::format("{}: not together with {}", name, shown));
    }
  }
}

// The matrix is of a device and a model; it shows every choice of the rest.
void check_matrix(const CLI::App& app) {
  if (app.count("--device") == 0) throw std::invalid_argument("--matrix: needs --device");
  check_others(app, "--matrix",
               {"--device", "--hf-config", "--model-dtype", "--qk-nope-head-dim",
                "--qk-rope-head-dim", "--v-head-dim", "--kv-lora-rank", "--num-attention-heads",
                "--kv-scales", "--decode-context-parallel-size", "--json"});
}

// The curve is of a cost model and of the model's dimensions.
void check_curve(const CLI::App& app) {
  check_others(app, "--curve",
               {"--device", "--hf-config", "--qk-nope-head-dim", "--qk-rope-head-dim",
                "--v-head-dim", "--expected-isl", "--cost-model", "--context-tokens", "--json"});
}

// Calls `make`, and puts where it comes from before what it finds wrong.
template <class Make>
auto from(const std::string& source, Make make) {
  try {
    return make();
  } catch (const std::invalid_argument& error) {
    throw std::invalid_argument(fmt::format("{}: {}", source, error.what()));
  }
}

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
    const std::string path = tool::hf_config_path(arguments.hf_config);
    const std::string source = "--hf-config: " + path;
    const tool::ModelConfig model = from(source, [&] { return tool::read_hf_config(path); });
    if (app.count("--model-dtype") == 0 && !model.dtype.empty()) {
      question.model_dtype = from(source + ": " + model.dtype_field,
                                  [&] { return parse_model_data_type(model.dtype); });
    }
    question.config.mla_dimensions = model.dimensions;
    question.config.kv_lora_rank = model.kv_lora_rank;
    question.config.num_attention_heads = model.num_attention_heads;
    CacheConfig& cache = question.config.cache_config;
    cache.checkpoint_kv_cache_quant_algo = model.kv_cache_quant_algo;
    from(source, [&] {
      return resolve_kv_cache_dtype(cache.cache_dtype, question.model_dtype,
                                    cache.checkpoint_kv_cache_quant_algo);
    });
  }
  const auto take = [&](const char* option, int given, int& taken) {
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
    tool::AttentionConfigArgument keys = from("--attention-config", [&] {
      return tool::parse_attention_config(arguments.attention_config);
    });
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

PrefillCostModel named_cost_model(const std::string& name) {
  if (spells(name, "H100")) return h100_prefill_cost_model();
  return from("--cost-model: " + name, [&] { return tool::read_cost_model(name); });
}

// The library's model of the device, with a note. Where there is none, that is noted, too, or,
// where `option` is nothing without a prediction, an error.
void take_default_cost_model(const char* option, bool is_needed, Question& question) {
  if (question.platform == cuda(9, 0)) {
    question.cost_model = h100_prefill_cost_model();
    question.notes.push_back(
        fmt::format("no --cost-model was given: it is that of {}; other devices of its capability, "
                    "such as H20, differ",
                    question.cost_model->source));
    return;
  }
  const std::string none = fmt::format(
      "{}: no cost model of device {} is known, so nothing is predicted: --cost-model gives one",
      option, to_string(question.platform));
  if (is_needed) throw std::invalid_argument(none);
  question.notes.push_back(none);
}

void read_cost_model(const CLI::App& app, const Arguments& arguments, Question& question) {
  const bool is_automatic = arguments.prefill_query_mode == "automatic";
  const char* const option = arguments.curve ? "--curve"
                             : is_automatic  ? "--prefill-query-mode automatic"
                                             : "--expected-isl";
  if (is_automatic && !arguments.expected_isl) {
    throw std::invalid_argument(fmt::format("{}: needs --expected-isl", option));
  }
  const bool is_given = app.count("--cost-model") != 0;
  if (arguments.curve || arguments.expected_isl) {
    if (is_given) {
      question.cost_model = named_cost_model(arguments.cost_model);
    } else {
      take_default_cost_model(option, arguments.curve || is_automatic, question);
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
  if (arguments.curve && !is_given) {
    question.platform = cuda(9, 0);  // the one that there is a cost model of
    return;
  }
  if (!is_given) question.notes.emplace_back("no --device was given: the answer is for none");
  question.platform = from("--device", [&] {
    return arguments.device == "none" ? Platform{} : parse_platform(arguments.device);
  });
}

Question read_question(const CLI::App& app, const Arguments& arguments) {
  if (arguments.matrix) check_matrix(app);
  if (arguments.curve) check_curve(app);
  Question question;
  read_device(app, arguments, question);
  from("--kv-cache-dtype", [&] { return is_quantized_kv_cache(arguments.kv_cache_dtype); });
  question.config.cache_config.cache_dtype = arguments.kv_cache_dtype;
  read_model(app, arguments, question);
  read_attention(app, arguments, question);
  read_cost_model(app, arguments, question);
  read_plan(app, arguments, question);
  return question;
}

// The table that the chosen backend is in, or vLLM's.
const std::vector<PrefillBackend>& backends_for(const AttentionConfig& attention) {
  const auto& other = tensorrt_llm_prefill_backends();
  const bool is_other = std::any_of(other.begin(), other.end(), [&](const PrefillBackend& backend) {
    return backend.name == attention.mla_prefill_backend;
  });
  return is_other ? other : vllm_prefill_backends();
}

// A line on stderr, whatever the arguments held.
void say(const std::string& text) {
  std::fprintf(stderr, "mla-dtype: %s\n", tool::in_plain(text).c_str());
}

int fail(const std::string& text, int exit_code) {
  say(text);
  return exit_code;
}

// Decides as an engine does at init, which logs, and adds to the report what comes of it. Returns
// why it is refused; empty: it is not.
std::string decide(const Question& question, const Environment& env, tool::Report& report) {
  const auto& [platform, model_dtype, config, decode_backend, cost_model, notes] = question;
  try {
    if (!decode_backend) {
      determine_prefill_query_data_type(config, model_dtype, env);
      return {};
    }
    report.plan = plan_attention_data_types(config, model_dtype, env,
                                            make_decode_environment(platform, *decode_backend));
    report.explanation = report.plan->prefill;
    report.selection = report.plan->prefill_backend;
    log_attention_plan(*report.plan, env);
    return {};
  } catch (const PrefillQueryRefused& refused) {
    // A plan needs more, and has more reasons.
    if (decode_backend) report.explanation = refused.explanation();
    report.refused = true;
    return refused.what();
  } catch (const AttentionPlanRefused& refused) {
    report.refused = true;
    return refused.what();
  }
}

Environment environment_for(const Question& question, const Arguments& arguments,
                            const std::shared_ptr<spdlog::logger>& logger) {
  Environment env =
      make_environment(question.platform, backends_for(question.config.attention_config));
  if (question.cost_model) {
    env.predict_prefill_speedup = make_prefill_speedup_predictor(*question.cost_model);
  }
  env.refused_request_level =
      arguments.refused_request_level == "warning" ? LogLevel::warning : LogLevel::info;
  env.log = from("--local-rank, --global-rank",
                 [&] { return std::make_shared<OnceLog>(logger, arguments.rank); });
  return env;
}

int show_decision(const Question& question, const Arguments& arguments) {
  const auto& [platform, model_dtype, config, decode_backend, cost_model, notes] = question;
  const auto sink = std::make_shared<spdlog::sinks::ringbuffer_sink_st>(/*n_items=*/16);
  const Environment env =
      environment_for(question, arguments, std::make_shared<spdlog::logger>("mla-dtype", sink));

  tool::Report report{platform,
                      model_dtype,
                      explain_prefill_query_data_type(config, model_dtype, env),
                      select_prefill_backend(config, model_dtype, env),
                      /*break_even=*/{},
                      /*log=*/{},
                      /*refused=*/false,
                      /*plan=*/{}};
  if (cost_model) {
    report.break_even = tool::make_break_even(*cost_model, config.mla_dimensions);
  }
  const std::string refusal = decide(question, env, report);
  for (const auto& record : sink->last_raw()) {
    report.log.push_back({fmt::to_string(spdlog::level::to_string_view(record.level)),
                          std::string(record.payload.data(), record.payload.size())});
  }

  for (const std::string& note : notes) say(note);
  fmt::print("{}", arguments.json ? to_json(report) : to_text(report));
  std::fflush(stdout);  // before the records, also where both go to the same file
  if (!arguments.json) {
    for (const auto& [level, text] : report.log) fmt::print(stderr, "[{}] {}\n", level, text);
  }
  return report.refused ? fail(refusal, 3) : 0;
}

int show_matrix(const Question& question, const Arguments& arguments) {
  const auto matrix = tool::make_matrix(question.config, question.model_dtype, question.platform);
  fmt::print("{}", arguments.json ? to_json(matrix) : to_text(matrix));
  return 0;
}

int show_curve(const Question& question, const Arguments& arguments) {
  const auto curve =
      tool::make_curve(*question.cost_model, question.config, arguments.context_tokens);
  for (const std::string& note : question.notes) say(note);
  fmt::print("{}", arguments.json ? to_json(curve) : to_text(curve));
  return 0;
}

int show(const Question& question, const Arguments& arguments) {
  if (arguments.matrix) return show_matrix(question, arguments);
  return arguments.curve ? show_curve(question, arguments) : show_decision(question, arguments);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    Arguments arguments;
    CLI::App app(
        "Tells which data type the prefill queries, keys and values of Multi-head Latent "
        "Attention get, and why; with --decode-backend, every data type of it.",
        "mla-dtype");
    add_options(app, arguments);
    int exit_code = 0;
    try {
      app.parse(argc, argv);
      exit_code = show(read_question(app, arguments), arguments);
    } catch (const CLI::Success& help_or_version) {
      app.exit(help_or_version);
    }
    const bool written = std::fflush(stdout) == 0 && !std::ferror(stdout) && !std::ferror(stderr);
    return written ? exit_code : 1;
  } catch (const CLI::ParseError& error) {
    return fail(error.what(), 2);
  } catch (const std::invalid_argument& error) {
    return fail(error.what(), 2);
  } catch (const std::exception& error) {
    return fail(error.what(), 1);
  }
}

// SPDX-License-Identifier: Apache-2.0

// What an engine does at model init with the library: reads the model's config.json, takes the
// operator's flags, selects the prefill backend, builds the Environment, and decides for each layer
// from the threads of a tensor-parallel group, with its own async logger. One process of an engine
// of any number of them.

#include <mla_dtype/fmt.h>
#include <mla_dtype/mla_dtype.h>
#include <spdlog/async.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/spdlog.h>

#include <CLI/CLI.hpp>
#include <exception>
#include <fstream>
#include <future>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

using namespace mla_dtype;

// The fields of a Hugging Face config.json that MLA attention is built from.
struct Model {
  int layers, heads, kv_lora_rank;
  MlaDimensions dimensions;
  DataType data_type;
};

Model read_model(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw std::runtime_error("cannot read " + path);
  const auto json = nlohmann::json::parse(file);
  const char* const dtype = json.contains("dtype") ? "dtype" : "torch_dtype";  // newer, older files
  return {json.at("num_hidden_layers"),
          json.at("num_attention_heads"),
          json.at("kv_lora_rank"),
          {json.at("qk_nope_head_dim"), json.at("qk_rope_head_dim"), json.at("v_head_dim")},
          parse_model_data_type(json.at(dtype).get<std::string>())};
}

struct Flags {
  std::string model, log_file, device;
  EngineConfig config;
  RankInfo rank;
  int threads = 1;
};

Flags parse(int argc, char** argv) {
  Flags flags;
  CLI::App app("engine_init");
  app.add_option("--model", flags.model)->required();
  app.add_option("--log-file", flags.log_file)->required();
  app.add_option("--device", flags.device)->required();
  app.add_option("--prefill-backend", flags.config.attention_config.mla_prefill_backend);
  app.add_option("--kv-cache-dtype", flags.config.cache_config.cache_dtype);
  app.add_flag("--use-prefill-query-quantization",
               flags.config.attention_config.use_prefill_query_quantization);
  app.add_option("--global-rank", flags.rank.global_rank);
  app.add_option("--local-rank", flags.rank.local_rank);
  app.add_option("--threads", flags.threads);
  app.parse(argc, argv);
  return flags;
}

// One thread of the group: every layer asks for itself.
std::vector<DataType> init_layers(const Model& model, const EngineConfig& config,
                                  const Environment& env) {
  std::vector<DataType> query_types;
  for (int layer = 0; layer < model.layers; ++layer) {
    query_types.push_back(determine_prefill_query_data_type(config, model.data_type, env));
  }
  return query_types;
}

void init_engine(const Flags& flags, const std::shared_ptr<spdlog::logger>& logger) {
  const Model model = read_model(flags.model);
  EngineConfig config = flags.config;
  config.mla_dimensions = model.dimensions;
  Environment env = make_environment(parse_platform(flags.device), vllm_prefill_backends());
  env.log = std::make_shared<OnceLog>(logger, flags.rank);

  const auto backend = select_prefill_backend(config, model.data_type, env);
  log_prefill_backend(backend, env);
  if (backend.name.empty()) throw std::runtime_error("no prefill backend can run");

  std::vector<std::future<std::vector<DataType>>> threads;
  for (int i = 0; i < flags.threads; ++i) {
    threads.push_back(
        std::async(std::launch::async, [&] { return init_layers(model, config, env); }));
  }
  std::vector<std::vector<DataType>> answers;
  for (auto& thread : threads) answers.push_back(thread.get());

  const std::vector<DataType> expected(static_cast<std::size_t>(model.layers), answers[0][0]);
  for (const auto& answer : answers) {
    if (answer != expected) throw std::runtime_error("layers or threads disagree");
  }
  env.log->info_once(
      LogScope::process,
      fmt::format("{} threads, {} layers, {} heads, qk {}+{}, v {}, latent {}: prefill query {}",
                  answers.size(), model.layers, model.heads, model.dimensions.qk_nope_head_dim,
                  model.dimensions.qk_rope_head_dim, model.dimensions.v_head_dim,
                  model.kv_lora_rank, answers[0][0]));
  env.log->info_once(LogScope::global, "the engine is ready");
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const Flags flags = parse(argc, argv);
    // The engine's logger: async, as engines have it, and not spdlog's default one.
    spdlog::init_thread_pool(/*q_size=*/8192, /*thread_count=*/1);
    const auto logger = spdlog::basic_logger_mt<spdlog::async_factory>("engine", flags.log_file);
    logger->set_pattern("%n [%l] %v");
    init_engine(flags, logger);
    spdlog::shutdown();  // writes what is queued
    return 0;
  } catch (const std::exception& error) {
    fmt::print(stderr, "engine_init: {}\n", error.what());
    return 1;
  }
}

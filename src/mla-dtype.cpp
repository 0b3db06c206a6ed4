// SPDX-License-Identifier: Apache-2.0

// mla-dtype: what would my engine do, and why? Prints the decision on stdout and its log records on
// stderr. Exits with 0, with 2 for bad arguments, with 1 if the output cannot be written.

#include <fmt/format.h>
#include <mla_dtype/fmt.h>
#include <mla_dtype/mla_dtype.h>
#include <spdlog/logger.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>

namespace {

using namespace mla_dtype;

struct Arguments {
  EngineConfig config;
  std::string model_dtype = "bfloat16";
  std::string device = "none";
  std::string prefill_backend = "FLASH_ATTN";
  RankInfo rank;
};

// CLI11 takes an empty text, as of a shell variable that is not set, for 0.
const CLI::Validator is_number([](const std::string& text) { return text.empty() ? "empty" : ""; },
                               "", "number");

void add_options(CLI::App& app, Arguments& arguments) {
  app.add_option("--kv-cache-dtype", arguments.config.cache_config.cache_dtype,
                 "KV-cache dtype: auto, bfloat16, fp8, fp8_e4m3, ...")
      ->capture_default_str();
  app.add_flag("--use-prefill-query-quantization",
               arguments.config.attention_config.use_prefill_query_quantization,
               "ask for FP8 prefill queries, keys and values")
      ->check(CLI::IsMember({"true", "false"}));
  app.add_option("--model-dtype", arguments.model_dtype, "bfloat16, float16 or float32")
      ->capture_default_str();
  app.add_option("--device", arguments.device,
                 "10.3, sm_103, compute_103, gfx942, gfx942:sramecc+:xnack-, ... or none")
      ->capture_default_str();
  app.add_option("--prefill-backend", arguments.prefill_backend,
                 "FLASH_ATTN, FLASHINFER, TRTLLM_RAGGED, TOKENSPEED_MLA or ROCM_AITER_FA")
      ->capture_default_str();
  app.add_option("--local-rank", arguments.rank.local_rank,
                 "rank on this node; only 0 logs the decision")
      ->check(is_number)
      ->capture_default_str();
  app.add_option("--global-rank", arguments.rank.global_rank, "rank among all processes")
      ->check(is_number)
      ->capture_default_str();
  app.set_version_flag("--version", fmt::format("mla-dtype {}.{}.{}", MLA_DTYPE_VERSION_MAJOR,
                                                MLA_DTYPE_VERSION_MINOR, MLA_DTYPE_VERSION_PATCH));
}

// Calls `make`, and puts the option's name before what it finds wrong.
template <class Make>
auto from_option(const char* option, Make make) {
  try {
    return make();
  } catch (const std::invalid_argument& error) {
    throw std::invalid_argument(fmt::format("{}: {}", option, error.what()));
  }
}

void decide(const Arguments& arguments) {
  const auto& cache_dtype = arguments.config.cache_config.cache_dtype;
  from_option("--kv-cache-dtype", [&] { return is_quantized_kv_cache(cache_dtype); });
  const DataType model_dtype =
      from_option("--model-dtype", [&] { return parse_model_data_type(arguments.model_dtype); });
  const Platform platform = from_option("--device", [&] {
    return arguments.device == "none" ? Platform{} : parse_platform(arguments.device);
  });
  Environment env = from_option(
      "--prefill-backend", [&] { return make_environment(platform, arguments.prefill_backend); });

  const auto sink = std::make_shared<spdlog::sinks::stderr_sink_st>();
  const auto logger = std::make_shared<spdlog::logger>("mla-dtype", sink);
  logger->set_pattern("[%l] %v");
  env.log = from_option("--local-rank, --global-rank",
                        [&] { return std::make_shared<OnceLog>(logger, arguments.rank); });

  const PrefillQueryDecision decision = evaluate_prefill_query(arguments.config, model_dtype, env);
  fmt::print("data type: {}\noutcome: {}\n", decision.data_type, decision.outcome);
  log_prefill_query(decision, arguments.config, model_dtype, env);
}

// One line of plain ASCII on stderr, whatever the arguments held.
int fail(std::string text, int exit_code) {
  for (char& c : text) {
    if (c < ' ' || c > '~') c = '?';
  }
  std::fprintf(stderr, "mla-dtype: %s\n", text.c_str());
  return exit_code;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    Arguments arguments;
    CLI::App app(
        "Tells which data type the prefill queries, keys and values of Multi-head Latent "
        "Attention get, and why.",
        "mla-dtype");
    add_options(app, arguments);
    try {
      app.parse(argc, argv);
      decide(arguments);
    } catch (const CLI::Success& help_or_version) {
      app.exit(help_or_version);
    }
    const bool written = std::fflush(stdout) == 0 && !std::ferror(stdout) && !std::ferror(stderr);
    return written ? 0 : 1;
  } catch (const CLI::ParseError& error) {
    return fail(error.what(), 2);
  } catch (const std::invalid_argument& error) {
    return fail(error.what(), 2);
  } catch (const std::exception& error) {
    return fail(error.what(), 1);
  }
}

// SPDX-License-Identifier: Apache-2.0
#include <mla_dtype/mla_dtype.h>
#include <spdlog/logger.h>
#include <spdlog/sinks/stdout_sinks.h>

// Decides for 61 layers, and logs under the engine's name through a OnceLog of the engine's own and
// through the default one, and for a device of its own through a log that it shares with the other
// module, which the first one makes. Returns whether all went well.
extern "C" __attribute__((visibility("default"))) int init_model(const char* name,
                                                                 std::shared_ptr<void>* shared) {
  const auto sink = std::make_shared<spdlog::sinks::stdout_sink_mt>();
  const auto logger = std::make_shared<spdlog::logger>(name, sink);
  logger->set_pattern("%n [%l] %v");

  mla_dtype::Environment env =
      mla_dtype::make_environment(mla_dtype::cuda(/*major=*/10, /*minor=*/0), "FLASHINFER");
  env.log = std::make_shared<mla_dtype::OnceLog>(logger);
  mla_dtype::EngineConfig config;
  config.cache_config.cache_dtype = "fp8";
  config.attention_config.use_prefill_query_quantization = true;
  bool all_fp8 = true;
  for (int layer = 0; layer < 61; ++layer) {
    all_fp8 = all_fp8 &&
              is_fp8(determine_prefill_query_data_type(config, mla_dtype::DataType::bfloat16, env));
  }
  if (*shared == nullptr) *shared = std::make_shared<mla_dtype::OnceLog>(logger);
  mla_dtype::Environment other =
      mla_dtype::make_environment(mla_dtype::cuda(*name == '1' ? 10 : 9, 0), "FLASH_ATTN");
  other.log = std::static_pointer_cast<mla_dtype::OnceLog>(*shared);
  determine_prefill_query_data_type(config, mla_dtype::DataType::bfloat16, other);
  try {
    config.cache_config.cache_dtype = "fp9";
    determine_prefill_query_data_type(config, mla_dtype::DataType::bfloat16, env);
    return 0;
  } catch (const std::invalid_argument&) {
  }
  return all_fp8 && mla_dtype::default_once_log().info_once(mla_dtype::LogScope::process, "hello");
}

// SPDX-License-Identifier: Apache-2.0
#include <mla_dtype/mla_dtype.h>

#include <cstdio>
#include <memory>
#include <string>
#include <string_view>

namespace {

// Like glog's LOG(INFO), in a macro of which no std::function can be made.
#define ENGINE_LOG(severity, text) \
  std::fprintf(stderr, "%c %.*s\n", severity, static_cast<int>((text).size()), (text).data())

std::shared_ptr<mla_dtype::OnceLog> make_log(mla_dtype::RankInfo rank, bool is_default) {
  if (is_default) return std::make_shared<mla_dtype::OnceLog>(nullptr, rank);
  const auto write = [](mla_dtype::LogLevel level, std::string_view text) {
    ENGINE_LOG(level == mla_dtype::LogLevel::info ? 'I' : 'W', text);
  };
  return std::make_shared<mla_dtype::OnceLog>(write, rank);
}

}  // namespace

extern "C" __attribute__((visibility("default"))) void engine_init(int global_rank, int local_rank,
                                                                   bool is_default) {
  auto env = mla_dtype::make_environment(mla_dtype::cuda(10, 0), "TRTLLM_RAGGED");
  env.log = make_log({global_rank, local_rank}, is_default);
  mla_dtype::EngineConfig config;
  config.cache_config.cache_dtype = "fp8";
  for (int layer = 0; layer < 61; ++layer) {
    determine_prefill_query_data_type(config, mla_dtype::DataType::bfloat16, env);
  }
  env.log->info_once(mla_dtype::LogScope::global, "loaded");
}

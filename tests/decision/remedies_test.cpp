// SPDX-License-Identifier: Apache-2.0

// Without this a setting could be advised that does not help, or one that helps be left out, on any
// device and table of backends, unnoticed.

#include <gmock/gmock.h>
#include <mla_dtype/kv_cache.h>
#include <mla_dtype/prefill_query.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "support/engine_config.h"
#include "support/every_setting.h"
#include "support/record_texts.h"
#include "support/recording_log.h"
#include "support/records_of.h"

namespace mla_dtype {
namespace {

using ::testing::ElementsAre;
using testing::EverySetting;
using testing::info;
using ::testing::IsEmpty;
using testing::make_config;
using testing::records_of;
using testing::row_2;
using ::testing::StartsWith;

// vLLM's, and what it has none of: a backend that needs FP8 queries, and one for another KV cache.
std::vector<PrefillBackend> mixed_backends() {
  PrefillBackend needs_fp8;
  needs_fp8.name = "NEEDS_FP8";
  needs_fp8.devices = {rocm("gfx950")};
  needs_fp8.model_dtypes = {DataType::bfloat16};
  needs_fp8.dimensions = {{128, 64, 128}};
  needs_fp8.fp8_queries = Fp8Queries::required;
  needs_fp8.fp8_kv_cache_dtypes = {"fp8", "fp8_e4m3"};
  needs_fp8.fp8_with_decode_context_parallel = false;
  PrefillBackend e5m2;
  e5m2.name = "E5M2_ONLY";
  e5m2.model_dtypes = {DataType::bfloat16};
  e5m2.fp8_queries = Fp8Queries::optional;
  e5m2.fp8_devices = {cuda(12, 0), cuda(10, 0)};
  e5m2.fp8_kv_cache_dtypes = {"fp8_e5m2"};
  e5m2.fp8_kv_scales = {KvScales::unknown, KvScales::calibrated, KvScales::unit};
  std::vector<PrefillBackend> backends = vllm_prefill_backends();
  backends.insert(backends.begin(), needs_fp8);
  backends.push_back(e5m2);
  return backends;
}

class Remedies : public ::testing::TestWithParam<const char*> {};

TEST_P(Remedies, EachWorksAndThereAreNoOthers) {
  const auto few = [](std::string_view name) -> Support {
    return name == "FLASH_ATTN" || name == "FLASHINFER";
  };
  const auto none = [](std::string_view) -> Support { return {false, "Not compiled in."}; };
  EngineConfig model;
  for (const DataType model_dtype : {DataType::bfloat16, DataType::float16, DataType::float32}) {
    for (const MlaDimensions& dimensions :
         {MlaDimensions{128, 64, 128}, MlaDimensions{192, 64, 256}, MlaDimensions{64, 32, 64}}) {
      model.mla_dimensions = dimensions;
      for (const PrefillBackendAvailability& is_available :
           {PrefillBackendAvailability(), PrefillBackendAvailability(few),
            PrefillBackendAvailability(none)}) {
        EverySetting(GetParam(), vllm_prefill_backends(), is_available, model_dtype, model).run();
      }
      EverySetting(GetParam(), tensorrt_llm_prefill_backends(), nullptr, model_dtype, model).run();
      EverySetting(GetParam(), mixed_backends(), nullptr, model_dtype, model).run();
    }
  }
  EngineConfig dynamic_scales;
  dynamic_scales.cache_config.kv_scales = KvScales::dynamic;
  EngineConfig context_parallel;
  context_parallel.parallel_config.decode_context_parallel_size = 2;
  for (const EngineConfig& special : {dynamic_scales, context_parallel}) {
    EverySetting(GetParam(), mixed_backends(), nullptr, DataType::bfloat16, special).run();
  }
}

INSTANTIATE_TEST_SUITE_P(Device, Remedies, ::testing::ValuesIn(testing::all_devices),
                         [](const auto& device) {
                           std::string name = device.param;
                           std::replace(name.begin(), name.end(), '.', '_');
                           return name;
                         });

// A table with a KV-cache dtype of the engine's own, which the built-in KV-cache predicate refuses.
TEST(Explain, AKvCacheDtypeThatIsNotKnownIsNoRemedy) {
  PrefillBackend backend;
  backend.name = "MINE";
  backend.fp8_queries = Fp8Queries::optional;
  backend.fp8_kv_cache_dtypes = {"my_fp8"};
  Environment env = make_environment(cuda(9, 0), {backend});
  const std::string nothing_helps =
      "On this device (sm_90) no setting helps this model in this engine. Prefill in the model's "
      "data type is the right choice here.";
  const std::string blocker =
      " KV-cache dtype fp8 is quantized, but FP8 prefill attention does not read it.";
  const auto explain = [&](const char* cache_dtype) {
    return explain_prefill_query_data_type(make_config(cache_dtype, true), DataType::bfloat16, env);
  };
  EXPECT_THAT(explain("fp8").remedies, IsEmpty());
  EXPECT_EQ(explain("fp8").nothing_helps, nothing_helps);
  EXPECT_THAT(records_of(make_config("fp8", true), env),
              ElementsAre(info(row_2 + blocker + ' ' + nothing_helps)));

  env.is_quantized_kv_cache = [](std::string_view) { return true; };
  EXPECT_EQ(explain("my_fp8").data_type, DataType::float8_e4m3fn);
  EXPECT_EQ(explain("my_int4").data_type, DataType::bfloat16) << "the table knows better";
  EXPECT_EQ(explain("my_int4").blockers.at(0).sentence,
            "KV-cache dtype \"my_int4\" is quantized, but FP8 prefill attention does not read it.");
  EXPECT_EQ(select_prefill_backend(make_config("my_fp8", true), DataType::bfloat16, env).name,
            "MINE");
  EXPECT_EQ(explain("fp8").nothing_helps, "");
  EXPECT_THAT(records_of(make_config("fp8", true), env), ElementsAre(info(row_2 + blocker)));
}

// FP8 with one scale, and FP8 with a scale for each token and head.
TEST(Explain, KvCachesOfOneElementTypeAreRemediesEach) {
  PrefillBackend backend;
  backend.name = "MINE";
  backend.fp8_queries = Fp8Queries::optional;
  backend.fp8_kv_cache_dtypes = {"fp8", "fp8_e4m3", "fp8_per_token_head"};
  const Environment env = make_environment(cuda(9, 0), {backend});
  std::vector<std::string> advised;
  for (const Remedy& remedy :
       explain_prefill_query_data_type(make_config("auto", true), DataType::bfloat16, env)
           .remedies) {
    advised.push_back(remedy.cache_dtype);
  }
  EXPECT_THAT(advised, ElementsAre("fp8", "fp8_per_token_head"));
}

// With a KV-cache predicate of the engine's own no other KV-cache dtype can be vouched for; other
// backends can.
TEST(Explain, AdviceStopsWhereOnlyThePredicateKnows) {
  Environment env = make_environment(cuda(10, 0), "FLASH_ATTN");
  int asked = 0;
  env.is_quantized_kv_cache = [&](std::string_view cache_dtype) {
    ++asked;
    return cache_dtype != "auto";
  };
  const auto explain = [&](const char* cache_dtype) {
    return explain_prefill_query_data_type(make_config(cache_dtype, true), DataType::bfloat16, env);
  };
  auto explanation = explain("my_format");
  EXPECT_EQ(explanation.remedies.size(), 3U);
  EXPECT_EQ(explanation.remedies.at(0).prefill_backend, "TRTLLM_RAGGED");
  EXPECT_EQ(explanation.kv_cache_dtype.reason, "the engine knows it");
  explanation = explain("auto");
  EXPECT_THAT(explanation.remedies, IsEmpty());
  EXPECT_EQ(explanation.nothing_helps, "");
  EXPECT_EQ(asked, 2);
  env.is_quantized_kv_cache = +[](std::string_view) { return false; };  // a function, too
  EXPECT_THAT(explain("fp8").remedies, IsEmpty());
  EXPECT_EQ(explain("fp8").nothing_helps, "");
  // Where no KV cache could help, that is known all the same.
  env.prefill_table = make_environment(cuda(9, 0), "FLASH_ATTN").prefill_table;
  const std::string nothing_helps = explain("auto").nothing_helps;
  EXPECT_THAT(nothing_helps, StartsWith("On this device (sm_90) no setting"));
  EXPECT_THAT(records_of(make_config("auto", true), env),
              ElementsAre(info(row_2 +
                               " The KV cache is not quantized: the KV-cache dtype is \"auto\". "
                               "Prefill backend FLASH_ATTN does not take FP8 queries. " +
                               nothing_helps)));
}

}  // namespace
}  // namespace mla_dtype

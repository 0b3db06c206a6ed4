// SPDX-License-Identifier: Apache-2.0

// Without this a pair of KV cache and queries that no kernel serves could become legal, or a legal
// one be refused, unnoticed.

#include <gmock/gmock.h>
#include <mla_dtype/decode_backend.h>
#include <mla_dtype/kv_cache.h>

#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "support/engine_config.h"

namespace mla_dtype {
namespace {

using ::testing::ElementsAre;
using testing::make_platform;

constexpr auto bf16 = DataType::bfloat16;
constexpr auto fp16 = DataType::float16;
constexpr auto fp32 = DataType::float32;

const DecodeBackend& find(const std::string& name) {
  for (const DecodeBackend& backend : vllm_decode_backends()) {
    if (backend.name == name) return backend;
  }
  throw std::out_of_range(name);
}

TEST(DecodeBackends, TheTableIsVllms) {
  std::vector<std::string> names;
  for (const DecodeBackend& backend : vllm_decode_backends()) {
    names.push_back(backend.name);
    EXPECT_EQ(backend.needs_unit_scales, backend.name == "CUTLASS_MLA");
  }
  EXPECT_THAT(names, ElementsAre("FLASHINFER_MLA", "FLASHMLA", "CUTLASS_MLA", "TOKENSPEED_MLA",
                                 "ROCM_AITER_MLA", "TRITON_MLA", "FLASHATTN_MLA"));
}

// The legal pairs once more, as sets of devices.
TEST(DecodeBackends, TheLegalPairs) {
  using Devices = std::set<std::string>;
  const Devices family_10 = {"10.0", "10.1", "10.3", "10.7"};
  const Devices flashmla = {"9.0", "10.0", "10.1", "10.3", "10.7"};
  const Devices trtllm_gen = {"10.0", "10.3", "10.7"};
  const Devices xqa = {"12.0", "12.1"};
  const Devices mi300 = {"gfx942", "gfx950"};
  const Devices all(std::begin(testing::all_devices), std::end(testing::all_devices));
  struct Expected {
    const char* name;
    Devices bfloat16, float16;  // not quantized, in a model of this data type
    Devices fp8_queries;        // with a plain FP8 KV cache, in both
    Devices bfloat16_queries, float16_queries;
  };
  Devices flashinfer_bfloat16 = {"9.0", "10.0", "10.3", "10.7", "12.0", "12.1"};
  Devices flashinfer_fp8 = trtllm_gen;
  flashinfer_fp8.insert(xqa.begin(), xqa.end());
  const Expected table[] = {
      {"FLASHINFER_MLA",
       flashinfer_bfloat16,
       {"9.0", "10.0", "10.3", "10.7"},
       flashinfer_fp8,
       {"9.0"},
       {}},
      {"FLASHMLA", flashmla, flashmla, flashmla, {}, {}},
      {"CUTLASS_MLA", family_10, family_10, family_10, {}, {}},
      {"TOKENSPEED_MLA", family_10, family_10, family_10, {}, {}},
      {"ROCM_AITER_MLA", mi300, mi300, mi300, {}, {}},
      {"TRITON_MLA", all, all, {}, all, all},
      {"FLASHATTN_MLA", {"9.0"}, {"9.0"}, {}, {}, {}},
  };
  for (const Expected& expected : table) {
    const std::string name = expected.name;
    for (const std::string device : testing::all_devices) {
      for (const DataType model : {bf16, fp16}) {
        SCOPED_TRACE(name + ' ' + device + ' ' + std::string(to_string(model)));
        const auto ask = [&](std::string_view cache) {
          return decode_queries(find(name), make_platform(device), cache, model);
        };
        const auto has = [&](const Devices& devices) { return devices.count(device) == 1; };
        EXPECT_EQ(ask(""), has(model == bf16 ? expected.bfloat16 : expected.float16)
                               ? DecodeQueries::model
                               : DecodeQueries::none);
        for (const KvCacheFormat& format : kv_cache_formats()) {
          DecodeQueries queries = DecodeQueries::none;
          if (format.name == "fp8" || format.name == "fp8_e4m3") {
            if (has(expected.fp8_queries)) queries = DecodeQueries::fp8;
            if (has(model == bf16 ? expected.bfloat16_queries : expected.float16_queries)) {
              queries = DecodeQueries::model;
            }
          }
          if (format.name == "fp8_ds_mla" && name == "FLASHMLA" && model == bf16 && has(flashmla)) {
            queries = DecodeQueries::model;
          }
          EXPECT_EQ(ask(format.name), queries) << format.name;
        }
      }
    }
  }
  EXPECT_EQ(decode_queries(find("TRITON_MLA"), cuda(9, 0), "", fp32), DecodeQueries::model);
  EXPECT_EQ(decode_queries(find("FLASHMLA"), cuda(9, 0), "", fp32), DecodeQueries::none);
}

// Hopper wants bfloat16 queries with an FP8 KV cache, Blackwell FP8 ones.
TEST(DecodeBackends, TheLegalPairDependsOnTheDevice_flashinfer3694_flashinfer5290) {
  const DecodeBackend& backend = find("FLASHINFER_MLA");
  EXPECT_EQ(decode_queries(backend, cuda(9, 0), "fp8", bf16), DecodeQueries::model);
  EXPECT_EQ(decode_queries(backend, cuda(9, 0), "fp8", fp16), DecodeQueries::none);
  EXPECT_EQ(decode_queries(backend, cuda(10, 0), "fp8", bf16), DecodeQueries::fp8);
}

TEST(DecodeBackends, ARowOfTheEnginesOwn) {
  DecodePair some_device;
  some_device.queries = DecodeQueries::fp8;
  some_device.kv_cache_dtypes = {"my_fp8"};
  some_device.devices = {cuda(9, 0)};
  DecodePair any_device;
  any_device.queries = DecodeQueries::fp8;
  any_device.kv_cache_dtypes = {"fp8"};
  DecodeBackend mine;
  mine.name = "MINE";
  mine.pairs = {some_device, any_device};
  EXPECT_EQ(decode_queries(mine, cuda(9, 0), "my_fp8", bf16), DecodeQueries::fp8);
  EXPECT_EQ(decode_queries(mine, cuda(10, 0), "my_fp8", bf16), DecodeQueries::none);
  EXPECT_EQ(decode_queries(mine, cuda(10, 0), "fp8", fp32), DecodeQueries::fp8);
  EXPECT_EQ(decode_queries(mine, cuda(8, 0), "fp8", bf16), DecodeQueries::none) << "it has no FP8";
  EXPECT_EQ(decode_queries(mine, cuda(10, 0), "", bf16), DecodeQueries::none);
}

}  // namespace
}  // namespace mla_dtype

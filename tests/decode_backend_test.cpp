// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <mla_dtype/decode_backend.h>
#include <mla_dtype/kv_cache.h>

#include <set>
#include <string>
#include <vector>

#include "support/engine_config.h"

namespace mla_dtype {
namespace {

using ::testing::ElementsAre;
using testing::make_platform;

const DecodeBackend& find(const std::string& name) {
  for (const DecodeBackend& backend : vllm_decode_backends()) {
    if (backend.name == name) return backend;
  }
  throw std::out_of_range(name);
}

TEST(DecodeBackends, TheTableIsVllms) {
  std::vector<std::string> names;
  for (const DecodeBackend& backend : vllm_decode_backends()) names.push_back(backend.name);
  EXPECT_THAT(names, ElementsAre("FLASHINFER_MLA", "FLASHMLA", "CUTLASS_MLA", "TOKENSPEED_MLA",
                                 "ROCM_AITER_MLA", "TRITON_MLA", "FLASHATTN_MLA"));
  EXPECT_TRUE(find("CUTLASS_MLA").needs_unit_scales);
  EXPECT_TRUE(find("TRITON_MLA").dequantizes_on_load);
}

// The legal pairs once more, as sets.
TEST(DecodeBackends, TheLegalPairs) {
  const std::set<std::string> family_10 = {"10.0", "10.1", "10.3", "10.7"};
  struct Expected {
    const char* name;
    std::set<std::string> fp8_queries, model_queries;  // devices, for plain FP8 KV caches
  };
  const std::set<std::string> with_fp8 = {"8.9",    "9.0",    "10.0",   "10.1", "10.3",
                                          "10.7",   "11.0",   "12.0",   "12.1", "13.0",
                                          "gfx942", "gfx950", "gfx1201"};
  const Expected all[] = {
      {"FLASHINFER_MLA", {"10.0", "10.3", "10.7", "12.0", "12.1"}, {"9.0"}},
      {"FLASHMLA", {"9.0", "10.0", "10.1", "10.3", "10.7"}, {}},
      {"CUTLASS_MLA", family_10, {}},
      {"TOKENSPEED_MLA", family_10, {}},
      {"ROCM_AITER_MLA", {"gfx942", "gfx950"}, {}},
      {"TRITON_MLA", {}, with_fp8},
      {"FLASHATTN_MLA", {}, {}},
  };
  for (const Expected& expected : all) {
    for (const std::string device : testing::all_devices) {
      for (const KvCacheFormat& format : kv_cache_formats()) {
        SCOPED_TRACE(expected.name + (' ' + device + ' ') + std::string(format.name));
        const bool plain = format.name == "fp8" || format.name == "fp8_e4m3";
        DecodeQueries queries = DecodeQueries::none;
        if (plain && expected.fp8_queries.count(device) == 1) queries = DecodeQueries::fp8;
        if (plain && expected.model_queries.count(device) == 1) queries = DecodeQueries::model;
        if (format.name == "fp8_ds_mla" && std::string(expected.name) == "FLASHMLA" &&
            (device == "9.0" || family_10.count(device) == 1)) {
          queries = DecodeQueries::model;
        }
        EXPECT_EQ(decode_queries(find(expected.name), make_platform(device), format.name), queries);
      }
    }
  }
}

// Hopper wants 16-bit queries with an FP8 KV cache, Blackwell FP8 ones: flashinfer#3694.
TEST(DecodeBackends, TheLegalPairDependsOnTheDevice_flashinfer3694) {
  const DecodeBackend& backend = find("FLASHINFER_MLA");
  EXPECT_EQ(decode_queries(backend, cuda(9, 0), "fp8"), DecodeQueries::model);
  EXPECT_EQ(decode_queries(backend, cuda(10, 0), "fp8"), DecodeQueries::fp8);
}

TEST(DecodeBackends, ARowOfTheEnginesOwn) {
  DecodeBackend mine;
  mine.name = "MINE";
  mine.with_fp8_queries = {{{cuda(9, 0)}, {"my_fp8"}}, {{}, {"fp8"}}};
  EXPECT_EQ(decode_queries(mine, cuda(9, 0), "my_fp8"), DecodeQueries::fp8);
  EXPECT_EQ(decode_queries(mine, cuda(10, 0), "my_fp8"), DecodeQueries::none);
  EXPECT_EQ(decode_queries(mine, cuda(10, 0), "fp8"), DecodeQueries::fp8);
  EXPECT_EQ(decode_queries(mine, cuda(8, 0), "fp8"), DecodeQueries::none) << "it has no FP8";
}

}  // namespace
}  // namespace mla_dtype

// SPDX-License-Identifier: Apache-2.0

// Without this a pair of KV cache and queries that no kernel serves could become legal, or a legal
// one be refused, unnoticed.

#include <gmock/gmock.h>
#include <mla_dtype/decode_backend.h>
#include <mla_dtype/kv_cache.h>

#include <set>
#include <string>
#include <vector>

#include "support/data_types.h"
#include "support/engine_config.h"
#include "support/vllm_decode_backend.h"

namespace mla_dtype {
namespace {

using testing::bf16;
using ::testing::ElementsAre;
using testing::fp16;
using testing::fp32;
using testing::make_platform;
using testing::vllm_decode_backend;

TEST(DecodeBackends, TheTableIsVllms) {
  std::vector<std::string> names;
  for (const DecodeBackend& backend : vllm_decode_backends()) {
    names.push_back(backend.name);
    EXPECT_EQ(backend.needs_unit_scales, backend.name == "CUTLASS_MLA");
    EXPECT_EQ(backend.sparse, backend.name.find("SPARSE") != std::string::npos);
    if (!backend.sparse) continue;
    for (const DecodePair& pair : backend.pairs) {
      EXPECT_FALSE(pair.with_decode_context_parallel) << backend.name;  // vllm#53134
    }
  }
  EXPECT_THAT(names,
              ElementsAre("ROCM_AITER_MLA", "FLASHINFER_MLA", "TOKENSPEED_MLA", "CUTLASS_MLA",
                          "FLASH_ATTN_MLA", "FLASHMLA", "TRITON_MLA", "ROCM_AITER_TRITON_MLA",
                          "FLASH_ATTN_MLA_SPARSE", "FLASHMLA_SPARSE", "FLASHINFER_MLA_SPARSE",
                          "FLASHINFER_MLA_SPARSE_SM120", "ROCM_AITER_MLA_SPARSE"));
}

// The legal pairs once more, as sets of devices.
TEST(DecodeBackends, TheLegalPairs) {
  using Devices = std::set<std::string>;
  const Devices hopper = {"9.0"};
  const Devices family_10 = {"10.0", "10.1", "10.3", "10.7"};
  const Devices mi300 = {"gfx942", "gfx950"};
  const Devices cdna = {"gfx90a", "gfx942", "gfx950"};
  const Devices from_8_9 = {"8.9",  "9.0",  "10.0", "10.1",   "10.3",   "10.7",
                            "11.0", "12.0", "12.1", "gfx90a", "gfx942", "gfx950"};
  Devices from_8_0 = from_8_9;
  from_8_0.insert({"8.0", "8.6"});
  struct Expected {
    const char* name;
    Devices unquantized;    // in a model of either data type
    Devices fp8_queries;    // with a plain FP8 KV cache
    Devices model_queries;  // ... in the model dtype
  };
  const Expected table[] = {
      {"ROCM_AITER_MLA", cdna, mi300, {}},    {"FLASHINFER_MLA", family_10, family_10, {}},
      {"TOKENSPEED_MLA", {}, family_10, {}},  {"CUTLASS_MLA", family_10, family_10, {}},
      {"FLASH_ATTN_MLA", hopper, {}, {}},     {"FLASHMLA", hopper, hopper, {}},
      {"TRITON_MLA", from_8_0, {}, from_8_9},
  };
  for (const Expected& expected : table) {
    const std::string name = expected.name;
    for (const std::string device : testing::all_devices) {
      for (const DataType model : {bf16, fp16, fp32}) {
        SCOPED_TRACE(name + ' ' + device + ' ' + std::string(to_string(model)));
        const auto ask = [&](std::string_view cache) {
          return decode_queries(vllm_decode_backend(name), make_platform(device), cache, model);
        };
        const auto has = [&](const Devices& devices) {
          return model != fp32 && devices.count(device) == 1;
        };
        EXPECT_EQ(ask(""), has(expected.unquantized) ? DecodeQueries::model : DecodeQueries::none);
        for (const KvCacheFormat& format : kv_cache_formats()) {
          const bool is_plain = format.name == "fp8" || format.name == "fp8_e4m3";
          const bool is_read = is_plain || (format.name == "fp8_e5m2" && name == "ROCM_AITER_MLA");
          DecodeQueries queries = DecodeQueries::none;
          if (is_read && has(expected.fp8_queries)) queries = DecodeQueries::fp8;
          if (is_read && has(expected.model_queries)) queries = DecodeQueries::model;
          EXPECT_EQ(ask(format.name), queries) << format.name;
        }
      }
    }
  }
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

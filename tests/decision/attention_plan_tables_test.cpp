// SPDX-License-Identifier: Apache-2.0

// Without this a plan could have a data type, be refused or warn where its tables say otherwise,
// for any device, pair of backends and configuration, unnoticed.

#include <gtest/gtest.h>
#include <mla_dtype/attention_plan.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "support/data_types.h"
#include "support/follow.h"
#include "support/plan_question.h"

namespace mla_dtype {
namespace {

using testing::bf16;
using testing::bytes;
using testing::e4m3;
using testing::fp16;
using testing::Question;

// The rules once more, as tables; nothing where the plan has to be refused.
struct ExpectedPlan {
  DataType storage, view, prefill;
  std::optional<DataType> workspace;
  DataType decode;
};

struct CacheRow {
  const char* name;
  std::optional<DataType> storage, view;  // none: the model dtype
};
const CacheRow cache_rows[] = {
    {"auto", {}, {}},
    {"float16", fp16, fp16},
    {"bfloat16", bf16, bf16},
    {"fp8", bytes, e4m3},
    {"fp8_e4m3", bytes, e4m3},
    {"fp8_inc", bytes, e4m3},
    {"fp8_per_token_head", bytes, e4m3},
    {"fp8_e5m2", bytes, DataType::float8_e5m2},
    {"int8_per_token_head", DataType::int8, DataType::int8},
    {"int4_per_token_head", bytes, bytes},
    {"fp8_ds_mla", bytes, bytes},
    {"nvfp4", bytes, bytes},
    {"nvfp4_4over6", bytes, bytes},
    {"nvfp4_ds_mla", bytes, bytes},
    {"turboquant_k8v4", bytes, bytes},
    {"turboquant_4bit_nc", bytes, bytes},
    {"turboquant_k3v4_nc", bytes, bytes},
    {"turboquant_3bit_nc", bytes, bytes},
};
static_assert(std::size(cache_rows) == 18);

enum class Pair { fp8, model, none };

// Where each decode backend reads a KV cache in the model dtype, and a plain FP8 one how.
struct DecodeRow {
  std::vector<std::string> unquantized;
  std::map<std::string, Pair> plain_fp8;
};
const std::map<std::string, DecodeRow> decode_rows = {
    {"ROCM_AITER_MLA", {{"gfx942", "gfx950"}, {{"gfx942", Pair::fp8}, {"gfx950", Pair::fp8}}}},
    {"FLASHINFER_MLA", {{"10.0", "10.3"}, {{"10.0", Pair::fp8}, {"10.3", Pair::fp8}}}},
    {"TOKENSPEED_MLA", {{}, {{"10.0", Pair::fp8}, {"10.3", Pair::fp8}}}},
    {"CUTLASS_MLA", {{"10.0", "10.3"}, {{"10.0", Pair::fp8}, {"10.3", Pair::fp8}}}},
    {"FLASH_ATTN_MLA", {{"9.0"}, {}}},
    {"FLASHMLA", {{"9.0"}, {{"9.0", Pair::fp8}}}},
    {"TRITON_MLA",
     {{"8.0", "9.0", "10.0", "10.3", "12.0", "gfx942", "gfx950"},
      {{"9.0", Pair::model},
       {"10.0", Pair::model},
       {"10.3", Pair::model},
       {"12.0", Pair::model},
       {"gfx942", Pair::model},
       {"gfx950", Pair::model}}}},
};

bool is_unquantized(const std::string& cache) {
  return cache == "auto" || cache == "float16" || cache == "bfloat16";
}

Pair decode_pair(const Question& question) {
  const std::string& cache = question.config.cache_config.cache_dtype;
  const auto& [unquantized, plain_fp8] = decode_rows.at(question.decode_backend);
  if (is_unquantized(cache)) {
    const bool is_model = cache == "auto" || cache == to_string(question.model_dtype);
    const bool runs = std::count(unquantized.begin(), unquantized.end(), question.device) == 1;
    return is_model && runs ? Pair::model : Pair::none;
  }
  const bool is_e5m2_too = question.decode_backend == "ROCM_AITER_MLA" && cache == "fp8_e5m2";
  if (cache != "fp8" && cache != "fp8_e4m3" && !is_e5m2_too) return Pair::none;
  const auto found = plain_fp8.find(question.device);
  return found != plain_fp8.end() ? found->second : Pair::none;
}

bool prefill_runs(const Question& question) {
  const std::string& backend = question.prefill_backend;
  if (backend.empty() || backend == "FLASH_ATTN") return true;
  if (backend == "ROCM_AITER_FA") return question.device == "gfx942" || question.device == "gfx950";
  return question.device == "10.0" || question.device == "10.3";
}

bool prefill_is_fp8(const Question& question) {
  const std::string& backend = question.prefill_backend;
  const std::string& cache = question.config.cache_config.cache_dtype;
  if (!question.config.attention_config.use_prefill_query_quantization) return false;
  if (cache != "fp8" && cache != "fp8_e4m3") return false;
  if (question.device != "10.0" && question.device != "10.3") return false;
  if (backend == "FLASH_ATTN" || backend == "ROCM_AITER_FA") return false;
  // FlashInfer's CUTLASS kernel writes bfloat16 only.
  return question.model_dtype == bf16 || backend != "FLASHINFER";
}

std::optional<ExpectedPlan> expected_plan(const Question& question) {
  const std::string& cache = question.config.cache_config.cache_dtype;
  const Pair pair = decode_pair(question);
  if (!prefill_runs(question) || pair == Pair::none) return std::nullopt;
  const KvScales scales = question.config.cache_config.kv_scales;
  if (question.decode_backend == "CUTLASS_MLA" && !is_unquantized(cache) &&
      (scales == KvScales::calibrated || scales == KvScales::dynamic)) {
    return std::nullopt;
  }
  // Two ranks that share their KV cache have 256 heads.
  const bool is_spread = question.config.parallel_config.decode_context_parallel_size > 1;
  if (is_spread &&
      (question.decode_backend == "TOKENSPEED_MLA" || question.decode_backend == "CUTLASS_MLA")) {
    return std::nullopt;
  }
  const bool fnuz = question.device == "gfx942";
  const DataType fp8 = fnuz ? DataType::float8_e4m3fnuz : e4m3;
  ExpectedPlan expected{};
  for (const CacheRow& row : cache_rows) {
    if (row.name != cache) continue;
    expected.storage = row.storage.value_or(question.model_dtype);
    expected.view = row.view.value_or(question.model_dtype);
  }
  if (expected.view == e4m3) expected.view = fp8;
  if (expected.view == DataType::float8_e5m2 && fnuz) expected.view = DataType::float8_e5m2fnuz;
  expected.prefill = prefill_is_fp8(question) ? fp8 : question.model_dtype;
  if (question.config.scheduler_config.enable_chunked_prefill) {
    expected.workspace = expected.prefill;
    if (cache == "fp8_ds_mla") expected.workspace = bf16;
    if (question.config.parallel_config.decode_context_parallel_size > 1) {
      expected.workspace = question.model_dtype;
    }
  }
  expected.decode = pair == Pair::fp8 ? fp8 : question.model_dtype;
  return expected;
}

void check(const Question& question) {
  SCOPED_TRACE(question.device + ' ' + question.prefill_backend + ' ' + question.decode_backend +
               ' ' + question.config.cache_config.cache_dtype);
  const auto expected = expected_plan(question);
  if (!expected) {
    // Where scales do not matter, one refusal is enough: what would help is searched for in each.
    const bool do_scales_matter = question.decode_backend == "CUTLASS_MLA";
    if (!do_scales_matter && question.config.cache_config.kv_scales != KvScales::unknown) return;
    EXPECT_THROW(question.plan(), AttentionPlanRefused);
    return;
  }
  const AttentionPlan plan = question.plan();
  EXPECT_EQ(plan.kv_cache_storage.data_type, expected->storage);
  EXPECT_EQ(plan.kv_cache_view.data_type, expected->view);
  EXPECT_EQ(plan.prefill_query.data_type, expected->prefill);
  EXPECT_EQ(plan.prefill_key_value.data_type, expected->prefill);
  ASSERT_EQ(plan.chunked_prefill_workspace.has_value(), expected->workspace.has_value());
  if (expected->workspace) {
    EXPECT_EQ(plan.chunked_prefill_workspace->data_type, *expected->workspace);
  }
  EXPECT_EQ(plan.decode_query.data_type, expected->decode);
  EXPECT_EQ(plan.output.data_type, question.model_dtype);
  EXPECT_EQ(plan.prefill.data_type, expected->prefill);
  EXPECT_EQ(plan.prefill.blockers.empty(), is_fp8(expected->prefill));
  // What is advised is no plan that would be refused.
  for (const Remedy& remedy : plan.prefill.remedies) {
    Question remedied = question;
    remedied.config = testing::follow(question.config, remedy);
    if (!remedy.prefill_backend.empty()) remedied.prefill_backend = remedy.prefill_backend;
    EXPECT_TRUE(is_fp8(remedied.plan().prefill_query.data_type)) << remedy.spelling;
  }
  for (const PlannedDataType* planned :
       {&plan.kv_cache_storage, &plan.kv_cache_view, &plan.prefill_query, &plan.prefill_key_value,
        &plan.decode_query, &plan.output}) {
    EXPECT_NE(planned->reason, "");
  }

  const bool computes_fp8 = is_fp8(expected->prefill) || is_fp8(expected->decode);
  const KvScales scales = question.config.cache_config.kv_scales;
  std::vector<CautionKind> cautions;
  if (computes_fp8 && scales == KvScales::unit) cautions.push_back(CautionKind::unit_scales);
  if (computes_fp8 && scales == KvScales::unknown) cautions.push_back(CautionKind::unknown_scales);
  if (!is_unquantized(question.config.cache_config.cache_dtype) && !is_fp8(expected->decode)) {
    cautions.push_back(CautionKind::storage_only);
  }
  if (question.device == "gfx950" && question.prefill_backend != "FLASH_ATTN") {
    cautions.push_back(CautionKind::flag_ignored);
  }
  if (is_fp8(expected->decode) && question.decode_backend == "ROCM_AITER_MLA") {
    cautions.push_back(CautionKind::known_wrong);
  }
  std::vector<CautionKind> actual;
  for (const Caution& caution : plan.cautions) actual.push_back(caution.kind);
  EXPECT_EQ(actual, cautions);
}

class Plan : public ::testing::TestWithParam<const char*> {};

TEST_P(Plan, IsWhatTheTablesSay) {
  Question question;
  question.device = GetParam();
  for (const auto& [decode_backend, row] : decode_rows) {
    question.decode_backend = decode_backend;
    for (const char* prefill_backend :
         {"", "FLASH_ATTN", "TRTLLM_RAGGED", "FLASHINFER", "TOKENSPEED_MLA", "ROCM_AITER_FA"}) {
      question.prefill_backend = prefill_backend;
      for (const CacheRow& cache : cache_rows) {
        question.config.cache_config.cache_dtype = cache.name;
        for (const bool requested : {false, true}) {
          question.config.attention_config.use_prefill_query_quantization = requested;
          for (const DataType model_dtype : {bf16, fp16}) {
            question.model_dtype = model_dtype;
            for (const int context_parallel : {1, 2}) {
              question.config.parallel_config.decode_context_parallel_size = context_parallel;
              for (const KvScales scales :
                   {KvScales::unknown, KvScales::calibrated, KvScales::unit, KvScales::dynamic}) {
                question.config.cache_config.kv_scales = scales;
                // Without chunked prefill there is no workspace, and nothing else is different.
                for (const bool chunked : {true, false}) {
                  if (!chunked && scales != KvScales::calibrated) continue;
                  question.config.scheduler_config.enable_chunked_prefill = chunked;
                  check(question);
                  if (HasFailure()) return;  // one is enough to read
                }
              }
            }
          }
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Device, Plan,
                         ::testing::Values("8.0", "9.0", "10.0", "10.3", "12.0", "gfx942", "gfx950",
                                           "none"),
                         [](const auto& device) {
                           std::string name = device.param;
                           std::replace(name.begin(), name.end(), '.', '_');
                           return name;
                         });

}  // namespace
}  // namespace mla_dtype

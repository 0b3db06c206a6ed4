// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <mla_dtype/attention_plan.h>
#include <mla_dtype/kv_cache.h>
#include <sys/wait.h>
#include <unistd.h>

#include <map>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "support/engine_config.h"
#include "support/expect_invalid.h"
#include "support/recording_sink.h"

namespace mla_dtype {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using testing::expect_invalid;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::make_config;
using testing::make_platform;
using testing::RecordingLogger;
using ::testing::SizeIs;
using ::testing::StartsWith;

constexpr auto bf16 = DataType::bfloat16;
constexpr auto fp16 = DataType::float16;
constexpr auto e4m3 = DataType::float8_e4m3fn;
constexpr auto bytes = DataType::uint8;

template <class Call, class Matcher>
void expect_refused(Call call, const Matcher& expected) {
  try {
    call();
    ADD_FAILURE() << "nothing was thrown";
  } catch (const AttentionPlanRefused& refused) {
    EXPECT_THAT(std::string(refused.what()), expected);
  }
}

// One question to the plan, with the tables of backends.
struct Question {
  std::string device, prefill_backend, decode_backend;
  EngineConfig config;
  DataType model_dtype = bf16;

  AttentionPlan plan() const {
    EngineConfig asked = config;
    asked.attention_config.mla_prefill_backend = prefill_backend;
    const Platform platform = make_platform(device);
    return plan_attention_data_types(asked, model_dtype,
                                     make_environment(platform, vllm_prefill_backends()),
                                     make_decode_environment(platform, decode_backend));
  }
};

// The rules once more, as tables; nothing where the plan has to be refused.
struct Expected {
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

// Where each decode backend runs, and what it does with a plain FP8 KV cache there.
const std::map<std::string, std::map<std::string, Pair>> plain_fp8_pairs = {
    {"FLASHINFER_MLA",
     {{"9.0", Pair::model}, {"10.0", Pair::fp8}, {"10.3", Pair::fp8}, {"12.0", Pair::fp8}}},
    {"FLASHMLA", {{"9.0", Pair::fp8}, {"10.0", Pair::fp8}, {"10.3", Pair::fp8}}},
    {"CUTLASS_MLA", {{"10.0", Pair::fp8}, {"10.3", Pair::fp8}}},
    {"TOKENSPEED_MLA", {{"10.0", Pair::fp8}, {"10.3", Pair::fp8}}},
    {"ROCM_AITER_MLA", {{"gfx942", Pair::fp8}, {"gfx950", Pair::fp8}}},
    {"TRITON_MLA",
     {{"8.0", Pair::model},
      {"9.0", Pair::model},
      {"10.0", Pair::model},
      {"10.3", Pair::model},
      {"12.0", Pair::model},
      {"gfx942", Pair::model},
      {"gfx950", Pair::model},
      {"none", Pair::model}}},
    {"FLASHATTN_MLA", {{"9.0", Pair::none}}},
};

bool is_unquantized(const std::string& cache) {
  return cache == "auto" || cache == "float16" || cache == "bfloat16";
}

Pair decode_pair(const Question& question) {
  const std::string& cache = question.config.cache_config.cache_dtype;
  const std::string& backend = question.decode_backend;
  const auto& devices = plain_fp8_pairs.at(backend);
  const auto found = devices.find(question.device);
  if (found == devices.end()) return Pair::none;
  const bool is_bf16 = question.model_dtype == bf16;
  if (is_unquantized(cache)) {
    if (cache != "auto" && cache != to_string(question.model_dtype)) return Pair::none;
    const bool only_bf16 = backend == "FLASHINFER_MLA" && question.device == "12.0";
    return is_bf16 || !only_bf16 ? Pair::model : Pair::none;
  }
  if (cache == "fp8_ds_mla") return backend == "FLASHMLA" && is_bf16 ? Pair::model : Pair::none;
  if (cache != "fp8" && cache != "fp8_e4m3") return Pair::none;
  if (backend == "FLASHINFER_MLA" && question.device == "9.0" && !is_bf16) return Pair::none;
  return found->second;
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
  if (question.config.cache_config.kv_scales == KvScales::dynamic) return false;
  if (question.config.parallel_config.decode_context_parallel_size > 1) return false;
  if (backend == "FLASH_ATTN" || backend == "ROCM_AITER_FA") return false;
  // FlashInfer's kernels write bfloat16 only.
  return question.model_dtype == bf16 || backend == "TOKENSPEED_MLA" || backend.empty();
}

std::optional<Expected> expected_plan(const Question& question) {
  const std::string& cache = question.config.cache_config.cache_dtype;
  const Pair pair = decode_pair(question);
  if (!prefill_runs(question) || pair == Pair::none) return std::nullopt;
  const KvScales scales = question.config.cache_config.kv_scales;
  if (question.decode_backend == "CUTLASS_MLA" && !is_unquantized(cache) &&
      (scales == KvScales::calibrated || scales == KvScales::dynamic)) {
    return std::nullopt;
  }
  const bool fnuz = question.device == "gfx942";
  const DataType fp8 = fnuz ? DataType::float8_e4m3fnuz : e4m3;
  Expected expected{};
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
    auto& attention = remedied.config.attention_config;
    attention.use_prefill_query_quantization |= remedy.request;
    if (!remedy.cache_dtype.empty()) {
      remedied.config.cache_config.cache_dtype = remedy.cache_dtype;
    }
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
  std::vector<CautionKind> actual;
  for (const Caution& caution : plan.cautions) actual.push_back(caution.kind);
  EXPECT_EQ(actual, cautions);
}

class Plan : public ::testing::TestWithParam<const char*> {};

TEST_P(Plan, IsWhatTheTablesSay) {
  Question question;
  question.device = GetParam();
  for (const auto& [decode_backend, pairs] : plain_fp8_pairs) {
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

// Predicates of the engine's own.

struct Injected {
  Environment env;
  DecodeEnvironment decode;
  std::vector<std::string> asked;

  Injected(bool quantized, bool prefill, Support decode_supports) {
    env.is_quantized_kv_cache = [this, quantized](std::string_view) {
      asked.emplace_back("kv_cache");
      return quantized;
    };
    env.backend_supports_prefill_query_quantization = [this, prefill](const EngineConfig&,
                                                                      DataType) -> Support {
      asked.emplace_back("prefill");
      if (prefill) return true;
      return {false, "No prefill kernels."};
    };
    decode.decode_backend_supports_quantized_query = [this, decode_supports](const EngineConfig&,
                                                                             DataType) {
      asked.emplace_back("decode");
      return decode_supports;
    };
  }

  AttentionPlan plan(const EngineConfig& config) {
    return plan_attention_data_types(config, bf16, env, decode);
  }
};

// DeepSeek-V3 on B200 with everything in FP8 that can be.
Question deepseek_v3() {
  Question question;
  question.device = "10.0";
  question.decode_backend = "FLASHINFER_MLA";
  question.config = make_config("fp8", true);
  question.config.cache_config.kv_scales = KvScales::calibrated;
  return question;
}

TEST(AttentionPlan, MemoryIsWhatIsPublished) {
  Question question = deepseek_v3();
  AttentionPlan plan = question.plan();
  EXPECT_EQ(plan.kv_cache_bytes, 576U);
  EXPECT_EQ(plan.unquantized_kv_cache_bytes, 1152U);
  EXPECT_EQ(plan.workspace_bytes, 576U);
  question.config.cache_config.cache_dtype = "auto";
  plan = question.plan();
  EXPECT_EQ(plan.kv_cache_bytes, 1152U);
  EXPECT_EQ(plan.workspace_bytes, 1152U);
  question.config.scheduler_config.enable_chunked_prefill = false;
  EXPECT_EQ(question.plan().workspace_bytes, std::nullopt);
  question.decode_backend = "FLASHMLA";
  question.config.cache_config.cache_dtype = "fp8_ds_mla";
  EXPECT_EQ(question.plan().kv_cache_bytes, 656U);
  question.config.kv_lora_rank = 200;  // two scales, of which one is for the last 72
  EXPECT_EQ(question.plan().kv_cache_bytes, 200U + 8U + 128U);
  question.model_dtype = DataType::float32;
  question.decode_backend = "TRITON_MLA";
  question.config.cache_config.cache_dtype = "auto";
  expect_refused([&] { question.plan(); }, HasSubstr("does not take float32 models"));
}

TEST(AttentionPlan, AnswersInLines) {
  EXPECT_EQ(
      to_string(deepseek_v3().plan()),
      "KV-cache storage          uint8            KV-cache dtype \"fp8\": the operator chose "
      "it.\n"
      "KV-cache view             float8_e4m3fn    KV-cache dtype \"fp8\": the operator chose "
      "it.\n"
      "prefill query             float8_e4m3fn    FP8 prefill queries are requested and "
      "possible.\n"
      "prefill key and value     float8_e4m3fn    Always that of the prefill queries.\n"
      "chunked-prefill workspace float8_e4m3fn    That of the prefill queries.\n"
      "decode query              float8_e4m3fn    The KV cache is FP8, and the decode backend "
      "takes FP8 queries with it.\n"
      "output                    bfloat16         Always the model's data type.\n"
      "KV cache                  576 bytes        For a token and layer; 1152 in the model's "
      "data type.\n"
      "workspace                 576 bytes        For a token.");
}

// The checkpoint's own KV quantization is what auto comes to: vllm#34752.
TEST(AttentionPlan, AutoIsTheCheckpoints_vllm34752) {
  Question question = deepseek_v3();
  question.config.cache_config.cache_dtype = "auto";
  question.config.cache_config.checkpoint_kv_cache_quant_algo = "FP8";
  const AttentionPlan plan = question.plan();
  EXPECT_EQ(plan.kv_cache_view.data_type, e4m3);
  EXPECT_EQ(plan.kv_cache_view.reason,
            "KV-cache dtype \"fp8_e4m3\": the checkpoint was quantized for it.");
  EXPECT_EQ(plan.decode_query.data_type, e4m3);
  EXPECT_EQ(plan.prefill_query.data_type, e4m3);
}

// Kimi-K3 asserts the opposite of what the generic rule says: FP8 queries for a packed cache.
TEST(AttentionPlan, APackedCacheHasQueriesOfTheModel_vllm51394) {
  Question question = deepseek_v3();
  question.decode_backend = "FLASHMLA";
  question.config.cache_config.cache_dtype = "fp8_ds_mla";
  const AttentionPlan plan = question.plan();
  EXPECT_EQ(plan.prefill_query.data_type, bf16);
  EXPECT_EQ(plan.decode_query.data_type, bf16);
  EXPECT_EQ(plan.chunked_prefill_workspace->data_type, bf16);
  EXPECT_EQ(plan.kv_cache_view.data_type, bytes);
  question.model_dtype = fp16;
  expect_refused([&] { question.plan(); },
                 StartsWith("Decode backend FLASHMLA does not read a KV cache of dtype "
                            "\"fp8_ds_mla\" for a float16 model on this device (sm_100)."));
  // Not with predicates of the engine's own either.
  Injected injected(true, true, true);
  EXPECT_EQ(injected.plan(make_config("fp8_ds_mla", true)).prefill_query.data_type, bf16);
}

// Crashes that came only once FP8 prefill was on.
TEST(AttentionPlan, ASpreadKvCacheVetoesFp8Prefill_vllm34795_vllm40609) {
  Question question = deepseek_v3();
  question.config.parallel_config.decode_context_parallel_size = 2;
  const AttentionPlan plan = question.plan();
  EXPECT_EQ(plan.prefill_query.data_type, bf16);
  EXPECT_EQ(plan.prefill_query.reason,
            "FP8 prefill queries do not work with a decode-context-parallel size above 1.");
  EXPECT_EQ(plan.decode_query.data_type, e4m3);
}

TEST(AttentionPlan, DynamicScalesVetoFp8Prefill_vllm37054) {
  Question question = deepseek_v3();
  question.config.cache_config.kv_scales = KvScales::dynamic;
  const AttentionPlan plan = question.plan();
  EXPECT_EQ(plan.prefill_query.data_type, bf16);
  ASSERT_THAT(plan.prefill.blockers, SizeIs(1));
  EXPECT_EQ(plan.prefill.blockers[0].kind, BlockerKind::dynamic_kv_scales);
}

TEST(AttentionPlan, WhatWritesOnlyBfloat16DoesNotServeFloat16) {
  Question question = deepseek_v3();
  question.model_dtype = fp16;
  question.prefill_backend = "FLASHINFER";
  const AttentionPlan plan = question.plan();
  EXPECT_EQ(plan.prefill_query.data_type, fp16);
  ASSERT_THAT(plan.prefill.blockers, SizeIs(1));
  EXPECT_EQ(plan.prefill.blockers[0].kind, BlockerKind::output_dtype);
  EXPECT_EQ(plan.prefill.blockers[0].sentence,
            "Prefill backend FLASHINFER does not write float16 from FP8 queries.");
  ASSERT_THAT(plan.prefill.remedies, SizeIs(1));
  EXPECT_EQ(plan.prefill.remedies[0].prefill_backend, "TOKENSPEED_MLA");
  question.prefill_backend = plan.prefill.remedies[0].prefill_backend;
  EXPECT_EQ(question.plan().prefill_query.data_type, e4m3);
  question.prefill_backend = "";
  EXPECT_EQ(question.plan().prefill.prefill_backend, "TOKENSPEED_MLA");
  EXPECT_EQ(question.plan().prefill_backend.name, "TOKENSPEED_MLA");
  EXPECT_THAT(question.plan().prefill_backend.rejected, SizeIs(4));
}

// CUTLASS decode gives wrong answers with scales other than 1: vllm#37054.
TEST(AttentionPlan, CutlassNeedsUnitScales_vllm37054) {
  Question question = deepseek_v3();
  question.decode_backend = "CUTLASS_MLA";
  expect_refused(
      [&] { question.plan(); },
      std::string(
          "Decode backend CUTLASS_MLA takes KV scales of 1 only, and these are calibrated."));
  question.config.cache_config.kv_scales = KvScales::unit;
  EXPECT_EQ(question.plan().decode_query.data_type, e4m3);
}

// A draft model on TRITON_MLA asserted at the first decode: vllm#51860; it dequantizes: vllm#34597.
TEST(AttentionPlan, TritonDequantizes_vllm34597) {
  Question question = deepseek_v3();
  question.decode_backend = "TRITON_MLA";
  const AttentionPlan plan = question.plan();
  EXPECT_EQ(plan.decode_query.data_type, bf16);
  ASSERT_THAT(plan.cautions, SizeIs(1));
  EXPECT_EQ(plan.cautions[0].kind, CautionKind::storage_only);
}

TEST(AttentionPlan, AnIllegalPairIsNoAnswer) {
  Question question = deepseek_v3();
  question.decode_backend = "FLASHATTN_MLA";
  expect_refused(
      [&] { question.plan(); },
      StartsWith("Decode backend FLASHATTN_MLA does not read a KV cache of dtype \"fp8\" "
                 "for a bfloat16 model on this device (sm_100)."));
  question.decode_backend = "FLASHMLA";
  question.prefill_backend = "FLASHINFER";
  question.device = "9.0";
  expect_refused([&] { question.plan(); },
                 StartsWith("Prefill backend FLASHINFER cannot be used. Prefill backend FLASHINFER "
                            "does not run on this device (sm_90)"));
}

TEST(AttentionPlan, WhatIsRequiredAndNotPossibleIsRefused) {
  Question question = deepseek_v3();
  question.device = "9.0";
  question.decode_backend = "FLASHMLA";
  question.config.attention_config.prefill_query_mode = PrefillQueryMode::required;
  EXPECT_THROW(question.plan(), PrefillQueryRefused);
  question.device = "10.0";
  EXPECT_EQ(question.plan().prefill_query.data_type, e4m3);
}

// As those who keep it for later do.
TEST(AttentionPlan, ARefusalIsCopied) {
  AttentionPlanRefused kept("first");
  const AttentionPlanRefused other("second");
  const AttentionPlanRefused copy = kept;
  kept = other;
  EXPECT_STREQ(copy.what(), "first");
  EXPECT_STREQ(kept.what(), "second");
}

TEST(AttentionPlan, CautionsHaveNames) {
  std::set<std::string_view> all;
  for (unsigned kind = 0; kind <= static_cast<unsigned>(CautionKind::flag_ignored); ++kind) {
    all.insert(to_string(static_cast<CautionKind>(kind)));
  }
  EXPECT_THAT(all, SizeIs(4));
  EXPECT_EQ(to_string(CautionKind::storage_only), "storage_only");
  expect_invalid([] { to_string(static_cast<CautionKind>(4)); },
                 StartsWith("kind: CautionKind(4) is not accepted"));
}

TEST(AttentionPlan, AsksInjectedPredicatesOnce) {
  Injected yes(true, true, true);
  AttentionPlan plan = yes.plan(make_config("fp8", true));
  EXPECT_THAT(yes.asked, ElementsAre("kv_cache", "prefill", "decode"));
  EXPECT_EQ(plan.prefill_query.data_type, e4m3);
  EXPECT_EQ(plan.decode_query.data_type, e4m3);

  Injected no(true, false, {false, "No decode kernels."});
  plan = no.plan(make_config("fp8", true));
  EXPECT_EQ(plan.prefill_query.reason, "No prefill kernels.");
  EXPECT_EQ(plan.decode_query.data_type, bf16);
  EXPECT_EQ(plan.decode_query.reason, "No decode kernels.");

  for (const char* cache_dtype :
       {"nvfp4", "fp8_ds_mla", "fp8_per_token_head", "fp8_e5m2", "mine"}) {
    Injected packed(true, true, true);
    plan = packed.plan(make_config(cache_dtype, false));
    EXPECT_THAT(packed.asked, ElementsAre("kv_cache", "prefill")) << "not plain FP8";
    EXPECT_EQ(plan.decode_query.data_type, bf16);
  }
  Injected unquantized(false, true, true);
  EXPECT_EQ(unquantized.plan(make_config("auto", true)).decode_query.data_type, bf16);
  EXPECT_THAT(unquantized.asked, ElementsAre("kv_cache"));
}

TEST(AttentionPlan, VetoesHoldForInjectedPredicates) {
  EngineConfig config = make_config("fp8", true);
  config.parallel_config.decode_context_parallel_size = 4;
  for (const bool supports : {true, false}) {
    Injected injected(true, supports, true);
    RecordingLogger output;
    injected.env.log = std::make_shared<OnceLog>(output.logger);
    const AttentionPlan plan = injected.plan(config);
    EXPECT_EQ(plan.prefill_query.data_type, bf16);
    EXPECT_EQ(plan.prefill.outcome, PrefillQueryOutcome::request_refused);
    EXPECT_EQ(plan.prefill.blockers.back().kind, BlockerKind::decode_context_parallel);
    EXPECT_THAT(plan.prefill.blockers, SizeIs(supports ? 1 : 2));
    log_attention_plan(plan, injected.env);
    ASSERT_FALSE(output.sink->records().empty());
    EXPECT_THAT(output.sink->records()[0].text,
                ::testing::EndsWith(std::string(supports ? "FP8 attention." : "kernels.") +
                                    " FP8 prefill queries do not work with a "
                                    "decode-context-parallel size above 1."));
    EngineConfig without_flag = config;
    without_flag.attention_config.use_prefill_query_quantization = false;
    const AttentionPlan off = injected.plan(without_flag);
    EXPECT_EQ(off.prefill.outcome, PrefillQueryOutcome::not_applicable);
    config.attention_config.prefill_query_mode = PrefillQueryMode::required;
    try {
      injected.plan(config);
      ADD_FAILURE() << "nothing was thrown";
    } catch (const PrefillQueryRefused& refused) {
      EXPECT_THAT(refused.what(), HasSubstr("decode-context-parallel size above 1."));
      EXPECT_EQ(refused.explanation().blockers.back().kind, BlockerKind::decode_context_parallel);
    }
    config.attention_config.prefill_query_mode = PrefillQueryMode::by_flag;
  }
}

TEST(AttentionPlan, AKvCacheOfTheEnginesOwn) {
  Injected injected(true, true, true);
  const AttentionPlan plan = injected.plan(make_config("mine", true));
  EXPECT_EQ(plan.kv_cache_storage.data_type, bytes);
  EXPECT_EQ(plan.kv_cache_bytes, std::nullopt);
  Injected unquantized(false, true, true);
  const AttentionPlan model = unquantized.plan(make_config("mine", true));
  EXPECT_EQ(model.kv_cache_storage.data_type, bf16);
  EXPECT_EQ(model.kv_cache_bytes, 1152U);
  // A decode backend reads it as any that is not quantized.
  unquantized.decode = make_decode_environment(cuda(9, 0), "FLASHMLA");
  EXPECT_EQ(unquantized.plan(make_config("mine", true)).decode_query.data_type, bf16);
}

TEST(AttentionPlan, WhatIsInjectedMustAgree) {
  // A KV-cache predicate that is wrong about a dtype that is known; `auto` may be the engine's own.
  Injected wrong(false, true, true);
  expect_invalid([&] { wrong.plan(make_config("fp8", true)); },
                 StartsWith("is_quantized_kv_cache: false for fp8"));
  EngineConfig by_checkpoint = make_config("auto", true);
  by_checkpoint.cache_config.checkpoint_kv_cache_quant_algo = "NVFP4";
  expect_invalid([&] { wrong.plan(by_checkpoint); },
                 StartsWith("is_quantized_kv_cache: false for nvfp4"));
  Injected by_auto(true, true, true);
  EXPECT_EQ(by_auto.plan(make_config("auto", true)).kv_cache_storage.data_type, bytes);
  // Two devices.
  expect_invalid(
      [] {
        plan_attention_data_types(EngineConfig(), bf16,
                                  make_environment(cuda(10, 0), vllm_prefill_backends()),
                                  make_decode_environment(rocm("gfx942"), "ROCM_AITER_MLA"));
      },
      StartsWith("device of the decode backend: gfx942 is not accepted; accepted: that of the "
                 "prefill backends, sm_100"));
  Injected fnuz(true, true, true);
  fnuz.decode = make_decode_environment(rocm("gfx942"), "ROCM_AITER_MLA");
  expect_invalid([&] { fnuz.plan(make_config("fp8", true)); },
                 StartsWith("fp8_data_type: \"float8_e4m3fn\" is not accepted; accepted: "
                            "float8_e4m3fnuz"));
  Injected e5m2(true, true, true);
  e5m2.env.fp8_data_type = DataType::float8_e5m2;
  expect_invalid([&] { e5m2.plan(make_config("fp8", true)); },
                 StartsWith("fp8_data_type: \"float8_e5m2\""));
}

TEST(AttentionPlan, RowsOfTheEnginesOwnAreChecked) {
  const auto refused = [](const char* name, DecodeQueries queries,
                          std::vector<std::string> kv_cache_dtypes, const char* expected) {
    DecodePair pair;
    pair.queries = queries;
    pair.kv_cache_dtypes = std::move(kv_cache_dtypes);
    DecodeBackend backend;
    backend.name = name;
    backend.pairs = {pair};
    expect_invalid([&] { make_decode_environment(cuda(9, 0), backend); }, StartsWith(expected));
  };
  refused("", DecodeQueries::model, {}, "decode backend's name: \"\"");
  refused("A B", DecodeQueries::model, {}, "decode backend's name: \"A B\"");
  refused("A", DecodeQueries::none, {}, "decode backend A, queries: DecodeQueries(0)");
  refused("A", static_cast<DecodeQueries>(3), {}, "decode backend A, queries: DecodeQueries(3)");
  refused("A", DecodeQueries::fp8, {}, "decode backend A, queries: DecodeQueries(2)");
  refused("A", DecodeQueries::fp8, {"nvfp4"}, "decode backend A, kv_cache_dtypes: \"nvfp4\"");
  refused("A", DecodeQueries::model, {"auto"}, "decode backend A, kv_cache_dtypes: \"auto\"");
  refused("A", DecodeQueries::model, {""}, "decode backend A, kv_cache_dtypes: \"\"");
}

// Advice on prefill that decode could not follow: the engine would not start.
TEST(AttentionPlan, AdviceIsSuchAsDecodeCanFollow) {
  Question question = deepseek_v3();
  question.decode_backend = "CUTLASS_MLA";
  question.config.cache_config.cache_dtype = "auto";
  EXPECT_THAT(question.plan().prefill.remedies, IsEmpty()) << "calibrated scales";
  EXPECT_NE(question.plan().prefill.nothing_helps, "");
  question.config.cache_config.kv_scales = KvScales::unit;
  EXPECT_THAT(question.plan().prefill.remedies, SizeIs(2));
}

// AITER runs prefill in FP8 on its own: vllm#42509.
TEST(AttentionPlan, AiterIgnoresTheFlag_vllm42509) {
  Question question = deepseek_v3();
  question.device = "gfx950";
  question.decode_backend = "ROCM_AITER_MLA";
  question.config = make_config("auto", false);
  ASSERT_THAT(question.plan().cautions, SizeIs(1));
  EXPECT_EQ(question.plan().cautions[0].kind, CautionKind::flag_ignored);
}

// A BF16 query with an FP8 KV cache has no AITER kernel: vllm#51232.
TEST(AttentionPlan, AiterDecodesFp8WithFp8_vllm51232) {
  Question question = deepseek_v3();
  question.device = "gfx942";
  question.decode_backend = "ROCM_AITER_MLA";
  EXPECT_EQ(question.plan().decode_query.data_type, DataType::float8_e4m3fnuz);
}

TEST(AttentionPlan, AnEnginesReasonIsOneLine) {
  Injected injected(true, false, {false, "no\noutput  float32\x1b[2J"});
  const std::string text = to_string(injected.plan(make_config("fp8", true)));
  EXPECT_THAT(text, HasSubstr("no output  float32 [2J"));
  EXPECT_EQ(text.find('\x1b'), text.npos);
}

TEST(AttentionPlan, WhatTheTypeDoesNotSayIsNotKnown) {
  for (const char* cache_dtype : {"nvfp4", "fp8_per_token_head", "int8_per_token_head"}) {
    Injected injected(true, true, true);
    const AttentionPlan plan = injected.plan(make_config(cache_dtype, false));
    EXPECT_EQ(plan.kv_cache_bytes, std::nullopt) << cache_dtype;
    EXPECT_THAT(to_string(plan), HasSubstr("not known"));
  }
}

TEST(AttentionPlan, BadInputIsRefused) {
  Injected injected(true, true, true);
  injected.decode.decode_backend_supports_quantized_query = nullptr;
  expect_invalid([&] { injected.plan(make_config("fp8", true)); },
                 StartsWith("decode_backend_supports_quantized_query: null"));
  EXPECT_THAT(injected.asked, IsEmpty());
  expect_invalid([] { make_decode_environment(cuda(9, 0), "FLASH_MLA"); },
                 AllOf(StartsWith("decode_backend: \"FLASH_MLA\""),
                       HasSubstr("accepted: FLASHMLA (nearest), ")));
  expect_invalid([] { to_string(static_cast<CautionKind>(4)); },
                 StartsWith("kind: CautionKind(4)"));
}

TEST(AttentionPlan, ThePredicateOfATableCanBeAsked) {
  const auto decode = make_decode_environment(cuda(10, 0), "FLASHMLA");
  const auto ask = [&](const char* cache_dtype) {
    return decode.decode_backend_supports_quantized_query(make_config(cache_dtype, false), bf16);
  };
  EXPECT_TRUE(ask("fp8").supported);
  EXPECT_FALSE(ask("fp8_ds_mla").supported);
  EngineConfig by_checkpoint;
  by_checkpoint.cache_config.checkpoint_kv_cache_quant_algo = "FP8";
  EXPECT_TRUE(decode.decode_backend_supports_quantized_query(by_checkpoint, bf16).supported);
  EXPECT_THAT(ask("nvfp4").reason, HasSubstr("FLASHMLA"));
}

TEST(AttentionPlan, LogsTheDecisionAndEachCautionOnce) {
  Question question = deepseek_v3();
  question.config.cache_config.kv_scales = KvScales::unit;
  RecordingLogger output;
  Environment env = make_environment(cuda(10, 0), vllm_prefill_backends());
  env.log = std::make_shared<OnceLog>(output.logger);
  const AttentionPlan plan = plan_attention_data_types(
      question.config, bf16, env, make_decode_environment(cuda(10, 0), "FLASHINFER_MLA"));
  EXPECT_THAT(output.sink->records(), IsEmpty());
  for (int layer = 0; layer < 3; ++layer) {
    EXPECT_EQ(log_attention_plan(plan, env), layer == 0);
  }
  ASSERT_THAT(output.sink->records(), SizeIs(2));
  EXPECT_EQ(output.sink->records()[0],
            testing::info("FP8 prefill attention enabled: query data type is FP8"));
  EXPECT_EQ(output.sink->records()[1], testing::warning(plan.cautions[0].sentence));
}

// Packing: the numbers are a contract between ranks.

TEST(PackedPlan, IsPinned) {
  Question question = deepseek_v3();
  EXPECT_EQ(pack(question.plan()), 0x0000'0103'2333'3381U);
  question.config.attention_config.use_prefill_query_quantization = false;
  EXPECT_EQ(pack(question.plan()), 0x0000'0103'2322'2381U);
  question.config.scheduler_config.enable_chunked_prefill = false;
  EXPECT_EQ(pack(question.plan()), 0x0000'0103'23f2'2381U);
  question.config.cache_config.cache_dtype = "auto";
  EXPECT_EQ(pack(question.plan()), 0x0000'0002'22f2'2221U);
  question.model_dtype = fp16;
  EXPECT_EQ(pack(question.plan()), 0x0000'0001'11f1'1111U);
  question.model_dtype = bf16;
  question.decode_backend = "FLASHMLA";
  question.config.cache_config.cache_dtype = "fp8_ds_mla";
  EXPECT_EQ(pack(question.plan()), 0x0000'0107'22f2'2881U);
  question.device = "gfx942";
  question.model_dtype = fp16;
  question.decode_backend = "ROCM_AITER_MLA";
  question.config.cache_config.cache_dtype = "fp8";
  question.config.cache_config.kv_scales = KvScales::dynamic;
  EXPECT_EQ(pack(question.plan()), 0x0000'0303'14f1'1481U);
  Injected own(true, true, true);
  EXPECT_EQ(pack(own.plan(make_config("mine", true))) & 0x0000'0fff'ffff'ffffU,
            0x0000'00ff'2233'3881U);
  Injected float32(false, true, true);
  EXPECT_EQ(pack(plan_attention_data_types(make_config("auto", false), DataType::float32,
                                           float32.env, float32.decode)),
            0x0000'00fe'0000'0001U);
}

// The place of each KV-cache dtype in kv_cache_formats() is part of the contract.
TEST(PackedPlan, KvCacheDtypesAreNumbered) {
  const char* const names[] = {"auto",
                               "float16",
                               "bfloat16",
                               "fp8",
                               "fp8_e4m3",
                               "fp8_e5m2",
                               "fp8_inc",
                               "fp8_ds_mla",
                               "fp8_per_token_head",
                               "int8_per_token_head",
                               "int4_per_token_head",
                               "nvfp4",
                               "nvfp4_4over6",
                               "nvfp4_ds_mla",
                               "turboquant_k8v4",
                               "turboquant_4bit_nc",
                               "turboquant_k3v4_nc",
                               "turboquant_3bit_nc"};
  for (std::size_t i = 1; i < std::size(names); ++i) {
    const bool quantized = i > 2;
    Injected injected(quantized, true, true);
    const std::uint64_t number = pack(injected.plan(make_config(names[i], false))) >> 32 & 0xff;
    EXPECT_EQ(number, i == 4 ? 3 : i) << names[i] << ": fp8_e4m3 is another name for fp8";
  }
}

TEST(PackedPlan, TwoFormatsOfTheEnginesOwnAreTwo) {
  Injected injected(true, true, true);
  const auto packed = [&](const char* name) {
    return pack(injected.plan(make_config(name, false)));
  };
  EXPECT_NE(packed("mine1"), packed("mine2"));
  EXPECT_NE(packed("int8"), packed("uint8")) << "names of data types, but not of KV caches";
  const auto differences = rank_differences({packed("mine1"), packed("mine2")});
  ASSERT_THAT(differences, SizeIs(1));
  EXPECT_EQ(differences[0].field, "kv_cache_name");
}

TEST(PackedPlan, WhatIsNoDataTypeIsRefused) {
  AttentionPlan plan = deepseek_v3().plan();
  plan.kv_cache_storage.data_type = static_cast<DataType>(0x2f);
  expect_invalid([&] { pack(plan); }, StartsWith("data_type: DataType(47)"));
}

TEST(RanksAgree, WhereTheyDo) {
  const std::uint64_t packed = pack(deepseek_v3().plan());
  EXPECT_THAT(rank_differences(std::vector<std::uint64_t>(8, packed)), IsEmpty());
  EXPECT_NO_THROW(check_ranks_agree(std::vector<std::uint64_t>(8, packed)));
  EXPECT_NO_THROW(check_ranks_agree({packed}));
  expect_invalid([] { check_ranks_agree({}); }, StartsWith("packed_plans: none"));
}

TEST(RanksAgree, OneOfEight) {
  Question other = deepseek_v3();
  other.config.attention_config.use_prefill_query_quantization = false;
  other.config.scheduler_config.enable_chunked_prefill = false;
  std::vector<std::uint64_t> packed(8, pack(deepseek_v3().plan()));
  packed[5] = pack(other.plan());
  const auto differences = rank_differences(packed);
  ASSERT_THAT(differences, SizeIs(3));
  EXPECT_EQ(differences[0].rank, 5U);
  EXPECT_EQ(differences[0].field, "prefill_query");
  EXPECT_EQ(differences[0].value, "bfloat16");
  EXPECT_EQ(differences[0].expected, "float8_e4m3fn");
  EXPECT_EQ(differences[2].field, "chunked_prefill_workspace");
  EXPECT_EQ(differences[2].value, "none");
  expect_refused(
      [&] { check_ranks_agree(packed); },
      std::string("The ranks do not have the same attention data types as rank 0: rank 5 has "
                  "prefill_query bfloat16 instead of float8_e4m3fn. rank 5 has prefill_key_value "
                  "bfloat16 instead of float8_e4m3fn. rank 5 has chunked_prefill_workspace none "
                  "instead of float8_e4m3fn."));
}

// Two formats of bytes are two KV caches, although their data types are the same.
TEST(RanksAgree, FourOfEight) {
  Question question = deepseek_v3();
  Injected injected(true, true, true);
  std::vector<std::uint64_t> packed;
  for (int rank = 0; rank < 8; ++rank) {
    packed.push_back(
        pack(injected.plan(make_config(rank % 2 == 0 ? "nvfp4" : "nvfp4_4over6", false))));
  }
  const auto differences = rank_differences(packed);
  ASSERT_THAT(differences, SizeIs(4));
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(differences[i].rank, 2 * i + 1);
    EXPECT_EQ(differences[i].field, "kv_cache_dtype");
    EXPECT_EQ(differences[i].value, "nvfp4_4over6");
    EXPECT_EQ(differences[i].expected, "nvfp4");
  }
}

TEST(RanksAgree, WhatNoPlanPacksToIsShown) {
  const std::uint64_t good = pack(deepseek_v3().plan());
  const auto differences = rank_differences({good, 0xffff'ffff'ffff'ffffU, 0});
  ASSERT_THAT(differences, SizeIs(21));
  EXPECT_EQ(differences[0].field, "version");
  EXPECT_EQ(differences[0].value, "15");
  EXPECT_EQ(differences[8].value, "a KV-cache dtype of the engine's own");
  EXPECT_EQ(differences[9].field, "kv_scales");
  EXPECT_EQ(differences[9].value, "15");
  EXPECT_EQ(differences[9].expected, "calibrated");
  EXPECT_EQ(differences[10].field, "kv_cache_name");
  EXPECT_EQ(differences[12].value, "float32");
  EXPECT_EQ(rank_differences({good, good ^ 0x0000'0050'0000'0000U})[0].value, "83");
  EXPECT_EQ(rank_differences({good, good ^ 0x0000'00fd'0000'0000U})[0].value,
            "the model's data type");
  EXPECT_EQ(rank_differences({good, good ^ 0x0000'0000'8000'0000U})[0].value, "10");
}

TEST(RanksAgree, ALongListIsCut) {
  std::vector<std::uint64_t> packed(1024, pack(deepseek_v3().plan()));
  packed[0] ^= 0x1000U;
  EXPECT_THAT(rank_differences(packed), SizeIs(1023));
  expect_refused([&] { check_ranks_agree(packed); },
                 AllOf(HasSubstr("rank 64 has"), Not(HasSubstr("rank 65 ")),
                       ::testing::EndsWith(" And 959 more.")));
}

// Each rank is a process with a command line of its own, and one has another.
TEST(RanksAgree, AmongProcesses) {
  constexpr int world_size = 8;
  int gather[2];
  ASSERT_EQ(pipe(gather), 0);
  std::vector<pid_t> children;
  for (int rank = 0; rank < world_size; ++rank) {
    const pid_t child = fork();
    if (child == 0) {
      Question question = deepseek_v3();
      question.config.attention_config.use_prefill_query_quantization = rank != 3;
      const std::uint64_t message[] = {static_cast<std::uint64_t>(rank), pack(question.plan())};
      const bool written = write(gather[1], message, sizeof message) == sizeof message;
      _exit(written ? 0 : 1);
    }
    children.push_back(child);
  }
  std::vector<std::uint64_t> packed(world_size);
  for (const pid_t child : children) {
    int status = 0;
    waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
    std::uint64_t message[2];
    ASSERT_EQ(read(gather[0], message, sizeof message), static_cast<ssize_t>(sizeof message));
    packed.at(message[0]) = message[1];
  }
  close(gather[0]);
  close(gather[1]);
  expect_refused([&] { check_ranks_agree(packed); },
                 AllOf(HasSubstr("rank 3 has prefill_query bfloat16 instead of float8_e4m3fn."),
                       Not(HasSubstr("rank 4"))));
}

}  // namespace
}  // namespace mla_dtype

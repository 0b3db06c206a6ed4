// SPDX-License-Identifier: Apache-2.0

// Without it, a refusal could name another backend or format as the one that was meant, or none for
// a typing error.

#include <gtest/gtest.h>
#include <mla_dtype/nearest_name.h>

#include <string>

namespace mla_dtype {
namespace {

using Names = std::vector<std::string_view>;

TEST(NearestName, FindsTheNameWithTheFewestTypingErrors) {
  const Names names = {"FLASHINFER_MLA", "FLASHMLA", "FLASH_ATTN_MLA", "TRITON_MLA"};
  EXPECT_EQ(nearest_name("FLASHMLA", names), "FLASHMLA");
  EXPECT_EQ(nearest_name("FLASHMAL", names), "FLASHMLA");
  EXPECT_EQ(nearest_name("FLASHMLA_", names), "FLASHMLA");
  EXPECT_EQ(nearest_name("flash-mla", names), "FLASHMLA");
  EXPECT_EQ(nearest_name("FLASHATTN_MLA", names), "FLASH_ATTN_MLA");
  EXPECT_EQ(nearest_name("Triton MLA", names), "TRITON_MLA");
  EXPECT_EQ(nearest_name("CUTLASS", names), "");
  EXPECT_EQ(nearest_name("abcd", {"abxx", "abcx", "abcy"}), "abcx") << "the first of two";
  EXPECT_EQ(nearest_name("ax", {"abc"}), "") << "more than a third";
  EXPECT_EQ(nearest_name("abxy", {"abcd"}), "") << "more than a third";
}

TEST(NearestName, KnowsHowDataTypesAreShortened) {
  EXPECT_EQ(nearest_name("BF16", {"float16", "bfloat16"}), "bfloat16");
  EXPECT_EQ(nearest_name("fp16", {"bfloat16", "float16"}), "float16");
  EXPECT_EQ(nearest_name("float8", {"fp8_e4m3", "fp8"}), "fp8");
  EXPECT_EQ(nearest_name("float8_e4m3fn", {"fp8", "fp8_e4m3"}), "fp8_e4m3");
}

TEST(NearestName, FindsTheNameThatIsSpelledOn) {
  EXPECT_EQ(nearest_name("int8", {"fp8", "int8_per_token_head"}), "int8_per_token_head");
  EXPECT_EQ(nearest_name("turboquant", {"turboquant_k8v4", "turboquant_4bit_nc"}),
            "turboquant_k8v4");
  EXPECT_EQ(nearest_name("FLASHINFER", {"FLASHMLA", "FLASHINFER_MLA"}), "FLASHINFER_MLA");
  EXPECT_EQ(nearest_name("fp8_e4m3fnuz", {"fp8", "fp8_e4m3"}), "fp8_e4m3");
}

TEST(NearestName, AValueThatAddsWordsMeansAnotherThing) {
  EXPECT_EQ(nearest_name("FLASHMLA_SPARSE", {"FLASHMLA"}), "");
  EXPECT_EQ(nearest_name("flashmla-sparse", {"FLASHMLA"}), "");
  EXPECT_EQ(nearest_name("FLASH_ATTN_MLA_SPARSE", {"FLASH_ATTN_MLA"}), "");
  EXPECT_EQ(nearest_name("FLASHINFER_MLA_DSA", {"FLASHINFER_MLA", "FLASHINFER"}), "");
  EXPECT_EQ(nearest_name("FLASHINFER_MLA", {"FLASHINFER"}), "");
  EXPECT_EQ(nearest_name("nvfp4_2", {"nvfp4"}), "");
  EXPECT_EQ(nearest_name("FLASHMLA_SPARES", {"FLASHMLA", "FLASHMLA_SPARSE"}), "FLASHMLA_SPARSE");
}

TEST(NearestName, WithMaxErrorsOnlyTypingErrorsCount) {
  const Names names = {"use_prefill_query_quantization", "mla_prefill_backend"};
  const auto meant = [&](std::string_view value) { return nearest_name(value, names, 3); };
  for (const char* const value :
       {"use_prefil_qeury_quantization", "use-prefill-query-quantization",
        "Use_Prefill_Query_Quantization", "use_prefill_query_quantizationXYZ"}) {
    EXPECT_EQ(meant(value), names[0]) << value;
  }
  EXPECT_EQ(meant("_prefill_backend"), names[1]);
  EXPECT_EQ(meant("mla_prefill_backend_2"), names[1]);
  for (const char* const value : {"use_prefill_query_quantizationWXYZ", "use_prefill_query",
                                  "prefill_backend", "mla_prefill_backend_too", "", "x"}) {
    EXPECT_EQ(meant(value), "") << value;
  }
  EXPECT_EQ(nearest_name("mtp", {"dtype"}, 3), "") << "never more than a third";
  EXPECT_EQ(nearest_name("dtypo", {"dtype"}, 0), "");
  EXPECT_EQ(nearest_name("DTYPE", {"dtype"}, 0), "dtype");
}

// Keys of vLLM's AttentionConfig beside the two that this library reads.
TEST(NearestName, TheOtherKeysOfVllmAreNoTypingErrors) {
  for (const char* const key :
       {"backend", "flash_attn_version", "use_prefill_decode_attention",
        "flash_attn_max_num_splits_for_cuda_graph", "use_cudnn_prefill",
        "use_trtllm_ragged_deepseek_prefill", "use_trtllm_attention", "disable_flashinfer_prefill",
        "disable_flashinfer_q_quantization"}) {
    EXPECT_EQ(nearest_name(key, {"use_prefill_query_quantization", "mla_prefill_backend"}, 3), "")
        << key;
  }
}

TEST(NearestName, NothingIsNearToWhatIsNoName) {
  const std::string longest(64, 'a');
  EXPECT_EQ(nearest_name("", {"a", "", "_"}), "");
  EXPECT_EQ(nearest_name("a", {"ab"}), "") << "one character says little";
  EXPECT_EQ(nearest_name("___", {"ab", ""}), "");
  EXPECT_EQ(nearest_name("ab", {}), "");
  EXPECT_EQ(nearest_name(longest, {longest}), longest);
  EXPECT_EQ(nearest_name(longest + 'a', {longest}), "");
  EXPECT_EQ(nearest_name("ab", {std::string_view(longest)}), "");
  EXPECT_EQ(nearest_name(std::string_view("f\0\xff", 3), {"fp8"}), "");
}

TEST(NearestName, ViewsTheElementOfTheNames) {
  const std::string name = "max_model_len";
  EXPECT_EQ(nearest_name("max_model_length", {"dtype", name}).data(), name.data());
}

}  // namespace
}  // namespace mla_dtype

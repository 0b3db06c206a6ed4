// SPDX-License-Identifier: Apache-2.0

// Without it, a misspelled key of --attention-config could pass for one of vLLM's others, or say
// something else than the option of the same meaning.

#include <gmock/gmock.h>

#include <string>

#include "tool/process.h"

namespace mla_dtype::tool {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;

TEST(Tool, AttentionConfigSaysWhatTheOptionsSay) {
  const std::string base = "--device 10.0 --kv-cache-dtype fp8 ";
  const auto same = [&](const std::string& json, const std::string& options) {
    SCOPED_TRACE(json);
    const Result result = run(base + "--attention-config" + quoted(json));
    const Result expected = run(base + options);
    EXPECT_EQ(result.exit_code, 0);
    EXPECT_EQ(result.out, expected.out);
    EXPECT_EQ(result.err, expected.err);
  };
  same("{}", "");
  same(R"({"use_prefill_query_quantization": true})", flag);
  same(R"({"use_prefill_query_quantization": false})", "");
  same(R"({"mla_prefill_backend": "FLASHINFER"})", "--prefill-backend FLASHINFER");
  same(R"({"mla_prefill_backend": "flash_attn"})", "--prefill-backend FLASH_ATTN");
  same(R"({"mla_prefill_backend": null})", "");
  same(R"({"use_prefill_query_quantization": true, "mla_prefill_backend": "TRTLLM_RAGGED"})",
       flag + "--prefill-backend TRTLLM_RAGGED");

  // Together with the options.
  const Result expected = run(base + flag + "--prefill-backend FLASHINFER");
  for (const char* const arguments :
       {"--use-prefill-query-quantization --attention-config "
        "'{\"mla_prefill_backend\": \"FLASHINFER\"}'",
        "--prefill-backend FLASHINFER --attention-config "
        "'{\"use_prefill_query_quantization\": true, \"mla_prefill_backend\": null}'",
        "--prefill-backend FLASHINFER --use-prefill-query-quantization --attention-config "
        "'{\"use_prefill_query_quantization\": true, \"mla_prefill_backend\": \"FLASHINFER\"}'"}) {
    EXPECT_EQ(run(base + arguments).out, expected.out) << arguments;
  }
}

TEST(Tool, AttentionConfigNotesTheKeysThatAreNotLookedAt) {
  const std::string json =
      R"({"flash_attn_version": 3, "a\n\"\u00e9": [{}], "mla_prefill_backend": "FLASHINFER"})";
  for (const std::string more : {"", "--json"}) {
    const Result result = run("--device 10.0 --attention-config" + quoted(json) + more);
    EXPECT_EQ(result.exit_code, 0);
    EXPECT_EQ(result.err, R"(mla-dtype: --attention-config: "a\n\"\u00e9" is not looked at)"
                          "\n"
                          R"(mla-dtype: --attention-config: "flash_attn_version" is not looked at)"
                          "\n");
  }
  EXPECT_THAT(lines(run("--device 9.9.9 --attention-config" + quoted(json)).err), SizeIs(1))
      << "a bad argument is all that is said";
}

TEST(Tool, AttentionConfigTakesNoMisspelledKeyForOneThatIsNotLookedAt) {
  const std::string use = "use_prefill_query_quantization", backend = "mla_prefill_backend";
  const auto expect = [](const std::string& key, const std::string& accepted) {
    SCOPED_TRACE(key);
    const Result result = run("--device 10.0 --attention-config" + quoted("{\"" + key + "\": 1}"));
    EXPECT_EQ(result.exit_code, 2);
    EXPECT_THAT(result.out, IsEmpty());
    EXPECT_EQ(result.err, "mla-dtype: --attention-config: \"" + key +
                              "\" is not accepted; accepted: " + accepted + '\n');
  };
  for (const char* const key :
       {"use_prefill_query_quantisation", "use_prefill_query_quantiztion",
        "use-prefill-query-quantization", "use_prefil_qeury_quantization",
        "Use_Prefill_Query_Quantization", "use_prefill_query_quantizationXYZ"}) {
    expect(key, use + " (nearest), " + backend);
  }
  for (const char* const key :
       {"mla_prefill_backnd", "mla_prefill_backends", "MLA-prefill-backend", "_prefill_backend"}) {
    expect(key, backend + " (nearest), " + use);
  }
}

TEST(Tool, AttentionConfigNamesTheDecodeBackend) {
  const std::string base = "--device 10.0 --kv-cache-dtype fp8 ";
  EXPECT_EQ(run(base + "--attention-config" + quoted(R"({"backend": "triton_mla"})")).out,
            run(base + "--decode-backend TRITON_MLA").out);
  EXPECT_EQ(run(base + "--attention-config" + quoted(R"({"backend": null})")).out, run(base).out);
  const Result two = run(base + "--decode-backend FLASHINFER_MLA --attention-config" +
                         quoted(R"({"backend": "TRITON_MLA"})"));
  EXPECT_EQ(two.exit_code, 2);
  EXPECT_EQ(run(base + "--attention-config" + quoted(R"({"backend": 1})")).exit_code, 2);
}

TEST(Tool, AttentionConfigMayHoldTheOtherKeysOfVllm) {
  for (const std::string key :
       {"flash_attn_version", "use_prefill_decode_attention", "use_cudnn_prefill",
        "use_trtllm_ragged_deepseek_prefill", "disable_flashinfer_prefill",
        "disable_flashinfer_q_quantization", "mla_decode_backend", "prefill_backend",
        "use_prefill_query_quantizationWXYZ", "", "x"}) {
    const Result result = run("--device 10.0 --attention-config" + quoted("{\"" + key + "\": 1}"));
    EXPECT_EQ(result.exit_code, 0);
    EXPECT_EQ(result.err, "mla-dtype: --attention-config: \"" + key + "\" is not looked at\n");
  }
  const std::string longest(100000, 'u');
  EXPECT_EQ(run("--device 10.0 --attention-config" + quoted("{\"" + longest + "\": 1}")).exit_code,
            0);
}

TEST(Tool, AttentionConfigMayBeNoUtf8) {
  const std::string command = "--model" + quoted(MLA_DTYPE_CONFIGS "deepseek-ai--DeepSeek-R1") +
                              "--device B200 -- vllm serve X ";
  EXPECT_EQ(run(command + "'--attention-config.other\x8f=1'").exit_code, 0);
  const Result value = run(command + "'--attention-config.mla_prefill_backend=\x8f'");
  EXPECT_EQ(value.exit_code, 2);
  EXPECT_THAT(value.err, ::testing::HasSubstr("--attention-config: "));
}

}  // namespace
}  // namespace mla_dtype::tool

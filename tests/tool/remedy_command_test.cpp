// SPDX-License-Identifier: Apache-2.0

// Without it, a remedy could be no command, or one that a shell takes apart, or that loses what
// else the operator set.

#include <gmock/gmock.h>

#include <string>
#include <vector>

#include "tool/process.h"

namespace mla_dtype::tool {
namespace {

using ::testing::AllOf;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

const std::string asked = "--device B200 --kv-scales calibrated --model" +
                          quoted(MLA_DTYPE_CONFIGS "deepseek-ai--DeepSeek-R1") + "-- ";

std::vector<std::string> commands(const std::string& command, const char* key = "remedies") {
  std::vector<std::string> result;
  const Json json = parse_answer(run("--json " + asked + command));
  for (const Json& remedy : json.at(key)) result.push_back(remedy.at("command"));
  return result;
}

// Each is run as it is printed, by a shell.
TEST(ToolRemedy, IsACommandToCopyThatHelps) {
  for (const std::string command : {
           "vllm serve X",
           "vllm serve X -tp 8 --kv-cache-dtype auto",
           "vllm serve X --kv_cache_dtype=bfloat16 --port 8000",
           "vllm serve X --kv-cache-dtype fp8 -ac '{\"mla_prefill_backend\": \"FLASH_ATTN\"}'",
           "vllm serve X --kv-cache-dtype fp8 -ac.mla_prefill_backend=FLASH_ATTN "
           "-ac.flash_attn_version=4",
           "A='1 2' vllm serve 'my model' --served-model-name 'it'\\''s \"$HOME\"' "
           "--attention-config "
           "'{\"use_prefill_query_quantization\": true}'",
       }) {
    SCOPED_TRACE(command);
    const auto all = commands(command);
    EXPECT_FALSE(all.empty());
    for (const std::string& remedy : all) {
      SCOPED_TRACE(remedy);
      EXPECT_THAT(run(asked + remedy).out, StartsWith("data type: float8_e4m3fn\n"));
    }
  }
}

TEST(ToolRemedy, IsTheCommandOfItsOwnChange) {
  const Json json = parse_answer(run(
      "--json " + asked + "vllm serve X --kv-cache-dtype fp8 -ac.mla_prefill_backend=FLASH_ATTN"));
  ASSERT_GT(json.at("remedies").size(), 1U);
  for (const Json& remedy : json.at("remedies")) {
    const std::string backend = remedy.at("prefill_backend"), command = remedy.at("command");
    EXPECT_THAT(command, HasSubstr(":\"" + backend + '"'));
  }
}

TEST(ToolRemedy, KeepsWhatElseIsSet) {
  const std::string rest =
      " --served-model-name 'it'\\''s \"$HOME\"' --port 8000 --trust-remote-code ";
  const Result result =
      run(asked + "A='1 2' vllm serve 'my model' -tp=8" + rest + "--kv-cache-dtype auto");
  EXPECT_THAT(result.out, HasSubstr("\nremedy: A='1 2' vllm serve 'my model' -tp=8" + rest +
                                    "--kv-cache-dtype fp8 --attention-config '{"));
  const auto keys_kept = commands(
      "vllm serve X --kv-cache-dtype fp8 -ac '{\"flash_attn_version\": 4, \"mla_prefill_backend\": "
      "\"FLASH_ATTN\"}' --port 1");
  EXPECT_EQ(keys_kept.at(0),
            "vllm serve X --kv-cache-dtype fp8 -ac '{\"flash_attn_version\":4,"
            "\"mla_prefill_backend\":\"TRTLLM_RAGGED\",\"use_prefill_query_quantization\":true}' "
            "--port 1");
  const auto single_keys = commands(
      "vllm serve X --kv-cache-dtype fp8 -ac.flash_attn_version=4 "
      "-ac.mla_prefill_backend FLASH_ATTN");
  EXPECT_THAT(single_keys.at(0),
              AllOf(HasSubstr("\"flash_attn_version\":4"), Not(HasSubstr("-ac."))));
}

TEST(ToolRemedy, IsSpelledAsTheEngineTakesIt) {
  EXPECT_EQ(commands("sglang serve --model-path X --attention-backend trtllm_mla").at(0),
            "sglang serve --model-path X --attention-backend trtllm_mla --kv-cache-dtype fp8_e4m3");
  EXPECT_EQ(commands("trtllm-serve X --tp_size 8 --kv_cache_dtype auto").at(0),
            "trtllm-serve X --tp_size 8 --kv_cache_dtype fp8");
  // SGLang's options for sparse attention are others.
  const std::string sparse = "--device B200 --model" +
                             quoted(MLA_DTYPE_CONFIGS "deepseek-ai--DeepSeek-V3.2") +
                             "-- sglang serve --model-path X --kv-cache-dtype bfloat16 ";
  EXPECT_THAT(run(sparse + "--dsa-decode-backend fa3").out,
              HasSubstr("\nto run: sglang serve --model-path X --kv-cache-dtype bfloat16 "
                        "--dsa-decode-backend trtllm\n"));
}

TEST(ToolRemedy, OfAPlanThatIsRefusedLetsItRun) {
  const std::string command = "vllm serve X --kv-cache-dtype fp8 --attention-backend FLASHMLA";
  const Result refused = run(asked + command);
  EXPECT_EQ(refused.exit_code, 3);
  EXPECT_THAT(refused.out, HasSubstr("\nto run: vllm serve X --kv-cache-dtype fp8 "
                                     "--attention-backend FLASHINFER_MLA\n"));
  for (const std::string& remedy : commands(command, "run_remedies")) {
    EXPECT_EQ(run(asked + remedy).exit_code, 0) << remedy;
  }
}

TEST(ToolRemedy, IsNoCommandWhereSetOutranksIt) {
  const Json json = parse_answer(run(
      "--json " + asked + "trtllm-serve X --kv_cache_dtype fp8 --set kv_cache_config.dtype=auto"));
  ASSERT_EQ(json.at("remedies").size(), 1U);
  EXPECT_EQ(json.at("remedies").at(0).at("command"), nullptr);
}

TEST(ToolRemedy, WithoutACommandIsItsOptions) {
  const Json json = parse(run("--json --device B200 --kv-scales calibrated"));
  EXPECT_EQ(json.at("remedies").at(0).at("command"), nullptr);
  EXPECT_THAT(run("--device B200").out, HasSubstr("\nremedy: --kv-cache-dtype fp8 "));
}

}  // namespace
}  // namespace mla_dtype::tool

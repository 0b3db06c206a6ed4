// SPDX-License-Identifier: Apache-2.0

// Without it, a bad argument could be taken for a good one, or reach the terminal raw; and output
// that is lost could count as success.

#include <gmock/gmock.h>
#include <sys/wait.h>

#include <cstdlib>
#include <string>
#include <utility>

#include "tool/process.h"

namespace mla_dtype::tool {
namespace {

using ::testing::AllOf;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::MatchesRegex;
using ::testing::StartsWith;

TEST(Tool, HelpAndVersion) {
  const Result help = run("--help");
  EXPECT_EQ(help.exit_code, 0);
  for (const char* option : {"--engine",
                             "--device",
                             "--model ",
                             "--tensor-parallel-size",
                             "--index-topk",
                             "--verbose",
                             "--hf-config",
                             "--model-dtype",
                             "--qk-nope-head-dim",
                             "--qk-rope-head-dim",
                             "--v-head-dim",
                             "--kv-lora-rank",
                             "--num-attention-heads",
                             "--kv-scales",
                             "--decode-backend",
                             "--decode-context-parallel-size",
                             "--enable-chunked-prefill",
                             "--kv-cache-dtype",
                             "--use-prefill-query-quantization",
                             "--prefill-backend",
                             "--attention-config",
                             "--prefill-query-mode",
                             "--expected-isl",
                             "--cost-model",
                             "--curve",
                             "--context-tokens",
                             "--local-rank",
                             "--global-rank",
                             "--refused-request-level",
                             "--matrix",
                             "--json",
                             "--help",
                             "--version"}) {
    EXPECT_THAT(help.out, HasSubstr(option));
  }
  EXPECT_THAT(help.out, ContainsRegex("Exits with *\n *0 .*\n *1 .*\n *2 .*\n *3 +refused"));
  EXPECT_THAT(help.err, IsEmpty());
  const Result version = run("--version");
  EXPECT_EQ(version.exit_code, 0);
  EXPECT_EQ(version.out, "mla-dtype " MLA_DTYPE_PROJECT_VERSION "\n");
}

TEST(Tool, BadArgumentsAreOneClearLineAndExitCode2) {
  for (
      const auto& [arguments, names] :
      {std::pair<std::string, std::string>("--kv-cache-dtype fp9", "accepted: fp8 .nearest."),
       {"--kv-cache-dtype ''", "--kv-cache-dtype: "},
       {"--kv-cache-dtype", "--kv-cache-dtype"},
       {"--kv-cache-dtype fp8 --kv-cache-dtype auto", "--kv-cache-dtype"},
       {"--model-dtype int8", "--model-dtype: .*bfloat16"},
       {"--device sm_10.3", "--device: .*sm_103"},
       {"--device B2000", "--device: .*accepted: B200 \\(nearest\\).*nvidia-smi"},
       {"--prefill-backend FLASHINFRE", "--prefill-backend: .*accepted: FLASHINFER .nearest."},
       {"--prefill-backend TRTLLM_FMHA", "--prefill-backend: .*\"TRTLLM_FMHA\" is not accepted"},
       {"--engine tensorrt-llm --prefill-backend x",
        "--prefill-backend: of TensorRT-LLM's \"x\" nothing is known here; known are: TRTLLM_FMHA"},
       {"--engine sglang --decode-backend flashinfer",
        "--decode-backend: of SGLang's \"flashinfer\" nothing is known.*fa3"},
       {"--engine sglang --kv-cache-dtype fp8", "--kv-cache-dtype: .*accepted: fp8_e4m3 .nearest."},
       {"--engine tensorrt-llm --kv-cache-dtype int8", "--kv-cache-dtype: .*: auto, fp8, nvfp4"},
       {"--engine sglang --use-prefill-query-quantization",
        "--use-prefill-query-quantization: SGLang has no such flag.*--kv-cache-dtype"},
       {"--engine llama.cpp", "--engine: \"llama.cpp\" is not accepted; accepted: vllm, tensorrt"},
       {"--tensor-parallel-size 3", "--tensor-parallel-size: 3 does not divide the model's 128"},
       {"--tensor-parallel-size 0", "--tensor-parallel-size"},
       {"--prefill-backend flashinfre", "--prefill-backend: .*\"flashinfre\".*: FLASHINFER .near"},
       {"--prefill-backend ''", "--prefill-backend: .*\"\""},
       {"--prefill-backend FLASHINFE", "--prefill-backend: .*\"FLASHINFE\""},
       {"--decode-backend FLASHMAL",
        "--decode-backend: .*\"FLASHMAL\" is not accepted; accepted: FLASHMLA .nearest., ROCM"},
       {"--decode-backend ''", "--decode-backend: .*\"\" is not accepted; accepted: the name"},
       {"--decode-backend TRITON_MLA_TQ", "\"TRITON_MLA_TQ\" is not accepted; accepted: ROCM"},
       {"--decode-backend FLASHINFER", "--decode-backend: .*accepted: FLASHINFER_MLA .nearest."},
       {"--num-attention-heads 0", "--num-attention-heads"},
       {"--num-attention-heads ''", "--num-attention-heads"},
       {"--kv-lora-rank -1", "--kv-lora-rank"},
       {"--decode-context-parallel-size 0", "--decode-context-parallel-size"},
       {"--decode-context-parallel-size 99999999999", "--decode-context-parallel-size"},
       {"--enable-chunked-prefill=maybe", "--enable-chunked-prefill"},
       {"--kv-scales static", "--kv-scales: .*unknown,calibrated,unit,dynamic"},
       {"--model-dtype ''", "--model-dtype: "},
       {"--qk-nope-head-dim 0", "--qk-nope-head-dim"},
       {"--qk-rope-head-dim ''", "--qk-rope-head-dim"},
       {"--v-head-dim 128.5", "--v-head-dim"},
       {"--v-head-dim 99999999999", "--v-head-dim"},
       {"--prefill-query-mode always", "--prefill-query-mode: .*by_flag,required,automatic"},
       {"--prefill-query-mode automatic --cost-model h100",
        "--prefill-query-mode automatic: needs --expected-isl"},
       {"--prefill-query-mode automatic --expected-isl 2000 --device 10.0",
        "--prefill-query-mode automatic: no cost model of device sm_100 .*--cost-model gives one"},
       {"--cost-model h100", "--cost-model: needs --expected-isl or --curve"},
       {"--curve --cost-model B200:FLASH_ATTN:FLASHINFER",
        "--cost-model: B200:FLASH_ATTN:FLASHINFER was not measured; these were: "
        ".*FLASH_ATTN:TRTLLM"},
       {"--curve --cost-model B2000:a:b", "--cost-model: device: .*B200"},
       {"--curve --device B200",
        "--curve: --cost-model says of what: .*NVIDIA B200:FLASH_ATTN:TRTLLM_RAGGED"},
       {"--curve --device none", "--curve: --cost-model says of what: h100, a file, "},
       {"--curve --context-tokens -1", "--context-tokens: "},
       {"--curve --context-tokens ''", "--context-tokens: "},
       {"--context-tokens 8", "--context-tokens requires --curve"},
       {"--curve --model-dtype float16", "--model-dtype: not together with --curve"},
       {"--curve --kv-cache-dtype fp8", "--kv-cache-dtype: not together with --curve"},
       {"--curve --prefill-query-mode automatic", "--prefill-query-mode: not together with --cu"},
       {"--curve --kv-lora-rank 64", "--kv-lora-rank: not together with --curve"},
       {"--curve --matrix --device 9.0", "--curve: not together with --matrix"},
       {"--matrix --device 9.0 --expected-isl 8", "--expected-isl: not together with --matrix"},
       {"--matrix --device 9.0 --cost-model h100", "--cost-model: not together with --matrix"},
       {"--curve=1", "curve"},
       {"--expected-isl 0", "--expected-isl: "},
       {"--expected-isl ''", "--expected-isl: "},
       {"--expected-isl 2048.5", "--expected-isl: "},
       {"--expected-isl 99999999999999999999", "--expected-isl: "},
       {"--refused-request-level error", "--refused-request-level: .*info,warning"},
       {"--json=1", "json"},
       {"--matrix", "--matrix: needs --device"},
       {"--matrix --device 10.0 --kv-cache-dtype fp8", "--kv-cache-dtype: not together with"},
       {"--matrix --device 10.0 --attention-config '{}'", "--attention-config: not together"},
       {"--matrix --device 10.0 --decode-backend FLASHINFER_MLA", "--decode-backend: not together"},
       {"--matrix --device 10.0 --enable-chunked-prefill=false",
        "--enable-chunked-prefill: not together"},
       {"--attention-config ''", "--attention-config: not JSON"},
       {"--attention-config '{\"a\": 1,}'", "--attention-config: not JSON"},
       {"--attention-config '{} {}'", "--attention-config: not JSON"},
       {"--attention-config \"{\\\"$(printf '\\377')\\\": 1}\"", "--attention-config: not JSON"},
       {"--attention-config '[]'", "--attention-config: an array is not accepted"},
       {"--attention-config true", "--attention-config: true is not .*: a JSON object"},
       {"--attention-config '{\"use_prefill_query_quantization\": 1}'",
        "use_prefill_query_quantization: 1 is not accepted; accepted: true, false"},
       {"--attention-config '{\"use_prefill_query_quantization\": null}'",
        "use_prefill_query_quantization: null"},
       {"--attention-config '{\"mla_prefill_backend\": [\"FLASHINFER\"]}'",
        "mla_prefill_backend: an array is not accepted; accepted: the name of a prefill backend, "
        "null"},
       {"--attention-config '{\"mla_prefill_backend\": \"FLASHINFRE\"}'",
        "--attention-config: mla_prefill_backend: \"FLASHINFRE\" is not accepted; accepted: "
        "FLASHINFER .nearest."},
       {"--attention-config '{\"mla_prefill_backend\": \"auto\"}'",
        "--attention-config: mla_prefill_backend: \"auto\" is not accepted; accepted: ROCM_"},
       {"--attention-config '{\"mla_prefill_backend\": \"\"}'",
        "--attention-config: mla_prefill_backend: \"\" is not accepted"},
       {"--attention-config '{\"x\": {\"y\": 1, \"y\": 1}}'", "--attention-config: \"y\" twice"},
       {"--prefill-backend FLASH_ATTN --attention-config "
        "'{\"mla_prefill_backend\": \"FLASHINFER\"}'",
        "--prefill-backend says FLASH_ATTN, and --attention-config FLASHINFER"},
       {"--prefill-backend auto --attention-config '{\"mla_prefill_backend\": \"FLASHINFER\"}'",
        "--prefill-backend says auto, and --attention-config FLASHINFER"},
       {"--use-prefill-query-quantization=false --attention-config "
        "'{\"use_prefill_query_quantization\": true}'",
        "--use-prefill-query-quantization says false, and --attention-config true"},
       {"--local-rank -1", "local_rank: -1"},
       {"--global-rank -1", "global_rank: -1"},
       {"--local-rank one", "--local-rank"},
       {"--local-rank 99999999999", "--local-rank"},
       {"--local-rank ''", "--local-rank"},
       {"--global-rank=", "--global-rank"},
       {"--use-prefill-query-quantization=maybe", "--use-prefill-query-quantization"},
       {"--use-prefill-query-quantization=5", "--use-prefill-query-quantization"},
       {"--no-such-option", "--no-such-option"},
       {"stray", "stray"},
       {"\"$(printf '\\033[31m\\nstray\\377')\"", "stray"},
       {"--device \"$(printf '\\033[31m\\n\\377')\"", "--device"}}) {
    const Result result = run(arguments);
    EXPECT_EQ(result.exit_code, 2) << arguments;
    EXPECT_THAT(result.out, IsEmpty()) << arguments;
    EXPECT_THAT(result.err, AllOf(StartsWith("mla-dtype: "), ContainsRegex(names)));
    EXPECT_THAT(result.err, MatchesRegex("[ -~]*\n")) << "one line of plain text: " << arguments;
  }
}

TEST(Tool, NoValueIsRawInAMessage) {
  const std::string longest(100'000, '\x1b');
  const auto expect = [&](const char* option, std::size_t most_bytes) {
    for (const std::string& value :
         {std::string("{} %s {0}"), std::string("\x1b[2J\n\xff\xc2\x9b"), longest}) {
      const Result result = run(std::string(option) + '=' + quoted(value));
      EXPECT_EQ(result.exit_code, 2) << option;
      EXPECT_THAT(result.out, IsEmpty()) << option;
      EXPECT_THAT(result.err, AllOf(StartsWith("mla-dtype: "), MatchesRegex("[ -~]*\n"))) << option;
      EXPECT_LT(result.err.size(), most_bytes) << option;
    }
  };
  for (const char* const option : {"--kv-cache-dtype", "--model-dtype", "--device",
                                   "--prefill-backend", "--decode-backend", "--attention-config"}) {
    expect(option, 1000);
  }
  // Where the parser of the command line speaks, or a path is named, it is whole.
  for (const char* const option :
       {"--hf-config", "--kv-scales", "--prefill-query-mode", "--refused-request-level",
        "--kv-lora-rank", "--local-rank", "--use-prefill-query-quantization", "--no-such-option"}) {
    expect(option, longest.size() + 1000);
  }
  for (const std::string& key :
       {std::string(R"(\u0000\u001b[2J\u009b\u2028{} %s)"), std::string(100'000, '{')}) {
    const Result result = run("--device 10.0 --attention-config" + quoted("{\"" + key + "\": 1}"));
    EXPECT_EQ(result.exit_code, 0);
    EXPECT_THAT(result.err, MatchesRegex("[ -~]* is not looked at\n"));
    EXPECT_LT(result.err.size(), 1000U);
  }
}

TEST(Tool, OutputThatCannotBeWrittenIsAnError) {
  const auto exit_code = [](const std::string& arguments) {
    const int status = std::system(("'" MLA_DTYPE_TOOL "' " + arguments).c_str());
    return WEXITSTATUS(status);
  };
  EXPECT_EQ(exit_code(fp8_on_b200 + ">/dev/full 2>/dev/null"), 1);
  EXPECT_EQ(exit_code(fp8_on_b200 + ">/dev/null 2>/dev/full"), 1);
  EXPECT_EQ(exit_code(fp8_on_b200 + "--json >/dev/full"), 1);
  EXPECT_EQ(exit_code("--device 10.0 --matrix >/dev/full"), 1);
  EXPECT_EQ(exit_code("--curve --cost-model h100 >/dev/full"), 1);
  EXPECT_EQ(exit_code("--curve >/dev/null 2>/dev/full"), 1);
  EXPECT_EQ(exit_code("--prefill-query-mode required >/dev/full 2>/dev/null"), 1);
  EXPECT_EQ(exit_code("--prefill-query-mode required >/dev/null 2>/dev/full"), 1);
  EXPECT_EQ(exit_code("--device 10.0 --decode-backend FLASHINFER_MLA >/dev/full 2>/dev/null"), 1);
}

}  // namespace
}  // namespace mla_dtype::tool

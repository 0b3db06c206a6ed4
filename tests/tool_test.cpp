// SPDX-License-Identifier: Apache-2.0

// The command-line tool, as a process of its own.

#include <gmock/gmock.h>
#include <sys/wait.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>

namespace mla_dtype {
namespace {

using ::testing::AllOf;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::MatchesRegex;
using ::testing::Not;
using ::testing::StartsWith;

struct Result {
  int exit_code;
  std::string out, err;
};

std::string take(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  std::remove(path.c_str());
  return text.str();
}

// `arguments` as a shell would have them.
Result run(const std::string& arguments) {
  const std::string base = ::testing::TempDir() + "mla_dtype_tool_" + std::to_string(getpid());
  const std::string command =
      "'" MLA_DTYPE_TOOL "' " + arguments + " >'" + base + ".out' 2>'" + base + ".err'";
  const int status = std::system(command.c_str());
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, take(base + ".out"), take(base + ".err")};
}

const std::string fp8_on_b200 =
    "--kv-cache-dtype fp8 --device 10.0 --prefill-backend FLASHINFER --model-dtype float16 ";

TEST(Tool, Row1) {
  const Result result = run(fp8_on_b200 + "--use-prefill-query-quantization");
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(result.out, "data type: float8_e4m3fn\noutcome: quantized\n");
  EXPECT_EQ(result.err, "[info] FP8 prefill attention enabled: query data type is FP8\n");
}

TEST(Tool, Row2) {
  const std::string text =
      "[info] Unable to perform FP8 prefill attention when use_prefill_query_quantization is "
      "enabled. Please ensure that --kv-cache-dtype is set to fp8 and your prefill backend is "
      "compatible with FP8 attention.";
  for (const auto& [arguments, why] :
       {std::pair<std::string, std::string>("--device sm_100 --prefill-backend FLASHINFER",
                                            " The KV cache is not quantized"),
        {"--device sm_103a --kv-cache-dtype fp8", " Prefill backend FLASH_ATTN does not"},
        {"--device 9.0 --kv-cache-dtype fp8", " On this device (sm_90) no setting helps"},
        {"--device gfx942:sramecc+:xnack- --kv-cache-dtype fp8", " On this device (gfx942)"},
        {"", " On this device (no CUDA or ROCm device)"}}) {
    const Result result = run("--use-prefill-query-quantization " + arguments);
    EXPECT_EQ(result.exit_code, 0);
    EXPECT_EQ(result.out, "data type: bfloat16\noutcome: request_refused\n");
    EXPECT_THAT(result.err, StartsWith(text + why));
    EXPECT_EQ(result.err.find('\n'), result.err.size() - 1) << "one record";
  }
}

TEST(Tool, Row3) {
  const Result result = run(fp8_on_b200);
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(result.out, "data type: float16\noutcome: available_but_off\n");
  EXPECT_EQ(result.err,
            "[warning] FP8 KV cache is enabled but prefill queries are not quantized to FP8. For "
            "long-context workloads (ISL >= 4K), enabling FP8 prefill attention can significantly "
            "optimize prefill latency. To enable, add: --attention-config "
            "'{\"use_prefill_query_quantization\": true}'\n");
}

TEST(Tool, Row4) {
  for (const std::string arguments :
       {"", "--device 10.0 --prefill-backend FLASHINFER", "--kv-cache-dtype fp8 --device 9.0",
        "--use-prefill-query-quantization=false"}) {
    const Result result = run(arguments);
    EXPECT_EQ(result.exit_code, 0);
    EXPECT_EQ(result.out, "data type: bfloat16\noutcome: not_applicable\n");
    EXPECT_THAT(result.err, IsEmpty());
  }
}

TEST(Tool, OnlyLocalRank0Logs) {
  EXPECT_THAT(run(fp8_on_b200 + "--local-rank 1 --global-rank 1").err, IsEmpty());
  EXPECT_THAT(run(fp8_on_b200 + "--local-rank 0 --global-rank 8").err, Not(IsEmpty()));
}

TEST(Tool, HelpAndVersion) {
  const Result help = run("--help");
  EXPECT_EQ(help.exit_code, 0);
  for (const char* option :
       {"--kv-cache-dtype", "--use-prefill-query-quantization", "--model-dtype", "--device",
        "--prefill-backend", "--local-rank", "--global-rank", "--help", "--version"}) {
    EXPECT_THAT(help.out, HasSubstr(option));
  }
  EXPECT_THAT(help.err, IsEmpty());
  const Result version = run("--version");
  EXPECT_EQ(version.exit_code, 0);
  EXPECT_EQ(version.out, "mla-dtype " MLA_DTYPE_PROJECT_VERSION "\n");
}

TEST(Tool, BadArgumentsAreOneClearLineAndExitCode2) {
  for (const auto& [arguments, names] :
       {std::pair<std::string, std::string>("--kv-cache-dtype fp9", "accepted: fp8 .nearest."),
        {"--kv-cache-dtype ''", "--kv-cache-dtype: "},
        {"--kv-cache-dtype", "--kv-cache-dtype"},
        {"--kv-cache-dtype fp8 --kv-cache-dtype auto", "--kv-cache-dtype"},
        {"--model-dtype int8", "--model-dtype: .*bfloat16"},
        {"--device sm_10.3", "--device: .*sm_103"},
        {"--device B200", "--device: .*gfx942"},
        {"--prefill-backend FLASHINFRE", "--prefill-backend: .*accepted: FLASHINFER .nearest."},
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

TEST(Tool, OutputThatCannotBeWrittenIsAnError) {
  for (const char* redirection : {">/dev/full 2>/dev/null", ">/dev/null 2>/dev/full"}) {
    const std::string command = "'" MLA_DTYPE_TOOL "' " + fp8_on_b200 + redirection;
    const int status = std::system(command.c_str());
    EXPECT_EQ(WEXITSTATUS(status), 1) << redirection;
  }
}

}  // namespace
}  // namespace mla_dtype

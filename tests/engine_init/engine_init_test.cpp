// SPDX-License-Identifier: Apache-2.0

// Engines of several processes on several nodes, as engine_init stands for them: what appears in
// whose log.

#include <gmock/gmock.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

namespace mla_dtype {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::StartsWith;

struct Process {
  int exit_code;
  std::vector<std::string> log;
};

// Starts `nodes` * `ranks_per_node` processes at once, and gives their logs by global rank.
std::vector<Process> run_engine(const std::string& model, std::vector<std::string> flags, int nodes,
                                int ranks_per_node) {
  flags.insert(flags.begin(), {ENGINE_INIT, "--model", ENGINE_INIT_MODELS "/" + model + ".json",
                               "--threads", "4"});
  std::vector<pid_t> children;
  std::vector<std::string> logs;
  for (int rank = 0; rank < nodes * ranks_per_node; ++rank) {
    logs.push_back(::testing::TempDir() + "engine_init_" + std::to_string(getpid()) + '_' +
                   std::to_string(rank) + ".log");
    std::vector<std::string> arguments = flags;
    arguments.insert(arguments.end(),
                     {"--log-file", logs.back(), "--global-rank", std::to_string(rank),
                      "--local-rank", std::to_string(rank % ranks_per_node)});
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    const pid_t child = fork();
    if (child == 0) {
      execv(argv[0], argv.data());
      _exit(127);
    }
    children.push_back(child);
  }
  std::vector<Process> processes;
  for (std::size_t rank = 0; rank < children.size(); ++rank) {
    int status = 0;
    waitpid(children[rank], &status, 0);
    Process process{WIFEXITED(status) ? WEXITSTATUS(status) : -1, {}};
    std::ifstream file(logs[rank]);
    for (std::string line; std::getline(file, line);) process.log.push_back(line);
    std::remove(logs[rank].c_str());
    processes.push_back(process);
  }
  return processes;
}

const std::string enabled = "engine [info] FP8 prefill attention enabled: query data type is FP8";
const std::string ready = "engine [info] the engine is ready";

std::string using_backend(const std::string& name) {
  return "engine [info] Using prefill backend " + name + '.';
}

TEST(EngineInit, TwoNodesOfFourLogOncePerNode) {
  const auto processes = run_engine("deepseek-v3",
                                    {"--device", "sm_103", "--prefill-backend", "TRTLLM_RAGGED",
                                     "--kv-cache-dtype", "fp8", "--use-prefill-query-quantization"},
                                    /*nodes=*/2, /*ranks_per_node=*/4);
  const std::string model =
      "engine [info] 4 threads, 61 layers, 128 heads, qk 128+64, v 128, latent 512: prefill query "
      "float8_e4m3fn";
  ASSERT_THAT(processes, SizeIs(8));
  for (std::size_t rank = 0; rank < processes.size(); ++rank) {
    SCOPED_TRACE(rank);
    EXPECT_EQ(processes[rank].exit_code, 0);
    if (rank == 0) {
      EXPECT_THAT(processes[rank].log,
                  ElementsAre(using_backend("TRTLLM_RAGGED"), enabled, model, ready));
    } else if (rank == 4) {
      EXPECT_THAT(processes[rank].log, ElementsAre(using_backend("TRTLLM_RAGGED"), enabled, model));
    } else {
      EXPECT_THAT(processes[rank].log, ElementsAre(model));
    }
  }
}

TEST(EngineInit, AnOperatorWhoForgotTheFlagIsTold) {
  const auto processes = run_engine(
      "kimi-k2",
      {"--device", "10.0", "--prefill-backend", "FLASHINFER", "--kv-cache-dtype", "fp8_e4m3"}, 1,
      2);
  EXPECT_THAT(
      processes[0].log,
      ElementsAre(
          using_backend("FLASHINFER"), StartsWith("engine [warning] FP8 KV cache is enabled but "),
          "engine [info] 4 threads, 61 layers, 64 heads, qk 128+64, v 128, latent 512: prefill "
          "query bfloat16",
          ready));
  EXPECT_THAT(processes[1].log, SizeIs(1));
}

TEST(EngineInit, AnOperatorOnHopperIsToldThatNothingHelps) {
  const auto processes = run_engine("deepseek-v2-lite",
                                    {"--device", "9.0", "--prefill-backend", "FLASH_ATTN",
                                     "--kv-cache-dtype", "fp8", "--use-prefill-query-quantization"},
                                    1, 1);
  EXPECT_EQ(processes[0].exit_code, 0);
  ASSERT_THAT(processes[0].log, SizeIs(4));
  EXPECT_EQ(processes[0].log[0], using_backend("FLASH_ATTN"));
  EXPECT_THAT(
      processes[0].log[1],
      ::testing::ContainsRegex("^engine .info. Unable to perform FP8 prefill attention .* On "
                               "this device .sm_90. no setting helps"));
  EXPECT_EQ(
      processes[0].log[2],
      "engine [info] 4 threads, 27 layers, 16 heads, qk 128+64, v 128, latent 512: prefill query "
      "bfloat16");
}

TEST(EngineInit, WithoutAChoiceTheFlagSelectsABackendThatCan) {
  const auto processes = run_engine(
      "deepseek-v3",
      {"--device", "10.3", "--kv-cache-dtype", "fp8", "--use-prefill-query-quantization"}, 1, 1);
  ASSERT_THAT(processes[0].log, SizeIs(4));
  EXPECT_THAT(processes[0].log[0], StartsWith(using_backend("TRTLLM_RAGGED")));
  EXPECT_EQ(processes[0].log[1], enabled);
}

TEST(EngineInit, AnOperatorWhoDidNotAskIsToldOfTheOtherBackend) {
  const auto processes =
      run_engine("deepseek-v3", {"--device", "10.3", "--kv-cache-dtype", "fp8"}, 1, 1);
  ASSERT_THAT(processes[0].log, SizeIs(4));
  EXPECT_THAT(processes[0].log[0], StartsWith(using_backend("FLASH_ATTN")));
  EXPECT_EQ(processes[0].log[1],
            "engine [warning] Prefill backend FLASH_ATTN does not take FP8 queries here, but "
            "TRTLLM_RAGGED does: turn use_prefill_query_quantization on to have it selected.");
}

TEST(EngineInit, AChoiceThatCannotRunStopsTheEngineWithItsReasons) {
  const auto processes =
      run_engine("deepseek-v3", {"--device", "12.0", "--prefill-backend", "FLASHINFER"}, 1, 1);
  EXPECT_EQ(processes[0].exit_code, 1);
  EXPECT_THAT(
      processes[0].log,
      ElementsAre(
          "engine [warning] Prefill backend FLASHINFER cannot be used. Prefill backend "
          "FLASHINFER does not run on this device (sm_120), only on CUDA capability 10.x."));
}

TEST(EngineInit, BadInputStopsTheEngineBeforeItLogsAnything) {
  const auto processes = run_engine(
      "deepseek-v3",
      {"--device", "10.0", "--prefill-backend", "FLASHINFER", "--kv-cache-dtype", "fp9"}, 1, 1);
  EXPECT_EQ(processes[0].exit_code, 1);
  EXPECT_THAT(processes[0].log, IsEmpty());
}

}  // namespace
}  // namespace mla_dtype

// SPDX-License-Identifier: Apache-2.0

// Without this a rank with other data types than its peers could go unnoticed, or the wrong one be
// named.

#include <gmock/gmock.h>
#include <mla_dtype/attention_plan.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "support/engine_config.h"
#include "support/expect_invalid.h"
#include "support/plan_question.h"

namespace mla_dtype {
namespace {

using ::testing::AllOf;
using testing::deepseek_v3;
using testing::expect_invalid;
using testing::expect_refused;
using ::testing::HasSubstr;
using testing::InjectedPlan;
using ::testing::IsEmpty;
using testing::make_config;
using ::testing::Not;
using testing::Question;
using ::testing::SizeIs;
using ::testing::StartsWith;

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
  InjectedPlan injected(true, true, true);
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

// SPDX-License-Identifier: Apache-2.0

// Without it, a number could be read in another base than it was typed in: `010` as eight.

#include <gmock/gmock.h>

#include <cstddef>
#include <set>
#include <string>

#include "tool/process.h"

namespace mla_dtype::tool {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

// An option that takes a number, after those that make the number be seen in JSON.
struct NumberOption {
  std::string before, name;
};

const std::string plan_options =
    "--device 10.0 --kv-cache-dtype fp8 --decode-backend TRITON_MLA --json ";
const std::string prediction_options =
    "--device 10.0 --kv-cache-dtype fp8 --cost-model h100 --json ";

const NumberOption number_options[] = {
    {"--matrix --device 10.0 --json ", "--qk-nope-head-dim"},
    {"--matrix --device 10.0 --json ", "--qk-rope-head-dim"},
    {"--matrix --device 10.0 --json ", "--v-head-dim"},
    {plan_options, "--kv-lora-rank"},
    {plan_options, "--num-attention-heads"},
    {"--matrix --device 10.0 --json ", "--index-topk"},
    {plan_options, "--tensor-parallel-size"},
    {plan_options, "--decode-context-parallel-size"},
    {prediction_options + "--expected-isl 32768 ", "--max-num-batched-tokens"},
    {prediction_options, "--expected-isl"},
    {"--curve --cost-model h100 --json ", "--context-tokens"},
    {plan_options, "--local-rank"},
    {plan_options, "--global-rank"},
};

TEST(Tool, ANumberIsDecimalHoweverManyZerosItBeginsWith) {
  for (const auto& [before, name] : number_options) {
    for (const std::string number : {"1", "8", "32", "128"}) {
      const Result expected = run(before + name + ' ' + number);
      EXPECT_EQ(expected.exit_code, 0) << name;
      for (const std::string zeros : {"0", "000000000000000000000000"}) {
        const Result result = run(before + name + ' ' + zeros + number);
        EXPECT_EQ(result.exit_code, 0) << name << ' ' << zeros << number;
        EXPECT_EQ(result.out, expected.out) << name << ' ' << zeros << number;
        EXPECT_EQ(result.err, expected.err) << name << ' ' << zeros << number;
      }
      EXPECT_EQ(run(before + name + " +0" + number).out, expected.out) << name;
      EXPECT_EQ(run(before + name + quoted(" 0" + number)).out, expected.out) << name;
    }
  }
  const Json curve = parse(run("--curve --cost-model h100 --json --context-tokens 010"));
  EXPECT_EQ(curve.at("context_tokens"), 10);
  EXPECT_EQ(run("--curve --context-tokens 000").out, run("--curve").out);
  EXPECT_EQ(run(plan_options + "--local-rank 00 --global-rank 00").out, run(plan_options).out);
}

// As vLLM reads them.
TEST(Tool, ANumberOfTokensMayBeInThousands) {
  const auto isl = [](const std::string& text) {
    const Json json = parse(run(prediction_options + "--expected-isl " + text));
    return json.at("prediction").at("isl").get<int>();
  };
  EXPECT_EQ(isl("128k"), 128000);
  EXPECT_EQ(isl("128K"), 131072);
  EXPECT_EQ(isl("08k"), 8000);
  EXPECT_EQ(isl("1m"), 1000000);
  EXPECT_EQ(isl("1M"), 1048576);
  for (const std::string text : {"k", "-1k", "1kk", "1kb", "1.5k", "1 k", "99999999999k"}) {
    const Result result = run(prediction_options + "--expected-isl" + quoted(text));
    EXPECT_EQ(result.exit_code, 2) << text;
    EXPECT_THAT(result.err, HasSubstr("--expected-isl: ")) << text;
  }
  EXPECT_EQ(run(plan_options + "--num-attention-heads 1k").exit_code, 2) << "no number of tokens";
}

TEST(Tool, WhatIsNoDecimalNumberIsRefusedAsWhatItIs) {
  for (const auto& [before, name] : number_options) {
    for (const std::string text : {"0x10", "0X10", "010x", "0b10", "0o10", "1_000", "1,000", "1e3",
                                   "010.0", "- 1", "+-1", "+", "0x", "ten", "10 ", ""}) {
      const Result result = run(before + name + quoted(text));
      EXPECT_EQ(result.exit_code, 2) << name << ' ' << text;
      EXPECT_THAT(result.out, IsEmpty());
      EXPECT_THAT(result.err,
                  StartsWith("mla-dtype: " + name + ": \"" + text +
                             "\" is not accepted; accepted: a whole number, in decimal"));
    }
    EXPECT_EQ(run(before + name + " 0x10").err, run(before + name + "=0x10").err);
    EXPECT_EQ(run(before + name + " 099999999999").exit_code, 2) << "out of range";
    EXPECT_EQ(run(before + name + " -010").exit_code, 2) << "negative";
  }
  EXPECT_THAT(run("--device 10.0 --local-rank -010").err, HasSubstr("local_rank: -10 "));
}

// So that an option that is added is tested here, too.
TEST(Tool, EveryNumberOptionIsTestedForItsBase) {
  std::set<std::string> shown, tested;
  for (const std::string& line : lines(run("--help").out)) {
    const std::size_t name = line.find("--"), type = line.find(" INT");
    if (name == line.find_first_not_of(' ') && type != line.npos) {
      shown.insert(line.substr(name, type - name));
    }
  }
  for (const NumberOption& option : number_options) tested.insert(option.name);
  EXPECT_EQ(tested, shown);
}

}  // namespace
}  // namespace mla_dtype::tool

// SPDX-License-Identifier: Apache-2.0

// Any number of random worlds, each asked at every door: see case_checker.h and tool_checker.h.
// A world is its seed: the one that fails is named, and asked again by `mla_dtype_worlds 1 <seed>`.

#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "case_checker.h"
#include "describe.h"
#include "input.h"
#include "profile_case.h"
#include "tool_case.h"
#include "tool_checker.h"

namespace mla_dtype::fuzz {
namespace {

std::uint64_t world_seed = 0;
std::string world_in_words;

void say_which(int) {
  std::fprintf(stderr, "%sagain: mla_dtype_worlds 1 %llu\n", world_in_words.c_str(),
               static_cast<unsigned long long>(world_seed));
}

// splitmix64: the same on every machine.
std::uint64_t next(std::uint64_t& state) {
  std::uint64_t result = state += 0x9e3779b97f4a7c15U;
  result = (result ^ (result >> 30)) * 0xbf58476d1ce4e5b9U;
  result = (result ^ (result >> 27)) * 0x94d049bb133111ebU;
  return result ^ (result >> 31);
}

// As far as the tool can be asked.
void ask_tool(Input& input, Case made, Output& output) {
  static ToolWords tool;
  if (!make_expressible(input, made)) return;
  world_in_words = in_words(made);
  CaseChecker(made, output).run();
  ToolChecker(made, output).check(tool);
}

void ask_world(std::uint64_t seed, Output& output) {
  world_seed = seed;
  std::uint64_t state = seed;
  std::vector<std::uint8_t> bytes(256);
  for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(next(state) >> 32);
  Input input(bytes.data(), bytes.size());
  const Case made = make_any_case(input);
  world_in_words = in_words(made);
  CaseChecker(made, output).run();
  if (seed % 8 == 0) ask_tool(input, made, output);
}

}  // namespace
}  // namespace mla_dtype::fuzz

int main(int argc, char** argv) {
  using namespace mla_dtype::fuzz;
  if (argc != 3) return std::fprintf(stderr, "usage: %s <count> <seed>\n", argv[0]), 2;
  const std::uint64_t count = std::strtoull(argv[1], nullptr, 10);
  const std::uint64_t first = std::strtoull(argv[2], nullptr, 10);
  std::signal(SIGABRT, say_which);
  static auto& output = *new Output;  // a OnceLog is large
  for (std::uint64_t i = 0; i < count; ++i) ask_world(first + i, output);
  return 0;
}

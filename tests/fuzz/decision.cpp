// SPDX-License-Identifier: Apache-2.0

// The decision and the plan against restatement/: bytes become an engine, a device, a model and an
// operator's configuration, and every function that answers has to say the same. Without this one
// that disagrees with the others, or refuses what can be meant, could go unnoticed.

#include <cstddef>
#include <cstdint>

#include "case_checker.h"
#include "input.h"
#include "profile_case.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace mla_dtype::fuzz;
  static auto& output = *new Output;  // a OnceLog is large
  Input input(data, size);
  const Case made = make_any_case(input);
  CaseChecker(made, output).run();
  return 0;
}

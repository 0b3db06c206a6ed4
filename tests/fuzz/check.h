// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string_view>

#include "support/utf8.h"

/// Says which property does not hold, and aborts: what a fuzzer, and ctest, take for a finding.
#define CHECK(condition)      \
  ((condition)                \
       ? static_cast<void>(0) \
       : (std::fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition), std::abort()))

namespace mla_dtype::fuzz {

using testing::is_one_line;

/// Bad input is refused by a text that fits a log, whatever the input.
inline void check_refusal(const std::invalid_argument& refusal) {
  const std::string_view text = refusal.what();
  CHECK(text.size() < 1024);
  CHECK(is_one_line(text));
  CHECK(text.find(" is not accepted; accepted: ") != text.npos);
}

/// Whether the call refuses its input.
template <class Call>
bool is_refused(Call call) {
  try {
    call();
    return false;
  } catch (const std::invalid_argument& refusal) {
    check_refusal(refusal);
    return true;
  }
}

}  // namespace mla_dtype::fuzz

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gmock/gmock.h>

#include <stdexcept>
#include <string>

namespace mla_dtype::testing {

/// Expects std::invalid_argument, with `expected` matching its text.
template <class Call, class Matcher>
void expect_invalid(Call call, const Matcher& expected) {
  try {
    call();
    ADD_FAILURE() << "nothing was thrown";
  } catch (const std::invalid_argument& error) {
    EXPECT_THAT(std::string(error.what()), expected);
  }
}

}  // namespace mla_dtype::testing

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>
#include <mla_dtype/once_log.h>

#include <string>

#include "recording_log.h"

namespace mla_dtype::testing {

inline constexpr LogScope all_scopes[] = {LogScope::process, LogScope::local, LogScope::global};

/// A OnceLog over a function that records.
class OnceLogFixture : public ::testing::Test {
 protected:
  RecordingLog output;
  OnceLog& log = *output.log;

  bool say(const std::string& text) { return log.info_once(LogScope::process, text); }
};

}  // namespace mla_dtype::testing

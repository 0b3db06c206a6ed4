// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>
#include <mla_dtype/once_log.h>

#include <string>

#include "recording_sink.h"

namespace mla_dtype::testing {

/// A OnceLog over a logger that records.
class OnceLogOverSpdlog : public ::testing::Test {
 protected:
  RecordingLogger output;
  OnceLog log{output.logger};

  bool say(const std::string& text) { return log.info_once(LogScope::process, text); }
};

}  // namespace mla_dtype::testing

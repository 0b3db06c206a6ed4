// SPDX-License-Identifier: Apache-2.0
#include <cstdio>
#include <string>

#include "log/writer.h"

namespace mla_dtype::detail {
namespace {

class StderrWriter final : public Writer {
 public:
  bool is_open(LogLevel) override { return true; }
  bool write(LogLevel level, std::string_view text) override {
    const char* const prefix = level == LogLevel::info ? "[info] " : "[warning] ";
    const std::string line = prefix + std::string(text) + '\n';
    return std::fwrite(line.data(), 1, line.size(), stderr) == line.size();
  }
};

}  // namespace

std::unique_ptr<Writer> make_writer(std::nullptr_t) { return std::make_unique<StderrWriter>(); }

}  // namespace mla_dtype::detail

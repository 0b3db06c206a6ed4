// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

#include "check.h"
#include "tool.h"
#include "tool_refusal.h"

namespace {

using mla_dtype::fuzz::OwnDirectory;
using Json = nlohmann::json;

Json ask(const std::string& content) {
  static OwnDirectory files;
  const std::string path = files.write("model.json", content);
  return mla_dtype::fuzz::asked_tool({"--curve", "--expected-isl=4096", "--cost-model=" + path});
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  const Json answer = ask(text);
  if (answer.is_null()) return 0;
  const Json model = Json::parse(text);  // or it would not have been accepted
  CHECK(ask(model.dump()) == answer);
  return 0;
}

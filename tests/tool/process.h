// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

// The command-line tool, as a process of its own, and what its tests share.

namespace mla_dtype::tool {

using Json = nlohmann::ordered_json;

struct Result {
  int exit_code;
  std::string out, err;
};

/// The file's content; removes it.
std::string take(const std::string& path);

/// Of a file that no other process has.
std::string temporary_path();

/// `arguments` as a shell would have them.
Result run(const std::string& arguments);

/// One argument, for a shell. It has no single quotes in it.
std::string quoted(const std::string& argument);

/// A whole config.json, DeepSeek-V3's, with these members instead, or without those that are null.
std::string config_with(const std::string& members = "{}");

/// With the option naming a file of this content.
Result run_with_config(const std::string& config, const std::string& arguments);
Result run_with_cost_model(const std::string& model, const std::string& arguments);

/// What was shown as JSON, by its schema.
Json parse_answer(const Result& result);

/// The same of what went well.
Json parse(const Result& result);

std::vector<std::string> keys(const Json& object);
std::vector<std::string> lines(const std::string& text);

/// What the tool says of the break-even, unless it is at every ISL.
std::string break_even_line(std::optional<std::int64_t> isl);

/// Without the plan, and without what an answer is about.
std::string explanation_of(const Result& result);

inline const std::string flag = "--use-prefill-query-quantization ";
inline const std::string fp8_on_b200 =
    "--kv-cache-dtype fp8 --device 10.0 --prefill-backend TOKENSPEED_MLA --model-dtype float16 ";
inline const std::string fp8_kv_cache = "--device 10.0 --kv-cache-dtype fp8 ";

}  // namespace mla_dtype::tool

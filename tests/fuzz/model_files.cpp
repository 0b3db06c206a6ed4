// SPDX-License-Identifier: Apache-2.0
//
// A model's directory: the first byte says which of config.json, params.json and
// hf_quant_config.json are in it; a zero byte ends the first file.

#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

#include "check.h"
#include "tool.h"
#include "tool_refusal.h"

namespace {

using mla_dtype::fuzz::asked_tool;
using mla_dtype::fuzz::OwnDirectory;
using Json = nlohmann::json;

// The same model, by a file with nothing else in it.
std::string canonical(const Json& answer) {
  const Json& model = answer["model"];
  Json config = {{"dtype", answer["model_dtype"]}};
  for (const char* const key : {"model_type", "qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim",
                                "kv_lora_rank", "num_attention_heads", "index_topk"}) {
    config[key] = model[key];
  }
  if (model["text_model_type"] != model["model_type"]) {
    Json text = config;
    text["model_type"] = model["text_model_type"];
    config = {{"model_type", model["model_type"]}, {"text_config", text}};
  }
  return config.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  static OwnDirectory files;
  static OwnDirectory again;
  const std::string text(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::string first = text.substr(0, text.find('\0'));
  for (const char* const name : {"config.json", "params.json", "hf_quant_config.json"}) {
    files.remove(name);
  }
  const char* const name = (data[0] & 1U) != 0 ? "params.json" : "config.json";
  files.write(name, first);
  if (first.size() < text.size())
    files.write("hf_quant_config.json", text.substr(first.size() + 1));
  constexpr const char* engines[] = {"vllm", "sglang", "tensorrt-llm", "vllm"};
  const std::string engine = std::string("--engine=") + engines[(data[0] >> 1U) & 3U];
  const Json answer = asked_tool({engine, "--device=B200", "--model=" + files.path()});
  if (answer.is_null()) return 0;

  again.write("config.json", canonical(answer));
  const Json second = asked_tool({engine, "--device=B200", "--model=" + again.path()});
  CHECK(!second.is_null());
  Json expected = answer["model"];
  expected["path"] = second["model"]["path"];
  CHECK(second["model"] == expected);
  CHECK(second["model_dtype"] == answer["model_dtype"]);
  return 0;
}

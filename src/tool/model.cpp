// SPDX-License-Identifier: Apache-2.0
#include "model.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <filesystem>
#include <system_error>

#include "engine.h"
#include "from.h"
#include "hub_cache.h"
#include "known_models.h"
#include "message.h"
#include "model_config.h"

namespace mla_dtype::tool {
namespace {

// The name of a model on a hub is a directory if it was downloaded; else it says how to.
std::string directory_of(const std::string& path, std::vector<std::string>& notes) {
  std::error_code none;
  if (!is_hub_name(path) || std::filesystem::exists(path, none)) return path;
  std::string snapshot = find_hub_snapshot(path);
  if (!snapshot.empty()) {
    notes.push_back(fmt::format("{} is read from {}", path, snapshot));
    return snapshot;
  }
  throw std::invalid_argument(fmt::format(
      "{} cannot be read: it is no directory here, nor in the hub's cache. If it is a model's "
      "name, get its configuration, as by `hf download {} --include \"*.json\" --local-dir DIR`, "
      "and give --model DIR",
      path, path));
}

// A dimension is what an option says, or what the file says; absent from both it is an error.
std::int64_t dimension(const CLI::App& app, const char* option, std::int64_t given,
                       const std::optional<std::int64_t>& read, const char* field) {
  if (app.count(option) != 0) return given;
  if (read) return *read;
  throw std::invalid_argument(fmt::format(
      "{}: none; accepted: a whole number from 1 on, in the file or by {}", field, option));
}

void take_dtype(const ModelConfig& model, Question& question) {
  if (!model.dtype.empty()) {
    question.model_dtype =
        from(model.dtype_field, [&] { return parse_model_data_type(model.dtype); });
  }
  const char* const what = model.dtype.empty()                         ? "states no data type"
                           : question.model_dtype == DataType::float32 ? "is in float32"
                                                                       : nullptr;
  if (what == nullptr) return;
  question.notes.push_back(
      fmt::format("{}: it {}, and {} is taken; engines may take another, which --model-dtype says",
                  model.path, what, to_string(question.model_dtype)));
}

void take_kv_cache(const ModelConfig& model, Question& question) {
  CacheConfig& cache = question.config.cache_config;
  if (!model.kv_cache_is_vllms || question.engine_name == "vllm") {
    cache.checkpoint_kv_cache_quant_algo = model.kv_cache_quant_algo;
  } else if (cache.cache_dtype == "auto") {
    question.notes.push_back(fmt::format(
        "{}: the checkpoint has a kv_cache_scheme of FP8, and whether {} goes by it is not known: "
        "set the KV-cache dtype",
        model.path, find_engine(question.engine_name).profile().name));
  }
}

void take_file(const CLI::App& app, const Arguments& arguments, const ModelConfig& model,
               Question& question) {
  EngineConfig& config = question.config;
  const auto read = [&](const char* option, std::int64_t given,
                        const std::optional<std::int64_t>& value,
                        const char* field) { return dimension(app, option, given, value, field); };
  config.mla_dimensions.qk_nope_head_dim =
      read("--qk-nope-head-dim", arguments.dimensions.qk_nope_head_dim, model.qk_nope_head_dim,
           "qk_nope_head_dim");
  config.mla_dimensions.qk_rope_head_dim =
      read("--qk-rope-head-dim", arguments.dimensions.qk_rope_head_dim, model.qk_rope_head_dim,
           "qk_rope_head_dim");
  config.mla_dimensions.v_head_dim =
      read("--v-head-dim", arguments.dimensions.v_head_dim, model.v_head_dim, "v_head_dim");
  config.kv_lora_rank =
      read("--kv-lora-rank", arguments.kv_lora_rank, model.kv_lora_rank, "kv_lora_rank");
  question.num_attention_heads = read("--num-attention-heads", arguments.num_attention_heads,
                                      model.num_attention_heads, "num_attention_heads");
  config.index_topk =
      app.count("--index-topk") != 0 ? arguments.index_topk : model.index_topk.value_or(0);
  if (is_sparse_model_type(model.text_model_type)) {
    config.index_topk = read("--index-topk", arguments.index_topk, model.index_topk, "index_topk");
  }
  take_kv_cache(model, question);
  question.model_path = model.path;
  question.model_type = model.model_type;
  question.text_model_type = model.text_model_type;
  for (const std::string& note : model.notes) question.notes.push_back(model.path + ": " + note);
  if (app.count("--model-dtype") == 0) take_dtype(model, question);
  if (config.cache_config.cache_dtype != "auto") return;
  static_cast<void>(resolve_kv_cache_dtype("auto", question.model_dtype,
                                           config.cache_config.checkpoint_kv_cache_quant_algo));
}

void divide_heads(int ranks, Question& question) {
  const std::int64_t heads = question.num_attention_heads;
  question.tensor_parallel_size = ranks;
  question.config.num_attention_heads = heads / ranks;
  if (heads % ranks == 0) return;
  std::vector<int> divisors;
  for (int i = 1; i <= heads && i <= 256; ++i) {
    if (heads % i == 0) divisors.push_back(i);
  }
  throw std::invalid_argument(
      fmt::format("--tensor-parallel-size: {} does not divide the model's {} heads; accepted: {}",
                  ranks, heads, fmt::join(divisors, ", ")));
}

// arg_groups/overrides.py@003bbaf9a.
void note_what_auto_is(Question& question) {
  const CacheConfig& cache = question.config.cache_config;
  if (question.engine_name == "sglang" && question.config.index_topk != 0 &&
      is_capability_family(question.platform, 10) && cache.cache_dtype == "auto") {
    question.notes.emplace_back(
        "SGLang takes auto for fp8_e4m3 with sparse attention on capability 10.x: ask with "
        "--kv-cache-dtype fp8_e4m3");
  }
}

}  // namespace

void read_model(const CLI::App& app, const Arguments& arguments, const ModelName& name,
                Question& question) {
  EngineConfig& config = question.config;
  question.model_dtype =
      from("--model-dtype", [&] { return parse_model_data_type(arguments.model_dtype); });
  if (name.option.empty()) {
    config.mla_dimensions = arguments.dimensions;
    config.kv_lora_rank = arguments.kv_lora_rank;
    config.index_topk = arguments.index_topk;
    question.num_attention_heads = arguments.num_attention_heads;
  } else {
    from(name.option, [&] {
      const ModelConfig model = read_model_config(directory_of(name.path, question.notes));
      from(model.path, [&] { take_file(app, arguments, model, question); });
    });
  }
  const std::string note = note_on_model(question.engine_name, question.model_type,
                                         question.text_model_type, config.cache_config.cache_dtype);
  if (!note.empty()) question.notes.push_back(note);
  divide_heads(arguments.tensor_parallel_size, question);
  note_what_auto_is(question);
}

std::string describe_model(const Question& question) {
  const EngineConfig& config = question.config;
  const MlaDimensions& dimensions = config.mla_dimensions;
  std::string name = question.model_type.empty()
                         ? std::filesystem::path(question.model_path).filename().string()
                         : question.model_type;
  if (question.text_model_type != question.model_type) name += '/' + question.text_model_type;
  if (question.model_path.empty()) name = "none named (DeepSeek-V3's dimensions, unless set)";
  const std::string heads = question.tensor_parallel_size == 1
                                ? fmt::format("{} heads", config.num_attention_heads)
                                : fmt::format("{} of {} heads a rank", config.num_attention_heads,
                                              question.num_attention_heads);
  return in_plain(fmt::format(
      "{}: (qk_nope, qk_rope, v) ({}, {}, {}), kv_lora_rank {}, {}, {} attention, {}", name,
      dimensions.qk_nope_head_dim, dimensions.qk_rope_head_dim, dimensions.v_head_dim,
      config.kv_lora_rank, heads,
      config.index_topk == 0 ? "dense" : fmt::format("sparse (index_topk {})", config.index_topk),
      to_string(question.model_dtype)));
}

}  // namespace mla_dtype::tool

// SPDX-License-Identifier: Apache-2.0
#include "model_config.h"

#include <fmt/format.h>

#include <filesystem>
#include <system_error>
#include <utility>

#include "from.h"
#include "json_input.h"
#include "known_models.h"
#include "quantization_config.h"

namespace mla_dtype::tool {
namespace {

namespace fs = std::filesystem;

// `dtype`, in older files `torch_dtype`; in a multimodal model's file also beside the dimensions.
void read_dtype(const Json& model, const Json& text_model, ModelConfig& result) {
  for (const Json* const from : {&model, &text_model}) {
    for (const char* const field : {"dtype", "torch_dtype"}) {
      std::string dtype = string_member(*from, field);
      if (dtype.empty()) continue;
      if (dtype != "auto") result.dtype = std::move(dtype);
      result.dtype_field = field;
      return;
    }
  }
}

// Of a multimodal model, the part that has the attention.
const Json& text_part(const Json& model) {
  for (const char* const name : {"text_config", "language_config"}) {
    const Json& nested = object_or_null(model, name);
    if (!nested.is_null()) return nested;
  }
  return model;
}

// Another attention than the library decides for, whatever dimensions its file has.
void decline_what_is_not_covered(const Json& text_model, const ModelConfig& model) {
  const auto decline = [&](const char* why) {
    throw std::invalid_argument(
        fmt::format("model_type {} is not covered: {}",
                    model.model_type.empty() ? "none" : described(Json(model.model_type)), why));
  };
  const bool is_v4 = model.model_type.rfind("deepseek_v4", 0) == 0 ||
                     model.text_model_type.rfind("deepseek_v4", 0) == 0;
  if (is_v4 || !member(text_model, "compress_ratios").is_null()) {
    decline("its compressed attention is not the Multi-head Latent Attention that is known here");
  }
  if (member(text_model, "use_mla") == false) {
    decline("use_mla is false, so it has no Multi-head Latent Attention");
  }
  if (!positive_integer(text_model, "kv_lora_rank")) {
    decline("kv_lora_rank: none, so it has no Multi-head Latent Attention");
  }
  if (!model.text_model_type.empty() && !is_known_model_type(model.text_model_type)) {
    decline(
        "whether its attention is Multi-head Latent Attention is not known here; if it is, "
        "give its dimensions as options, without its file");
  }
}

void read_dimensions_of(const Json& text_model, const char* heads, ModelConfig& result) {
  result.kv_lora_rank = positive_integer(text_model, "kv_lora_rank");
  result.num_attention_heads = positive_integer(text_model, heads);
  result.qk_nope_head_dim = positive_integer(text_model, "qk_nope_head_dim");
  result.qk_rope_head_dim = member(text_model, "qk_rope_head_dim") == 0
                                ? 0
                                : positive_integer(text_model, "qk_rope_head_dim");
  result.v_head_dim = positive_integer(text_model, "v_head_dim");
  result.index_topk = positive_integer(text_model, "index_topk");
  // Hugging Face's modeling_minicpm.py of that model; no other leaves it out and means this.
  if (result.text_model_type == "minicpm3" && !result.v_head_dim && result.num_attention_heads) {
    if (const auto hidden_size = positive_integer(text_model, "hidden_size")) {
      result.v_head_dim = *hidden_size / *result.num_attention_heads;
    }
  }
}

void take(CheckpointKvCache cache, ModelConfig& result) {
  result.kv_cache_quant_algo = std::move(cache.algo);
  result.kv_cache_is_vllms = cache.is_vllms;
  if (!cache.note.empty()) result.notes.push_back(std::move(cache.note));
}

// hf_quant_config.json speaks where config.json does not (vllm/model_executor/model_loader/
// weight_utils.py, get_quant_config).
void read_kv_cache(const Json& model, const Json& text_model, ModelConfig& result) {
  const Json& own = object_or_null(model, "quantization_config");
  CheckpointKvCache cache = read_quantization_config(
      own.is_null() ? object_or_null(text_model, "quantization_config") : own);
  const fs::path beside = fs::path(result.path).replace_filename("hf_quant_config.json");
  std::error_code none;
  if (cache.field.empty() && fs::exists(beside, none)) {
    cache =
        from(beside.string(), [&] { return read_hf_quant_config(read_object(beside.string())); });
  }
  take(std::move(cache), result);
}

// Mistral's own format has other names for what is not of MLA (vllm/transformers_utils/configs/
// mistral.py). DeepSeek's files for its own inference code have them, too, and another meaning of
// `dtype`.
bool is_mistral_format(const std::string& path, const Json& model) {
  if (fs::path(path).filename() == "params.json") return true;
  if (member(model, "model_type").is_null() && !member(model, "n_heads").is_null()) {
    throw std::invalid_argument(
        "model_type none is not covered: n_heads is of no config.json as Hugging Face has it; "
        "Mistral's file is params.json");
  }
  return false;
}

std::string file_of(const std::string& file_or_directory) {
  const fs::path path = file_or_directory;
  std::error_code none;  // what cannot be looked at is not a directory, and cannot be read either
  if (!fs::is_directory(path, none)) return file_or_directory;
  for (const char* const name : {"config.json", "params.json"}) {
    if (fs::exists(path / name, none)) return (path / name).string();
  }
  throw std::invalid_argument(
      fmt::format("{}: cannot be read: the directory has no config.json, "
                  "nor Mistral's params.json",
                  (path / "config.json").string()));
}

ModelConfig read_file(const std::string& path) {
  const Json model = read_object(path);
  const Json& text_model = text_part(model);
  const bool is_mistral = is_mistral_format(path, model);
  ModelConfig result;
  result.path = path;
  result.model_type = string_member(model, "model_type");
  result.text_model_type = string_member(text_model, "model_type");
  if (result.model_type.empty()) result.model_type = result.text_model_type;
  if (result.text_model_type.empty()) result.text_model_type = result.model_type;
  decline_what_is_not_covered(text_model, result);
  read_dimensions_of(text_model, is_mistral ? "n_heads" : "num_attention_heads", result);
  read_dtype(model, text_model, result);
  read_kv_cache(model, text_model, result);
  return result;
}

}  // namespace

ModelConfig read_model_config(const std::string& file_or_directory) {
  const std::string path = file_of(file_or_directory);
  return from(path, [&] { return read_file(path); });
}

}  // namespace mla_dtype::tool

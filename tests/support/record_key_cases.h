// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mla_dtype/prefill_query.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine_config.h"
#include "prefill_answers.h"
#include "words/sentences.h"

// Decisions of each record, and what may be different in them; for tests of what the library keeps
// to itself.

namespace mla_dtype::testing {

using RecordKind = detail::Record;

// All that a decision is made from.
struct Case {
  EngineConfig config = make_config("fp8", true);
  DataType model_dtype = DataType::bfloat16;
  Platform platform = cuda(10, 0);
  std::vector<PrefillBackend> rows = vllm_prefill_backends();
  std::optional<std::string> named = {};  // of the built-in tables, instead of the rows
  std::map<std::string, Support> availability = {};
  std::optional<Support> engines_answer = {};
  std::optional<bool> engines_kv_cache = {};
  std::optional<double> speedup = {};
  Spellings spellings = {};
  LogLevel refused_request_level = LogLevel::info;
  std::optional<DataType> fp8 = {};
  std::optional<KvCacheFormat> own_kv_cache = {};
  std::string device_name = {};
  std::shared_ptr<const detail::PrefillTable> table = {};  // of before; null: of the rows

  Environment make() const {
    const auto is_available = [this](std::string_view name) -> Support {
      const auto found = availability.find(std::string(name));
      return found == availability.end() ? Support(true) : found->second;
    };
    Environment env =
        named ? make_environment(platform, *named) : make_environment(platform, rows, is_available);
    if (table != nullptr) env.prefill_table = table;
    if (engines_answer) {
      env.backend_supports_prefill_query_quantization =
          [answer = *engines_answer](const EngineConfig&, DataType) { return answer; };
    }
    if (engines_kv_cache) {
      env.is_quantized_kv_cache = [answer = *engines_kv_cache](std::string_view) { return answer; };
    }
    if (speedup) {
      env.predict_prefill_speedup = [answer = *speedup](const EngineConfig&, std::int64_t) {
        return answer;
      };
    }
    if (fp8) env.fp8_data_type = *fp8;
    if (own_kv_cache) env.kv_cache_formats = {{*own_kv_cache, {}}};
    env.spellings = spellings;
    env.device_name = device_name;
    env.refused_request_level = refused_request_level;
    return env;
  }
};

struct Said {
  RecordKind record;
  LogLevel level;
  std::string text;
  std::uint64_t key;
};

inline std::vector<Said> said_of(const Case& asked) {
  const Environment env = asked.make();
  const detail::PrefillQuestion question = detail::ask(asked.config, asked.model_dtype, env);
  const detail::Evaluation evaluation = detail::evaluate(question);
  std::vector<Said> result;
  const bool is_measured = detail::find_measured(question, evaluation.row) != nullptr;
  for (const RecordKind record :
       detail::records_of(evaluation.outcome, evaluation.prediction, is_measured)) {
    const LogLevel level = detail::level_of(record, env);
    result.push_back({record, level,
                      detail::compose(record, detail::explain(question, evaluation), env.spellings),
                      detail::record_key(question, evaluation, record, level)});
  }
  return result;
}

struct Alteration {
  std::string name;
  std::function<void(Case&)> apply;
};
using Alterations = std::vector<Alteration>;

// A member that one of these gets does not compile here until it is named; then change it below.
[[maybe_unused]] inline void every_member(const EngineConfig& config, const CacheConfig& cache,
                                          const AttentionConfig& attention,
                                          const Spellings& spellings) {
  const auto& [cache_config, attention_config, mla_dimensions, kv_lora_rank, num_attention_heads,
               parallel_config, scheduler_config, index_topk] = config;
  const auto& [cache_dtype, quant_algo, kv_scales, are_estimated, differ] = cache;
  const auto& [flag, mode, choice, expected_isl] = attention;
  const auto& [request_fp8, kv_cache_dtype, prefill_backend, decode_backend] = spellings;
  (void)cache_config, (void)cache_dtype, (void)flag, (void)request_fp8;
}

inline Alterations all_changes() {
  Alterations changes;
  const auto add = [&](std::string name, std::function<void(Case&)> apply) {
    changes.push_back({std::move(name), std::move(apply)});
  };
  const auto add_table = [&](std::string name, const std::function<void(Case&)>& apply) {
    add(std::move(name), [=](Case& c) {
      apply(c);
      c.table.reset();
      c.table = c.make().prefill_table;  // that of what is changed after it, too
    });
  };
  add("nothing", [](Case&) {});
  add_table("an equal table", [](Case&) {});
  add_table("a row less", [](Case& c) { c.rows.pop_back(); });
  for (const char* dtype : {"auto", "bfloat16", "fp8", "fp8_e4m3", "fp8_e5m2", "nvfp4", "my_fp8"}) {
    add(dtype, [=](Case& c) { c.config.cache_config.cache_dtype = dtype; });
  }
  for (const char* algo : {"FP8", "fp8", "NVFP4"}) {
    add(std::string("auto, by the checkpoint ") + algo, [=](Case& c) {
      c.config.cache_config.cache_dtype = "auto";
      c.config.cache_config.checkpoint_kv_cache_quant_algo = algo;
    });
  }
  for (const KvScales scales : {KvScales::calibrated, KvScales::unit, KvScales::dynamic}) {
    add("kv_scales", [=](Case& c) { c.config.cache_config.kv_scales = scales; });
  }
  add("flag", [](Case& c) {
    bool& flag = c.config.attention_config.use_prefill_query_quantization;
    flag = !flag;
  });
  for (const auto mode :
       {PrefillQueryMode::by_flag, PrefillQueryMode::required, PrefillQueryMode::automatic}) {
    add("mode", [=](Case& c) { c.config.attention_config.prefill_query_mode = mode; });
  }
  for (const char* choice : {"FLASH_ATTN", "TRTLLM_RAGGED", "FLASHINFER", "TRTLLM_FMHA"}) {
    add(choice, [=](Case& c) { c.config.attention_config.mla_prefill_backend = choice; });
  }
  for (const int isl : {1024, 4096}) {
    add("expected_isl", [=](Case& c) { c.config.attention_config.expected_isl = isl; });
  }
  for (const auto member : {&MlaDimensions::qk_nope_head_dim, &MlaDimensions::qk_rope_head_dim,
                            &MlaDimensions::v_head_dim}) {
    add("dimension", [=](Case& c) { c.config.mla_dimensions.*member = 96; });
  }
  add("kv_lora_rank", [](Case& c) { c.config.kv_lora_rank = 256; });
  add("heads", [](Case& c) { c.config.num_attention_heads = 17; });
  add("index_topk", [](Case& c) { c.config.index_topk = 2048; });
  add("DCP", [](Case& c) { c.config.parallel_config.decode_context_parallel_size = 2; });
  add("chunked", [](Case& c) { c.config.scheduler_config.enable_chunked_prefill = false; });
  add("chunk", [](Case& c) { c.config.scheduler_config.max_num_batched_tokens = 4096; });
  add("float16", [](Case& c) { c.model_dtype = DataType::float16; });
  add("float32", [](Case& c) { c.model_dtype = DataType::float32; });
  for (const char* device : {"8.0", "9.0", "10.3", "12.0", "gfx950", "none"}) {
    add_table(device, [=](Case& c) { c.platform = make_platform(device); });
  }
  for (const char* named : {"FLASH_ATTN", "FLASHINFER", "TRTLLM_FMHA"}) {
    add_table(std::string("named ") + named, [=](Case& c) { c.named = named; });
  }
  for (const Support& answer : {Support(true), Support(false, ""), Support(false, "Because."),
                                Support(false, "For another reason.")}) {
    add("engine's answer", [=](Case& c) { c.engines_answer = answer; });
    add_table("availability", [=](Case& c) { c.availability["TRTLLM_RAGGED"] = answer; });
  }
  for (const bool answer : {false, true}) {
    add("engine's KV cache", [=](Case& c) { c.engines_kv_cache = answer; });
  }
  for (const double speedup : {0.5, 0.8, 0.801, 0.99, 1.0, 1.01, 1.5}) {
    add("speedup", [=](Case& c) { c.speedup = speedup; });
  }
  const std::string same_object = R"(--attention-config '{"key": "%"}')";
  for (const auto member : {&Spellings::request_fp8, &Spellings::kv_cache_dtype,
                            &Spellings::prefill_backend, &Spellings::decode_backend}) {
    for (const std::string& spelling :
         {std::string(), std::string("--own"), std::string("--own %"), same_object}) {
      add("spelling", [=](Case& c) { c.spellings.*member = spelling; });
    }
  }
  for (const KvCacheScales scales : {KvCacheScales::per_tensor, KvCacheScales::per_token_head}) {
    for (const bool packed : {false, true}) {
      add("KV-cache format of its own", [=](Case& c) {
        c.own_kv_cache = {"my_fp8", true, DataType::float8_e4m3fn, packed, scales};
      });
    }
  }
  for (const char* device : {"NVIDIA B200", "NVIDIA GB200", "NVIDIA B300 SXM6 AC", "B200"}) {
    add(device, [=](Case& c) { c.device_name = device; });
  }
  add("level", [](Case& c) { c.refused_request_level = LogLevel::warning; });
  add("FP8 type", [](Case& c) { c.fp8 = DataType::float8_e4m3fnuz; });
  return changes;
}

struct Base {
  RecordKind record;
  Case asked;
};

inline std::vector<Base> bases() {
  std::vector<Base> result;
  const auto add = [&](RecordKind record, auto change) {
    Case asked;
    change(asked);
    asked.table = asked.make().prefill_table;
    result.push_back({record, std::move(asked)});
  };
  const auto predicts = [](Case& c, double speedup) {
    c.config.attention_config.expected_isl = 2048;
    c.speedup = speedup;
  };
  add(RecordKind::enabled, [](Case&) {});
  add(RecordKind::enabled, [&](Case& c) {
    predicts(c, 1.25);
    c.config.attention_config.prefill_query_mode = PrefillQueryMode::automatic;
  });
  add(RecordKind::does_not_pay, [&](Case& c) { predicts(c, 0.75); });
  add(RecordKind::pays_from, [&](Case& c) { c.device_name = "NVIDIA B200"; });
  add(RecordKind::refused,
      [](Case& c) { c.config.attention_config.mla_prefill_backend = "FLASH_ATTN"; });
  add(RecordKind::refused, [](Case& c) { c.config.cache_config.cache_dtype = "auto"; });
  add(RecordKind::refused, [](Case& c) { c.engines_answer = {false, "Not today."}; });
  add(RecordKind::refused, [](Case& c) { c.named = "FLASH_ATTN"; });
  add(RecordKind::refused, [&](Case& c) {
    predicts(c, 1.25);
    c.platform = cuda(9, 0);
    c.config.attention_config.prefill_query_mode = PrefillQueryMode::automatic;
  });
  const auto off = [](Case& c) {
    c.config.attention_config.use_prefill_query_quantization = false;
    c.rows.erase(c.rows.begin() + 1);  // TRTLLM_RAGGED runs
  };
  add(RecordKind::available, off);
  add(RecordKind::available, [&](Case& c) {
    off(c);
    c.config.attention_config.mla_prefill_backend = "FLASHINFER";
  });
  add(RecordKind::available, [&](Case& c) {
    off(c);
    predicts(c, 1.25);
  });
  add(RecordKind::available, [](Case& c) {
    c.config.attention_config.use_prefill_query_quantization = false;
    c.config.attention_config.mla_prefill_backend = "TRTLLM_RAGGED";
    c.device_name = "NVIDIA B200";
  });
  add(RecordKind::automatically_off, [&](Case& c) {
    off(c);
    predicts(c, 0.75);
    c.config.attention_config.prefill_query_mode = PrefillQueryMode::automatic;
  });
  return result;
}

}  // namespace mla_dtype::testing

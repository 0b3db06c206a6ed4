// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mla_dtype/mla_dtype.h>

#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "data_types.h"
#include "dimensions.h"
#include "engine_config.h"

namespace mla_dtype::testing {

// Engines, devices, and what an operator or a model may change, for tests that look at everything.

/// Everything that one asks about.
struct Asked {
  EngineConfig config = {};
  DataType model_dtype = bf16;
  Environment env = {};
  DecodeEnvironment decode = {};
};
using Change = std::function<void(Asked&)>;

// vLLM's backends selected together, with one more that takes FP8 queries on other devices.
inline EngineProfile joint_engine() {
  EngineProfile joint = vllm_engine();
  joint.selection = BackendSelection::first_with_fp8;
  for (const PrefillBackend& row : tensorrt_llm_prefill_backends()) {
    joint.prefill_backends.push_back(row);
  }
  return joint;
}

/// One whose only backend says no to all that a row can say no to.
inline EngineProfile picky_engine() {
  PrefillBackend picky;
  picky.name = "OWN";
  picky.head_multiple = 4;
  picky.fp8_queries = Fp8Queries::required;
  picky.fp8_kv_cache_dtypes = {"fp8"};
  picky.fp8_kv_scales = {KvScales::unknown, KvScales::calibrated};
  picky.fp8_with_decode_context_parallel = false;
  picky.known_wrong = "in a test";
  EngineProfile engine = vllm_engine();
  engine.prefill_backends = {picky};
  return engine;
}

/// One whose backends take no FP8 queries.
inline EngineProfile engine_without_fp8() {
  EngineProfile engine = vllm_engine();
  engine.prefill_backends = {engine.prefill_backends[1]};
  return engine;
}

/// Some of each kind.
inline std::vector<Device> devices() {
  std::vector<Device> result;
  for (const char* device : {"8.0", "8.9", "9.0", "10.0", "10.3", "12.0", "13.0", "gfx90a",
                             "gfx942", "gfx950", "gfx1201", "none"}) {
    result.push_back({make_platform(device), {}});
  }
  return result;
}

/// Where it was measured from when on FP8 pays.
inline std::set<std::string_view> measured_devices() {
  std::set<std::string_view> names;
  for (const MeasuredPrefill& measured : measured_prefills()) names.insert(measured.device_name);
  return names;
}

inline Asked on(const EngineProfile& engine, const Device& device, const std::string& cache_dtype,
                bool requested, const PrefillBackendAvailability& is_available = nullptr) {
  Asked asked;
  asked.config = make_config(cache_dtype, requested);
  asked.env = make_environment(device.platform, engine, is_available);
  asked.env.device_name = device.name;
  asked.decode = make_decode_environment(device.platform, engine, is_available);
  return asked;
}

inline void nothing(Asked&) {}
inline void in_float16(Asked& asked) { asked.model_dtype = fp16; }
inline void sparse(Asked& asked) { asked.config.index_topk = 2048; }

inline Change cache_dtype(const std::string& name, const std::string& quant_algo = {}) {
  return [=](Asked& asked) {
    asked.config.cache_config.cache_dtype = name;
    asked.config.cache_config.checkpoint_kv_cache_quant_algo = quant_algo;
  };
}

inline Change predicted(double speedup, PrefillQueryMode mode) {
  return [=](Asked& asked) {
    asked.config.attention_config.expected_isl = 2048;
    asked.config.attention_config.prefill_query_mode = mode;
    asked.env.predict_prefill_speedup = [=](const EngineConfig&, std::int64_t) { return speedup; };
  };
}

inline std::vector<Change> cache_dtypes() {
  std::vector<Change> changes = {cache_dtype("auto", "FP8"), cache_dtype("auto", "NVFP4")};
  for (const KvCacheFormat& format : kv_cache_formats()) {
    changes.push_back(cache_dtype(std::string(format.name)));
  }
  for (const bool quantized : {false, true}) {
    for (const bool packed : {false, true}) {
      changes.emplace_back([=](Asked& asked) {
        const auto type = quantized ? e4m3 : bf16;
        const auto scales = quantized ? KvCacheScales::per_token_head : KvCacheScales::none;
        asked.env.kv_cache_formats = {{{"own_format", quantized, type, packed, scales}, nullptr}};
        asked.config.cache_config.cache_dtype = "own_format";
      });
    }
  }
  return changes;
}

inline std::vector<Change> modes() {
  std::vector<Change> changes = {nothing, predicted(1, PrefillQueryMode::required)};
  for (const double speedup : {0.5, 1.001, 1.5}) {
    changes.push_back(predicted(speedup, PrefillQueryMode::by_flag));
    changes.push_back(predicted(speedup, PrefillQueryMode::automatic));
  }
  return changes;
}

inline std::vector<Change> models() {
  std::vector<Change> changes = {nothing, in_float16, sparse};
  changes.emplace_back([](Asked& asked) { asked.model_dtype = fp32; });
  for (const MlaDimensions& dimensions : {wide, odd, MlaDimensions{128, 0, 128}}) {
    changes.emplace_back([=](Asked& asked) { asked.config.mla_dimensions = dimensions; });
  }
  for (const int heads : {8, 17, 192}) {
    changes.emplace_back([=](Asked& asked) { asked.config.num_attention_heads = heads; });
  }
  changes.emplace_back([](Asked& asked) { asked.config.kv_lora_rank = 100; });
  return changes;
}

inline std::vector<Change> engine_settings() {
  std::vector<Change> changes = {nothing};
  for (const KvScales scales : {KvScales::calibrated, KvScales::unit, KvScales::dynamic}) {
    changes.emplace_back([=](Asked& asked) { asked.config.cache_config.kv_scales = scales; });
  }
  changes.emplace_back([](Asked& asked) {
    asked.config.cache_config.kv_scales_are_estimated = true;
    asked.config.cache_config.k_and_v_scales_differ = true;
  });
  changes.emplace_back(
      [](Asked& asked) { asked.config.parallel_config.decode_context_parallel_size = 2; });
  changes.emplace_back(
      [](Asked& asked) { asked.config.scheduler_config.enable_chunked_prefill = false; });
  const Spellings own = {"--fp8-prefill", "--cache=%", "--prefill %", "--decode %"};
  for (const Spellings& spellings : {own, Spellings{"", "", "", ""}}) {
    changes.emplace_back([=](Asked& asked) { asked.env.spellings = spellings; });
  }
  return changes;
}

/// Predicates of the engine's own.
inline std::vector<Change> predicates() {
  std::vector<Change> changes;
  for (const bool quantized : {false, true}) {
    changes.emplace_back([=](Asked& asked) {
      asked.env.is_quantized_kv_cache = [=](std::string_view) { return quantized; };
      asked.config.cache_config.cache_dtype = "own_format";
    });
  }
  for (const Support& answer : {Support(true), Support(), Support(false, "The engine's reason.")}) {
    changes.emplace_back([=](Asked& asked) {
      asked.env.backend_supports_prefill_query_quantization = [=](const EngineConfig&, DataType) {
        return answer;
      };
    });
    changes.emplace_back([=](Asked& asked) {
      asked.decode.decode_backend_supports_quantized_query = [=](const EngineConfig&, DataType) {
        return answer;
      };
    });
  }
  return changes;
}

}  // namespace mla_dtype::testing

// SPDX-License-Identifier: Apache-2.0
#pragma once

// The library's side of a case: an engine that writes down what it is asked and told. Without this
// a question too many, and one that is not asked at all, could go unnoticed.

#include <mla_dtype/mla_dtype.h>

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "case.h"
#include "check.h"
#include "profile_case.h"
#include "restatement/rules.h"
#include "restatement/tables.h"
#include "support/record_texts.h"
#include "support/recording_log.h"

namespace mla_dtype::fuzz {

using testing::Record;

// What was asked, in order, a letter each: is the KV cache quantized (k), the speedup (s), the
// prefill (p) and the decode backend (d). One of them may throw instead of being answered.
struct Asked {
  std::string log;
  char throws = 0;

  void ask(char question) {
    log += question;
    if (question == throws) throw *this;
  }
};

struct Output {
  testing::RecordingLog recording;
  std::shared_ptr<OnceLog> log = recording.log;

  std::vector<Record> take() {
    auto records = recording.records();
    recording.clear();
    return records;
  }
};

inline PrefillBackendAvailability available_in(const World& world) {
  return [&world](std::string_view name) -> Support {
    for (const Row& row : world.rows) {
      if (row.name == name) return {row.available, "Not\tcompiled in {}."};
    }
    std::abort();
  };
}

inline Environment make_environment(const Case& made, Asked& asked) {
  const World& world = made.world;
  Environment env;
  if (world.injected) {
    if (made.has_unused_tables) {
      env = mla_dtype::make_environment(world.device.platform(), vllm_prefill_backends());
    }
    env.backend_supports_prefill_query_quantization = [&](const EngineConfig&,
                                                          DataType) -> Support {
      asked.ask('p');
      return {world.supports, made.reason};
    };
  } else if (made.engine != Engine::none) {
    env =
        mla_dtype::make_environment(world.device.platform(), profile_of(made), available_in(world));
  } else if (!world.named.empty()) {
    env = mla_dtype::make_environment(world.device.platform(), world.named);
  } else {
    std::vector<PrefillBackend> table = vllm_prefill_backends();
    if (made.is_own_table) {
      table.clear();
      for (const Row& row : world.rows) table.push_back(row.to_library());
    } else if (world.rows.size() == 1) {
      table = tensorrt_llm_prefill_backends();
    }
    std::multiset<std::string> names, asked_for;
    for (const Row& row : world.rows) names.insert(row.name);
    env = mla_dtype::make_environment(world.device.platform(), table, [&](std::string_view name) {
      asked_for.emplace(name);
      return available_in(world)(name);
    });
    CHECK(asked_for == names);
  }
  if (!world.injected && made.is_valid) CHECK(env.fp8_data_type == world.fp8_data_type);
  env.fp8_data_type = world.fp8_data_type;
  if (world.kv_predicate != KvPredicate::built_in) {
    env.is_quantized_kv_cache = [&](std::string_view cache_dtype) {
      asked.ask('k');
      CHECK(cache_dtype == *effective(world, world.config.cache_config.cache_dtype));
      return is_quantized(world, std::string(cache_dtype));
    };
  }
  if (world.speedup) {
    env.predict_prefill_speedup = [&](const EngineConfig& config, std::int64_t isl) {
      asked.ask('s');
      CHECK(isl == config.attention_config.expected_isl);
      return *world.speedup;
    };
  }
  env.refused_request_level = made.refused_request_level;
  env.spellings = made.spellings;
  env.device_name = world.device_name;
  env.kv_cache_formats.clear();
  for (const Cache& cache : world.own_caches) env.kv_cache_formats.push_back(to_library(cache));
  return env;
}

inline DecodeEnvironment make_decode(const Case& made, Asked& asked) {
  const World& world = made.world;
  DecodeEnvironment decode;
  if (made.engine != Engine::none) {
    return make_decode_environment(world.device.platform(), profile_of(made), nullptr,
                                   world.decode_named);
  }
  if (world.decode_row) {
    const auto& table = vllm_decode_backends();
    const bool is_vllms = std::any_of(table.begin(), table.end(), [&](const DecodeBackend& row) {
      return row.name == world.decode_row->name;
    });
    const Platform platform = world.device.platform();
    return is_vllms ? make_decode_environment(platform, world.decode_row->name)
                    : make_decode_environment(platform, world.decode_row->to_library());
  }
  if (made.has_unused_tables) {
    decode = make_decode_environment(world.device.platform(), "TRITON_MLA");
  }
  decode.decode_backend_supports_quantized_query = [&](const EngineConfig&, DataType) -> Support {
    asked.ask('d');
    return {world.decode_supports, "No decode kernels."};
  };
  return decode;
}

inline EngineConfig with(EngineConfig config, const Remedy& remedy) {
  config.attention_config.use_prefill_query_quantization |= remedy.request;
  if (!remedy.cache_dtype.empty()) config.cache_config.cache_dtype = remedy.cache_dtype;
  if (!remedy.prefill_backend.empty()) {
    config.attention_config.mla_prefill_backend = remedy.prefill_backend;
  }
  return config;
}

// The flag in a text: the key, where the spelling is one of a JSON object, else all of it.
inline std::string flag_name(const std::string& spelling) {
  const std::string before = R"( '{")", after = R"(": true}')";
  const std::size_t begin = spelling.find(before), end = spelling.rfind(after);
  if (begin == spelling.npos || end == spelling.npos || end + after.size() != spelling.size()) {
    return spelling;
  }
  return spelling.substr(begin + before.size(), end - begin - before.size());
}

// The option in a text: the spelling without its value.
inline std::string option_name(const std::string& spelling) {
  const std::string before = spelling.substr(0, spelling.find('%'));
  const std::size_t last = before.find_last_not_of(" =:");
  return before.substr(0, last == before.npos ? 0 : last + 1);
}

// The beginning of the record of a row; up to a setting that has no spelling.
inline std::string row_text(PrefillQueryOutcome outcome, const Spellings& spellings) {
  switch (outcome) {
    case PrefillQueryOutcome::quantized:
      return testing::row_1;
    case PrefillQueryOutcome::request_refused: {
      if (spellings.request_fp8.empty()) return "Unable to perform FP8 prefill attention when ";
      std::string text = "Unable to perform FP8 prefill attention when " +
                         flag_name(spellings.request_fp8) + " is enabled. Please ensure that ";
      if (spellings.kv_cache_dtype.empty()) return text;
      text += option_name(spellings.kv_cache_dtype) +
              " is set to fp8 and your prefill backend is compatible with FP8 attention.";
      return text;
    }
    case PrefillQueryOutcome::available_but_off:
      return testing::row_3_before_flag + spellings.request_fp8;
    case PrefillQueryOutcome::not_applicable:
      break;
  }
  return {};
}

}  // namespace mla_dtype::fuzz

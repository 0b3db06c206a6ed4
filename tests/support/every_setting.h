// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gmock/gmock.h>
#include <mla_dtype/kv_cache.h>
#include <mla_dtype/prefill_query.h>

#include <algorithm>
#include <cstddef>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "engine_config.h"
#include "record_texts.h"
#include "recording_log.h"

namespace mla_dtype::testing {

// The tables of backends in every setting: each backend, and none chosen, x KV-cache dtype x flag.

// The rules once more, in other words than the library's.
inline bool can_have_fp8(const std::string& device, const std::string& backend,
                         const std::string& cache_dtype, DataType model_dtype,
                         const EngineConfig& model) {
  const MlaDimensions& dimensions = model.mla_dimensions;
  const bool dynamic = model.cache_config.kv_scales == KvScales::dynamic;
  const bool spread = model.parallel_config.decode_context_parallel_size > 1;
  const bool is_deepseek = dimensions == MlaDimensions{128, 64, 128};
  const bool is_wide = dimensions == MlaDimensions{192, 64, 256};
  if (backend == "E5M2_ONLY" && cache_dtype == "fp8_e5m2") {
    return model_dtype == DataType::bfloat16 && (device == "12.0" || device == "10.0") && !dynamic;
  }
  if (cache_dtype != "fp8" && cache_dtype != "fp8_e4m3") return false;
  if (model_dtype == DataType::float32) return false;
  if (backend == "E5M2_ONLY") return false;
  if (backend == "NEEDS_FP8")
    return is_deepseek && model_dtype == DataType::bfloat16 && device == "gfx950" && !spread;
  const bool writes_bfloat16_only = backend == "TRTLLM_FMHA" || backend == "FLASHINFER";
  if (writes_bfloat16_only && model_dtype != DataType::bfloat16) return false;
  if (backend == "TRTLLM_FMHA") {
    return std::set<std::string>{"9.0", "10.0", "10.3", "12.0", "12.1"}.count(device) == 1;
  }
  if (device.substr(0, 3) != "10.") return false;
  if (backend == "TRTLLM_RAGGED") return is_deepseek || is_wide;
  return is_deepseek && (backend == "FLASHINFER" || backend == "TOKENSPEED_MLA");
}

/// The operator leaves the prefill backend open.
inline const std::string no_choice;

struct Setting {
  bool requested;
  std::string cache_dtype, prefill_backend;

  friend bool operator<(const Setting& a, const Setting& b) {
    return std::tie(a.requested, a.cache_dtype, a.prefill_backend) <
           std::tie(b.requested, b.cache_dtype, b.prefill_backend);
  }
  friend bool operator==(const Setting& a, const Setting& b) { return !(a < b) && !(b < a); }
};

inline Setting with(Setting setting, const Remedy& remedy) {
  setting.requested = setting.requested || remedy.request;
  if (!remedy.cache_dtype.empty()) setting.cache_dtype = remedy.cache_dtype;
  if (!remedy.prefill_backend.empty()) setting.prefill_backend = remedy.prefill_backend;
  return setting;
}

inline std::size_t change_count(const Remedy& remedy) {
  return (remedy.request ? 1U : 0U) + (remedy.cache_dtype.empty() ? 0U : 1U) +
         (remedy.prefill_backend.empty() ? 0U : 1U);
}

/// One device with one table of backends and one model; the settings of an operator vary.
class EverySetting {
 public:
  EverySetting(std::string device, const std::vector<PrefillBackend>& backends,
               const PrefillBackendAvailability& is_available, DataType model_dtype,
               const EngineConfig& model)
      : device_(std::move(device)),
        model_dtype_(model_dtype),
        model_(model),
        env_(make_environment(make_platform(device_), backends, is_available)) {
    env_.log = output_.log;
    for (const PrefillBackend& backend : backends) {
      const bool available = is_available == nullptr || is_available(backend.name).supported;
      if (available) available_.insert(backend.name);
    }
    for (const bool requested : {false, true}) {
      for (const KvCacheFormat& format : kv_cache_formats()) {
        settings_.push_back({requested, std::string(format.name), no_choice});
        for (const PrefillBackend& backend : backends) {
          settings_.push_back({requested, std::string(format.name), backend.name});
        }
      }
    }
  }

  void run() {
    for (const Setting& setting : settings_) {
      const auto decision = evaluate_prefill_query(config(setting), model_dtype_, env_);
      fp8_[setting] = is_fp8(decision.data_type);
      ASSERT_EQ(fp8_[setting], expected(setting)) << describe(setting);
    }
    for (const Setting& setting : settings_) {
      SCOPED_TRACE(describe(setting));
      check(setting);
      if (::testing::Test::HasFailure()) return;  // one is enough to read
    }
  }

 private:
  EngineConfig config(const Setting& setting) const {
    EngineConfig result = model_;
    result.cache_config.cache_dtype = setting.cache_dtype;
    result.attention_config.use_prefill_query_quantization = setting.requested;
    result.attention_config.mla_prefill_backend = setting.prefill_backend;
    return result;
  }

  std::string describe(const Setting& setting) const {
    return device_ + ' ' + std::string(to_string(model_dtype_)) + ' ' +
           std::to_string(model_.mla_dimensions.v_head_dim) + ' ' + setting.cache_dtype + ' ' +
           (setting.requested ? "on " : "off ") + setting.prefill_backend;
  }

  bool expected(const Setting& setting) const {
    const auto can = [&](const std::string& backend) {
      return available_.count(backend) == 1 &&
             can_have_fp8(device_, backend, setting.cache_dtype, model_dtype_, model_);
    };
    if (!setting.requested) return false;
    return setting.prefill_backend.empty() ? std::any_of(available_.begin(), available_.end(), can)
                                           : can(setting.prefill_backend);
  }

  // Whether leaving out some of the changes would do as well.
  bool has_one_to_spare(const Setting& setting, const Remedy& remedy) const {
    for (unsigned left_out = 1; left_out < 8; ++left_out) {
      Remedy fewer = remedy;
      if ((left_out & 1) != 0) fewer.request = false;
      if ((left_out & 2) != 0) fewer.cache_dtype.clear();
      if ((left_out & 4) != 0) fewer.prefill_backend.clear();
      if (change_count(fewer) < change_count(remedy) && fp8_.at(with(setting, fewer))) return true;
    }
    return false;
  }

  // By brute force.
  std::set<Setting> all_remedies(const Setting& setting) const {
    std::set<Setting> result;
    for (const auto& [other, fp8] : fp8_) {
      if (!fp8) continue;
      Remedy remedy{};
      remedy.request = !setting.requested;
      if (other.cache_dtype != setting.cache_dtype) remedy.cache_dtype = other.cache_dtype;
      if (other.prefill_backend != setting.prefill_backend) {
        if (other.prefill_backend == no_choice) continue;  // a choice is changed, not taken back
        remedy.prefill_backend = other.prefill_backend;
      }
      // Two spellings of one KV cache are offered once.
      const bool is_twin =
          remedy.cache_dtype == "fp8_e4m3" && fp8_.at({true, "fp8", other.prefill_backend});
      if (!is_twin && !has_one_to_spare(setting, remedy)) result.insert(other);
    }
    return result;
  }

  void check(const Setting& setting) {
    const auto explanation = explain_prefill_query_data_type(config(setting), model_dtype_, env_);
    const auto decision = evaluate_prefill_query(config(setting), model_dtype_, env_);
    const bool fp8 = fp8_.at(setting);
    EXPECT_EQ(is_fp8(explanation.data_type), fp8);
    EXPECT_EQ(explanation.outcome, decision.outcome);
    if (decision.facts.kv_cache_quantized) {
      EXPECT_EQ(explanation.facts.backend_supports, decision.facts.backend_supports);
    } else {
      EXPECT_FALSE(decision.facts.backend_supports);
      const std::string& runs =
          setting.requested ? setting.prefill_backend : explanation.prefill_backend;
      const auto with = [&](const char* cache_dtype) { return fp8_.at({true, cache_dtype, runs}); };
      const bool is_any = setting.requested || !runs.empty();
      EXPECT_EQ(explanation.facts.backend_supports, is_any && (with("fp8") || with("fp8_e5m2")));
    }
    EXPECT_EQ(explanation.blockers.empty(), fp8);
    for (const Blocker& blocker : explanation.blockers) {
      EXPECT_NE(blocker.value, "");
      EXPECT_NE(blocker.sentence, "");
    }
    const bool names_flag =
        !explanation.blockers.empty() && explanation.blockers[0].kind == BlockerKind::not_requested;
    EXPECT_EQ(names_flag, !setting.requested);

    // Each remedy, applied, works; none has a change to spare; and there are no others.
    std::set<Setting> offered;
    std::size_t changes = 0;
    for (const Remedy& remedy : explanation.remedies) {
      EXPECT_TRUE(fp8_.at(with(setting, remedy))) << remedy.spelling;
      EXPECT_FALSE(has_one_to_spare(setting, remedy)) << remedy.spelling;
      EXPECT_GE(change_count(remedy), changes) << "the smallest first";
      changes = change_count(remedy);
      EXPECT_TRUE(offered.insert(with(setting, remedy)).second) << "twice: " << remedy.spelling;
    }
    EXPECT_EQ(offered, fp8 ? std::set<Setting>() : all_remedies(setting));
    // What every remedy changes is a blocker.
    const auto all_change = [&](std::string Remedy::*what) {
      return !explanation.remedies.empty() &&
             std::all_of(explanation.remedies.begin(), explanation.remedies.end(),
                         [&](const Remedy& remedy) { return !(remedy.*what).empty(); });
    };
    const auto is_about_cache = [](const Blocker& blocker) {
      return blocker.kind == BlockerKind::kv_cache_not_quantized ||
             blocker.kind == BlockerKind::kv_cache_format;
    };
    const bool names_cache =
        std::any_of(explanation.blockers.begin(), explanation.blockers.end(), is_about_cache);
    const bool names_backend =
        explanation.blockers.size() > (names_flag ? 1U : 0U) + (names_cache ? 1U : 0U);
    if (all_change(&Remedy::cache_dtype)) {
      EXPECT_TRUE(names_cache);
    }
    if (all_change(&Remedy::prefill_backend)) {
      EXPECT_TRUE(names_backend);
    }
    if (setting.requested && !decision.facts.kv_cache_quantized) {
      EXPECT_NE(names_backend, explanation.facts.backend_supports);
    }
    EXPECT_EQ(explanation.nothing_helps.empty(), fp8 || !offered.empty());

    // The record of a refused request says the same.
    output_.clear();
    env_.log->reset();
    determine_prefill_query_data_type(config(setting), model_dtype_, env_);
    if (!setting.requested || fp8) return;
    const auto records = output_.records();
    ASSERT_THAT(records, ::testing::SizeIs(1));
    const std::string& text = records[0].text;
    const bool helpless = offered.empty();
    std::string expected = row_2;
    for (const Blocker& blocker : explanation.blockers) expected += ' ' + blocker.sentence;
    EXPECT_THAT(text, ::testing::StartsWith(expected));
    const std::string advice = " To enable FP8 prefill attention, set: ";
    EXPECT_EQ(text.find(advice) == std::string::npos, helpless);
    EXPECT_EQ(text, expected + (helpless ? ' ' + explanation.nothing_helps
                                         : advice + explanation.remedies[0].spelling));
  }

  const std::string device_;
  const DataType model_dtype_;
  const EngineConfig model_;
  RecordingLog output_;
  Environment env_;
  std::set<std::string> available_;
  std::vector<Setting> settings_;
  std::map<Setting, bool> fp8_;
};

}  // namespace mla_dtype::testing

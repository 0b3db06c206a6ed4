// SPDX-License-Identifier: Apache-2.0

// Without this a sentence could change, appear or vanish for some device, engine or setting that no
// other test looks at, unnoticed: sentences.golden shows it in review.

#include "support/sentences.h"

#include <gtest/gtest.h>
#include <mla_dtype/mla_dtype.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "support/bad_inputs.h"
#include "support/csv.h"
#include "support/every_question.h"

namespace mla_dtype {
namespace {

using namespace testing;  // NOLINT: the helpers of this project

class Listener {
 public:
  std::vector<std::string> lines() const { return said_.lines(); }

  void ask(Asked asked) {
    asked.env.log = log_;
    const EngineConfig& config = asked.config;
    const DataType model_dtype = asked.model_dtype;
    const Environment& env = asked.env;
    attempt([&] { determine_prefill_query_data_type(config, model_dtype, env); });
    attempt([&] {
      hear_lines(to_string(explain_prefill_query_data_type(config, model_dtype, env)));
      log_prefill_query(evaluate_prefill_query(config, model_dtype, env), config, model_dtype, env);
    });
    attempt([&] {
      const Support support = prefill_backend_supports(config, model_dtype, env);
      said_.hear("backend_supports", support.reason);
    });
    attempt([&] {
      const auto selection = select_prefill_backend(config, model_dtype, env);
      log_prefill_backend(selection, env);
      hear_rejected(selection.rejected);
    });
    attempt([&] {
      const auto plan = plan_attention_data_types(config, model_dtype, env, asked.decode);
      log_attention_plan(plan, env);
      hear_plan(plan);
    });
    attempt([&] {
      const auto selection = select_decode_backend(config, model_dtype, env, asked.decode);
      hear_rejected(selection.rejected);
    });
  }

  template <class Call>
  void attempt(Call call) {
    try {
      call();
    } catch (const std::invalid_argument& error) {
      said_.hear("error", error.what());
    } catch (const PrefillQueryRefused& refused) {
      said_.hear("refused", refused.what());
    } catch (const AttentionPlanRefused& refused) {
      said_.hear("plan refused", refused.what());
      for (const Remedy& remedy : refused.remedies()) said_.hear("remedy", remedy.spelling);
    }
  }

 private:
  void hear_rejected(const std::vector<RejectedPrefillBackend>& rejected) {
    for (const auto& backend : rejected) {
      for (const Blocker& blocker : backend.blockers) said_.hear("rejected", blocker.sentence);
    }
  }
  // Of `key: what is said`.
  void hear_lines(const std::string& text) {
    for (const std::string& line : split(text, '\n')) {
      const std::size_t colon = line.find(": ");
      said_.hear(line.substr(0, colon), line.substr(colon + 2));
    }
  }
  // In columns: what it is, what it comes to, why.
  void hear_plan(const AttentionPlan& plan) {
    for (const std::string& line : split(to_string(plan), '\n')) {
      if (line.compare(0, 9, "caution: ") == 0) {
        said_.hear("caution", line.substr(9));
        continue;
      }
      const std::string value = line.substr(26, line.find("  ", 26) - 26);
      said_.hear("plan",
                 line.substr(0, 26) + (line.find(" bytes ") == line.npos ? value : "{n} bytes"));
      said_.hear("plan", line.substr(43));
    }
  }

  Sentences said_;
  std::shared_ptr<OnceLog> log_ =
      std::make_shared<OnceLog>([this](LogLevel level, std::string_view text) {
        said_.hear(level == LogLevel::info ? "info" : "warning", text);
      });
};

void ask_with(Listener& listener, Asked asked, const Change& change, const Change& another) {
  change(asked);
  another(asked);
  listener.ask(asked);
}

// Each pair of a change of one kind and one of another.
void ask_about_pairs(Listener& listener, const Asked& asked, const std::vector<Change>& changes,
                     const std::vector<Change>& others) {
  for (const Change& change : changes) {
    for (const Change& other : others) ask_with(listener, asked, change, other);
  }
}

void ask_about_settings(Listener& listener, const EngineProfile& engine, const Device& device) {
  for (const bool requested : {false, true}) {
    ask_about_pairs(listener, on(engine, device, "auto", requested), cache_dtypes(), modes());
    for (const char* cache : {"auto", "fp8"}) {
      const Asked asked = on(engine, device, cache, requested);
      ask_about_pairs(listener, asked, models(), engine_settings());
    }
  }
}

// Each backend chosen by name, or not available.
void ask_about_backends(Listener& listener, const EngineProfile& engine, const Device& device) {
  std::vector<Change> chosen;
  for (const PrefillBackend& row : engine.prefill_backends) {
    chosen.emplace_back(
        [&](Asked& asked) { asked.config.attention_config.mla_prefill_backend = row.name; });
  }
  for (const DecodeBackend& row : engine.decode_backends) {
    chosen.emplace_back([&](Asked& asked) {
      asked.decode = make_decode_environment(device.platform, engine, nullptr, row.name);
    });
  }
  const auto not_compiled = [](std::string_view name) {
    return name.size() % 2 == 0 ? Support(false, "It was not compiled in.") : Support();
  };
  for (const char* cache : {"auto", "fp8", "fp8_ds_mla"}) {
    for (const bool requested : {false, true}) {
      const Asked asked = on(engine, device, cache, requested);
      ask_about_pairs(listener, asked, chosen, {nothing, in_float16, sparse});
      listener.ask(on(engine, device, cache, requested, not_compiled));
    }
  }
}

void ask_about_the_impossible(Listener& listener) {
  for (const auto& calls : {bad_names(), bad_values(), bad_costs()}) {
    for (const auto& call : calls) listener.attempt(call);
  }
  const Asked good = on(vllm_engine(), {cuda(10, 0), {}}, "fp8", true);
  for (const auto& change : bad_configs()) {
    ask_with(
        listener, good, [&](Asked& asked) { change(asked.config); }, nothing);
  }
  for (const auto& change : bad_prefill_rows()) {
    std::vector<PrefillBackend> rows = tensorrt_llm_prefill_backends();
    rows.push_back(vllm_prefill_backends()[2]);
    std::swap(rows[0], rows[1]);
    change(rows);
    listener.attempt([&] { static_cast<void>(make_environment(cuda(10, 0), rows)); });
  }
  for (const auto& change : bad_decode_rows()) {
    DecodeBackend row;
    row.name = "OWN";
    row.pairs = {{DecodeQueries::fp8, {"fp8"}}};
    change(row);
    listener.attempt([&] { static_cast<void>(make_decode_environment(cuda(10, 0), row)); });
  }
  for (const std::size_t rows : {0U, 2U}) {
    EngineProfile engine = vllm_engine();
    engine.decode_backends.assign(rows, engine.decode_backends[0]);
    listener.attempt([&] { static_cast<void>(make_decode_environment(cuda(10, 0), engine)); });
  }
}

void ask_bad_environments(Listener& listener) {
  const Asked good = on(vllm_engine(), {cuda(10, 0), {}}, "fp8", true);
  std::vector<Change> changes;
  for (const KvCacheFormat& format : bad_kv_cache_formats()) {
    changes.emplace_back([=](Asked& asked) { asked.env.kv_cache_formats = {{format, nullptr}}; });
  }
  for (const DataType type :
       {bf16, out_of_range<DataType>(), DataType::float8_e5m2, DataType::float8_e4m3fnuz}) {
    changes.emplace_back([=](Asked& asked) { asked.env.fp8_data_type = type; });
    changes.emplace_back([=](Asked& asked) { asked.model_dtype = type; });
  }
  changes.emplace_back([](Asked& asked) { asked.env.prefill_table = nullptr; });
  changes.emplace_back([](Asked& asked) { asked.decode.decode_table = nullptr; });
  changes.emplace_back(
      [](Asked& asked) { asked.decode = make_decode_environment(cuda(9, 0), vllm_engine()); });
  changes.emplace_back(
      [](Asked& asked) { asked.env.refused_request_level = out_of_range<LogLevel>(); });
  changes.emplace_back([](Asked& asked) {
    asked.env.is_quantized_kv_cache = [](std::string_view) { return false; };
  });
  changes.push_back(predicted(0, PrefillQueryMode::automatic));
  for (const Change& change : changes) ask_with(listener, good, change, nothing);
  listener.attempt([&] {
    Asked automatic = good;
    predicted(1, PrefillQueryMode::automatic)(automatic);
    static_cast<void>(select_prefill_backend(automatic.config, bf16, cuda(10, 0)));
  });
  EngineProfile engine = vllm_engine();
  engine.selection = out_of_range<BackendSelection>();
  listener.attempt([&] { static_cast<void>(make_environment(cuda(10, 0), engine)); });
}

void ask_ranks(Listener& listener) {
  Asked asked = on(vllm_engine(), {cuda(10, 0), {}}, "fp8", true);
  const auto plan = plan_attention_data_types(asked.config, bf16, asked.env, asked.decode);
  constexpr std::uint64_t cache_dtype = std::uint64_t{0xFF} << 32;
  listener.attempt([&] {
    check_ranks_agree({pack(plan), ~pack(plan), pack(plan) | cache_dtype, 0});
  });
  listener.attempt([&] {
    std::vector<std::uint64_t> packed(100, 0);
    packed[0] = 1;
    check_ranks_agree(packed);
  });
}

std::vector<std::string> read_lines(const std::string& path) {
  std::ifstream file(path);
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  std::sort(lines.begin(), lines.end());
  return lines;
}

std::string only_in(const std::vector<std::string>& these,
                    const std::vector<std::string>& not_these, const char* mark) {
  std::vector<std::string> lines;
  std::set_difference(these.begin(), these.end(), not_these.begin(), not_these.end(),
                      std::back_inserter(lines));
  std::string text;
  for (const std::string& line : lines) text += mark + line + '\n';
  return text;
}

void ask_about_engine(Listener& listener, const EngineProfile& engine) {
  for (const Device& device : devices()) {
    ask_about_settings(listener, engine, device);
    ask_about_backends(listener, engine, device);
  }
  for (const std::string_view name : measured_devices()) {
    for (const bool requested : {false, true}) {
      const Asked asked = on(engine, parse_device(name), "fp8", requested);
      ask_about_pairs(listener, asked, models(), modes());
    }
  }
  ask_about_backends(listener, engine, parse_device("B200"));
}

void ask_about_own_answers(Listener& listener, const EngineProfile& engine) {
  for (const char* cache : {"auto", "fp8", "nvfp4"}) {
    for (const Platform& platform : {cuda(8, 0), cuda(10, 0)}) {
      const Asked asked = on(engine, {platform, {}}, cache, true);
      ask_about_pairs(listener, asked, predicates(), modes());
      ask_about_pairs(listener, asked, engine_settings(), modes());
    }
  }
}

TEST(Sentences, AreThoseOfTheGoldenFile) {
  Listener listener;
  for (const auto& engine :
       {vllm_engine(), tensorrt_llm_engine(), sglang_engine(), joint_engine()}) {
    ask_about_engine(listener, engine);
    ask_about_own_answers(listener, engine);
  }
  for (const auto& engine : {picky_engine(), engine_without_fp8()}) {
    for (const char* device : {"8.0", "10.0", "none"}) {
      ask_about_settings(listener, engine, {make_platform(device), {}});
    }
  }
  ask_about_the_impossible(listener);
  ask_bad_environments(listener);
  ask_ranks(listener);
  const std::vector<std::string> said = listener.lines();
  const std::vector<std::string> expected = read_lines(MLA_DTYPE_SENTENCES);
  if (std::getenv("MLA_DTYPE_WRITE_SENTENCES") != nullptr) {
    std::ofstream file(MLA_DTYPE_SENTENCES);
    for (const std::string& line : said) file << line << '\n';
    ADD_FAILURE() << MLA_DTYPE_SENTENCES << " was written anew; look at it with git diff";
  }
  const std::string difference = only_in(expected, said, "- ") + only_in(said, expected, "+ ");
  EXPECT_TRUE(difference.empty()) << "Sentences went (-) and came (+):\n"
                                  << difference
                                  << "To write the file anew: MLA_DTYPE_WRITE_SENTENCES=1";
}

}  // namespace
}  // namespace mla_dtype

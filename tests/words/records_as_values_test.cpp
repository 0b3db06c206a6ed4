// SPDX-License-Identifier: Apache-2.0

// Without this an engine that logs the records itself could log others than those that the library
// logs, unnoticed.

#include <gmock/gmock.h>
#include <mla_dtype/attention_plan.h>
#include <mla_dtype/prefill_query.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "support/engine_config.h"

namespace mla_dtype {

bool operator==(const LogRecord& a, const LogRecord& b) {
  return a.level == b.level && a.text == b.text;
}

namespace {

// What `log_it(env)` logs into an empty log.
template <class LogIt>
std::vector<LogRecord> logged(Environment env, LogIt log_it) {
  std::vector<LogRecord> result;
  env.log = std::make_shared<OnceLog>([&](LogLevel level, std::string_view text) {
    result.push_back({level, std::string(text)});
  });
  const bool is_written = log_it(env);
  EXPECT_EQ(is_written, !result.empty());
  return result;
}

TEST(RecordsAsValues, AreThoseThatAreLogged) {
  std::size_t count = 0;
  for (const char* device : {"B200", "H200", "9.0", "none"}) {
    const Device known = std::string(device) == "none" ? Device{} : parse_device(device);
    for (const EngineProfile* engine : {&vllm_engine(), &tensorrt_llm_engine()}) {
      Environment env = make_environment(known.platform, *engine);
      env.device_name = known.name;
      env.refused_request_level = LogLevel::warning;
      const auto decode = make_decode_environment(known.platform, *engine);
      for (const char* cache_dtype : {"auto", "fp8", "fp8_e5m2"}) {
        for (const bool flag : {false, true}) {
          for (const char* choice : {"", engine->prefill_backends.back().name.c_str()}) {
            EngineConfig config = testing::make_config(cache_dtype, flag);
            config.attention_config.mla_prefill_backend = choice;
            const auto model = DataType::bfloat16;
            const auto decision = evaluate_prefill_query(config, model, env);
            const auto all = records(decision, config, model, env);
            count += all.size();
            EXPECT_EQ(all, logged(env, [&](const Environment& with_log) {
                        return log_prefill_query(decision, config, model, with_log);
                      }));
            const auto selection = select_prefill_backend(config, model, env);
            EXPECT_EQ(records(selection), logged(env, [&](const Environment& with_log) {
                        return log_prefill_backend(selection, with_log);
                      }));
            try {
              const auto plan = plan_attention_data_types(config, model, env, decode);
              EXPECT_EQ(records(plan, env), logged(env, [&](const Environment& with_log) {
                          return log_attention_plan(plan, with_log);
                        }));
            } catch (const AttentionPlanRefused&) {
              continue;
            }
          }
        }
      }
    }
  }
  EXPECT_GT(count, 20U);
}

}  // namespace
}  // namespace mla_dtype

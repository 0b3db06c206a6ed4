// SPDX-License-Identifier: Apache-2.0

// Memory that runs out, at every allocation in turn. Without these it could change an answer, leave
// half a record, or leak. A program of its own, since failing_memory.cpp replaces operator new.

#include <gmock/gmock.h>
#include <mla_dtype/mla_dtype.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <exception>
#include <functional>
#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "faults/failing_memory.h"
#include "support/engine_config.h"
#include "support/recording_log.h"

namespace mla_dtype {
namespace {

using testing::at_every_allocation;
using ::testing::Contains;
using testing::make_config;
using testing::memory;
using testing::Record;
using testing::RecordingLog;
using testing::Suspended;
using testing::with_fault;

// What the call answers, as text: also the exceptions that are answers.
template <class Call>
std::string answer_of(Call call) {
  try {
    return call();
  } catch (const std::bad_alloc&) {
    throw;
  } catch (const std::exception& error) {
    const Suspended own;
    return std::string("threw: ") + error.what();
  }
}

const std::string long_reason =
    "This build has no FP8 prefill kernels, which is said here at such a length that the sentence "
    "does not fit into a string's own buffer.";

// An engine with a log of its own, that records whatever the memory does. It has spoken before, so
// that the log has its memory, and the order of the records is what it is in a healthy process.
struct Engine {
  explicit Engine(Environment environment) : env(std::move(environment)) {
    env.log = std::make_shared<OnceLog>(write);
    env.log->info_once(LogScope::local, "the engine's own");
    output.clear();
  }

  RecordingLog output;
  std::function<void(LogLevel, std::string_view)> write = [output = output](LogLevel level,
                                                                            std::string_view text) {
    const Suspended own;
    output.write(level, text);
  };
  Environment env;
};

Environment injected(bool kv_cache_quantized, Support support) {
  Environment env;
  env.is_quantized_kv_cache = [kv_cache_quantized](std::string_view) { return kv_cache_quantized; };
  env.backend_supports_prefill_query_quantization =
      [support](const EngineConfig&, DataType) -> Support { return support; };
  return env;
}

// Every call of `call(engine)` that does not throw std::bad_alloc gives the same answer, and what
// is in the log is what a healthy call writes: whole records, and after one more call, that nothing
// is in the way of, each of them once.
template <class Call>
int expect_sound(const std::function<Environment()>& make_environment, Call call) {
  Engine healthy(make_environment());
  const auto answer = [&](Engine& engine) { return answer_of([&] { return call(engine); }); };
  const std::string expected = answer(healthy);
  const std::vector<Record> expected_records = healthy.output.records();
  return at_every_allocation([&](long n, bool and_after) {
    Engine engine(make_environment());
    const auto given = with_fault(n, and_after, [&] { return answer(engine); });
    EXPECT_EQ(given.value_or(expected), expected);
    for (const Record& record : engine.output.records()) {
      EXPECT_THAT(expected_records, Contains(record));
    }
    EXPECT_EQ(answer(engine), expected);
    EXPECT_EQ(engine.output.records(), expected_records);
  });
}

struct Case {
  const char* name;
  std::function<Environment()> make_environment;
  EngineConfig config;
};

EngineConfig with_odd_dimensions(EngineConfig config) {
  config.mla_dimensions = {192, 64, 256};
  return config;
}

EngineConfig with_required(EngineConfig config) {
  config.attention_config.prefill_query_mode = PrefillQueryMode::required;
  return config;
}

// Every row of the decision, with tables of backends and with predicates of the engine's own; and
// what is refused.
std::vector<Case> cases() {
  const auto table = [] { return make_environment(cuda(10, 0), vllm_prefill_backends()); };
  const auto named = [](const char* name) {
    return [name] { return make_environment(cuda(10, 0), name); };
  };
  const auto own = [](bool kv_cache_quantized, const Support& support) {
    return [=] { return injected(kv_cache_quantized, support); };
  };
  const std::string own_format = "a_kv_cache_dtype_of_the_engines_own";
  return {
      {"row 1, table", table, make_config("fp8", true)},
      {"row 1, own", own(true, true), make_config(own_format, true)},
      {"row 2, backend of a table", named("FLASH_ATTN"), make_config("fp8", true)},
      {"row 2, KV cache, table", table, make_config("bfloat16", true)},
      {"row 2, format, table", table, make_config("int8_per_token_head", true)},
      {"row 2, dimensions, table", table, with_odd_dimensions(make_config("fp8", true))},
      {"row 2, backend, own", own(true, {false, long_reason}), make_config(own_format, true)},
      {"row 2, KV cache, own", own(false, true), make_config(own_format, true)},
      {"row 3, table", named("FLASHINFER"), make_config("fp8", false)},
      {"row 3, own", own(true, true), make_config(own_format, false)},
      {"row 4, table", table, make_config("auto", false)},
      {"row 4, own", own(true, {false, long_reason}), make_config(own_format, false)},
      {"required, table", named("FLASH_ATTN"), with_required(make_config("fp8", true))},
      {"required, own", own(false, true), with_required(make_config(own_format, true))},
      {"unknown KV-cache dtype", table, make_config("a_kv_cache_dtype_that_nobody_knows", true)},
  };
}

// `call(engine, config)` for each case.
template <class Call>
void expect_sound_in_every_case(Call call) {
  int failures = 0;
  for (const Case& each : cases()) {
    SCOPED_TRACE(each.name);
    failures += expect_sound(each.make_environment,
                             [&](Engine& engine) { return call(engine, each.config); });
  }
  EXPECT_GT(failures, 50) << "allocations were met";
}

// First in this file, for a process in which nothing has been used yet.
TEST(BadAlloc, TheFirstUseOfAll) {
  for (long n = 1;; ++n) {
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      if (std::freopen("/dev/null", "w", stdout) == nullptr ||
          std::freopen("/dev/null", "w", stderr) == nullptr) {
        _exit(3);
      }
      const auto use = [] {
        const Environment env = make_environment(cuda(10, 0), "TRTLLM_FMHA");
        const auto plan =
            plan_attention_data_types(make_config("fp8", true), DataType::bfloat16, env,
                                      make_decode_environment(cuda(10, 0), "FLASHINFER_MLA"));
        return log_attention_plan(plan, env);
      };
      const bool said = with_fault(n, /*and_after=*/false, use).value_or(false);
      const bool said_later = use();
      const bool right = (said || said_later) && !use();
      _exit(!right ? 2 : memory.is_failing ? 1 : 0);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFEXITED(status)) << n;
    ASSERT_LE(WEXITSTATUS(status), 1) << n;
    if (WEXITSTATUS(status) != 0) continue;
    EXPECT_GT(n, 20) << "allocations were met";
    return;
  }
}

TEST(BadAlloc, Determine) {
  expect_sound_in_every_case([](Engine& engine, const EngineConfig& config) {
    return std::string(
        to_string(determine_prefill_query_data_type(config, DataType::bfloat16, engine.env)));
  });
}

TEST(BadAlloc, EvaluateAndLog) {
  expect_sound_in_every_case([](Engine& engine, const EngineConfig& config) {
    const auto decision = evaluate_prefill_query(config, DataType::bfloat16, engine.env);
    log_prefill_query(decision, config, DataType::bfloat16, engine.env);
    return std::string(to_string(decision.outcome)) + ' ' + decision.backend_reason;
  });
}

TEST(BadAlloc, Explain) {
  expect_sound_in_every_case([](Engine& engine, const EngineConfig& config) {
    return to_string(explain_prefill_query_data_type(config, DataType::bfloat16, engine.env));
  });
}

TEST(BadAlloc, PlanAndLog) {
  expect_sound_in_every_case([](Engine& engine, const EngineConfig& config) {
    const auto decode = make_decode_environment(cuda(10, 0), "FLASHINFER_MLA");
    const AttentionPlan plan =
        plan_attention_data_types(config, DataType::bfloat16, engine.env, decode);
    log_attention_plan(plan, engine.env);
    return to_string(plan);
  });
}

TEST(BadAlloc, PlanWithAnInjectedDecodePredicate) {
  expect_sound_in_every_case([](Engine& engine, const EngineConfig& config) {
    DecodeEnvironment decode;
    decode.decode_backend_supports_quantized_query = [](const EngineConfig&, DataType) -> Support {
      return {false, long_reason};
    };
    return to_string(plan_attention_data_types(config, DataType::bfloat16, engine.env, decode));
  });
}

TEST(BadAlloc, SelectAndLog) {
  expect_sound_in_every_case([](Engine& engine, const EngineConfig& config) {
    const auto selection = select_prefill_backend(config, DataType::bfloat16, engine.env);
    log_prefill_backend(selection, engine.env);
    return selection.name + ' ' + selection.hint;
  });
}

TEST(BadAlloc, MakeEnvironment) {
  const PrefillBackendAvailability is_available = [](std::string_view name) -> Support {
    if (name == "TRTLLM_RAGGED") return {false, long_reason};
    return true;
  };
  const EngineConfig config = make_config("fp8", true);
  const auto with = [&](auto make) {
    // The Environment that is made, with the Engine's log.
    return expect_sound([] { return Environment(); },
                        [&](Engine& engine) {
                          Environment env = make();
                          env.log = engine.env.log;
                          const auto type =
                              determine_prefill_query_data_type(config, DataType::bfloat16, env);
                          return std::string(to_string(type));
                        });
  };
  EXPECT_GT(with([] { return make_environment(cuda(10, 0), "FLASHINFER"); }), 20);
  EXPECT_GT(
      with([&] { return make_environment(cuda(10, 0), vllm_prefill_backends(), is_available); }),
      20);
  EXPECT_GT(with([] { return make_environment(cuda(10, 0), "a_backend_that_nobody_knows"); }), 2);
}

TEST(BadAlloc, RanksThatDisagree) {
  const auto check = [](Engine&) {
    check_ranks_agree({0x0000000000000001, 0x0000000011111111});
    return std::string("agree");
  };
  EXPECT_GT(expect_sound([] { return Environment(); }, check), 10);
}

TEST(BadAlloc, AOnceLogIsMadeOrNot) {
  const auto make = [](RankInfo rank) {
    return expect_sound([] { return Environment(); },
                        [=](Engine& engine) {
                          OnceLog(engine.write, rank);
                          return std::string();
                        });
  };
  EXPECT_GT(make({}), 0);
  EXPECT_GT(make({-1, 0}), 0);
}

}  // namespace
}  // namespace mla_dtype

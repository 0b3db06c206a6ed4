// SPDX-License-Identifier: Apache-2.0

// Predicates of an engine's own that misbehave, from every function that asks one.

#include <gmock/gmock.h>
#include <mla_dtype/mla_dtype.h>

#include <functional>
#include <future>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "support/data_types.h"
#include "support/engine_config.h"
#include "support/record_texts.h"
#include "support/recording_log.h"

namespace mla_dtype {
namespace {

using testing::bf16;
using ::testing::ElementsAre;
using testing::info;
using testing::make_config;
using testing::RecordingLog;
using testing::row_1;
using ::testing::SizeIs;

enum class Predicate { kv_cache, prefill_backend, decode_backend };

// An engine whose predicates do what the test wants, and then say yes.
struct Engine {
  explicit Engine(std::shared_ptr<OnceLog> log = nullptr) {
    env.is_quantized_kv_cache = [this](std::string_view) {
      asked(Predicate::kv_cache);
      return true;
    };
    env.backend_supports_prefill_query_quantization = [this](const EngineConfig&,
                                                             DataType) -> Support {
      asked(Predicate::prefill_backend);
      return true;
    };
    decode.decode_backend_supports_quantized_query = [this](const EngineConfig&,
                                                            DataType) -> Support {
      asked(Predicate::decode_backend);
      return true;
    };
    env.log = log != nullptr ? std::move(log) : output.log;
  }
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  RecordingLog output;
  std::function<void(Predicate)> asked = [](Predicate) {};
  Environment env;
  DecodeEnvironment decode;
};

// All that asks predicates, and what it answers.
struct Question {
  const char* name;
  std::vector<Predicate> asks;
  bool logs;
  std::string (*ask)(const Engine&);
};

const EngineConfig asks_for_fp8 = make_config("fp8", true);

const Question questions[] = {
    {"determine",
     {Predicate::kv_cache, Predicate::prefill_backend},
     true,
     [](const Engine& engine) {
       return std::string(
           to_string(determine_prefill_query_data_type(asks_for_fp8, bf16, engine.env)));
     }},
    {"evaluate",
     {Predicate::kv_cache, Predicate::prefill_backend},
     false,
     [](const Engine& engine) {
       return std::string(
           to_string(evaluate_prefill_query(asks_for_fp8, bf16, engine.env).data_type));
     }},
    {"explain",
     {Predicate::kv_cache, Predicate::prefill_backend},
     false,
     [](const Engine& engine) {
       return to_string(explain_prefill_query_data_type(asks_for_fp8, bf16, engine.env));
     }},
    {"plan",
     {Predicate::kv_cache, Predicate::prefill_backend, Predicate::decode_backend},
     false,
     [](const Engine& engine) {
       return to_string(plan_attention_data_types(asks_for_fp8, bf16, engine.env, engine.decode));
     }},
    {"select", {Predicate::kv_cache}, false, [](const Engine& engine) {
       Environment env = make_environment(cuda(10, 0), vllm_prefill_backends());
       env.is_quantized_kv_cache = engine.env.is_quantized_kv_cache;
       return select_prefill_backend(asks_for_fp8, bf16, env).name;
     }}};

struct NotStd {};

// What is thrown, and whether `call` throws that.
struct Fault {
  void (*raise)();
  bool (*escapes)(const std::function<void()>& call);
};

template <class Exception>
bool escapes(const std::function<void()>& call) {
  try {
    call();
  } catch (const Exception&) {
    return true;
  }
  return false;
}

const Fault all_faults[] = {
    {[] { throw std::runtime_error("driver gone"); }, escapes<std::runtime_error>},
    {[] { throw std::bad_alloc(); }, escapes<std::bad_alloc>},
    {[] { throw NotStd{}; }, escapes<NotStd>},
    {[] { throw 42; }, escapes<int>},
};

TEST(Predicates, MayThrowAtAnyCallFromAnywhere) {
  for (const Question& question : questions) {
    const std::string expected = question.ask(Engine());
    for (const Predicate predicate : question.asks) {
      for (const Fault& fault : all_faults) {
        for (const int bad_call : {1, 2}) {
          SCOPED_TRACE(::testing::Message()
                       << question.name << ", predicate " << static_cast<int>(predicate)
                       << ", call " << bad_call);
          Engine engine;
          int calls = 0;
          engine.asked = [&](Predicate which) {
            if (which == predicate && ++calls == bad_call) fault.raise();
          };
          for (int call = 1; call <= 3; ++call) {
            if (call != bad_call) {
              EXPECT_EQ(question.ask(engine), expected);
            } else {
              EXPECT_TRUE(fault.escapes([&] { question.ask(engine); }));
            }
            EXPECT_EQ(calls, call) << "asked once a call";
            const bool said = question.logs && (call > 1 || bad_call > 1);
            EXPECT_THAT(engine.output.records(), SizeIs(said ? 1 : 0));
          }
        }
      }
    }
  }
}

TEST(Predicates, AvailabilityMayThrowAtAnyBackend) {
  const auto& backends = vllm_prefill_backends();
  for (std::size_t bad_row = 1; bad_row <= backends.size(); ++bad_row) {
    for (const Fault& fault : all_faults) {
      std::size_t asked = 0;
      const auto is_available = [&](std::string_view) -> Support {
        if (++asked == bad_row) fault.raise();
        return true;
      };
      EXPECT_TRUE(
          fault.escapes([&] { return make_environment(cuda(10, 0), backends, is_available); }));
      asked = 0;
      EXPECT_TRUE(fault.escapes([&] {
        return select_prefill_backend(asks_for_fp8, bf16, cuda(10, 0), backends, is_available);
      }));
      EXPECT_EQ(asked, bad_row) << "nobody is asked after that";
    }
  }
}

// With the log that they are asked for: also the same question, of the same engine.
TEST(Predicates, MayCallBackIntoTheLibrary) {
  for (const Question& question : questions) {
    for (const Question& inner : questions) {
      SCOPED_TRACE(::testing::Message() << inner.name << " within " << question.name);
      const std::string expected = question.ask(Engine());
      const std::string expected_inner = inner.ask(Engine());
      Engine engine;
      const Engine other(engine.env.log);
      bool is_inner = false;
      std::size_t answers = 0;
      engine.asked = [&](Predicate) {
        if (is_inner) return;
        is_inner = true;
        EXPECT_EQ(inner.ask(engine), expected_inner);
        EXPECT_EQ(inner.ask(other), expected_inner);
        engine.env.log->set_rank({});
        is_inner = false;
        ++answers;
      };
      EXPECT_EQ(question.ask(engine), expected);
      EXPECT_EQ(answers, question.asks.size());
      EXPECT_THAT(engine.output.records(), SizeIs(question.logs || inner.logs ? 1 : 0));
    }
  }
}

TEST(Predicates, MayLogThemselves) {
  Engine engine;
  OnceLog& log = *engine.env.log;
  int asked = 0;
  engine.asked = [&](Predicate) {
    ++asked;
    log.info_once(LogScope::local, "asked");
    log.info_once(LogScope::local, row_1);  // the record that is to come
    engine.output.write(LogLevel::info, "asked, time " + std::to_string(asked));
  };
  for (int call = 0; call < 2; ++call) questions[0].ask(engine);
  EXPECT_THAT(engine.output.records(),
              ElementsAre(info("asked"), info(row_1), info("asked, time 1"), info("asked, time 2"),
                          info("asked, time 3"), info("asked, time 4")));
}

TEST(Predicates, MayResetTheLog) {
  Engine engine;
  engine.asked = [&](Predicate) { engine.env.log->reset(); };
  for (int call = 0; call < 2; ++call) questions[0].ask(engine);
  EXPECT_THAT(engine.output.records(), ElementsAre(info(row_1), info(row_1)));
  engine.asked = [](Predicate) {};
  questions[0].ask(engine);
  EXPECT_THAT(engine.output.records(), SizeIs(2));
}

// However long they take, nobody else waits: if one did, this would not end.
TEST(Predicates, ThatTakeTheirTimeHoldNobodyUp) {
  for (const Question& question : questions) {
    for (const Predicate predicate : question.asks) {
      Engine slow;
      std::promise<void> inside, go_on;
      slow.asked = [&](Predicate which) {
        if (which != predicate) return;
        inside.set_value();
        go_on.get_future().wait();
      };
      std::string answer;
      std::thread waiting([&] { answer = question.ask(slow); });
      inside.get_future().wait();
      const Engine other(slow.env.log);
      for (const Question& any : questions) EXPECT_EQ(any.ask(other), any.ask(Engine()));
      EXPECT_THAT(slow.output.records(), ElementsAre(info(row_1)));
      slow.env.log->set_rank({});
      slow.env.log->reset();
      EXPECT_TRUE(slow.env.log->info_once(LogScope::local, row_1));
      go_on.set_value();
      waiting.join();
      EXPECT_EQ(answer, question.ask(Engine()));
      EXPECT_THAT(slow.output.records(), ElementsAre(info(row_1), info(row_1)));
    }
  }
}

}  // namespace
}  // namespace mla_dtype

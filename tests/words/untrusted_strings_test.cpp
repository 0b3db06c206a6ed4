// SPDX-License-Identifier: Apache-2.0

// Strings from outside in every message of the library. Without this one of a user could be raw,
// long or interpreted, or one of an engine be changed, unnoticed.

#include <gmock/gmock.h>
#include <mla_dtype/mla_dtype.h>

#include <algorithm>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "support/data_types.h"
#include "support/engine_config.h"
#include "support/injected_engine.h"
#include "support/recording_log.h"
#include "support/utf8.h"

namespace mla_dtype {
namespace {

using testing::bf16;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using testing::injected_environment;
using testing::make_config;
using testing::RecordingLog;
using ::testing::SizeIs;
using testing::unfit_characters;

std::vector<std::string> hostile_strings() {
  return {
      "{} {0} {:d} }{ %s %n %v %%",
      "\" is not accepted; accepted: all \\",
      "x'; reboot #",
      "fp8\nFP8 prefill attention enabled: query data type is FP8",
      std::string("fp8\0fp8", 7),
      "\xED\xA0\x80\xF4\x90\x80\x80\xC0\xAF",         // a surrogate, one too high, one overlong
      std::string(62, 'x') + "\xE6\xBC\xA2",          // 64 bytes end within a character
      "fp8\xE2\x80\xAE 8pf\xE2\x80\xA8\xE2\x81\xA6",  // right to left, a new line, isolated
      std::string(1'000'000, 'x'),
      std::string(1'000'000, '\x1b'),
      std::string(1'000'000, '\xff'),
      std::string(1'000'000, '\0'),
  };
}

std::vector<std::string> hostile_strings_and_bytes() {
  std::vector<std::string> result = hostile_strings();
  for (int c = 0; c < 256; ++c) {
    // What a byte is: alone; as the end of a two-byte character, where U+0080 to U+009F are control
    // characters; and as the beginning of one that does not come.
    const char byte = static_cast<char>(c);
    if (c >= 0x20 && c < 0x7f) continue;
    result.push_back({'a', byte, 'b'});
    result.push_back({'a', '\xC2', byte, 'b'});
    result.push_back({'a', byte});
  }
  return result;
}

TEST(UntrustedStrings, TheRuleItselfHolds) {
  EXPECT_EQ(unfit_characters("plain ß 漢"), 0);
  EXPECT_EQ(unfit_characters(std::string("\0\n\x1b\x7f", 4)), 4);
  EXPECT_EQ(unfit_characters("\xC2\x9B \xC2\xA0 \xFF \xED\xA0\x80"), 5);
  EXPECT_EQ(unfit_characters("\xE6\xBC\xA2 \xE6\xBC"), 2);
  EXPECT_EQ(unfit_characters("\xE2\x80\xAE \xE2\x80\xA8 \xE2\x81\xA6 \xE2\x80\x94"), 3);
}

template <class Call>
std::string error_of(Call call) {
  try {
    call();
  } catch (const std::exception& error) {
    return error.what();
  }
  return "nothing was thrown";
}

// The only record of a call.
template <class Call>
std::string record_of(Call call) {
  RecordingLog output;
  call(output.log);
  const auto records = output.records();
  EXPECT_THAT(records, SizeIs(1));
  return records.empty() ? "" : records[0].text;
}

Environment table_environment() { return make_environment(cuda(10, 0), vllm_prefill_backends()); }

EngineConfig with_checkpoint(const std::string& algo) {
  EngineConfig config = make_config("auto", true);
  config.cache_config.checkpoint_kv_cache_quant_algo = algo;
  return config;
}

EngineConfig with_backend(const std::string& name, bool requested) {
  EngineConfig config = make_config("fp8", requested);
  config.attention_config.mla_prefill_backend = name;
  return config;
}

AttentionPlan plan(const EngineConfig& config, const Environment& env) {
  return plan_attention_data_types(config, bf16, env,
                                   make_decode_environment(cuda(10, 0), "FLASHINFER_MLA"));
}

AttentionPlan plan_with_own_decode(const EngineConfig& config, const Environment& env,
                                   Support support) {
  DecodeEnvironment decode;
  decode.decode_backend_supports_quantized_query =
      [support](const EngineConfig&, DataType) -> Support { return support; };
  return plan_attention_data_types(config, bf16, env, decode);
}

// Every message that a user's string can reach.
struct Message {
  const char* name;
  std::function<std::string(const std::string&)> of;
};

std::vector<Message> messages() {
  using String = const std::string&;
  return {
      {"is_quantized_kv_cache",
       [](String s) { return error_of([&] { return is_quantized_kv_cache(s); }); }},
      {"resolve_kv_cache_dtype",
       [](String s) { return error_of([&] { return resolve_kv_cache_dtype(s, bf16); }); }},
      {"resolve_kv_cache_dtype, checkpoint",
       [](String s) { return error_of([&] { return resolve_kv_cache_dtype("auto", bf16, s); }); }},
      {"determine, KV-cache dtype",
       [](String s) {
         return error_of([&] {
           determine_prefill_query_data_type(make_config(s, true), bf16, table_environment());
         });
       }},
      {"determine, checkpoint",
       [](String s) {
         return error_of([&] {
           determine_prefill_query_data_type(with_checkpoint(s), bf16, table_environment());
         });
       }},
      {"determine, prefill backend",
       [](String s) {
         return error_of([&] {
           determine_prefill_query_data_type(with_backend(s, true), bf16, table_environment());
         });
       }},
      {"explain, KV-cache dtype",
       [](String s) {
         return error_of([&] {
           return explain_prefill_query_data_type(make_config(s, true), bf16, table_environment());
         });
       }},
      {"select, KV-cache dtype",
       [](String s) {
         return error_of(
             [&] { return select_prefill_backend(make_config(s, true), bf16, cuda(9, 0)); });
       }},
      {"select, prefill backend",
       [](String s) {
         return error_of(
             [&] { return select_prefill_backend(with_backend(s, true), bf16, cuda(9, 0)); });
       }},
      {"plan, KV-cache dtype",
       [](String s) { return error_of([&] { plan(make_config(s, true), table_environment()); }); }},
      {"make_environment",
       [](String s) { return error_of([&] { return make_environment(cuda(10, 0), s); }); }},
      {"make_decode_environment",
       [](String s) { return error_of([&] { return make_decode_environment(cuda(10, 0), s); }); }},
      {"parse_platform", [](String s) { return error_of([&] { return parse_platform(s); }); }},
      {"rocm", [](String s) { return error_of([&] { return rocm(s); }); }},
      {"rocm, features", [](String s) { return error_of([&] { return rocm("gfx942:" + s); }); }},
      {"row of a prefill backend",
       [](String s) {
         PrefillBackend row;
         row.name = s;
         return error_of([&] { return make_environment(cuda(10, 0), {row}); });
       }},
      {"row of a decode backend",
       [](String s) {
         DecodeBackend row;
         row.name = s;
         return error_of([&] { return make_decode_environment(cuda(10, 0), row); });
       }},
      // A KV-cache dtype that the engine knows.
      {"record, own predicates",
       [](String s) {
         return record_of([&](auto log) {
           Environment env = injected_environment(false, true);
           env.log = log;
           determine_prefill_query_data_type(make_config(s, true), bf16, env);
         });
       }},
      {"record, table",
       [](String s) {
         return record_of([&](auto log) {
           PrefillBackend row = vllm_prefill_backends().back();
           row.fp8_kv_cache_dtypes.emplace_back("another_format");
           Environment env = make_environment(cuda(10, 0), {row});
           env.is_quantized_kv_cache = [](std::string_view) { return true; };
           env.log = log;
           determine_prefill_query_data_type(make_config(s, true), bf16, env);
         });
       }},
      {"required, own predicates",
       [](String s) {
         EngineConfig config = make_config(s, true);
         config.attention_config.prefill_query_mode = PrefillQueryMode::required;
         return error_of([&] {
           determine_prefill_query_data_type(config, bf16, injected_environment(false, true));
         });
       }},
      {"explanation",
       [](String s) {
         return to_string(explain_prefill_query_data_type(make_config(s, true), bf16,
                                                          injected_environment(false, true)));
       }},
      {"plan that is refused",
       [](String s) {
         return error_of([&] { plan(make_config(s, true), injected_environment(true, true)); });
       }},
      {"plan",
       [](String s) {
         return to_string(
             plan_with_own_decode(make_config(s, true), injected_environment(true, true), true));
       }},
      {"explanation, prefill backend, own predicate",
       [](String s) {
         return error_of([&] {
           return explain_prefill_query_data_type(with_backend(s, false), bf16,
                                                  injected_environment(true, true));
         });
       }},
  };
}

TEST(UntrustedStrings, OfAUserAreNeverRawNorLong) {
  const std::vector<std::string> strings = hostile_strings_and_bytes();
  for (const Message& message : messages()) {
    const std::string harmless = message.of("not a name");
    EXPECT_THAT(harmless, HasSubstr("not a name\"")) << message.name;
    const auto lines = std::count(harmless.begin(), harmless.end(), '\n');
    for (const std::string& string : strings) {
      std::string text = message.of(string);
      SCOPED_TRACE(::testing::Message() << message.name << ": " << text);
      EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), lines);
      text.erase(std::remove(text.begin(), text.end(), '\n'), text.end());
      EXPECT_EQ(unfit_characters(text), 0);
      // Each of the 64 bytes takes at most four, each time that it is shown.
      EXPECT_LT(text.size(), harmless.size() + 3 * 64 * 4);
      if (HasFailure()) return;
    }
    EXPECT_THAT(message.of("{} %s {0}"), HasSubstr("{} %s {0}\"")) << message.name;
  }
}

// The engine's own words, and only in what it prints line by line without their line breaks.
TEST(UntrustedStrings, OfAnEnginePassInItsRecords) {
  for (const std::string& string : hostile_strings()) {
    const auto determine = [](const EngineConfig& config, Environment env) {
      return record_of([&](auto log) {
        env.log = log;
        determine_prefill_query_data_type(config, bf16, env);
      });
    };
    EXPECT_THAT(determine(make_config("fp8", true), injected_environment(true, {false, string})),
                EndsWith("FP8 attention. " + string));
    Environment env = injected_environment(true, true);
    env.spellings.request_fp8 = string;
    EXPECT_THAT(determine(make_config("fp8", false), env), EndsWith("To enable, add: " + string));

    env = table_environment();
    env.spellings.kv_cache_dtype = string + '%';
    const std::string value = string.find('%') == string.npos ? "fp8" : "";
    EXPECT_THAT(determine(make_config("auto", true), env),
                HasSubstr("set: " + string.substr(0, string.find('%')) + value));
    env = make_environment(cuda(10, 0), "FLASH_ATTN");
    env.spellings.prefill_backend = "--backend=% " + string;
    EXPECT_THAT(determine(make_config("fp8", true), env),
                EndsWith("set: --backend=TRTLLM_RAGGED " + string));

    env = make_environment(cuda(10, 0), vllm_prefill_backends(), [&](std::string_view) -> Support {
      return {false, string};
    });
    const auto selection = select_prefill_backend(make_config("fp8", true), bf16, env);
    EXPECT_THAT(record_of([&](auto log) {
                  env.log = log;
                  log_prefill_backend(selection, env);
                }),
                HasSubstr("Prefill backend FLASHINFER is not available: " + string));
    EXPECT_THAT(determine(make_config("fp8", true), env),
                HasSubstr("Prefill backend FLASHINFER is not available: " + string));
    if (HasFailure()) return;
  }
}

TEST(UntrustedStrings, OfAnEngineAreOneLineWhereLinesCount) {
  for (const std::string& string : hostile_strings_and_bytes()) {
    const Environment env = injected_environment(true, {false, string});
    const Environment harmless = injected_environment(true, {false, "No."});
    const EngineConfig config = make_config("fp8", true);
    const auto explain = [&](const Environment& environment) {
      return to_string(explain_prefill_query_data_type(config, bf16, environment));
    };
    const auto plan_lines = [&](const Environment& environment, const std::string& reason) {
      return to_string(plan_with_own_decode(config, environment, {false, reason}));
    };
    for (const auto& [text, expected] :
         {std::pair(explain(env), explain(harmless)),
          std::pair(plan_lines(env, string), plan_lines(harmless, "No."))}) {
      EXPECT_EQ(std::count(text.begin(), text.end(), '\n'),
                std::count(expected.begin(), expected.end(), '\n'));
      for (const char* control : {"\x1b", "\x7f", "\r", "\xC2\x85", "\xC2\x9B"}) {
        EXPECT_EQ(text.find(control), text.npos);
      }
    }
    if (HasFailure()) return;
  }
}

}  // namespace
}  // namespace mla_dtype

// SPDX-License-Identifier: Apache-2.0

// Without this an engine's operators could be told to type what their command line does not have,
// unnoticed: vLLM's options, or one that takes another of their settings back.

#include <gmock/gmock.h>
#include <mla_dtype/attention_plan.h>
#include <mla_dtype/kv_cache.h>
#include <mla_dtype/prefill_query.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "support/data_types.h"
#include "support/engine_config.h"
#include "support/h100.h"
#include "support/record_texts.h"
#include "support/recording_log.h"
#include "support/records_of.h"

namespace mla_dtype {
namespace {

using testing::all_devices;
using testing::bf16;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using testing::info;
using testing::make_config;
using testing::make_platform;
using ::testing::Not;
using testing::RecordingLog;
using testing::records_of;
using testing::row_1;
using testing::row_2;
using testing::row_3_before_flag;
using ::testing::StartsWith;
using testing::warning;
using testing::with_isl;

const Spellings own = {"--fp8-prefill", "--cache=%", "--prefill %", "--decode %"};
const std::string own_row_2 =
    "Unable to perform FP8 prefill attention when --fp8-prefill is enabled. Please ensure that "
    "--cache is set to fp8 and your prefill backend is compatible with FP8 attention.";

Environment spelled(Environment env, const Spellings& spellings) {
  env.spellings = spellings;
  return env;
}

Environment own_environment(const char* backend = "FLASH_ATTN",
                            const Platform& platform = cuda(10, 0)) {
  return spelled(make_environment(platform, backend), own);
}

EngineConfig required(EngineConfig config) {
  config.attention_config.prefill_query_mode = PrefillQueryMode::required;
  return config;
}

std::string first_remedy(const EngineConfig& config, const Environment& env) {
  const auto explanation = explain_prefill_query_data_type(config, bf16, env);
  EXPECT_FALSE(explanation.remedies.empty());
  return explanation.remedies.empty() ? std::string() : explanation.remedies[0].spelling;
}

std::string only_record(const EngineConfig& config, const Environment& env) {
  const auto records = records_of(config, env);
  EXPECT_EQ(records.size(), 1U);
  return records.empty() ? std::string() : records[0].text;
}

TEST(Spellings, TheRecordsOfEachRowAreTheEngines) {
  EXPECT_THAT(records_of(make_config("fp8", true), own_environment("TRTLLM_RAGGED")),
              ElementsAre(info(row_1)));
  EXPECT_THAT(records_of(make_config("fp8", true), own_environment()),
              ElementsAre(info(own_row_2 +
                               " Prefill backend FLASH_ATTN does not take FP8 queries. To enable "
                               "FP8 prefill attention, set: --prefill TRTLLM_RAGGED")));
  EXPECT_THAT(records_of(make_config("auto", true), own_environment("TRTLLM_RAGGED")),
              ElementsAre(info(own_row_2 +
                               " The KV cache is not quantized: the KV-cache dtype is \"auto\". To "
                               "enable FP8 prefill attention, set: --cache=fp8")));
  EXPECT_THAT(records_of(make_config("fp8", false), own_environment("TRTLLM_RAGGED")),
              ElementsAre(warning(row_3_before_flag + "--fp8-prefill")));
  // Options of their own take nothing back.
  EngineConfig chosen = make_config("fp8", false);
  chosen.attention_config.mla_prefill_backend = "TRTLLM_RAGGED";
  EXPECT_THAT(records_of(chosen, own_environment()),
              ElementsAre(warning(row_3_before_flag + "--fp8-prefill")));
}

TEST(Spellings, AWarningThatItDoesNotPayNamesTheOption) {
  testing::H100 h100;
  h100.env.spellings = own;
  h100.determine(with_isl(make_config("fp8", true), 1024));
  ASSERT_EQ(h100.records().size(), 2U);
  EXPECT_EQ(h100.records()[0], info(row_1));
  EXPECT_THAT(h100.records()[1].text, EndsWith(" To disable, remove: --fp8-prefill"));
}

TEST(Spellings, BlockersRemediesAndHints) {
  const auto explanation =
      explain_prefill_query_data_type(make_config("auto", false), bf16, own_environment());
  EXPECT_EQ(explanation.blockers.at(0).sentence, "--fp8-prefill is off.");
  std::vector<std::string> remedies;
  for (const Remedy& remedy : explanation.remedies) remedies.push_back(remedy.spelling);
  EXPECT_THAT(remedies, ElementsAre("--cache=fp8 --fp8-prefill --prefill TRTLLM_RAGGED",
                                    "--cache=fp8 --fp8-prefill --prefill FLASHINFER",
                                    "--cache=fp8 --fp8-prefill --prefill TOKENSPEED_MLA"));

  const std::string before =
      "Prefill backend FLASH_ATTN does not take FP8 queries here, but TRTLLM_RAGGED does: ";
  const auto hint = [](const EngineConfig& config, const Environment& env) {
    return select_prefill_backend(config, bf16, env).hint;
  };
  const EngineConfig off = make_config("fp8", false);
  EngineConfig chosen = off;
  chosen.attention_config.mla_prefill_backend = "FLASH_ATTN";
  const Environment open = spelled(make_environment(cuda(10, 0), vllm_prefill_backends()), own);
  EXPECT_EQ(hint(off, open), before + "turn --fp8-prefill on to have it selected.");
  EXPECT_EQ(hint(off, own_environment()), before + "choose it; and turn --fp8-prefill on.");
  EXPECT_EQ(hint(chosen, open),
            before + "choose it, or leave the choice open; and turn --fp8-prefill on.");
}

TEST(Spellings, AnExceptionAdvisesTheEnginesOptions) {
  const EngineConfig config = required(make_config("fp8", false));
  const auto expect_refused = [](auto call, const std::string& remedy) {
    try {
      call();
      ADD_FAILURE() << "nothing was thrown";
    } catch (const PrefillQueryRefused& refused) {
      EXPECT_THAT(refused.what(), EndsWith(" To enable FP8 prefill attention, set: " + remedy));
      EXPECT_EQ(refused.explanation().remedies.at(0).spelling, remedy);
    }
  };
  const Environment env = own_environment();
  expect_refused([&] { determine_prefill_query_data_type(config, bf16, env); },
                 "--prefill TRTLLM_RAGGED");
  expect_refused(
      [&] {
        (void)plan_attention_data_types(config, bf16, env,
                                        make_decode_environment(cuda(10, 0), "FLASHINFER_MLA"));
      },
      "--prefill TRTLLM_RAGGED");
  expect_refused(
      [&] { determine_prefill_query_data_type(required(make_config("auto", false)), bf16, env); },
      "--cache=fp8 --prefill TRTLLM_RAGGED");
}

TEST(Spellings, ACautionNamesTheEnginesFlag) {
  const Platform mi355x = rocm("gfx950");
  const auto plan = plan_attention_data_types(make_config("auto", false), bf16,
                                              own_environment("ROCM_AITER_FA", mi355x),
                                              make_decode_environment(mi355x, "ROCM_AITER_MLA"));
  ASSERT_EQ(plan.cautions.size(), 1U);
  EXPECT_EQ(plan.cautions[0].kind, CautionKind::flag_ignored);
  EXPECT_EQ(plan.cautions[0].sentence,
            "On this device (gfx950) prefill backend ROCM_AITER_FA may run in FP8 whatever "
            "--fp8-prefill says.");
}

// All that is said of a configuration, by whatever function.
std::string all_words(const EngineConfig& config, const Environment& env,
                      const DecodeEnvironment& decode) {
  RecordingLog output;
  Environment speaking = env;
  speaking.log = output.log;
  std::string text;
  const auto add = [&](const std::string& words) { text += words + '\n'; };
  try {
    determine_prefill_query_data_type(config, bf16, speaking);
  } catch (const PrefillQueryRefused& refused) {
    add(refused.what());
  }
  try {
    const auto plan = plan_attention_data_types(config, bf16, speaking, decode);
    log_attention_plan(plan, speaking);
    add(to_string(plan));
    add(plan.prefill_backend.hint);
  } catch (const std::runtime_error& refused) {
    add(refused.what());
  }
  const auto selection = select_prefill_backend(config, bf16, speaking);
  log_prefill_backend(selection, speaking);
  for (const auto& rejected : selection.rejected) {
    for (const Blocker& blocker : rejected.blockers) add(blocker.sentence);
  }
  const auto explanation = explain_prefill_query_data_type(config, bf16, speaking);
  add(to_string(explanation));
  for (const Blocker& blocker : explanation.blockers) add(blocker.sentence);
  for (const Remedy& remedy : explanation.remedies) add(remedy.spelling);
  for (const auto& record : output.records()) add(record.text);
  return text;
}

TEST(Spellings, NothingSpeaksOfVllmsOptions) {
  for (const char* device : all_devices) {
    for (const char* backend : {"", "FLASH_ATTN", "TRTLLM_RAGGED", "ROCM_AITER_FA"}) {
      const Platform platform = make_platform(device);
      const Environment env = spelled(make_environment(platform, vllm_prefill_backends()), own);
      const auto decode = make_decode_environment(platform, "TRITON_MLA");
      for (const KvCacheFormat& format : kv_cache_formats()) {
        for (const bool requested : {false, true}) {
          EngineConfig config = make_config(std::string(format.name), requested);
          config.attention_config.mla_prefill_backend = backend;
          for (const EngineConfig& asked : {config, required(config)}) {
            const std::string text = all_words(asked, env, decode);
            for (const char* vllms :
                 {"use_prefill_query_quantization", "mla_prefill_backend", "--kv-cache-dtype",
                  "--attention-config", "--attention-backend", "%"}) {
              EXPECT_THAT(text, Not(HasSubstr(vllms))) << device << ' ' << backend;
            }
            if (HasFailure()) return;  // one is enough to read
          }
        }
      }
    }
  }
}

TEST(Spellings, KeysOfOneJsonObjectAreGivenTogether) {
  Environment env = own_environment();
  env.spellings.request_fp8 = R"(--engine '{"fp8": true}')";
  env.spellings.prefill_backend = R"(--engine '{"prefill": "%"}')";
  EXPECT_EQ(first_remedy(make_config("fp8", false), env),
            R"(--engine '{"fp8": true, "prefill": "TRTLLM_RAGGED"}')");
  EXPECT_EQ(first_remedy(make_config("auto", false), env),
            R"(--cache=fp8 --engine '{"fp8": true, "prefill": "TRTLLM_RAGGED"}')");
  // What is set already is kept: the option is given once.
  EXPECT_EQ(first_remedy(make_config("fp8", true), env),
            R"(--engine '{"fp8": true, "prefill": "TRTLLM_RAGGED"}')");
  EngineConfig chosen = make_config("fp8", false);
  chosen.attention_config.mla_prefill_backend = "FLASHINFER";
  EXPECT_EQ(first_remedy(chosen, env), R"(--engine '{"fp8": true, "prefill": "FLASHINFER"}')");
  EXPECT_EQ(only_record(chosen, env),
            row_3_before_flag + R"(--engine '{"fp8": true}' (or, to keep what is set already: )" +
                R"(--engine '{"fp8": true, "prefill": "FLASHINFER"}'))");
  EXPECT_THAT(only_record(make_config("fp8", true), env),
              StartsWith("Unable to perform FP8 prefill attention when fp8 is enabled. Please "
                         "ensure that --cache is set to fp8 "));
  // Another option, or the same one with another syntax, is no such object.
  for (const char* other : {R"(--other '{"prefill": "%"}')", R"(--engine prefill=%)"}) {
    env.spellings.prefill_backend = other;
    std::string alone = other;
    EXPECT_EQ(first_remedy(make_config("fp8", false), env),
              R"(--engine '{"fp8": true}' )" + alone.replace(alone.find('%'), 1, "TRTLLM_RAGGED"));
  }
}

// The KV-cache dtype may be a key of the object, too.
TEST(Spellings, AllThreeKeysOfOneJsonObjectAreGivenTogether) {
  Environment env = own_environment();
  env.spellings.request_fp8 = R"(--engine '{"fp8": true}')";
  env.spellings.prefill_backend = R"(--engine '{"prefill": "%"}')";
  env.spellings.kv_cache_dtype = R"(--engine '{"kv": "%"}')";
  EXPECT_THAT(only_record(make_config("fp8", true), env),
              StartsWith("Unable to perform FP8 prefill attention when fp8 is enabled. Please "
                         "ensure that kv is set to fp8 "));
  const std::string remedy = first_remedy(make_config("auto", false), env);
  EXPECT_EQ(remedy.find("--engine"), remedy.rfind("--engine")) << "given once: " << remedy;
  EngineConfig chosen = make_config("auto", true);
  chosen.attention_config.mla_prefill_backend = "TRTLLM_RAGGED";
  const std::string kept = first_remedy(chosen, env);
  EXPECT_THAT(kept, HasSubstr(R"("fp8": true)")) << "what is set already is kept";
  EXPECT_THAT(kept, HasSubstr(R"("prefill": "TRTLLM_RAGGED")"));
}

TEST(Spellings, EmptyOnesAreInWords) {
  Environment env = spelled(own_environment(), Spellings{"", "", "", ""});
  EXPECT_THAT(only_record(make_config("auto", true), env),
              StartsWith("Unable to perform FP8 prefill attention when "
                         "use_prefill_query_quantization is enabled. Please ensure that the "
                         "KV-cache dtype is set to fp8 "));
  EXPECT_EQ(first_remedy(make_config("auto", true), env),
            "KV-cache dtype fp8 and prefill backend TRTLLM_RAGGED");
  EngineConfig chosen = make_config("fp8", false);
  chosen.attention_config.mla_prefill_backend = "FLASHINFER";
  EXPECT_EQ(only_record(chosen, env), row_3_before_flag + "use_prefill_query_quantization");
  EXPECT_EQ(explain_prefill_query_data_type(chosen, bf16, env).blockers.at(0).sentence,
            "use_prefill_query_quantization is off.");
  // One of them is enough for words between them.
  env.spellings.request_fp8 = "--fp8-prefill";
  env.spellings.kv_cache_dtype = "--cache=%";
  EXPECT_EQ(first_remedy(make_config("auto", false), env),
            "--cache=fp8 and --fp8-prefill and prefill backend TRTLLM_RAGGED");
}

TEST(Spellings, TheValueTakesThePlaceOfThePercentSign) {
  struct Case {
    const char *spelling, *option, *remedy;
  };
  for (const Case& c :
       {Case{"--cache=%", "--cache", "--cache=fp8"}, Case{"--cache %", "--cache", "--cache fp8"},
        Case{"--cache: %", "--cache", "--cache: fp8"}, Case{"--cache", "--cache", "--cache fp8"},
        Case{"cache_config: {dtype: %}", "dtype", "cache_config: {dtype: fp8}"},
        Case{"--cache=%,paged", "--cache", "--cache=fp8,paged"},
        Case{"--cache=% --scale=%", "--cache", "--cache=fp8 --scale=%"}}) {
    Environment env = own_environment("TRTLLM_RAGGED");
    env.spellings.kv_cache_dtype = c.spelling;
    const std::string record = only_record(make_config("auto", true), env);
    EXPECT_THAT(record, HasSubstr(" ensure that " + std::string(c.option) + " is set to fp8 "));
    EXPECT_THAT(record, EndsWith(" set: " + std::string(c.remedy)));
  }
}

TEST(Spellings, AKeyOfYamlIsCalledByItsName) {
  Environment env = own_environment();
  env.spellings.request_fp8 = "enable_fp8_prefill: true";
  EXPECT_THAT(only_record(make_config("fp8", true), env),
              StartsWith("Unable to perform FP8 prefill attention when enable_fp8_prefill is "));
}

// Only what is in words needs words between.
TEST(Spellings, OptionsStayACommandLineBesideOneThatIsInWords) {
  Environment env = own_environment("TRTLLM_RAGGED");
  env.spellings.prefill_backend = "";
  EXPECT_EQ(first_remedy(make_config("auto", false), env), "--cache=fp8 --fp8-prefill");
}

// An object without a place for the value is an option like any other.
TEST(Spellings, AnObjectWithoutAPlaceIsNotPutTogether) {
  Environment env = own_environment();
  env.spellings.request_fp8 = R"(--engine '{"fp8": true}')";
  env.spellings.prefill_backend = "--engine '{}'";
  EXPECT_EQ(first_remedy(make_config("fp8", false), env),
            R"(--engine '{"fp8": true}' --engine '{}' TRTLLM_RAGGED)");
}

// Then there is nothing before it to name the option by.
TEST(Spellings, ThePercentSignMayComeFirst) {
  for (const char* spelling : {"%", "% as cache"}) {
    Environment env = own_environment("TRTLLM_RAGGED");
    env.spellings.kv_cache_dtype = spelling;
    EXPECT_THAT(only_record(make_config("auto", true), env), Not(HasSubstr("ensure that  is set")));
  }
}

}  // namespace
}  // namespace mla_dtype

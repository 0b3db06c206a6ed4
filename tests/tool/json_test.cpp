// SPDX-License-Identifier: Apache-2.0

// Without it, a key that programs read could change its name, its place or its meaning.

#include <gmock/gmock.h>
#include <mla_dtype/cost_model.h>
#include <mla_dtype/engine_profile.h>

#include <string>

#include "tool/json_schema.h"
#include "tool/process.h"

namespace mla_dtype::tool {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::SizeIs;
using ::testing::StartsWith;

TEST(Tool, JsonHoldsTheExplanation) {
  const Result result =
      run("--json --device 10.0 --model-dtype float16 --prefill-backend FLASH_ATTN " + flag);
  EXPECT_EQ(result.exit_code, 0);
  const Json json = parse(result);
  EXPECT_EQ(result.out, json.dump(2) + '\n') << "two spaces";
  EXPECT_THAT(keys(json),
              ElementsAre("schema", "engine", "facts_as_of", "device", "model", "model_dtype",
                          "data_type", "outcome", "facts", "kv_cache_dtype", "prefill_backend",
                          "decode_backend", "blockers", "remedies", "nothing_helps", "hint",
                          "joint", "prediction", "payoff", "rejected_prefill_backends", "notes",
                          "log", "refused", "refusal", "run_remedies", "plan"));
  EXPECT_EQ(json.at("schema"), 2);
  EXPECT_EQ(json.at("engine"), "vllm");
  EXPECT_EQ(json.at("facts_as_of"), vllm_engine().facts_as_of);
  EXPECT_EQ(json.at("device").dump(), R"({"name":null,"capability":"sm_100"})");
  EXPECT_EQ(json.at("model").dump(),
            R"({"path":null,"model_type":null,"text_model_type":null,"qk_nope_head_dim":128,)"
            R"("qk_rope_head_dim":64,"v_head_dim":128,"kv_lora_rank":512,)"
            R"("num_attention_heads":128,"heads_of_a_rank":128,"index_topk":null})");
  EXPECT_EQ(json.at("model_dtype"), "float16");
  EXPECT_EQ(json.at("data_type"), "float16");
  EXPECT_EQ(json.at("outcome"), "request_refused");
  EXPECT_EQ(json.at("facts").dump(),
            R"({"kv_cache_quantized":false,"requested":true,"backend_supports":false})");
  EXPECT_EQ(json.at("kv_cache_dtype").dump(),
            R"({"requested":"auto","resolved":"float16","reason":"it is the model's data type"})");
  EXPECT_EQ(json.at("prefill_backend"), "FLASH_ATTN");
  EXPECT_EQ(json.at("blockers").dump(),
            R"([{"kind":"kv_cache_not_quantized","value":"auto","sentence":)"
            R"("The KV cache is not quantized: the KV-cache dtype is \"auto\"."},)"
            R"({"kind":"backend_without_fp8","value":"FLASH_ATTN","sentence":)"
            R"("Prefill backend FLASH_ATTN does not take FP8 queries."}])");
  EXPECT_THAT(keys(json.at("remedies").at(0)),
              ElementsAre("request", "cache_dtype", "prefill_backend", "decode_backend", "spelling",
                          "command"));
  EXPECT_EQ(json.at("remedies").at(0).at("request"), false);
  EXPECT_EQ(json.at("remedies").at(0).at("cache_dtype"), "fp8");
  EXPECT_EQ(json.at("remedies").at(0).at("prefill_backend"), "TRTLLM_RAGGED");
  EXPECT_EQ(json.at("nothing_helps"), nullptr);
  EXPECT_EQ(json.at("hint"), nullptr);
  EXPECT_EQ(json.at("prediction"), nullptr);
  EXPECT_EQ(json.at("payoff"), nullptr);
  EXPECT_EQ(json.at("rejected_prefill_backends"), Json::array());
  EXPECT_EQ(json.at("notes"), Json::array());
  ASSERT_THAT(json.at("log"), SizeIs(1));
  EXPECT_THAT(keys(json.at("log").at(0)), ElementsAre("level", "text"));
  EXPECT_EQ(json.at("log").at(0).at("level"), "info");
  EXPECT_EQ("[info] " + json.at("log").at(0).at("text").get<std::string>() + '\n',
            run("--device 10.0 --model-dtype float16 --prefill-backend FLASH_ATTN " + flag).err);
  EXPECT_EQ(json.at("refused"), false);
  EXPECT_EQ(json.at("refusal"), nullptr);
  EXPECT_EQ(json.at("decode_backend"), "FLASHINFER_MLA");
  EXPECT_EQ(json.at("plan").at("prefill_query").at("data_type"), "float16");
}

TEST(Tool, JsonNamesTheDeviceAndTheModel) {
  const Json json = parse(run("--json --device H200 --tensor-parallel-size 8 --model" +
                              quoted(MLA_DTYPE_CONFIGS "moonshotai--Kimi-K2.5")));
  EXPECT_EQ(json.at("device").dump(), R"({"name":"NVIDIA H200","capability":"sm_90"})");
  const Json& model = json.at("model");
  EXPECT_EQ(model.at("model_type"), "kimi_k25");
  EXPECT_EQ(model.at("text_model_type"), "kimi_k2");
  EXPECT_EQ(model.at("num_attention_heads"), 64);
  EXPECT_EQ(model.at("heads_of_a_rank"), 8);
}

// So that the check of all answers can fail.
TEST(Tool, TheSchemaRefusesWhatIsNoAnswer) {
  const Json json = parse(run("--json " + fp8_on_b200));
  const auto errors_with = [&](const char* patch) {
    Json changed = json;
    changed.merge_patch(Json::parse(patch));
    return schema_errors(changed);
  };
  EXPECT_EQ(errors_with("{}"), "");
  EXPECT_EQ(schema_errors(Json::array({json, json})), "");
  for (const char* const patch :
       {R"({"schema": 1})", R"({"schema": null})", R"({"new": 1})", R"({"refused": "no"})",
        R"({"device": {"capability": null}})", R"({"plan": {"packed": "0x12"}})",
        R"({"model": {"v_head_dim": 0}})", R"({"remedies": [{}]})", R"({"data_type": "fp8"})"}) {
    EXPECT_NE(errors_with(patch), "") << patch;
  }
}

TEST(Tool, JsonHasNullForWhatDoesNotApply) {
  const Json row3 = parse(run("--json " + fp8_on_b200));
  EXPECT_EQ(row3.at("remedies").dump(),
            R"([{"request":true,"cache_dtype":null,"prefill_backend":null,"decode_backend":null,)"
            R"("spelling":"--attention-config '{\"use_prefill_query_quantization\": true, )"
            R"(\"mla_prefill_backend\": \"TOKENSPEED_MLA\"}'","command":null}])");
  EXPECT_EQ(row3.at("log").at(0).at("level"), "warning");

  const Json nothing = parse_answer(run("--json --device none --model-dtype float32"));
  EXPECT_EQ(nothing.at("device").at("capability"), "none");
  EXPECT_EQ(nothing.at("prefill_backend"), nullptr);
  EXPECT_THAT(nothing.at("nothing_helps").get<std::string>(), StartsWith("On this device "));
  EXPECT_THAT(nothing.at("rejected_prefill_backends"), SizeIs(5));
  EXPECT_EQ(nothing.at("log"), Json::array());

  const Json automatic = parse(run("--json --kv-cache-dtype fp8 --device 10.0"));
  EXPECT_THAT(automatic.at("hint").get<std::string>(), HasSubstr("TRTLLM_RAGGED does"));
  EXPECT_THAT(automatic.at("rejected_prefill_backends"), SizeIs(1));
  const Json& rejected = automatic.at("rejected_prefill_backends").at(0);
  EXPECT_THAT(keys(rejected), ElementsAre("name", "blockers"));
  EXPECT_EQ(rejected.at("name"), "ROCM_AITER_FA");
  EXPECT_EQ(rejected.at("blockers").at(0).at("kind"), "backend_device");
}

TEST(Tool, JsonSaysWhetherWhatIsRequiredIsRefused) {
  const Result refused = run("--json --device 10.0 --prefill-query-mode required");
  EXPECT_EQ(refused.exit_code, 3);
  const Json json = parse_answer(refused);
  EXPECT_EQ(json.at("refused"), true);
  EXPECT_EQ("mla-dtype: " + json.at("refusal").get<std::string>() + '\n', refused.err);
  EXPECT_EQ(json.at("plan"), nullptr);
  EXPECT_EQ(json.at("log"), Json::array());
  EXPECT_THAT(refused.err, MatchesRegex("mla-dtype: FP8 prefill [ -~]*\n"));

  const Json met =
      parse(run("--json --device 10.0 --kv-cache-dtype fp8 --prefill-query-mode required "
                "--prefill-backend TRTLLM_RAGGED"));
  EXPECT_EQ(met.at("refused"), false);
}

TEST(Tool, JsonHoldsWhatWasMeasured) {
  const Json payoff = parse(run("--json --device B300 --kv-cache-dtype fp8 --attention-config "
                                "'{\"use_prefill_query_quantization\": true}'"))
                          .at("payoff");
  const auto* const model =
      find_prefill_cost_model("NVIDIA B300 SXM6 AC", "FLASH_ATTN", "TRTLLM_RAGGED");
  EXPECT_EQ(payoff, Json({{"device", "NVIDIA B300 SXM6 AC"},
                          {"bf16_backend", "FLASH_ATTN"},
                          {"bf16_backend_runs", true},
                          {"fp8_backend", "TRTLLM_RAGGED"},
                          {"break_even_isl", *break_even_isl(*model)},
                          {"longest_isl", 32768},
                          {"speedup_at_4096", 0.885},
                          {"source", model->source}}));
}

}  // namespace
}  // namespace mla_dtype::tool

// SPDX-License-Identifier: Apache-2.0
#include "arguments.h"

#include <fmt/format.h>
#include <mla_dtype/version.h>

#include <algorithm>
#include <limits>
#include <stdexcept>

namespace mla_dtype::tool {
namespace {

// Takes the zeros away that a number begins with, and returns what is wrong, if anything. CLI11 by
// itself takes `010` for octal, `0x10` for hexadecimal, and an empty text, as of a shell variable
// that is not set, for 0.
std::string to_decimal(std::string& text) {
  std::size_t digits = std::min(text.find_first_not_of(" \t\n\v\f\r"), text.size());
  if (digits < text.size() && (text[digits] == '+' || text[digits] == '-')) ++digits;
  if (digits == text.size() || text.find_first_not_of("0123456789", digits) != text.npos) {
    return fmt::format("\"{}\" is not accepted; accepted: a whole number, in decimal", text);
  }
  const std::size_t significant = std::min(text.find_first_not_of('0', digits), text.size() - 1);
  text.erase(digits, significant - digits);
  return {};
}

// The same for a number of tokens, which may end as vLLM reads it (vllm/utils/argparse_utils.py,
// human_readable_int): in `k` for thousand, `K` for 1,024, `m` and `M` for their squares.
std::string to_tokens(std::string& text) {
  constexpr std::size_t most_digits = 12;
  const std::string typed = text;
  const char last = text.empty() ? ' ' : text.back();
  const std::uint64_t factor = last == 'k' || last == 'm' ? 1000 : 1024;
  const bool has_unit = last == 'k' || last == 'K' || last == 'm' || last == 'M';
  if (has_unit) text.pop_back();
  const bool is_number = to_decimal(text).empty();
  if (!is_number || (has_unit && (text.front() < '0' || text.front() > '9'))) {
    return fmt::format(
        "\"{}\" is not accepted; accepted: a whole number, in decimal, or one with k "
        "(128k: 128000) or K (128K: 131072)",
        typed);
  }
  if (has_unit && text.size() <= most_digits) {
    const bool is_square = last == 'm' || last == 'M';
    text = std::to_string(std::stoull(text) * factor * (is_square ? factor : 1));
  }
  return {};
}

// Each option that takes a number is added here, so that they all read it in the same way.
template <class Number>
CLI::Option* add_number(CLI::App& app, const char* option, Number& number, const char* description,
                        std::string (*read)(std::string&) = to_decimal) {
  return app.add_option(option, number, description)
      ->transform(CLI::Validator(read, ""))
      ->capture_default_str();
}

template <class Number>
void add_positive(CLI::App& app, const char* option, Number& number, const char* description,
                  std::string (*read)(std::string&) = to_decimal) {
  add_number(app, option, number, description, read)
      ->check(CLI::Range(1, std::numeric_limits<int>::max(), "POSITIVE"));
}

// A flag that is also given as `=true` and `=false`, and no other way.
void add_switch(CLI::App& app, const char* option, bool& value, const char* description) {
  app.add_flag(option, value, description)->check(CLI::IsMember({"true", "false"}));
}

void add_model_options(CLI::App& app, Arguments& arguments) {
  app.add_option("--model", arguments.models,
                 "the model's directory, its config.json, or Mistral's params.json: dimensions, "
                 "heads, data types, with what hf_quant_config.json beside it says; given again, "
                 "as for a draft model, one answer each")
      ->allow_extra_args(false);
  app.add_option("--hf-config", arguments.hf_config, "the same, once");
  app.add_option("--model-dtype", arguments.model_dtype, "bfloat16, float16 or float32")
      ->capture_default_str();
  add_positive(app, "--qk-nope-head-dim", arguments.dimensions.qk_nope_head_dim,
               "head dimension of queries and keys without the rotary part");
  add_number(app, "--qk-rope-head-dim", arguments.dimensions.qk_rope_head_dim,
             "head dimension of the rotary part; 0: there is none")
      ->check(CLI::Range(0, std::numeric_limits<int>::max(), "NONNEGATIVE"));
  add_positive(app, "--v-head-dim", arguments.dimensions.v_head_dim, "head dimension of values");
  add_positive(app, "--kv-lora-rank", arguments.kv_lora_rank,
               "elements of the latent that stands for keys and values");
  add_positive(app, "--num-attention-heads", arguments.num_attention_heads,
               "query heads of the model");
  add_number(app, "--index-topk", arguments.index_topk,
             "tokens that sparse attention looks at; 0: dense attention")
      ->check(CLI::Range(0, std::numeric_limits<int>::max(), "NONNEGATIVE"));
  add_positive(app, "--tensor-parallel-size", arguments.tensor_parallel_size,
               "over how many ranks the heads are divided");
  app.add_option("--kv-scales", arguments.kv_scales,
                 "how the scales of a quantized KV cache came to be")
      ->check(CLI::IsMember({"unknown", "calibrated", "unit", "dynamic"}))
      ->capture_default_str();
}

void add_attention_options(CLI::App& app, Arguments& arguments) {
  app.add_option("--kv-cache-dtype", arguments.kv_cache_dtype,
                 "KV-cache dtype, as the engine spells it: auto, bfloat16, fp8, fp8_e4m3, ...")
      ->capture_default_str();
  add_switch(app, "--use-prefill-query-quantization", arguments.use_prefill_query_quantization,
             "ask for FP8 prefill queries, keys and values");
  app.add_option("--prefill-backend", arguments.prefill_backend,
                 "FLASHINFER, fa3, ... or auto: whichever the engine selects")
      ->capture_default_str();
  app.add_option("--attention-config", arguments.attention_config,
                 "the same two settings as vLLM takes them: '{\"use_prefill_query_quantization\": "
                 "true, \"mla_prefill_backend\": \"FLASHINFER\"}'");
  app.add_option("--prefill-query-mode", arguments.prefill_query_mode,
                 "required: the model cannot run without FP8 prefill queries; automatic: ask for "
                 "them if they are predicted to be faster at --expected-isl")
      ->check(CLI::IsMember({"by_flag", "required", "automatic"}))
      ->capture_default_str();
}

// What only a plan needs, and the parallelism, which the decision needs, too.
void add_plan_options(CLI::App& app, Arguments& arguments) {
  app.add_option("--decode-backend", arguments.decode_backend,
                 "FLASHMLA, FLASHINFER_MLA, ... or auto: whichever the engine selects");
  add_positive(app, "--decode-context-parallel-size", arguments.decode_context_parallel_size,
               "over how many ranks the KV cache of a sequence is spread");
  add_switch(app, "--enable-chunked-prefill", arguments.enable_chunked_prefill,
             "prefill long inputs in parts, through a workspace: on, unless =false");
  add_positive(app, "--max-num-batched-tokens", arguments.max_num_batched_tokens,
               "tokens of such a part: what is predicted then counts its cost", to_tokens);
}

void add_prediction_options(CLI::App& app, Arguments& arguments) {
  add_positive(app, "--expected-isl", arguments.expected_isl,
               "input sequence length in tokens: predict what FP8 prefill queries bring there",
               to_tokens);
  app.add_option("--cost-model", arguments.cost_model,
                 "what prefill attention costs: h100, which --device \"NVIDIA H100 80GB HBM3\" "
                 "implies; what was measured on a device with the backends that run in BF16 and in "
                 "FP8, B200:FLASH_ATTN:TRTLLM_RAGGED; or a JSON file: "
                 "'{\"bf16_tflops\": 550, \"fp8_tflops\": 780, \"quantize_ns\": 0.5}' or "
                 "'{\"curve\": [{\"isl\": 1024, \"bf16_ms\": 0.1, \"fp8_ms\": 0.13}, ...]}', with "
                 "\"dimensions\" and \"source\" if need be");
  CLI::Option* const curve =
      app.add_flag("--curve", arguments.curve,
                   "show what is predicted for ISL 256 to 131072, and from which on FP8 is faster")
          ->disable_flag_override();
  add_number(app, "--context-tokens", arguments.context_tokens,
             "with --curve: tokens before each prefill, as of chunked prefill, prefix caching",
             to_tokens)
      ->check(CLI::Range(0, std::numeric_limits<int>::max(), "NONNEGATIVE"))
      ->needs(curve);
}

void add_log_options(CLI::App& app, Arguments& arguments) {
  add_number(app, "--local-rank", arguments.rank.local_rank,
             "rank on this node; only 0 logs the decision");
  add_number(app, "--global-rank", arguments.rank.global_rank, "rank among all processes");
  app.add_option("--refused-request-level", arguments.refused_request_level,
                 "level of the record of a refused request")
      ->check(CLI::IsMember({"info", "warning"}))
      ->capture_default_str();
}

// What is shown in place of a decision depends on these options alone. Any other one that is given
// is an error: it was meant to matter.
void check_others(const CLI::App& app, const std::string& shown,
                  const std::vector<std::string>& others) {
  for (const CLI::Option* const option : app.get_options()) {
    const std::string name = option->get_name();
    const bool matters =
        name == shown || std::find(others.begin(), others.end(), name) != others.end();
    if (option->count() != 0 && !matters) {
      throw std::invalid_argument(fmt::format("{}: not together with {}", name, shown));
    }
  }
}

// The matrix is of a device and a model; it shows every choice of the rest.
void check_matrix(const CLI::App& app) {
  if (app.count("--device") == 0) throw std::invalid_argument("--matrix: needs --device");
  check_others(app, "--matrix",
               {"--engine", "--device", "--model", "--hf-config", "--model-dtype",
                "--qk-nope-head-dim", "--qk-rope-head-dim", "--v-head-dim", "--kv-lora-rank",
                "--num-attention-heads", "--index-topk", "--tensor-parallel-size", "--kv-scales",
                "--decode-context-parallel-size", "--json", "--verbose"});
}

// The curve is of a cost model and of the model's dimensions.
void check_curve(const CLI::App& app) {
  check_others(
      app, "--curve",
      {"--engine", "--device", "--model", "--hf-config", "--qk-nope-head-dim", "--qk-rope-head-dim",
       "--v-head-dim", "--num-attention-heads", "--tensor-parallel-size", "--expected-isl",
       "--cost-model", "--context-tokens", "--json", "--verbose"});
}

}  // namespace

void add_options(CLI::App& app, Arguments& arguments) {
  app.add_option("--engine", arguments.engine,
                 "vllm, tensorrt-llm or sglang; by default that of the command line behind --")
      ->capture_default_str();
  app.add_option("--device", arguments.device,
                 "H200, NVIDIA B300, MI300X, 10.3, sm_103, compute_103, gfx942, ... or none")
      ->capture_default_str();
  add_model_options(app, arguments);
  add_attention_options(app, arguments);
  add_prediction_options(app, arguments);
  add_plan_options(app, arguments);
  add_log_options(app, arguments);
  app.add_flag("--matrix", arguments.matrix,
               "show which backends take FP8 queries on the device, with which KV-cache dtypes")
      ->disable_flag_override();
  app.add_flag("--json", arguments.json, "one JSON object on stdout, with the log records in it")
      ->disable_flag_override();
  app.add_flag("--verbose", arguments.verbose, "name what is ignored of the engine's command line")
      ->disable_flag_override();
  app.set_version_flag("--version", fmt::format("mla-dtype {}.{}.{}", MLA_DTYPE_VERSION_MAJOR,
                                                MLA_DTYPE_VERSION_MINOR, MLA_DTYPE_VERSION_PATCH));
  app.footer(
      "Behind -- the engine's own command line is read, as it stands:\n"
      "  mla-dtype --device H200 -- vllm serve /models/DeepSeek-R1 -tp 8 --kv-cache-dtype fp8\n"
      "\n"
      "Exits with\n"
      "  0  answered, whatever the answer\n"
      "  1  the output cannot be written\n"
      "  2  bad arguments, or a model that is not covered\n"
      "  3  refused: FP8 prefill queries are required (--prefill-query-mode) and not possible,\n"
      "     or no kernel can run the plan");
}

void check_combination(const CLI::App& app, const Arguments& arguments) {
  if (arguments.matrix) check_matrix(app);
  if (arguments.curve) check_curve(app);
}

}  // namespace mla_dtype::tool

// SPDX-License-Identifier: Apache-2.0
#include "answer.h"

#include <fmt/format.h>

#include <algorithm>

#include "from.h"

namespace mla_dtype::tool {
namespace {

AttentionPlan make_plan(const EngineConfig& config, const Question& question,
                        const Environment& env) {
  return plan_attention_data_types(config, question.model_dtype, env,
                                   make_decode_environment(question.platform, question.engine,
                                                           nullptr, question.decode_backend));
}

// What prefill alone would advise, without what would be refused for the same reason.
void keep_what_helps(const Environment& env, Report& report) {
  std::vector<Remedy>& remedies = report.explanation.remedies;
  const auto is_refused = [&](const Remedy& remedy) {
    EngineConfig config = report.question.config;
    AttentionConfig& attention = config.attention_config;
    attention.use_prefill_query_quantization |= remedy.request;
    if (!remedy.cache_dtype.empty()) config.cache_config.cache_dtype = remedy.cache_dtype;
    if (!remedy.prefill_backend.empty()) attention.mla_prefill_backend = remedy.prefill_backend;
    try {
      static_cast<void>(make_plan(config, report.question, env));
      return false;
    } catch (const AttentionPlanRefused&) {
      return true;
    }
  };
  remedies.erase(std::remove_if(remedies.begin(), remedies.end(), is_refused), remedies.end());
  report.explanation.hint.clear();
  report.selection.hint.clear();
}

// Of an engine that was read in part, no kernel here is not no kernel.
std::string what_is_not_known(const Question& question) {
  if (question.engine_name == "vllm") return {};
  return fmt::format("; of {} not all was read (see facts as of), and what was not may run this",
                     question.engine.name);
}

// Plans as an engine does at init, which logs, and adds to the report what comes of it.
void plan(const Environment& env, Report& report) {
  try {
    report.plan = make_plan(report.question.config, report.question, env);
    report.explanation = report.plan->prefill;
    report.selection = report.plan->prefill_backend;
    report.decode_backend = report.plan->decode_backend;
    log_attention_plan(*report.plan, env);
  } catch (const PrefillQueryRefused& refused) {
    // A plan needs more, and has more reasons.
    report.explanation = refused.explanation();
    report.refusal = refused.what();
  } catch (const AttentionPlanRefused& refused) {
    keep_what_helps(env, report);
    report.refusal = refused.what() + what_is_not_known(report.question);
    report.run_remedies = refused.remedies();
  }
}

Environment environment_of(const Question& question, const EngineProfile& engine) {
  Environment env = make_environment(question.platform, engine);
  env.device_name = question.device_name;
  if (question.cost_model) {
    env.predict_prefill_speedup = make_prefill_speedup_predictor(*question.cost_model);
  }
  return env;
}

Environment environment_with_log(const Question& question, const Arguments& arguments,
                                 std::vector<LogRecord>& log) {
  Environment env = environment_of(question, question.engine);
  env.refused_request_level =
      arguments.refused_request_level == "warning" ? LogLevel::warning : LogLevel::info;
  const auto write = [&log](LogLevel level, std::string_view text) {
    log.push_back({level, std::string(text)});
  };
  env.log = from("--local-rank, --global-rank",
                 [&] { return std::make_shared<OnceLog>(write, arguments.rank); });
  return env;
}

// Of an engine that selects the backend without a look at the flag.
void add_joint_selection(Report& report) {
  const Question& question = report.question;
  if (question.engine_name != "vllm") return;
  EngineProfile joint = question.engine;
  joint.selection = BackendSelection::first_with_fp8;
  auto explanation = explain_prefill_query_data_type(question.config, question.model_dtype,
                                                     environment_of(question, joint));
  if (explanation.data_type == report.explanation.data_type) return;
  report.joint = std::move(explanation);
}

}  // namespace

Report answer(const Question& question, const Arguments& arguments, const CommandLine& command) {
  Report report;
  report.question = question;
  const Environment env = environment_with_log(question, arguments, report.log);
  const EngineConfig& config = question.config;
  report.explanation = explain_prefill_query_data_type(config, question.model_dtype, env);
  report.selection = select_prefill_backend(config, question.model_dtype, env);
  if (question.cost_model) report.break_even = make_break_even(*question.cost_model, config);
  plan(env, report);
  add_joint_selection(report);
  for (const auto* const remedies : {&report.explanation.remedies, &report.run_remedies}) {
    for (const Remedy& remedy : *remedies) {
      report.commands.push_back(changed(command, remedy.spelling));
    }
  }
  return report;
}

}  // namespace mla_dtype::tool

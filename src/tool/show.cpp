// SPDX-License-Identifier: Apache-2.0
#include "show.h"

#include <fmt/format.h>
#include <mla_dtype/attention_plan.h>
#include <mla_dtype/decode_backend.h>
#include <mla_dtype/once_log.h>
#include <mla_dtype/prefill_backend.h>
#include <mla_dtype/prefill_query.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "curve.h"
#include "from.h"
#include "matrix.h"
#include "message.h"
#include "report.h"

namespace mla_dtype::tool {
namespace {

// What prefill alone would advise, without what would be refused for the same reason.
void keep_what_helps(const Question& question, const Environment& env, Report& report) {
  std::vector<Remedy>& remedies = report.explanation.remedies;
  const auto is_refused = [&](const Remedy& remedy) {
    EngineConfig config = question.config;
    AttentionConfig& attention = config.attention_config;
    attention.use_prefill_query_quantization |= remedy.request;
    if (!remedy.cache_dtype.empty()) config.cache_config.cache_dtype = remedy.cache_dtype;
    if (!remedy.prefill_backend.empty()) attention.mla_prefill_backend = remedy.prefill_backend;
    try {
      static_cast<void>(plan_attention_data_types(
          config, question.model_dtype, env,
          make_decode_environment(question.platform, *question.decode_backend)));
      return false;
    } catch (const AttentionPlanRefused&) {
      return true;
    }
  };
  remedies.erase(std::remove_if(remedies.begin(), remedies.end(), is_refused), remedies.end());
  report.explanation.hint.clear();
  report.selection.hint.clear();
}

// Decides as an engine does at init, which logs, and adds to the report what comes of it. Returns
// why it is refused; empty: it is not.
std::string decide(const Question& question, const Environment& env, Report& report) {
  const auto& [platform, device_name, model_dtype, config, decode_backend, cost_model, notes] =
      question;
  try {
    if (!decode_backend) {
      determine_prefill_query_data_type(config, model_dtype, env);
      return {};
    }
    report.plan = plan_attention_data_types(config, model_dtype, env,
                                            make_decode_environment(platform, *decode_backend));
    report.explanation = report.plan->prefill;
    report.selection = report.plan->prefill_backend;
    log_attention_plan(*report.plan, env);
    return {};
  } catch (const PrefillQueryRefused& refused) {
    // A plan needs more, and has more reasons.
    if (decode_backend) report.explanation = refused.explanation();
    report.refused = true;
    return refused.what();
  } catch (const AttentionPlanRefused& refused) {
    keep_what_helps(question, env, report);
    report.refused = true;
    return refused.what();
  }
}

Environment environment_for(const Question& question, const Arguments& arguments,
                            std::vector<LogRecord>& log) {
  Environment env =
      make_environment(question.platform, backends_for(question.config.attention_config));
  env.device_name = question.device_name;
  if (question.cost_model) {
    env.predict_prefill_speedup = make_prefill_speedup_predictor(*question.cost_model);
  }
  env.refused_request_level =
      arguments.refused_request_level == "warning" ? LogLevel::warning : LogLevel::info;
  const auto write = [&log](LogLevel level, std::string_view text) {
    log.push_back({level, std::string(text)});
  };
  env.log = from("--local-rank, --global-rank",
                 [&] { return std::make_shared<OnceLog>(write, arguments.rank); });
  return env;
}

int show_decision(const Question& question, const Arguments& arguments) {
  const auto& [platform, device_name, model_dtype, config, decode_backend, cost_model, notes] =
      question;
  std::vector<LogRecord> log;
  const Environment env = environment_for(question, arguments, log);

  Report report{platform,
                model_dtype,
                explain_prefill_query_data_type(config, model_dtype, env),
                select_prefill_backend(config, model_dtype, env),
                /*break_even=*/{},
                /*log=*/{},
                /*refused=*/false,
                /*plan=*/{}};
  if (cost_model) {
    report.break_even = make_break_even(*cost_model, config);
  }
  const std::string refusal = decide(question, env, report);
  report.log = log;

  for (const std::string& note : notes) say(note);
  fmt::print("{}", arguments.json ? to_json(report) : to_text(report));
  std::fflush(stdout);  // before the records, also where both go to the same file
  if (!arguments.json) {
    for (const auto& [level, text] : report.log) {
      fmt::print(stderr, "[{}] {}\n", name_of(level), text);
    }
  }
  if (report.refused) say(refusal);
  return report.refused ? 3 : 0;
}

int show_matrix(const Question& question, const Arguments& arguments) {
  const auto matrix = make_matrix(question.config, question.model_dtype, question.platform);
  fmt::print("{}", arguments.json ? to_json(matrix) : to_text(matrix));
  return 0;
}

int show_curve(const Question& question, const Arguments& arguments) {
  const auto curve = make_curve(*question.cost_model, question.config, arguments.context_tokens);
  for (const std::string& note : question.notes) say(note);
  fmt::print("{}", arguments.json ? to_json(curve) : to_text(curve));
  return 0;
}

}  // namespace

int show(const Question& question, const Arguments& arguments) {
  if (arguments.matrix) return show_matrix(question, arguments);
  return arguments.curve ? show_curve(question, arguments) : show_decision(question, arguments);
}

}  // namespace mla_dtype::tool

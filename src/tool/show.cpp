// SPDX-License-Identifier: Apache-2.0
#include "show.h"

#include <fmt/format.h>

#include <cstdio>

#include "answer.h"
#include "curve.h"
#include "matrix.h"
#include "message.h"
#include "shell.h"

namespace mla_dtype::tool {
namespace {

// What is shown of a question, and what follows it on stderr.
struct Shown {
  std::string text;
  OrderedJson json;
  std::vector<LogRecord> log;
  std::string refusal;
};

Shown shown(const Question& question, const Arguments& arguments, const CommandLine& command) {
  if (arguments.matrix) {
    const Matrix matrix = make_matrix(question);
    return {to_text(matrix), to_json(matrix, question), {}, {}};
  }
  if (arguments.curve) {
    const Curve curve = make_curve(*question.cost_model, question.config, arguments.context_tokens);
    return {to_text(curve), to_json(curve), {}, {}};
  }
  const Report report = answer(question, arguments, command);
  return {to_text(report), to_json(report), report.log, report.refusal};
}

void say_what_is_ignored(const CommandLine& command) {
  for (const CommandLine::Item& item : command.items) {
    if (item.setting.empty()) say("ignored: " + shell_line(item.words));
  }
}

}  // namespace

int show(const std::vector<Question>& questions, const Arguments& arguments,
         const CommandLine& command) {
  for (const std::string& note : command.notes) say(note);
  if (arguments.verbose) say_what_is_ignored(command);
  OrderedJson all = OrderedJson::array();
  int exit_code = 0;
  for (const Question& question : questions) {
    const Shown answer = shown(question, arguments, command);
    for (const std::string& note : question.notes) say(note);
    if (arguments.json) {
      all.push_back(answer.json);
    } else {
      if (questions.size() > 1) fmt::print("== {}\n", in_plain(question.model_path));
      fmt::print("{}{}", answer.text, &question == &questions.back() ? "" : "\n");
      std::fflush(stdout);  // before the records, also where both go to the same file
      for (const auto& [level, text] : answer.log) {
        fmt::print(stderr, "[{}] {}\n", name_of(level), text);
      }
    }
    if (!answer.refusal.empty()) {
      say(answer.refusal);
      exit_code = 3;
    }
  }
  if (arguments.json) fmt::print("{}", to_document(all.size() == 1 ? all[0] : all));
  return exit_code;
}

}  // namespace mla_dtype::tool

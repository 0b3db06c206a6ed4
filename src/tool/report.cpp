// SPDX-License-Identifier: Apache-2.0
#include "report.h"

#include <fmt/format.h>

#include <algorithm>

#include "message.h"
#include "model.h"

namespace mla_dtype::tool {
namespace {

bool runs_on_device(const RejectedPrefillBackend& backend) {
  return std::none_of(backend.blockers.begin(), backend.blockers.end(), [](const Blocker& blocker) {
    return blocker.kind == BlockerKind::backend_device;
  });
}

// The explanation's lines, with each remedy as a command to copy where there is a command.
std::string explanation_text(const Report& report) {
  PrefillQueryExplanation shown = report.explanation;
  for (std::size_t i = 0; i < shown.remedies.size(); ++i) {
    if (!report.commands[i].empty()) shown.remedies[i].spelling = report.commands[i];
  }
  return to_string(shown) + '\n';
}

bool is_for_other_models(const std::string& name, const Question& question) {
  const auto& rows = question.engine.prefill_backends;
  return std::any_of(rows.begin(), rows.end(), [&](const PrefillBackend& row) {
    return row.name == name && row.sparse && question.config.index_topk == 0;
  });
}

// A line for each backend that an automatic selection did not take, though it runs on the device.
void append_rejected(std::string& text, const Report& report) {
  if (!report.selection.chosen.empty()) return;
  for (const RejectedPrefillBackend& backend : report.selection.rejected) {
    if (!runs_on_device(backend) || is_for_other_models(backend.name, report.question)) continue;
    text += fmt::format("rejected: {}:", backend.name);
    for (const Blocker& blocker : backend.blockers) text += ' ' + blocker.sentence;
    text += '\n';
  }
}

// What would let it run, which the refusal names, as commands to copy.
void append_run_remedies(std::string& text, const Report& report) {
  for (std::size_t i = 0; i < report.run_remedies.size(); ++i) {
    const std::string& command = report.commands[report.explanation.remedies.size() + i];
    text +=
        fmt::format("to run: {}\n", command.empty() ? report.run_remedies[i].spelling : command);
  }
}

void append_joint(std::string& text, const Report& report) {
  if (!report.joint) return;
  text += fmt::format(
      "joint selection: {} with {}. {} selects the backend without a look at the flag; an engine "
      "that links mla_dtype may select both together.\n",
      to_string(report.joint->data_type), report.joint->prefill_backend,
      report.question.engine.name);
}

void append_subject(std::string& text, const Report& report) {
  const Question& question = report.question;
  text += fmt::format("engine: {}, facts as of {}\n", question.engine.name,
                      question.engine.facts_as_of);
  text += question.device_name.empty()
              ? fmt::format("device: {}\n", to_string(question.platform))
              : fmt::format("device: {} ({})\n", in_plain(question.device_name),
                            to_string(question.platform));
  text += fmt::format("model: {}\n", describe_model(question));
  if (!report.decode_backend.empty()) {
    text += fmt::format("decode backend: {}\n", report.decode_backend);
  }
}

}  // namespace

std::string to_text(const Report& report) {
  std::string text = explanation_text(report);
  append_run_remedies(text, report);
  if (report.explanation.prediction) append_break_even(text, *report.break_even);
  append_rejected(text, report);
  append_joint(text, report);
  append_subject(text, report);
  if (report.plan) text += '\n' + to_string(*report.plan) + '\n';
  return text;
}

}  // namespace mla_dtype::tool

// SPDX-License-Identifier: Apache-2.0

// mla-dtype: what would my engine do, and why? Prints the decision with its reasons and the plan on
// stdout, and its log records on stderr. Exits with
//   0, or
//   1 if the output cannot be written,
//   2 for bad arguments, and for a model that is not covered,
//   3 if FP8 prefill queries are required and not possible, or no kernel can run the plan.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <exception>
#include <iterator>

#include "arguments.h"
#include "command_line.h"
#include "from.h"
#include "message.h"
#include "question.h"
#include "show.h"

namespace {

using namespace mla_dtype;

using Words = std::vector<std::string>;

int fail(const std::string& text, int exit_code) {
  tool::say(text);
  return exit_code;
}

// What stands behind `--`, which it takes away.
Words take_command(Words& words) {
  const auto own = static_cast<std::size_t>(
      std::distance(words.begin(), std::find(words.begin(), words.end(), "--")));
  if (own == words.size()) return {};
  Words command;
  for (std::size_t i = own + 1; i < words.size(); ++i) command.push_back(words[i]);
  if (command.empty()) throw std::invalid_argument("--: the engine's command line is missing");
  words.resize(own);
  return command;
}

bool gives(const Words& words, const std::string& option) {
  return std::any_of(words.begin(), words.end(), [&](const std::string& word) {
    return word == option || word.rfind(option + '=', 0) == 0;
  });
}

// The command's settings, as if they had been given as options. A model's name on a hub is no file,
// so one that is named before `--` takes its place.
void add_settings(const tool::CommandLine& command, Words& words) {
  if (command.engine == nullptr) return;
  const bool names_model = gives(words, "--model") || gives(words, "--hf-config");
  for (const auto& [option, value] : command.settings) {
    if (option == "--model" && names_model) continue;
    if (gives(words, option)) {
      throw std::invalid_argument(option +
                                  ": given before -- and in the command line; once is enough");
    }
    words.push_back(fmt::format("{}={}", option, value));
  }
  const std::string engine(command.engine->name);
  if (!gives(words, "--engine")) words.push_back("--engine=" + engine);
}

void check_engine(const tool::CommandLine& command, const tool::Arguments& arguments) {
  if (command.engine == nullptr ||
      command.engine == &tool::from("--engine", [&]() -> const tool::Engine& {
        return tool::find_engine(arguments.engine);
      })) {
    return;
  }
  throw std::invalid_argument("--engine says " + arguments.engine +
                              ", and the command line is of " + std::string(command.engine->name));
}

int run(CLI::App& app, Words words) {
  tool::Arguments arguments;
  tool::add_options(app, arguments);
  const tool::CommandLine command = tool::read_command_line(take_command(words));
  add_settings(command, words);
  std::reverse(words.begin(), words.end());  // as CLI11 takes them
  app.parse(words);
  check_engine(command, arguments);
  tool::check_combination(app, arguments);
  std::vector<tool::Question> questions;
  for (const tool::ModelName& model : tool::named_models(arguments)) {
    questions.push_back(tool::read_question(app, arguments, model));
  }
  return tool::show(questions, arguments, command);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    CLI::App app(
        "Tells which data type the prefill queries, keys and values of Multi-head Latent "
        "Attention get from an engine, and why, and every other data type of it.",
        "mla-dtype");
    int exit_code = 0;
    try {
      exit_code = run(app, {argv + std::min(argc, 1), argv + argc});
    } catch (const CLI::Success& help_or_version) {
      app.exit(help_or_version);
    }
    const bool written = std::fflush(stdout) == 0 && !std::ferror(stdout) && !std::ferror(stderr);
    return written ? exit_code : 1;
  } catch (const CLI::ExtrasError& error) {
    return fail(std::string(error.what()) + " (an engine's command line goes behind --)", 2);
  } catch (const CLI::ParseError& error) {
    return fail(error.what(), 2);
  } catch (const std::invalid_argument& error) {
    return fail(error.what(), 2);
  } catch (const std::exception& error) {
    return fail(error.what(), 1);
  }
}

// SPDX-License-Identifier: Apache-2.0

// mla-dtype: what would my engine do, and why? Prints the decision with its reasons on stdout, for
// a decode backend with the whole plan, and its log records on stderr. Exits with
//   0, or
//   1 if the output cannot be written,
//   2 for bad arguments,
//   3 if FP8 prefill queries are required and not possible, or no kernel can run the plan.

#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <stdexcept>
#include <string>

#include "arguments.h"
#include "message.h"
#include "question.h"
#include "show.h"

namespace {

using namespace mla_dtype;

int fail(const std::string& text, int exit_code) {
  tool::say(text);
  return exit_code;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    tool::Arguments arguments;
    CLI::App app(
        "Tells which data type the prefill queries, keys and values of Multi-head Latent "
        "Attention get, and why; with --decode-backend, every data type of it.",
        "mla-dtype");
    tool::add_options(app, arguments);
    int exit_code = 0;
    try {
      app.parse(argc, argv);
      exit_code = tool::show(tool::read_question(app, arguments), arguments);
    } catch (const CLI::Success& help_or_version) {
      app.exit(help_or_version);
    }
    const bool written = std::fflush(stdout) == 0 && !std::ferror(stdout) && !std::ferror(stderr);
    return written ? exit_code : 1;
  } catch (const CLI::ParseError& error) {
    return fail(error.what(), 2);
  } catch (const std::invalid_argument& error) {
    return fail(error.what(), 2);
  } catch (const std::exception& error) {
    return fail(error.what(), 1);
  }
}

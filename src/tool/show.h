// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "arguments.h"
#include "command_line.h"
#include "question.h"

namespace mla_dtype::tool {

/// Prints an answer for each question on stdout, notes and log records on stderr. Returns the exit
/// code: 0, or 3 where one is refused.
int show(const std::vector<Question>& questions, const Arguments& arguments,
         const CommandLine& command);

}  // namespace mla_dtype::tool

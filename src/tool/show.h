// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "arguments.h"
#include "question.h"

namespace mla_dtype::tool {

/// Prints the answer on stdout, notes and log records on stderr. Returns the exit code: 0, or 3 for
/// what is refused.
int show(const Question& question, const Arguments& arguments);

}  // namespace mla_dtype::tool

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "arguments.h"
#include "command_line.h"
#include "report.h"

namespace mla_dtype::tool {

/// Decides as the engine does at init, and gathers what goes with it.
Report answer(const Question& question, const Arguments& arguments, const CommandLine& command);

}  // namespace mla_dtype::tool

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "arguments.h"
#include "question.h"

namespace mla_dtype::tool {

/// Finds the cost model that the arguments name or imply, once the rest of the question is read.
void read_prediction(const CLI::App& app, const Arguments& arguments, Question& question);

}  // namespace mla_dtype::tool

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "arguments.h"
#include "question.h"

namespace mla_dtype::tool {

/// Reads the model into the question: as its files have it, unless an option says otherwise.
void read_model(const CLI::App& app, const Arguments& arguments, const ModelName& name,
                Question& question);

/// The model that the answer is about, in a line.
std::string describe_model(const Question& question);

}  // namespace mla_dtype::tool

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace mla_dtype::tool {

/// The text as one line of plain ASCII, whatever it holds.
std::string in_plain(std::string text);

/// A line on stderr, whatever the arguments held.
void say(const std::string& text);

}  // namespace mla_dtype::tool

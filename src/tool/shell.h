// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

namespace mla_dtype::tool {

/// The words as one line that a POSIX shell reads as these words. An assignment that the line
/// begins with stays one.
std::string shell_line(const std::vector<std::string>& words);

/// The words of a line as a shell has them, without what it would put in for `$` and the like.
std::vector<std::string> shell_words(const std::string& line);

}  // namespace mla_dtype::tool

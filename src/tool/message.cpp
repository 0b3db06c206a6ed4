// SPDX-License-Identifier: Apache-2.0
#include "message.h"

#include <cstdio>

namespace mla_dtype::tool {

std::string in_plain(std::string text) {
  for (char& c : text) {
    if (c < ' ' || c > '~') c = '?';
  }
  return text;
}

void say(const std::string& text) {
  std::fprintf(stderr, "mla-dtype: %s\n", in_plain(text).c_str());
}

}  // namespace mla_dtype::tool

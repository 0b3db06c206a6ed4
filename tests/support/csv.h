// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <string>
#include <vector>

namespace mla_dtype::testing {

inline std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> result;
  std::istringstream parts(text);
  for (std::string part; std::getline(parts, part, separator);) result.push_back(part);
  return result;
}

/// The fields of each row of a file that begins with this line.
inline std::vector<std::vector<std::string>> read_csv(const std::string& path,
                                                      const std::string& first_line) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  EXPECT_EQ(line, first_line);
  std::vector<std::vector<std::string>> rows;
  while (std::getline(file, line)) rows.push_back(split(line, ','));
  return rows;
}

}  // namespace mla_dtype::testing

// SPDX-License-Identifier: Apache-2.0
#include <mla_dtype/nearest_name.h>

#include <algorithm>
#include <array>
#include <numeric>
#include <string>

namespace mla_dtype {
namespace {

constexpr std::size_t max_value_bytes = 64;
constexpr std::string_view separators = "_-. ";

std::string in_lower_case(std::string_view text) {
  std::string result(text);
  for (char& c : result) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return result;
}

// The name as people mean it: in lower case, without separators, and `float` as short as KV-cache
// dtypes have it, so that `BF16` is near to `bfloat16` and `float8` to `fp8`.
std::string canonical(std::string_view name) {
  std::string result;
  for (const char c : in_lower_case(name)) {
    if (separators.find(c) == separators.npos) result += c;
  }
  if (const auto at = result.find("float"); at != std::string::npos) {
    result.replace(at, 5, at == 0 ? "fp" : "f");
  }
  return result;
}

// Whether the value is the name, which is canonical, and further words.
bool adds_words(std::string_view value, std::string_view known) {
  const std::string_view words = value.substr(0, value.find_last_not_of(separators) + 1);
  for (std::size_t i = 0; i < words.size(); ++i) {
    const bool is_end = separators.find(words[i]) != separators.npos;
    if (is_end && canonical(words.substr(0, i)) == known) return true;
  }
  return false;
}

// Levenshtein's distance. `b` has at most max_value_bytes.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::array<std::size_t, max_value_bytes + 1> row;
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i + 1;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t substituted = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({row[j] + 1, row[j + 1] + 1, substituted});
    }
  }
  return row[b.size()];
}

}  // namespace

std::string_view nearest_name(std::string_view value, const std::vector<std::string_view>& names,
                              std::size_t max_errors) {
  if (value.size() > max_value_bytes) return {};
  const bool counts_errors_alone = max_errors != std::string_view::npos;
  const auto as_compared = counts_errors_alone ? in_lower_case : canonical;
  const std::string meant = as_compared(value);
  if (meant.size() < 2) return {};
  std::string_view best;
  std::string_view longer;   // the first that begins with it
  std::string_view shorter;  // the longest that it begins with
  std::size_t best_distance = std::string_view::npos;
  for (const std::string_view name : names) {
    const std::string known = as_compared(name);
    if (longer.empty() && known.rfind(meant, 0) == 0) longer = name;
    if (!counts_errors_alone && adds_words(value, known)) continue;
    if (meant.rfind(known, 0) == 0 && name.size() > shorter.size()) shorter = name;
    const std::size_t distance = edit_distance(known, meant);
    if (distance <= std::min(max_errors, known.size() / 3) && distance < best_distance) {
      best = name;
      best_distance = distance;
    }
  }
  if (!best.empty() || counts_errors_alone) return best;
  return longer.empty() ? shorter : longer;
}

}  // namespace mla_dtype

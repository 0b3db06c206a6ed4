// SPDX-License-Identifier: Apache-2.0
#include <array>

#include "words/prefill_query.h"

namespace mla_dtype::detail {
namespace {

constexpr std::string_view object_begin = "'{";
constexpr std::string_view object_end = "}'";

// What stands before the value, or of keys (`"key": %`, `key: %`) the last one; `in_words` if
// nothing.
std::string_view name_in(std::string_view spelling, std::string_view in_words) {
  constexpr std::string_view around_a_key = " \"'{,";
  std::string_view name = spelling.substr(0, spelling.find('%'));
  const std::size_t colon = name.rfind(':');
  if (colon != name.npos && colon != 0) {
    name = name.substr(0, name.find_last_not_of(around_a_key, colon - 1) + 1);
    name.remove_prefix(name.find_last_of(around_a_key) + 1);
  }
  name = name.substr(0, name.find_last_not_of(" =") + 1);
  return name.empty() ? in_words : name;
}

// With the value in its place, or else behind it. Without a spelling: in words.
std::string with_value(const std::string& spelling, std::string_view in_words,
                       std::string_view value) {
  std::string text = spelling.empty() ? std::string(in_words) + " %" : spelling;
  const std::size_t place = text.find('%');
  if (place == text.npos) return text.append(" ").append(value);
  return text.replace(place, 1, value);
}

// Of `--option '{"key": true}'` what stands before the first key; empty for another form.
std::string_view option_of(std::string_view spelling) {
  const std::size_t begin = spelling.find(object_begin);
  const bool is_object = begin != spelling.npos && spelling.size() >= object_end.size() &&
                         spelling.substr(spelling.size() - object_end.size()) == object_end;
  return is_object ? spelling.substr(0, begin + object_begin.size()) : std::string_view();
}

// One option is given once, with both keys.
std::string merged(const std::string& a, const std::string& b) {
  return a.substr(0, a.size() - object_end.size()) + ", " + b.substr(option_of(b).size());
}

// A setting; its text is as if it were given.
struct Part {
  bool is_changed, is_kept, in_words;
  std::string text;
  std::string option = std::string(option_of(text));
};
using Parts = std::array<Part, 3>;

Parts make_parts(const Spellings& spellings, const Settings& changes, const Settings& kept) {
  const auto part = [](const std::string& spelling, std::string_view in_words,
                       std::string_view changed, std::string_view before) {
    return Part{!changed.empty(), !before.empty(), spelling.empty(),
                with_value(spelling, in_words, changed.empty() ? before : changed)};
  };
  const std::string& flag = spellings.request_fp8;
  const std::string request(flag.empty() ? flag_name(spellings) : flag);
  return {{part(spellings.kv_cache_dtype, "KV-cache dtype", changes.kv_cache_dtype,
                kept.kv_cache_dtype),
           Part{changes.request_fp8, kept.request_fp8, flag.empty(), request},
           part(spellings.prefill_backend, "prefill backend", changes.prefill_backend,
                kept.prefill_backend)}};
}

}  // namespace

std::string_view flag_name(const Spellings& spellings) {
  return name_in(spellings.request_fp8, "use_prefill_query_quantization");
}

std::string_view kv_cache_option(const Spellings& spellings) {
  return name_in(spellings.kv_cache_dtype, "the KV-cache dtype");
}

std::string spell(const Spellings& spellings, const Settings& changes, const Settings& kept) {
  Parts parts = make_parts(spellings, changes, kept);
  for (Part& part : parts) {
    bool is_given = part.is_changed;
    Part* first = &part;  // that gives the option
    for (Part& other : parts) {
      if (part.option.empty() || other.option != part.option) continue;
      is_given = is_given || (other.is_changed && part.is_kept);
      if (&other < &part && !other.text.empty()) first = &other;
    }
    if (is_given && first == &part) continue;
    if (is_given) first->text = merged(first->text, part.text);
    part.text.clear();
  }
  std::string text;
  bool in_words = false;
  for (const Part& part : parts) in_words = in_words || (part.in_words && !part.text.empty());
  for (const Part& part : parts) {
    if (!text.empty() && !part.text.empty()) text += in_words ? " and " : " ";
    text += part.text;
  }
  return text;
}

}  // namespace mla_dtype::detail

// SPDX-License-Identifier: Apache-2.0
#include "words/form.h"
#include "words/sentences.h"

namespace mla_dtype::detail {
namespace {

constexpr std::string_view object_begin = "'{";
constexpr std::string_view object_end = "}'";

// What stands before the value, or of keys (`"key": %`, `key: %`) the last one; else `in_words`.
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
  const bool is_object =
      begin != spelling.npos && spelling.rfind(object_end) == spelling.size() - object_end.size();
  return is_object ? spelling.substr(0, begin + object_begin.size()) : std::string_view();
}

// An option to give, with all keys that it sets.
struct Option {
  std::string text;
  bool is_changed, in_words;
};

void add(std::vector<Option>& options, const Option& setting) {
  const std::string_view name = option_of(setting.text);
  const auto same = std::find_if(options.begin(), options.end(), [&](const Option& option) {
    return !name.empty() && option_of(option.text) == name;
  });
  if (same == options.end()) return options.push_back(setting);
  // One option is given once, with both keys.
  same->text.resize(same->text.size() - object_end.size());
  same->text += ", " + setting.text.substr(name.size());
  same->is_changed = same->is_changed || setting.is_changed;
}

}  // namespace

std::string_view flag_name(const Spellings& spellings) {
  return name_in(spellings.request_fp8, "use_prefill_query_quantization");
}

std::string_view kv_cache_option(const Spellings& spellings) {
  return name_in(spellings.kv_cache_dtype, "the KV-cache dtype");
}

std::string spell(const Spellings& spellings, const Remedy& changes, const Remedy& kept) {
  std::vector<Option> options;
  const auto add_value = [&](const std::string& spelling, std::string_view in_words,
                             std::string_view changed, std::string_view before) {
    const std::string_view value = changed.empty() ? before : changed;
    if (value.empty()) return;
    add(options, {with_value(spelling, in_words, value), !changed.empty(), spelling.empty()});
  };
  add_value(spellings.kv_cache_dtype, "KV-cache dtype", changes.cache_dtype, kept.cache_dtype);
  if (changes.request || kept.request) {
    const std::string& flag = spellings.request_fp8;
    add(options,
        {flag.empty() ? std::string(flag_name(spellings)) : flag, changes.request, flag.empty()});
  }
  add_value(spellings.prefill_backend, "prefill backend", changes.prefill_backend,
            kept.prefill_backend);
  add_value(spellings.decode_backend, "decode backend", changes.decode_backend,
            kept.decode_backend);
  std::vector<std::string_view> given;  // what is kept alone is not
  bool in_words = false;
  for (const Option& option : options) {
    if (!option.is_changed) continue;
    given.push_back(option.text);
    in_words = in_words || option.in_words;
  }
  return join(given, in_words ? " and " : " ");
}

}  // namespace mla_dtype::detail

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mla_dtype/data_type.h>
#include <mla_dtype/engine_profile.h>
#include <mla_dtype/kv_cache.h>
#include <mla_dtype/platform.h>

#include <algorithm>
#include <cstddef>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

namespace mla_dtype::testing {

/// Each distinct sentence of what it is told, and where it was said. What varies without making
/// another sentence is a placeholder: `{backend}`, `{device}`, `{type}`, `{kv_cache}`,
/// `{dimensions}`, `{setting}`, `{n}`.
class Sentences {
 public:
  Sentences() {
    for (const auto& profile : {vllm_engine(), tensorrt_llm_engine(), sglang_engine()}) {
      for (const PrefillBackend& row : profile.prefill_backends) words_[row.name] = "{backend}";
      for (const DecodeBackend& row : profile.decode_backends) words_[row.name] = "{backend}";
    }
    for (const PrefillBackend& row : tensorrt_llm_prefill_backends()) {
      words_[row.name] = "{backend}";
    }
    for (const KvCacheFormat& format : kv_cache_formats()) {
      const bool is_a_word = format.name == "fp8" || format.name == "auto";
      if (!is_a_word) words_[std::string(format.name)] = "{kv_cache}";
      quoted_.push_back('"' + std::string(format.name) + '"');
    }
    words_["own_format"] = "{kv_cache}";
    for (const auto& type : detail::data_types) words_[std::string(type.name)] = "{type}";
    for (const KnownDevice& device : known_devices()) devices_.emplace_back(device.name);
    const auto longest_first = [](const std::string& a, const std::string& b) {
      return a.size() > b.size();
    };
    std::sort(devices_.begin(), devices_.end(), longest_first);
  }

  void hear(const std::string& place, std::string_view text) {
    if (!heard_.insert(place + '\n' + std::string(text)).second) return;
    const std::string general = generalised(std::string(text));
    std::size_t begin = 0;
    for (std::size_t i = 0; i <= general.size(); ++i) {
      if (i != general.size() && !is_end(general, i)) continue;
      if (i != begin) places_[without_setting(general.substr(begin, i - begin))].insert(place);
      begin = i + 1;
    }
  }

  /// `sentence  [place, place]`, in order.
  std::vector<std::string> lines() const {
    std::vector<std::string> result;
    for (const auto& [sentence, places] : places_) {
      std::string line = sentence + "  [";
      for (const std::string& place : places) line += place + ", ";
      result.push_back(line.replace(line.size() - 2, 2, "]"));
    }
    std::sort(result.begin(), result.end());
    return result;
  }

 private:
  // Whether the space at `i` stands between two sentences.
  static bool is_end(const std::string& text, std::size_t i) {
    if (text[i] != ' ' || i == 0) return false;
    if (text[i - 1] == '.' || (i > 1 && text.compare(i - 2, 2, ".)") == 0)) return true;
    const std::string in_brackets = text.substr(i, 5);
    return in_brackets == " (On " || in_brackets == " (At ";
  }

  // Remedies are heard by themselves.
  static std::string without_setting(const std::string& sentence) {
    const std::string before = ", set: ";
    const std::size_t at = sentence.find(before);
    return at == sentence.npos ? sentence : sentence.substr(0, at) + before + "{setting}";
  }

  static void replace_all(std::string& text, const std::string& what, const std::string& by) {
    for (std::size_t at = text.find(what); at != text.npos; at = text.find(what, at)) {
      text.replace(at, what.size(), by);
    }
  }

  static bool ends_with(const std::string& text, std::string_view end) {
    return text.size() >= end.size() && text.compare(text.size() - end.size(), end.npos, end) == 0;
  }

  // What a word stands for, behind what was said before it.
  std::string placeholder(const std::string& before, const std::string& word) const {
    const auto known = words_.find(word);
    if (known != words_.end()) return known->second;
    const auto digits = static_cast<std::size_t>(
        std::find_if_not(word.begin(), word.end(),
                         [](char c) { return (c >= '0' && c <= '9') || c == '.'; }) -
        word.begin());
    const bool is_device = word.substr(0, 3) == "sm_" || word.substr(0, 3) == "gfx" ||
                           (digits != 0 && ends_with(before, "CUDA capability "));
    if (is_device && word.find_first_of("0123456789") != word.npos) return "{device}";
    if (digits != 0 && word.substr(digits) == "x") return "{n}x";
    if (digits == 0 || digits != word.size()) return word;
    for (const char* place : {"ISL of ", "about ISL ", "ISL up to ", "and layer; "}) {
      if (ends_with(before, place)) return "{n}";
    }
    return word;
  }

  std::string generalised(std::string text) const {
    for (const std::string& name : quoted_) replace_all(text, name, "\"{kv_cache}\"");
    for (const auto& dimensions : dimensions_) replace_all(text, dimensions, "{dimensions}");
    for (const std::string& name : devices_) replace_all(text, name, "{device}");
    constexpr std::string_view in_words =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.";
    std::string result;
    for (std::size_t i = 0; i < text.size();) {
      std::size_t end = std::min(text.find_first_not_of(in_words, i), text.size());
      while (end > i && text[end - 1] == '.') --end;  // of the sentence
      if (end == i) {
        result += text[i++];
      } else {
        result += placeholder(result, text.substr(i, end - i));
        i = end;
      }
    }
    replace_all(result, "CUDA capability {device}", "{device}");
    for (const std::string what :
         {"{device}", "{backend}", "{kv_cache}", "{type}", "{dimensions}"}) {
      for (const char* between : {" to ", " and ", " or ", ", "}) {
        replace_all(result, what + between + what, what);  // of a list one stands for all
      }
    }
    return result;
  }

  std::map<std::string, std::string> words_ = {};
  std::vector<std::string> quoted_ = {}, devices_ = {};
  std::vector<std::string> dimensions_ = {"(128, 64, 128)", "(192, 64, 256)", "(64, 64, 128)",
                                          "(128, 0, 128)"};
  std::unordered_set<std::string> heard_ = {};
  std::map<std::string, std::set<std::string>> places_ = {};
};

}  // namespace mla_dtype::testing

// SPDX-License-Identifier: Apache-2.0
#pragma once

// What the checks of decisions and of plans share: without this a prediction, a record or a remedy
// that is not the one restated could go unnoticed in either.

#include <mla_dtype/mla_dtype.h>

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "case.h"
#include "check.h"
#include "engine.h"
#include "restatement/engines.h"
#include "restatement/plan.h"
#include "restatement/rules.h"
#include "support/recording_log.h"

namespace mla_dtype::fuzz {

class Checker {
 public:
  Checker(const Case& made, Output& output)
      : made_(made),
        world_(made.world),
        setting_(setting_of(made.world)),
        output_(output),
        env_(make_environment(made, asked_)),
        decode_(make_decode(made, asked_)) {
    output_.log->reset();
    output_.log->set_rank({/*global_rank=*/made.local_rank, made.local_rank});
    output_.recording.clear();
    env_.log = output_.log;
  }

 protected:
  const EngineConfig& config() const { return world_.config; }
  DataType model() const { return world_.model_dtype; }
  bool is_required() const {
    return config().attention_config.prefill_query_mode == PrefillQueryMode::required;
  }

  // Which of the questions that may be asked are the engine's own to answer.
  std::string only_injected(const std::string& questions) const {
    std::string result;
    for (const char question : questions) {
      if ((question == 'k' && world_.kv_predicate != KvPredicate::built_in) ||
          (question == 's' && prediction(world_)) || (question == 'p' && world_.injected) ||
          (question == 'd' && !has_decode_rows(world_))) {
        result += question;
      }
    }
    return result;
  }

  std::string take_asked() { return std::exchange(asked_.log, {}); }

  // What the records of a decision begin with.
  std::vector<Record> expected_records() const {
    if (made_.local_rank != 0) return {};
    const PrefillQueryOutcome outcome = decide(world_, setting_).outcome;
    const bool advised = advises_change(world_, setting_);
    Record record = testing::info(row_text(outcome, made_.spellings));
    switch (outcome) {
      case PrefillQueryOutcome::quantized:
        if (payoff(world_, setting_)) return {record, testing::info("")};
        if (advised) return {record, testing::warning("")};
        return {record};
      case PrefillQueryOutcome::request_refused:
        if (made_.refused_request_level == LogLevel::warning) record.level = LogLevel::warning;
        return {record};
      case PrefillQueryOutcome::available_but_off:
        if (is_automatic(world_)) return {testing::info("")};
        record.level = LogLevel::warning;
        if (prediction(world_) && !advised) return {};
        return {record};
      case PrefillQueryOutcome::not_applicable:
        return {};
    }
    std::abort();
  }

  static bool begin_with(const std::vector<Record>& records, const std::vector<Record>& expected) {
    return std::equal(records.begin(), records.end(), expected.begin(), expected.end(),
                      [](const Record& record, const Record& beginning) {
                        return record.level == beginning.level &&
                               record.text.substr(0, beginning.text.size()) == beginning.text;
                      });
  }

  void check_prediction(const std::optional<PrefillPrediction>& actual) const {
    CHECK(actual.has_value() == prediction(world_).has_value());
    if (!actual) return;
    CHECK(actual->isl == config().attention_config.expected_isl);
    CHECK(actual->speedup == prediction(world_));
    CHECK(actual->decides == is_automatic(world_));
    CHECK(actual->advises_change == advises_change(world_, setting_));
  }

  // The lines of a text for a human, by their beginnings.
  static std::map<std::string, std::size_t> count_lines(const std::string& text) {
    std::map<std::string, std::size_t> result;
    for (std::size_t begin = 0; begin < text.size();) {
      const std::size_t end = std::min(text.size(), text.find('\n', begin));
      const std::string line = text.substr(begin, end - begin);
      CHECK(is_one_line(line));
      ++result[line.substr(0, line.find(": "))];
      begin = end + 1;
    }
    return result;
  }

  bool may_change_cache() const { return world_.kv_predicate == KvPredicate::built_in; }

  // `gives_fp8(world, setting)` is what a remedy has to achieve.
  template <class GivesFp8>
  void check_remedies(const PrefillQueryExplanation& explanation, GivesFp8 gives_fp8) const {
    Changes offered;
    std::size_t changes = 0;
    for (const Remedy& remedy : explanation.remedies) {
      const Setting changed = {
          setting_.requested,
          remedy.cache_dtype.empty() ? setting_.cache_dtype : remedy.cache_dtype,
          remedy.prefill_backend.empty() ? setting_.choice : remedy.prefill_backend};
      CHECK(remedy.request == !is_fp8(decide(world_, changed).data_type));
      CHECK(offered.emplace(remedy.cache_dtype, remedy.prefill_backend).second);
      const std::size_t count =
          (remedy.cache_dtype.empty() ? 0U : 1U) + (remedy.prefill_backend.empty() ? 0U : 1U);
      CHECK(count >= changes);
      changes = count;
      CHECK(!remedy.spelling.empty());
      CHECK(remedy.spelling.find(remedy.cache_dtype) != std::string::npos);
      CHECK(remedy.spelling.find(remedy.prefill_backend) != std::string::npos);
      CHECK(is_one_line(remedy.spelling));
    }
    const bool fp8 = is_fp8(explanation.data_type);
    CHECK(offered == (fp8 ? Changes() : changes_in(world_, gives_fp8)));
    if (fp8 || !offered.empty()) {
      CHECK(explanation.nothing_helps.empty());
    } else if (may_change_cache()) {
      check_nothing_helps(explanation.nothing_helps, gives_fp8);
    }
  }

 private:
  template <class GivesFp8>
  Changes changes_in(const World& world, GivesFp8 gives_fp8) const {
    return least_changes(world, may_change_cache(),
                         [&](const Setting& other) { return gives_fp8(world, other); });
  }

  template <class GivesFp8>
  void check_nothing_helps(const std::string& text, GivesFp8 gives_fp8) const {
    const auto begins_with = [&](const std::string& beginning) {
      return text.substr(0, beginning.size()) == beginning;
    };
    const auto decides_fp8 = [](const World& world, const Setting& setting) {
      return is_fp8(decide(world, setting).data_type);
    };
    const bool is_about_decoding = !changes_in(world_, decides_fp8).empty();
    CHECK(is_about_decoding == begins_with("No prefill setting helps: the decode backend "));
    if (is_about_decoding) return;
    const bool is_about_device = begins_with("On this device");
    CHECK(is_about_device || begins_with("No flag, KV-cache dtype or prefill backend helps here."));
    const World other = without_bars(world_);
    const bool bars_alone = !changes_in(other, gives_fp8).empty();
    // Where something else is in the way as well, either may be said: decoding, a prediction, a row
    // that reads only what nobody can set.
    const auto is_useless = [&](const std::string& name) {
      const Cache* cache = find_cache(world_, name);
      const bool is_settable = world_.settable.empty() || holds(world_.settable, name);
      return cache == nullptr || !cache->quantized || !is_settable;
    };
    bool is_open = bars_alone == changes_in(other, decides_fp8).empty();
    for (const Row& row : world_.rows) {
      const auto& listed = row.fp8_caches;
      if (is_automatic(world_) && is_barred(world_, row)) is_open = true;
      if (!listed.empty() && std::all_of(listed.begin(), listed.end(), is_useless)) is_open = true;
    }
    CHECK(is_open || is_about_device == !bars_alone);
  }

 protected:
  const Case& made_;
  const World& world_;
  const Setting setting_;
  Output& output_;
  Asked asked_;
  Environment env_;
  DecodeEnvironment decode_;
  Decision decision_{};
};

}  // namespace mla_dtype::fuzz

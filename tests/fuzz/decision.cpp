// SPDX-License-Identifier: Apache-2.0
//
// The decision and the plan against restatement.h: bytes become an engine, a device, a model and an
// operator's configuration, and every function that answers has to say the same.

#include <mla_dtype/mla_dtype.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "case.h"
#include "check.h"
#include "input.h"
#include "restatement.h"
#include "support/recording_sink.h"

namespace mla_dtype::fuzz {
namespace {

using testing::Record;

// What was asked, in order, a letter each: is the KV cache quantized (k), the speedup (s), the
// prefill (p) and the decode backend (d). One of them may throw instead of being answered.
struct Asked {
  std::string log;
  char throws = 0;

  void ask(char question) {
    log += question;
    if (question == throws) throw *this;
  }
};

// The library's side of it.

struct Output {
  testing::RecordingLogger recording;
  std::shared_ptr<OnceLog> log = std::make_shared<OnceLog>(recording.logger);

  std::vector<Record> take() {
    auto records = recording.sink->records();
    recording.sink->clear();
    return records;
  }
};

Environment make_environment(const Case& made, Asked& asked) {
  const World& world = made.world;
  Environment env;
  if (world.injected) {
    env.backend_supports_prefill_query_quantization = [&](const EngineConfig&,
                                                          DataType) -> Support {
      asked.ask('p');
      return {world.supports, made.reason};
    };
  } else if (!world.named.empty()) {
    env = mla_dtype::make_environment(world.device.platform(), world.named);
  } else {
    std::vector<PrefillBackend> table = vllm_prefill_backends();
    if (made.is_own_table) {
      table.clear();
      for (const Row& row : world.rows) table.push_back(row.to_library());
    } else if (world.rows.size() == 1) {
      table = tensorrt_llm_prefill_backends();
    }
    std::multiset<std::string> names, asked_for;
    for (const Row& row : world.rows) names.insert(row.name);
    env = mla_dtype::make_environment(world.device.platform(), table,
                                      [&](std::string_view name) -> Support {
                                        asked_for.emplace(name);
                                        for (const Row& row : world.rows) {
                                          if (row.name == name)
                                            return {row.available, "Not\tcompiled in {}."};
                                        }
                                        std::abort();
                                      });
    CHECK(asked_for == names);
  }
  if (!world.injected && made.is_valid) CHECK(env.fp8_data_type == world.fp8_data_type);
  env.fp8_data_type = world.fp8_data_type;
  if (world.kv_predicate != KvPredicate::built_in) {
    env.is_quantized_kv_cache = [&](std::string_view cache_dtype) {
      asked.ask('k');
      CHECK(cache_dtype == *effective(world, world.config.cache_config.cache_dtype));
      return is_quantized(world, std::string(cache_dtype));
    };
  }
  if (world.speedup) {
    env.predict_prefill_speedup = [&](const EngineConfig& config, std::int64_t isl) {
      asked.ask('s');
      CHECK(isl == config.attention_config.expected_isl);
      return *world.speedup;
    };
  }
  env.refused_request_level = made.refused_request_level;
  env.flag_spelling = made.flag_spelling;
  return env;
}

DecodeEnvironment make_decode(const Case& made, Asked& asked) {
  const World& world = made.world;
  DecodeEnvironment decode;
  if (world.decode_row) {
    const auto& table = vllm_decode_backends();
    const bool is_vllms = std::any_of(table.begin(), table.end(), [&](const DecodeBackend& row) {
      return row.name == world.decode_row->name;
    });
    const Platform platform = world.device.platform();
    return is_vllms ? make_decode_environment(platform, world.decode_row->name)
                    : make_decode_environment(platform, world.decode_row->to_library());
  }
  decode.decode_backend_supports_quantized_query = [&](const EngineConfig&, DataType) -> Support {
    asked.ask('d');
    return {world.decode_supports, "No decode kernels."};
  };
  return decode;
}

EngineConfig with(EngineConfig config, const Remedy& remedy) {
  config.attention_config.use_prefill_query_quantization |= remedy.request;
  if (!remedy.cache_dtype.empty()) config.cache_config.cache_dtype = remedy.cache_dtype;
  if (!remedy.prefill_backend.empty()) {
    config.attention_config.mla_prefill_backend = remedy.prefill_backend;
  }
  return config;
}

// The specification's texts, letter for letter.

std::string row_text(PrefillQueryOutcome outcome, const std::string& flag_spelling) {
  switch (outcome) {
    case PrefillQueryOutcome::quantized:
      return "FP8 prefill attention enabled: query data type is FP8";
    case PrefillQueryOutcome::request_refused:
      return "Unable to perform FP8 prefill attention when use_prefill_query_quantization is "
             "enabled. Please ensure that --kv-cache-dtype is set to fp8 and your prefill backend "
             "is compatible with FP8 attention.";
    case PrefillQueryOutcome::available_but_off:
      return "FP8 KV cache is enabled but prefill queries are not quantized to FP8. For "
             "long-context workloads (ISL >= 4K), enabling FP8 prefill attention can significantly "
             "optimize prefill latency. To enable, add: " +
             flag_spelling;
    case PrefillQueryOutcome::not_applicable:
      break;
  }
  return {};
}

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
    output_.recording.sink->clear();
    env_.log = output_.log;
  }

  void run() {
    const auto speedup = prediction(world_);
    const bool is_speedup = !speedup || (std::isfinite(*speedup) && *speedup > 0);
    if (!made_.is_valid || !is_known(world_, setting_) || !is_speedup) return check_refusals();
    decision_ = decide(world_, setting_, Rules::determination);
    if (made_.throws != 0) check_exceptions();
    check_decision();
    check_explanation();
    if (!world_.injected) check_selection();
    check_plan();
  }

 private:
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
          (question == 'd' && !world_.decode_row)) {
        result += question;
      }
    }
    return result;
  }

  std::string plan_questions() const {
    if (!decision_.quantized) return only_injected("ks");
    const bool plain = is_plain_fp8(*effective(world_, setting_.cache_dtype));
    return only_injected(plain ? "kspd" : "ksp");
  }

  std::string take_asked() { return std::exchange(asked_.log, {}); }

  // Whatever is refused, nothing was asked and nothing said.
  void check_refusals() {
    CHECK(is_refused([&] { evaluate_prefill_query(config(), model(), env_); }));
    CHECK(is_refused([&] { determine_prefill_query_data_type(config(), model(), env_); }));
    CHECK(is_refused([&] { explain_prefill_query_data_type(config(), model(), env_); }));
    CHECK(is_refused([&] { plan_attention_data_types(config(), model(), env_, decode_); }));
    if (!made_.is_valid) {
      CHECK(is_refused([&] { log_prefill_query({}, config(), model(), env_); }));
      CHECK(take_asked().empty());
    }
    CHECK(output_.take().empty());
  }

  // What a predicate throws reaches the caller, and nothing counts as said.
  void check_exceptions() {
    asked_.throws = made_.throws;
    const auto throws = [&](const std::string& questions, auto call) {
      const bool is_asked = only_injected(questions).find(made_.throws) != std::string::npos;
      bool thrown = false;
      try {
        call();
      } catch (const Asked&) {
        thrown = true;
      } catch (const std::exception&) {  // what would be thrown anyway, later
      }
      const std::string asked = take_asked();
      CHECK(thrown == is_asked);
      CHECK(!thrown || asked.back() == made_.throws);
    };
    const std::string questions = decision_.quantized ? "ksp" : "ks";
    throws(questions, [&] { evaluate_prefill_query(config(), model(), env_); });
    throws("ksp", [&] { explain_prefill_query_data_type(config(), model(), env_); });
    throws(questions, [&] {
      determine_prefill_query_data_type(config(), model(), env_);
      output_.take();
      output_.log->reset();
    });
    if (is_plan_consistent() && !fuzz::plan(world_, setting_).is_refused()) {
      throws(plan_questions(),
             [&] { plan_attention_data_types(config(), model(), env_, decode_); });
    }
    CHECK(output_.take().empty());
    asked_.throws = 0;
  }

  // What the records of a decision begin with.
  std::vector<Record> expected_records(Rules rules) const {
    if (made_.local_rank != 0) return {};
    const PrefillQueryOutcome outcome = decide(world_, setting_, rules).outcome;
    const bool advised = advises_change(world_, setting_, rules);
    Record record = testing::info(row_text(outcome, made_.flag_spelling));
    switch (outcome) {
      case PrefillQueryOutcome::quantized:
        if (advised) return {record, testing::warning("")};
        return {record};
      case PrefillQueryOutcome::request_refused:
        if (made_.refused_request_level == LogLevel::warning) record.level = spdlog::level::warn;
        return {record};
      case PrefillQueryOutcome::available_but_off:
        if (is_automatic(world_)) return {testing::info("")};
        record.level = spdlog::level::warn;
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

  void check_prediction(const std::optional<PrefillPrediction>& actual, Rules rules) const {
    CHECK(actual.has_value() == prediction(world_).has_value());
    if (!actual) return;
    CHECK(actual->isl == config().attention_config.expected_isl);
    CHECK(actual->speedup == prediction(world_));
    CHECK(actual->decides == is_automatic(world_));
    CHECK(actual->advises_change == advises_change(world_, setting_, rules));
  }

  void check_decision() {
    const auto decision = evaluate_prefill_query(config(), model(), env_);
    const std::string questions = only_injected(decision_.quantized ? "ksp" : "ks");
    CHECK(take_asked() == questions);
    CHECK(decision.outcome == decision_.outcome);
    CHECK(decision.data_type == decision_.data_type);
    CHECK(decision.facts.kv_cache_quantized == decision_.quantized);
    CHECK(decision.facts.requested == setting_.requested);
    CHECK(decision.facts.backend_supports == decision_.supports);
    CHECK(decide_prefill_query(decision.facts) == decision.outcome);
    CHECK(decision.backend_reason ==
          (world_.injected && decision_.quantized && !world_.supports ? made_.reason : ""));
    check_prediction(decision.prediction, Rules::determination);
    CHECK(output_.take().empty());

    const bool is_refused_at_init =
        is_required() && decision_.outcome == PrefillQueryOutcome::request_refused;
    std::vector<Record> records;
    for (int layer = 0; layer < 3; ++layer) {
      bool refused = false;
      try {
        CHECK(determine_prefill_query_data_type(config(), model(), env_) == decision_.data_type);
      } catch (const PrefillQueryRefused& refusal) {
        refused = true;
        CHECK(refusal.explanation().outcome == PrefillQueryOutcome::request_refused);
        CHECK(!refusal.explanation().blockers.empty());
      }
      CHECK(refused == is_refused_at_init);
      CHECK(take_asked() == questions);
      if (layer == 0) {
        records = output_.take();
        CHECK(begin_with(records, is_refused_at_init ? std::vector<Record>()
                                                     : expected_records(Rules::determination)));
      }
    }
    CHECK(output_.take().empty());

    if (is_refused_at_init) return;
    CHECK(!log_prefill_query(decision, config(), model(), env_));
    output_.log->reset();
    CHECK(log_prefill_query(decision, config(), model(), env_) == !records.empty());
    CHECK(output_.take() == records);
    CHECK(take_asked().empty());
  }

  static bool has(const PrefillQueryExplanation& explanation, BlockerKind kind) {
    return std::any_of(explanation.blockers.begin(), explanation.blockers.end(),
                       [&](const Blocker& blocker) { return blocker.kind == kind; });
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

  void check_blockers(const PrefillQueryExplanation& explanation) const {
    CHECK(explanation.blockers.empty() == is_fp8(explanation.data_type));
    CHECK(has(explanation, BlockerKind::not_requested) == !setting_.requested);
    CHECK(has(explanation, BlockerKind::kv_cache_not_quantized) == !decision_.quantized);
    for (const Blocker& blocker : explanation.blockers) {
      CHECK(!blocker.sentence.empty());
      CHECK(!to_string(blocker.kind).empty());
    }
    if (world_.injected) return;
    const auto& cache = config().cache_config;
    const bool spread = config().parallel_config.decode_context_parallel_size > 1;
    CHECK(has(explanation, BlockerKind::dynamic_kv_scales) ==
          (cache.kv_scales == KvScales::dynamic));
    CHECK(has(explanation, BlockerKind::decode_context_parallel) == spread);
    if (setting_.choice.empty()) return;
    const Row& row = *candidates(world_, setting_).front();
    const bool is_here = row.devices.empty() || contain(row.devices, world_.device);
    CHECK(has(explanation, BlockerKind::backend_device) == !is_here);
    CHECK(has(explanation, BlockerKind::backend_unavailable) == !row.available);
    CHECK(has(explanation, BlockerKind::dimensions) ==
          !(row.dimensions.empty() || holds(row.dimensions, config().mla_dimensions)));
    CHECK(has(explanation, BlockerKind::head_count) ==
          (config().num_attention_heads % row.head_multiple != 0));
  }

  void check_explanation() {
    const auto explanation = explain_prefill_query_data_type(config(), model(), env_);
    CHECK(take_asked() == only_injected("ksp"));
    CHECK(explanation.data_type == decision_.data_type);
    CHECK(explanation.outcome == decision_.outcome);
    CHECK(explanation.facts.kv_cache_quantized == decision_.quantized);
    CHECK(explanation.facts.requested == setting_.requested);
    if (decision_.quantized) CHECK(explanation.facts.backend_supports == decision_.supports);
    if (world_.injected) CHECK(explanation.facts.backend_supports == world_.supports);
    CHECK(explanation.kv_cache_dtype.requested == setting_.cache_dtype);
    CHECK(explanation.kv_cache_dtype.resolved != "auto");
    const std::string cache_dtype = *effective(world_, setting_.cache_dtype);
    if (cache_dtype != "auto") CHECK(explanation.kv_cache_dtype.resolved == cache_dtype);
    check_blockers(explanation);
    check_prediction(explanation.prediction, Rules::determination);

    if (world_.injected) {
      CHECK(explanation.prefill_backend.empty());
      CHECK(explanation.nothing_helps.empty());
      CHECK(explanation.hint.empty());
      const bool flag_helps =
          decision_.outcome == PrefillQueryOutcome::available_but_off && !is_automatic(world_);
      CHECK(explanation.remedies.size() == (flag_helps ? 1 : 0));
      if (flag_helps) CHECK(explanation.remedies[0].request);
    } else {
      if (!setting_.choice.empty()) {
        CHECK(explanation.prefill_backend == setting_.choice);
      } else if (!is_required()) {
        const Row* row = selected(world_, setting_, Rules::determination);
        CHECK(explanation.prefill_backend == (row == nullptr ? "" : row->name));
      }
      CHECK(explanation.hint == select_prefill_backend(config(), model(), env_).hint);
      take_asked();
      check_remedies(explanation,
                     least_changes(world_, may_change_cache(), [&](const Setting& other) {
                       return is_fp8(decide(world_, other, Rules::determination).data_type);
                     }));
      for (const Remedy& remedy : explanation.remedies) {
        const auto remedied = evaluate_prefill_query(with(config(), remedy), model(), env_);
        CHECK(is_fp8(remedied.data_type));
      }
      take_asked();
    }

    auto lines = count_lines(to_string(explanation));
    CHECK(lines["data type"] == 1 && lines["outcome"] == 1 && lines["KV-cache dtype"] == 1);
    CHECK(lines["blocker"] == explanation.blockers.size());
    CHECK(lines["remedy"] == explanation.remedies.size());
    CHECK(output_.take().empty());
  }

  bool may_change_cache() const { return world_.kv_predicate == KvPredicate::built_in; }

  using Changes = std::set<std::pair<std::string, std::string>>;

  void check_remedies(const PrefillQueryExplanation& explanation, const Changes& expected) const {
    Changes offered;
    std::size_t changes = 0;
    for (const Remedy& remedy : explanation.remedies) {
      CHECK(remedy.request == !setting_.requested);
      CHECK(offered.emplace(remedy.cache_dtype, remedy.prefill_backend).second);
      const std::size_t count =
          (remedy.cache_dtype.empty() ? 0U : 1U) + (remedy.prefill_backend.empty() ? 0U : 1U);
      CHECK(count >= changes);
      changes = count;
      CHECK(!remedy.spelling.empty());
      CHECK(is_one_line(remedy.spelling));
    }
    const bool fp8 = is_fp8(explanation.data_type);
    CHECK(offered == (fp8 ? Changes() : expected));
    if (fp8 || !offered.empty()) {
      CHECK(explanation.nothing_helps.empty());
    } else if (may_change_cache()) {
      CHECK(explanation.nothing_helps.substr(0, 14) == "On this device");
    }
  }

  void check_selection() {
    const auto selection = select_prefill_backend(config(), model(), env_);
    CHECK(take_asked() == only_injected("ks"));
    const Row* row = selected(world_, setting_, Rules::determination);
    CHECK(selection.name == (row == nullptr ? "" : row->name));
    CHECK(selection.chosen == setting_.choice);
    CHECK(selection.takes_fp8_queries ==
          (row != nullptr && takes_fp8(world_, *row, setting_, Rules::determination)));

    // Those that were preferred, and, if the request was in vain, all that cannot follow it.
    std::vector<std::string> rejected, expected;
    for (const auto& other : selection.rejected) {
      rejected.push_back(other.name);
      CHECK(!other.blockers.empty());
    }
    const bool in_vain = setting_.requested && !selection.takes_fp8_queries;
    bool is_preferred = true;
    for (const Row* other : candidates(world_, setting_)) {
      if (other == row) {
        is_preferred = false;
      } else if (is_preferred || in_vain) {
        expected.push_back(other->name);
      }
    }
    std::sort(rejected.begin(), rejected.end());
    std::sort(expected.begin(), expected.end());
    CHECK(rejected == expected);

    const bool another_could = std::any_of(
        world_.rows.begin(), world_.rows.end(),
        [&](const Row& other) { return takes_fp8(world_, other, setting_, Rules::determination); });
    if (selection.takes_fp8_queries || !another_could) {
      CHECK(selection.hint.empty());
    } else if (!prediction(world_) || *prediction(world_) >= 1.02) {
      CHECK(!selection.hint.empty());
    }

    output_.log->reset();
    CHECK(log_prefill_backend(selection, env_) == (made_.local_rank == 0));
    CHECK(!log_prefill_backend(selection, env_));
    const auto records = output_.take();
    CHECK(records.size() == (made_.local_rank != 0 ? 0U : selection.hint.empty() ? 1U : 2U));
    CHECK(take_asked().empty());
  }

  // Whether the predicates and tables fit together.
  bool is_plan_consistent() const {
    const auto fp8 = world_.device.fp8();
    const bool device_is_known = !world_.injected || world_.decode_row;
    const bool is_e4m3 =
        world_.fp8_data_type == e4m3 || world_.fp8_data_type == DataType::float8_e4m3fnuz;
    if (!is_e4m3 || (device_is_known && fp8 && fp8 != world_.fp8_data_type)) return false;
    const std::string cache_dtype = *effective(world_, setting_.cache_dtype);
    const Cache* cache = find_cache(cache_dtype);
    return cache == nullptr || cache_dtype == "auto" || cache->quantized == decision_.quantized;
  }

  void check_plan() {
    const Plan expected = fuzz::plan(world_, setting_);
    std::optional<AttentionPlan> actual;
    enum { none, inconsistent, no_fp8, no_kernel } thrown = none;
    try {
      actual = plan_attention_data_types(config(), model(), env_, decode_);
    } catch (const std::invalid_argument& refusal) {
      thrown = inconsistent;
      check_refusal(refusal);
    } catch (const PrefillQueryRefused& refusal) {
      thrown = no_fp8;
      CHECK(refusal.what()[0] != '\0');
    } catch (const AttentionPlanRefused& refusal) {
      thrown = no_kernel;

      CHECK(refusal.what()[0] != '\0');
    }
    const std::string asked = take_asked();
    CHECK(output_.take().empty());
    // Where there is more than one reason, any is given.
    CHECK((thrown != none) == (expected.is_refused() || !is_plan_consistent()));
    CHECK(thrown != inconsistent || !is_plan_consistent());
    CHECK(thrown != no_fp8 || expected.no_fp8);
    CHECK(thrown != no_kernel || expected.no_kernel);
    const std::string questions = plan_questions();
    if (!actual) {
      CHECK(questions.substr(0, asked.size()) == asked);
      return;
    }
    CHECK(asked == questions);
    check_types(expected, *actual);
    check_plan_reasons(*actual);
    check_packed(*actual);
    check_plan_log(*actual);
  }

  void check_types(const Plan& expected, const AttentionPlan& actual) const {
    CHECK(actual.kv_cache_storage.data_type == expected.storage);
    CHECK(actual.kv_cache_view.data_type == expected.view);
    CHECK(actual.prefill_query.data_type == expected.prefill);
    CHECK(actual.prefill_key_value.data_type == expected.prefill);
    CHECK(actual.chunked_prefill_workspace.has_value() == expected.workspace.has_value());
    if (expected.workspace)
      CHECK(actual.chunked_prefill_workspace->data_type == expected.workspace);
    CHECK(actual.decode_query.data_type == expected.decode);
    CHECK(actual.output.data_type == model());
    CHECK(actual.prefill_backend.name == expected.prefill_backend);
    for (const PlannedDataType* planned :
         {&actual.kv_cache_storage, &actual.kv_cache_view, &actual.prefill_query,
          &actual.prefill_key_value, &actual.decode_query, &actual.output}) {
      CHECK(!planned->reason.empty());
    }
    std::vector<CautionKind> cautions;
    for (const Caution& caution : actual.cautions) cautions.push_back(caution.kind);
    CHECK(cautions == expected.cautions);
    CHECK(actual.kv_cache_bytes == expected.cache_bytes);
    CHECK(actual.workspace_bytes == expected.workspace_bytes);
    const auto elements = static_cast<std::size_t>(config().kv_lora_rank) +
                          static_cast<std::size_t>(config().mla_dimensions.qk_rope_head_dim);
    CHECK(actual.unquantized_kv_cache_bytes == elements * bits(model()) / 8);
    for (const auto& [beginning, count] : count_lines(to_string(actual))) {
      CHECK(!beginning.empty() && count > 0);
    }
  }

  // The plan's prefill is the decision's, but for the stricter rules.
  void check_plan_reasons(const AttentionPlan& plan) {
    const PrefillQueryExplanation& prefill = plan.prefill;
    const Decision strict = decide(world_, setting_, Rules::plan);
    CHECK(prefill.data_type == strict.data_type);
    CHECK(prefill.outcome == strict.outcome);
    check_prediction(prefill.prediction, Rules::plan);
    CHECK(prefill.blockers.empty() == is_fp8(strict.data_type));
    CHECK(prefill.hint == plan.prefill_backend.hint);
    const bool rules_matter =
        world_.injected
            ? is_vetoed(world_) || !is_plain_fp8(prefill.kv_cache_dtype.resolved)
            : std::any_of(world_.rows.begin(), world_.rows.end(), [&](const Row& row) {
                return !row.fp8_model_dtypes.empty() && !holds(row.fp8_model_dtypes, model());
              });
    if (decision_.quantized && !rules_matter) {
      const auto explanation = explain_prefill_query_data_type(config(), model(), env_);
      take_asked();
      CHECK(prefill.data_type == explanation.data_type);
      CHECK(prefill.outcome == explanation.outcome);
      CHECK(prefill.prefill_backend == explanation.prefill_backend);
      CHECK(prefill.hint == explanation.hint);
      std::vector<std::string> sentences, expected;
      for (const Blocker& blocker : prefill.blockers) sentences.push_back(blocker.sentence);
      for (const Blocker& blocker : explanation.blockers) expected.push_back(blocker.sentence);
      CHECK(sentences == expected);
    }
    if (world_.injected) return;
    check_remedies(prefill, least_changes(world_, may_change_cache(), [&](const Setting& other) {
                     const Plan remedied = fuzz::plan(world_, other);
                     return !remedied.is_refused() && is_fp8(remedied.prefill);
                   }));
    for (const Remedy& remedy : prefill.remedies) {
      const AttentionPlan remedied =
          plan_attention_data_types(with(config(), remedy), model(), env_, decode_);
      CHECK(is_fp8(remedied.prefill_query.data_type));
    }
    take_asked();
  }

  // The table of fields in attention_plan.h.
  void check_packed(const AttentionPlan& plan) const {
    const std::string& resolved = plan.kv_cache_dtype.resolved;
    const Cache* cache = find_cache(resolved);
    const bool is_own = resolved != "float32" && (cache == nullptr || cache->name == "auto");
    std::uint64_t number = 255;
    if (resolved == "float32") number = 254;
    if (!is_own && cache != nullptr) number = static_cast<std::uint64_t>(cache - caches);
    if (resolved == "fp8_e4m3") number = 3;
    std::uint64_t expected = 1;
    const auto put = [&](unsigned bit, std::uint64_t value) { expected |= value << bit; };
    const auto put_type = [&](unsigned bit, DataType type) {
      put(bit, static_cast<std::uint64_t>(type));
    };
    put_type(4, plan.kv_cache_storage.data_type);
    put_type(8, plan.kv_cache_view.data_type);
    put_type(12, plan.prefill_query.data_type);
    put_type(16, plan.prefill_key_value.data_type);
    put(20, plan.chunked_prefill_workspace
                ? static_cast<std::uint64_t>(plan.chunked_prefill_workspace->data_type)
                : 15);
    put_type(24, plan.decode_query.data_type);
    put_type(28, plan.output.data_type);
    put(32, number);
    put(40, decision_.quantized ? static_cast<std::uint64_t>(config().cache_config.kv_scales) : 0);
    const std::uint64_t packed = pack(plan);
    constexpr unsigned name_bit = 44;
    CHECK((packed & ((std::uint64_t{1} << name_bit) - 1)) == expected);
    if (!is_own) CHECK(packed >> name_bit == 0);
    CHECK(rank_differences({packed, packed, packed}).empty());
    const auto differences = rank_differences({packed, packed ^ 0x1000});
    CHECK(differences.size() == 1 && differences[0].field == "prefill_query");
    CHECK(differences[0].rank == 1 && differences[0].value != differences[0].expected);
  }

  void check_plan_log(const AttentionPlan& plan) {
    output_.log->reset();
    std::vector<Record> records;
    for (int layer = 0; layer < 2; ++layer) {
      const bool written = log_attention_plan(plan, env_);
      if (layer == 0) records = output_.take();
      CHECK(written == (layer == 0 && !records.empty()));
    }
    CHECK(output_.take().empty());
    CHECK(take_asked().empty());
    std::vector<Record> expected = expected_records(Rules::plan);
    if (made_.local_rank == 0) {
      for (const Caution& caution : plan.cautions) {
        expected.push_back(testing::warning(caution.sentence));
      }
    }
    CHECK(begin_with(records, expected));
  }

  const Case& made_;
  const World& world_;
  const Setting setting_;
  Output& output_;
  Asked asked_;
  Environment env_;
  DecodeEnvironment decode_;
  Decision decision_{};
};

}  // namespace
}  // namespace mla_dtype::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace mla_dtype::fuzz;
  static auto& output = *new Output;  // a OnceLog is large
  Input input(data, size);
  const Case made = make_case(input);
  Checker(made, output).run();
  return 0;
}

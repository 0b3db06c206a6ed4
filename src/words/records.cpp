// SPDX-License-Identifier: Apache-2.0
#include "words/form.h"
#include "words/invalid_argument.h"
#include "words/sentences.h"

namespace mla_dtype::detail {
namespace {

// Operators search their logs for these: never change a letter. `{}`: the engine's own word.
constexpr char enabled_text[] = "FP8 prefill attention enabled: query data type is FP8";
constexpr char refused_text[] =
    "Unable to perform FP8 prefill attention when {} is enabled. Please ensure that {} is set to "
    "fp8 and your prefill backend is compatible with FP8 attention.";
constexpr char available_text[] =
    "FP8 KV cache is enabled but prefill queries are not quantized to FP8. For long-context "
    "workloads (ISL >= 4K), enabling FP8 prefill attention can significantly optimize prefill "
    "latency. To enable, add: {}";

// Which conditions failed; what about the device misleads; what would help; what is predicted.
std::string why(const PrefillQueryExplanation& explanation) {
  std::string text;
  const auto add = [&](std::string_view sentence) {
    if (!sentence.empty()) text.append(" ").append(sentence);
  };
  for (const Blocker& blocker : explanation.blockers) {
    if (blocker.kind != BlockerKind::not_requested) add(blocker.sentence);
  }
  const auto& prediction = explanation.prediction;
  const bool is_automatic = prediction && prediction->decides;
  if (is_automatic) add("prefill_query_mode is automatic.");
  add(explanation.nothing_helps);
  const bool helps = may_advise(prediction) && !explanation.remedies.empty();
  if (helps) add("To enable FP8 prefill attention, set: " + explanation.remedies.front().spelling);
  if (helps && explanation.payoff) add('(' + pays_from(*explanation.payoff) + ')');
  if (is_automatic || !may_advise(prediction)) {
    const std::string sentence = predicted(*prediction);
    add(helps ? '(' + sentence + ')' : sentence);
  }
  return text;
}

bool is_of_another_device(const RejectedPrefillBackend& backend) {
  return std::any_of(backend.blockers.begin(), backend.blockers.end(), [](const Blocker& blocker) {
    return blocker.kind == BlockerKind::backend_device;
  });
}

}  // namespace

std::string compose(Record record, const PrefillQueryExplanation& explanation,
                    const Spellings& spellings) {
  const auto& prediction = explanation.prediction;
  const std::string sentence = prediction ? predicted(*prediction) : std::string();
  const std::string_view flag = flag_name(spellings);
  switch (record) {
    case Record::enabled:
      return enabled_text + (prediction && prediction->decides ? ". " + sentence : "");
    case Record::pays_from:
      return pays_from(*explanation.payoff);
    case Record::does_not_pay:
      // Where it is one key among others of an option, the option is not removed.
      return filled("FP8 prefill queries are enabled, but do not pay. {} To disable, {}: {}",
                    sentence, flag == spellings.request_fp8 ? "remove" : "turn off", flag);
    case Record::refused:
      return filled(refused_text, flag, kv_cache_option(spellings)) + why(explanation);
    case Record::available: {
      const std::string request = spell(spellings, {/*request=*/true}, {});
      const auto& remedies = explanation.remedies;
      std::string text = filled(available_text, request);
      if (!remedies.empty() && remedies[0].spelling != request) {
        text += filled(" (or, to keep what is set already: {})", remedies[0].spelling);
      }
      if (explanation.payoff) text += filled(" ({})", pays_from(*explanation.payoff));
      return prediction ? filled("{} ({})", text, sentence) : text;
    }
    case Record::automatically_off:
      break;
  }
  return "FP8 prefill attention is possible, and not enabled: prefill_query_mode is automatic. " +
         sentence;
}

std::string compose_refusal(const PrefillQueryExplanation& explanation) {
  return "FP8 prefill queries are required (prefill_query_mode), and not possible." +
         why(explanation);
}

std::string compose(const PrefillBackendSelection& selection) {
  const bool is_found = !selection.name.empty();
  std::string text = is_found ? filled("Using prefill backend {}.", selection.name)
                     : selection.chosen.empty()
                         ? "No prefill backend can be used."
                         : filled("Prefill backend {} cannot be used.", selection.chosen);
  return text + reasons(selection.rejected, is_found);
}

std::string reasons(const std::vector<RejectedPrefillBackend>& rejected, bool is_found) {
  const bool is_all_elsewhere = std::all_of(rejected.begin(), rejected.end(), is_of_another_device);
  std::string text;
  std::vector<std::string_view> said;  // what is wrong with the KV cache is wrong with it for all
  for (const RejectedPrefillBackend& backend : rejected) {
    if (is_of_another_device(backend) && (is_found || !is_all_elsewhere)) continue;
    for (const Blocker& blocker : backend.blockers) {
      if (add_once<std::string_view>(said, blocker.sentence)) text += ' ' + blocker.sentence;
    }
  }
  return text;
}

std::string in_lines(const PrefillQueryExplanation& explanation) {
  const KvCacheResolution& cache = explanation.kv_cache_dtype;
  std::string text =
      filled("data type: {}\noutcome: {}\nKV-cache dtype: {}", to_string(explanation.data_type),
             to_string(explanation.outcome), in_quotes(cache.requested));
  if (cache.resolved != cache.requested) {
    text += filled(", which is {}: {}", cache.resolved, cache.reason);
  }
  const auto add = [&](std::string_view key, std::string_view value) {
    if (!value.empty()) text += filled("\n{}: {}", key, one_line(value));
  };
  add("prefill backend", explanation.prefill_backend);
  for (const Blocker& blocker : explanation.blockers) add("blocker", blocker.sentence);
  for (const Remedy& remedy : explanation.remedies) add("remedy", remedy.spelling);
  add("note", explanation.nothing_helps);
  add("note", explanation.hint);
  if (explanation.payoff && explanation.hint.empty()) {
    add("measured", pays_from(*explanation.payoff));  // else the hint says it
  }
  if (const auto& prediction = explanation.prediction) {
    const bool is_vain = !explanation.remedies.empty() && !may_advise(prediction);
    add("prediction", predicted(*prediction) + (is_vain ? " The remedies do not pay." : ""));
  }
  return text;
}

}  // namespace mla_dtype::detail

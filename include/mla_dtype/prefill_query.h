// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mla_dtype/engine_profile.h>
#include <mla_dtype/once_log.h>

#include <stdexcept>

namespace mla_dtype {

/// What the decision depends on.
struct PrefillQueryFacts {
  bool kv_cache_quantized = false;
  /// In mode `by_flag` by the flag, in `required` always, in `automatic` if FP8 is predicted to be
  /// faster; or by the KV cache, where the backend goes by that.
  bool requested = false;
  bool backend_supports = false;  ///< the prefill backend can take FP8 queries
};

/// Which row of the table the decision is.
enum class PrefillQueryOutcome : std::uint8_t {
  quantized,          ///< row 1: FP8
  request_refused,    ///< row 2: requested, but something is missing; model dtype
  available_but_off,  ///< row 3: nothing is missing but the request; model dtype
  not_applicable,     ///< row 4: neither requested nor possible with what runs; model dtype
};

/// The decision itself, a function of three facts.
[[nodiscard]] constexpr PrefillQueryOutcome decide_prefill_query(PrefillQueryFacts facts) noexcept {
  const bool possible = facts.kv_cache_quantized && facts.backend_supports;
  if (facts.requested) {
    return possible ? PrefillQueryOutcome::quantized : PrefillQueryOutcome::request_refused;
  }
  return possible ? PrefillQueryOutcome::available_but_off : PrefillQueryOutcome::not_applicable;
}

/// The enumerator's name, null-terminated and static; std::invalid_argument for what is none.
[[nodiscard]] MLA_DTYPE_EXPORT std::string_view to_string(PrefillQueryOutcome outcome);

namespace detail {
struct PrefillTable;
struct DecodeTable;
}  // namespace detail

/// What the engine injects: what is true of its device, backend and log. One may serve any number
/// of decisions, from any number of threads if its predicates may be called so. These may be slow,
/// and may throw: the exception reaches the caller. A decision asks each at most once.
struct MLA_DTYPE_ABI Environment {
  /// Whether a KV cache of this dtype string is quantized; null: the function of that name answers.
  std::function<bool(std::string_view cache_dtype)> is_quantized_kv_cache{};

  /// Whether the engine's prefill backend can take FP8 queries, and if not, why, for the record of
  /// a refusal. Decisions ask it only if the KV cache is quantized. Null: the table answers.
  std::function<Support(const EngineConfig& config, DataType model_dtype)>
      backend_supports_prefill_query_quantization{};

  std::shared_ptr<const detail::PrefillTable> prefill_table{};  ///< make_environment() sets it

  DataType fp8_data_type = DataType::float8_e4m3fn;  ///< the platform's; row 1's answer
  std::shared_ptr<OnceLog> log{};  ///< where the decision is logged; null: default_once_log()
  Spellings spellings{};           ///< how this engine's operators set what they are told of
  std::vector<EngineKvCacheFormat> kv_cache_formats{};  ///< its own, besides those of kv_cache.h
  LogLevel refused_request_level = LogLevel::info;      ///< of the record of a refused request

  /// How many times as fast prefill attention is with queries, keys and values in FP8 at this ISL,
  /// in tokens (cost_model.h); null: not known. Asked if an ISL is expected, and FP8 not required.
  std::function<double(const EngineConfig& config, std::int64_t isl)> predict_prefill_speedup{};

  /// The device's name, as cudaGetDeviceProperties() reports it: where it was measured with the
  /// backends that run (measured_prefills()), the records, and an info besides row 1's, say from
  /// which ISL FP8 pays, unless the engine predicts that itself. Empty: nothing is said of that.
  std::string device_name{};
};

/// The environment of an engine that runs the prefill backend of this name, one of those in
/// prefill_backend.h, unless a configuration chooses another one of its table. Advice takes those
/// for available; an engine that knows better passes a table. Unknown: std::invalid_argument.
[[nodiscard]] MLA_DTYPE_EXPORT Environment make_environment(const Platform& platform,
                                                            std::string_view prefill_backend);

/// That of an engine that runs whichever of these select_prefill_backend() selects; throws as that
/// does for bad rows. Asks `is_available` here, once for each, and never again.
[[nodiscard]] MLA_DTYPE_EXPORT Environment
make_environment(const Platform& platform, const std::vector<PrefillBackend>& prefill_backends,
                 const PrefillBackendAvailability& is_available = nullptr);

/// The same for the engine of this profile: its prefill backends, selected in its way, and its
/// spellings. std::invalid_argument also for an enumerator out of range.
[[nodiscard]] MLA_DTYPE_EXPORT Environment
make_environment(const Platform& platform, const EngineProfile& engine,
                 const PrefillBackendAvailability& is_available = nullptr);

/// The data type of an MLA layer's prefill queries, and of the keys and values that go into the
/// same attention: an engine that casts only the queries breaks its kernel. Call it at model init,
/// once or for each layer. Two models of a process, a draft and its target, get their own records.
///
/// | # | KV cache quantized | flag | backend supports | returns      | logs once, scope local |
/// |---|--------------------|------|------------------|--------------|------------------------|
/// | 1 | yes                | on   | yes              | platform FP8 | info: enabled          |
/// | 2 | any other case     | on   |                  | model dtype  | info: unable, and why  |
/// | 3 | yes                | off  | yes              | model dtype  | warning: how to enable |
/// | 4 | otherwise          | off  |                  | model dtype  | nothing                |
///
/// Where the engine states its expected ISL and predicts, row 3's record says what is predicted, or
/// is not logged if less than 2 % would be gained; and a warning besides row 1's says it if FP8 is
/// slower by 2 % or more, and the flag changes that. In mode `automatic` the prediction stands for
/// the flag, and instead of row 3's record an info says what was predicted.
///
/// Asks the predicates in the order of the columns; if one throws, nothing is logged.
/// std::invalid_argument, before any is asked: neither a table nor a predicate of the backend, a
/// model dtype other than float32, float16 and bfloat16, an fp8_data_type that is no FP8 type, a
/// head dimension or an expected ISL below 1, an enumerator out of range; in mode `automatic`, no
/// expected ISL or no prediction; with the built-in predicates, an unknown KV-cache dtype or
/// prefill backend. After: a predicted speedup that is no finite number above 0.
/// PrefillQueryRefused, and no record, where FP8 prefill queries are required and refused.
///
/// Thread-safe if the predicates are. Once its record was said it words nothing, takes no lock, and
/// allocates only what a predicate does: for the first 1,024 decisions that differ or whose
/// environments were made apart (not copied); beyond, it words its record to see that it was said.
///
///     EngineConfig config;
///     config.cache_config.cache_dtype = "fp8";
///     const auto env = make_environment(cuda(/*major=*/10, /*minor=*/3), "TRTLLM_RAGGED");
///     const auto type = determine_prefill_query_data_type(config, DataType::bfloat16, env);
MLA_DTYPE_EXPORT DataType determine_prefill_query_data_type(const EngineConfig& config,
                                                            DataType model_dtype,
                                                            const Environment& env);

/// The same decision as a value.
struct MLA_DTYPE_ABI PrefillQueryDecision {
  DataType data_type = DataType::bfloat16;
  PrefillQueryOutcome outcome = PrefillQueryOutcome::not_applicable;
  PrefillQueryFacts facts{};     ///< backend_supports is false where the backend was not asked
  std::string backend_reason{};  ///< what an injected predicate of it gave for a refusal
  std::optional<PrefillPrediction> prediction{};  ///< none where it was not asked for
};

/// Decides the same, and logs nothing. A refusal is an answer here, even of what is required.
[[nodiscard]] MLA_DTYPE_EXPORT PrefillQueryDecision
evaluate_prefill_query(const EngineConfig& config, DataType model_dtype, const Environment& env);

/// Logs the record of a decision that was made with these, once. True if this call wrote one. Asks
/// no predicate. std::invalid_argument: an outcome out of range, and what
/// determine_prefill_query_data_type() refuses before it asks one.
MLA_DTYPE_EXPORT bool log_prefill_query(const PrefillQueryDecision& decision,
                                        const EngineConfig& config, DataType model_dtype,
                                        const Environment& env);

/// What the former logs, in order, said or not; the same for a plan, and for a selected backend.
[[nodiscard]] MLA_DTYPE_EXPORT std::vector<LogRecord> records(const PrefillQueryDecision& decision,
                                                              const EngineConfig& config,
                                                              DataType model_dtype,
                                                              const Environment& env);

/// Changes of settings that together give FP8 prefill queries; the prediction says if they pay.
struct MLA_DTYPE_ABI Remedy {
  bool request = false;           ///< turn use_prefill_query_quantization on
  std::string cache_dtype{};      ///< set the KV-cache dtype to this; empty: leave it
  std::string prefill_backend{};  ///< choose this prefill backend; empty: leave it
  std::string spelling{};         ///< the same on this engine's command line
  std::string decode_backend{};   ///< choose this decode backend; of AttentionPlanRefused
};

/// Where FP8 prefill queries start to pay on the engine's device: of a bfloat16 model of the head
/// dimensions and the number of heads that were measured, without context (measured_prefills()).
struct MLA_DTYPE_ABI PrefillPayoff {
  std::string device{};
  std::string bf16_backend{};
  bool bf16_backend_runs = false;  ///< without FP8 queries; else it would, were the choice open
  std::string fp8_backend{};
  /// From which ISL on FP8 is faster, in tokens; none: not as far as was measured.
  std::optional<std::int64_t> break_even_isl{};
  std::int64_t longest_isl = 0;  ///< that was measured
  double speedup_at_4096 = 1;    ///< measured; below 1: what leaving the BF16 backend costs there
  std::string source{};
};

/// A decision, and why it is what it is.
struct MLA_DTYPE_ABI PrefillQueryExplanation {
  DataType data_type = DataType::bfloat16;
  PrefillQueryOutcome outcome = PrefillQueryOutcome::not_applicable;
  /// Of a KV cache that is not quantized backend_supports says what it would be with another one.
  PrefillQueryFacts facts{};
  KvCacheResolution kv_cache_dtype{};
  std::string prefill_backend{};    ///< the table's that it was decided with; empty: none
  std::vector<Blocker> blockers{};  ///< all that failed; none if and only if it is FP8
  /// Each gives FP8 prefill queries, with no change to spare, and no two come to the same. The
  /// smallest come first, then what the table of backends prefers. Predicates of the engine's own
  /// are not asked about other settings: there may be more then.
  std::vector<Remedy> remedies{};
  /// With a table: empty if there is a remedy, else sentences that nothing helps, which begin `On
  /// this device` if it is about that; in mode `automatic`, also that FP8 is not predicted to pay.
  std::string nothing_helps{};
  std::string hint{};                             ///< PrefillBackendSelection::hint
  std::optional<PrefillPrediction> prediction{};  ///< none where it was not asked for
  /// Of the backend that takes FP8 queries, would, or is hinted at; none where it is not known.
  std::optional<PrefillPayoff> payoff{};
};

/// The decision with all its reasons, for config time: no log, no GPU; allocates; asks the backend
/// in every case. Throws what determine_prefill_query_data_type() does, but no PrefillQueryRefused.
///
///     const auto explanation = explain_prefill_query_data_type(config, DataType::bfloat16, env);
///     for (const auto& remedy : explanation.remedies) std::puts(remedy.spelling.c_str());
[[nodiscard]] MLA_DTYPE_EXPORT PrefillQueryExplanation explain_prefill_query_data_type(
    const EngineConfig& config, DataType model_dtype, const Environment& env);

/// The explanation for a human: lines like `blocker: ...`, each of one item; no newline at the end.
[[nodiscard]] MLA_DTYPE_EXPORT std::string to_string(const PrefillQueryExplanation& explanation);

/// FP8 prefill queries were required and are not possible; what() says why, and what would help.
class MLA_DTYPE_EXPORT PrefillQueryRefused : public std::runtime_error {
 public:
  PrefillQueryRefused(const std::string& what, PrefillQueryExplanation explanation);
  ~PrefillQueryRefused() override;

  [[nodiscard]] const PrefillQueryExplanation& explanation() const noexcept {
    return *explanation_;
  }

 private:
  std::shared_ptr<const PrefillQueryExplanation> explanation_;
};

/// Whether the prefill backend takes FP8 queries, and if not, why; for a predicate that wraps this.
/// Asks the KV-cache predicate; without one an unknown KV cache counts as quantized. Where it is
/// not quantized it answers for another one; in mode `automatic`, as if FP8 were requested.
///
///     env.backend_supports_prefill_query_quantization = [table = env](auto& config, auto model) {
///       return prefill_backend_supports(config, model, table);  // and its own
///     };
[[nodiscard]] MLA_DTYPE_EXPORT Support prefill_backend_supports(const EngineConfig& config,
                                                                DataType model_dtype,
                                                                const Environment& env);

/// select_prefill_backend() with the table, the availability and the KV-cache predicate of the
/// environment; std::invalid_argument for one with a predicate of the backend of its own. The name
/// that make_environment() was given counts as a choice. Asks the KV-cache predicate once.
[[nodiscard]] MLA_DTYPE_EXPORT PrefillBackendSelection
select_prefill_backend(const EngineConfig& config, DataType model_dtype, const Environment& env);

/// Logs as info which prefill backend was selected and why not those preferred to it that run on
/// this device, or as a warning that none was; as a warning the hint, which alone tells who did not
/// ask for FP8 queries that another takes them; each once, in scope local. True: it wrote one.
MLA_DTYPE_EXPORT bool log_prefill_backend(const PrefillBackendSelection& selection,
                                          const Environment& env);
[[nodiscard]] MLA_DTYPE_EXPORT std::vector<LogRecord> records(
    const PrefillBackendSelection& selection);

}  // namespace mla_dtype

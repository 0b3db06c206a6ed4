// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mla_dtype/config.h>
#include <mla_dtype/data_type.h>
#include <mla_dtype/export.h>
#include <mla_dtype/kv_cache.h>
#include <mla_dtype/once_log.h>
#include <mla_dtype/platform.h>
#include <mla_dtype/prefill_backend.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace mla_dtype {

/// What the decision depends on.
struct PrefillQueryFacts {
  bool kv_cache_quantized;  ///< is the KV cache quantized?
  bool requested;           ///< is use_prefill_query_quantization on?
  bool backend_supports;    ///< can the prefill backend take FP8 queries?
};

/// Which row of the table the decision is.
enum class PrefillQueryOutcome : std::uint8_t {
  quantized,          ///< row 1: FP8
  request_refused,    ///< row 2: requested, but something is missing; model dtype
  available_but_off,  ///< row 3: nothing is missing but the request; model dtype
  not_applicable,     ///< row 4: neither requested nor possible; model dtype
};

/// The decision itself, a function of three facts.
constexpr PrefillQueryOutcome decide_prefill_query(PrefillQueryFacts facts) noexcept {
  const bool possible = facts.kv_cache_quantized && facts.backend_supports;
  if (facts.requested) {
    return possible ? PrefillQueryOutcome::quantized : PrefillQueryOutcome::request_refused;
  }
  return possible ? PrefillQueryOutcome::available_but_off : PrefillQueryOutcome::not_applicable;
}

/// The enumerator's name; data() is null-terminated and static. Out of range:
/// std::invalid_argument.
MLA_DTYPE_EXPORT std::string_view to_string(PrefillQueryOutcome outcome);

/// What the engine injects: what is true of its device, backend and log. One may serve any number
/// of decisions, from any number of threads if its predicates may be called so.
///
/// The predicates may be slow, and may throw: the exception reaches the caller of the decision.
struct Environment {
  /// Whether a KV cache of this dtype string is quantized. Asked once for each decision.
  std::function<bool(std::string_view cache_dtype)> is_quantized_kv_cache =
      &mla_dtype::is_quantized_kv_cache;

  /// Whether the engine's prefill backend can take FP8 queries, and if not, why: the sentences are
  /// written into the record of a refused request. Required. Asked at most once for each decision,
  /// and only if the KV cache is quantized.
  std::function<Support(const EngineConfig& config, DataType model_dtype)>
      backend_supports_prefill_query_quantization;

  /// The FP8 type of the platform: the answer where prefill queries are quantized.
  DataType fp8_data_type = DataType::float8_e4m3fn;

  /// Where the decision is logged; null: default_once_log().
  std::shared_ptr<OnceLog> log;

  /// How this engine's own command line turns the flag on: what row 3's hint ends with.
  std::string flag_spelling = R"(--attention-config '{"use_prefill_query_quantization": true}')";
};

/// The environment of an engine that runs one of the prefill backends in prefill_backend.h on the
/// platform. An unknown backend: std::invalid_argument. The predicates may be called from any
/// thread.
MLA_DTYPE_EXPORT Environment make_environment(const Platform& platform,
                                              std::string_view prefill_backend);

/// The data type of an MLA layer's prefill queries; and of the keys and values that go into the
/// same prefill attention: an engine that casts only the queries breaks its kernel.
///
/// | # | KV cache quantized | flag | backend supports | returns      | logs once, scope local |
/// |---|--------------------|------|------------------|--------------|------------------------|
/// | 1 | yes                | on   | yes              | platform FP8 | info: enabled          |
/// | 2 | any other case     | on   |                  | model dtype  | info: unable, and why  |
/// | 3 | yes                | off  | yes              | model dtype  | warning: how to enable |
/// | 4 | otherwise          | off  |                  | model dtype  | nothing                |
///
/// Call it at model init, once for each layer if that is convenient: what is logged is logged once.
///
/// The predicates are asked in the order of the columns, only as far as needed, and each at most
/// once; if one throws, nothing is logged. std::invalid_argument, before any predicate is asked: a
/// null predicate, a model dtype other than float32, float16 and bfloat16, an fp8_data_type that is
/// no FP8 type. With the built-in predicates: an unknown KV-cache dtype.
///
/// Thread-safe if the predicates are. Once its record has been said it takes no lock, and allocates
/// only for the reason of a backend that refuses, for a record of more than 1,024 bytes, and to
/// show an unquantized KV-cache dtype of more than 13.
///
///     mla_dtype::EngineConfig config;
///     config.cache_config.cache_dtype = "fp8";
///     const auto env = mla_dtype::make_environment(
///         mla_dtype::cuda(/*major=*/10, /*minor=*/3), "TRTLLM_RAGGED");
///     const auto type = mla_dtype::determine_prefill_query_data_type(
///         config, mla_dtype::DataType::bfloat16, env);
MLA_DTYPE_EXPORT DataType determine_prefill_query_data_type(const EngineConfig& config,
                                                            DataType model_dtype,
                                                            const Environment& env);

/// The same decision as a value.
struct PrefillQueryDecision {
  DataType data_type;
  PrefillQueryOutcome outcome;
  PrefillQueryFacts facts;     ///< backend_supports is false where the backend was not asked
  std::string backend_reason;  ///< what the backend's predicate gave for a refusal
};

/// Decides as determine_prefill_query_data_type() does, and logs nothing.
MLA_DTYPE_EXPORT PrefillQueryDecision evaluate_prefill_query(const EngineConfig& config,
                                                             DataType model_dtype,
                                                             const Environment& env);

/// Logs the record of a decision that was made with this config and environment, once. True if a
/// record was written by this call. Asks no predicate. An outcome out of range:
/// std::invalid_argument.
MLA_DTYPE_EXPORT bool log_prefill_query(const PrefillQueryDecision& decision,
                                        const EngineConfig& config, const Environment& env);

}  // namespace mla_dtype

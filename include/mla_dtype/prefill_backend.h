// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mla_dtype/config.h>
#include <mla_dtype/platform.h>

#include <functional>
#include <type_traits>

namespace mla_dtype {

/// An answer to "can it?": `return true;`, or `return {false, "It was not compiled in."};`. It
/// converts from exactly bool, so that `return "no";` is an error and not a yes.
struct MLA_DTYPE_ABI Support {
  Support() = default;  ///< no, without a reason
  template <class Bool, std::enable_if_t<std::is_same_v<Bool, bool>, int> = 0>
  Support(Bool is_supported, std::string why_not = {})  // NOLINT: implicit, see above
      : supported(is_supported), reason(std::move(why_not)) {}

  bool supported = false;
  std::string reason{};  ///< whole sentences; ignored where supported
};

/// Whether a prefill backend takes queries, keys and values in FP8.
enum class Fp8Queries : std::uint8_t {
  never,
  optional,     ///< those in the model dtype, too
  required,     ///< no others: it cannot run without them
  by_kv_cache,  ///< with each KV cache that it lists, whatever the flag says (an engine whose own
                ///< predicate answers turns it on itself); else the others
};

/// What a prefill backend can do: one row of a table. Tables are in order of preference.
struct MLA_DTYPE_ABI PrefillBackend {
  std::string name{};  ///< as an operator spells it: letters, digits, `_`, `-` and `.`

  // What it runs with.
  std::vector<DeviceRange> devices{};                 ///< empty: any, and none
  std::vector<DataType> model_dtypes{};               ///< empty: float16 and bfloat16
  std::vector<MlaDimensions> dimensions{};            ///< empty: any
  std::vector<MlaDimensions> preferred_dimensions{};  ///< goes before the other rows for these
  int head_multiple = 1;  ///< the heads of a rank must be a multiple of this

  // What its prefill runs in FP8 with, besides.
  Fp8Queries fp8_queries = Fp8Queries::never;
  std::vector<DeviceRange> fp8_devices{};    ///< among `devices`; empty: all that have FP8
  std::vector<DataType> fp8_model_dtypes{};  ///< that it writes from FP8 queries; empty: all
  /// At least one, unless `never`, as operators may spell it. A KV-cache dtype that kv_cache.h does
  /// not know is the engine's own to judge, and passes, unless some such are listed here.
  std::vector<std::string> fp8_kv_cache_dtypes{};
  std::vector<KvScales> fp8_kv_scales{};         ///< of the KV cache; empty: any
  bool fp8_with_decode_context_parallel = true;  ///< also over a KV cache spread over ranks
  std::vector<DeviceRange> ignores_flag_on{};    ///< may run in FP8 there without being asked to
  bool fp8_with_sparse = false;                  ///< also with sparse attention (index_topk)
  bool sparse = false;                           ///< runs with it alone, then with FP8 queries, too
  std::string known_wrong{};  ///< when FP8 was wrong: "with ..., before 1.2 (source)"; or none
};

/// vLLM's, in its order (vllm/v1/attention/backends/mla/prefill/selector.py): ROCM_AITER_FA,
/// FLASH_ATTN, TRTLLM_RAGGED, FLASHINFER, TOKENSPEED_MLA. Never changes: add rows to a copy.
[[nodiscard]] MLA_DTYPE_EXPORT const std::vector<PrefillBackend>& vllm_prefill_backends();

/// TensorRT-LLM's own: TRTLLM_FMHA, its context FMHA.
[[nodiscard]] MLA_DTYPE_EXPORT const std::vector<PrefillBackend>& tensorrt_llm_prefill_backends();

/// Whether this engine can use a backend at all: was it compiled in, ...? Null: every one can.
using PrefillBackendAvailability = std::function<Support(std::string_view name)>;

/// What keeps FP8 prefill queries, or a prefill backend, away.
enum class BlockerKind : std::uint8_t {
  not_requested,            ///< the flag is off; in mode `automatic`: predicted not to be faster
  kv_cache_not_quantized,   ///< ... and FP8 queries need a KV cache that is
  kv_cache_format,          ///< quantized, but in a format that FP8 prefill cannot read
  dynamic_kv_scales,        ///< the backend does not take FP8 queries with these KV scales
  decode_context_parallel,  ///< ... or not over a KV cache that is spread over ranks
  backend_device,           ///< the backend does not run on this device
  backend_without_fp8,      ///< the backend never takes FP8 queries
  fp8_device,               ///< ... or not on this device
  model_dtype,              ///< the backend does not take models of this data type
  dimensions,               ///< ... or of these head dimensions
  head_count,               ///< ... or of this number of heads
  output_dtype,             ///< the backend does not write the model's data type from FP8 queries
  backend_unavailable,      ///< the engine cannot use the backend
  backend_refused,          ///< the engine's own predicate said no
  backend_needs_fp8,        ///< the backend runs with FP8 queries only, and gets none
  sparse_attention,         ///< ... or not of a model with it; or runs no such models, or no others
};

/// The enumerator's name, null-terminated and static; std::invalid_argument for what is none.
[[nodiscard]] MLA_DTYPE_EXPORT std::string_view to_string(BlockerKind kind);

/// What FP8 prefill queries are predicted to bring.
struct PrefillPrediction {
  std::int64_t isl = 0;         ///< at this input sequence length, the expected one, in tokens
  double speedup = 1;           ///< time of prefill attention without them over that with them
  bool decides = false;         ///< the mode is `automatic`: it is why they are requested, or not
  bool advises_change = false;  ///< to change the flag is possible, and gains 2 % or more
};

/// One condition that failed.
struct MLA_DTYPE_ABI Blocker {
  BlockerKind kind = BlockerKind::not_requested;
  std::string value{};     ///< the KV-cache dtype, the device, ...; empty: the engine alone knows
  std::string sentence{};  ///< the same for a human
};

/// A backend that was not selected, and all that speaks against it.
struct MLA_DTYPE_ABI RejectedPrefillBackend {
  std::string name{};
  std::vector<Blocker> blockers{};
};

/// Which prefill backend to use.
struct MLA_DTYPE_ABI PrefillBackendSelection {
  std::string name{};              ///< empty: none can run, or not the one that was chosen
  std::string chosen{};            ///< the operator's choice; empty: there was none
  bool takes_fp8_queries = false;  ///< here, with this KV cache and model; requested or not
  /// Those that were passed over: preferred to the selected one, or, where FP8 queries are
  /// requested in vain, all that could not take them either. Of a choice at most that one.
  std::vector<RejectedPrefillBackend> rejected{};
  /// Where another backend could take FP8 queries and the selected one cannot: a sentence on what
  /// to change. Empty where they are predicted to gain less than 2 %.
  std::string hint{};
};

/// The first backend that can run; where FP8 prefill queries are requested and some backend can
/// take them, the first one that can. Where they are required, no other is selected. The operator's
/// choice (AttentionConfig::mla_prefill_backend) is taken, or rejected with all reasons. Asks
/// `is_available` once for each of `backends`; what it throws reaches the caller.
/// std::invalid_argument: no backends, two of one name, a row that contradicts itself, a chosen
/// backend that is none of them, an unknown KV-cache dtype, a dimension below 1, a model dtype
/// other than float32, float16 and bfloat16, the mode `automatic`, which takes an Environment
/// (prefill_query.h). Thread-safe; for model init: it allocates.
///
///     const auto selection = select_prefill_backend(config, DataType::bfloat16, cuda(10, 3));
///     if (selection.name.empty()) { /* selection.rejected says why */ }
[[nodiscard]] MLA_DTYPE_EXPORT PrefillBackendSelection
select_prefill_backend(const EngineConfig& config, DataType model_dtype, const Platform& platform,
                       const std::vector<PrefillBackend>& backends = vllm_prefill_backends(),
                       const PrefillBackendAvailability& is_available = nullptr);

}  // namespace mla_dtype

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mla_dtype/prefill_query.h>

namespace mla_dtype {

/// What the engine injects about decoding; made by make_decode_environment(), or by hand.
struct MLA_DTYPE_ABI DecodeEnvironment {
  /// Whether the decode backend takes FP8 queries with an FP8 KV cache, and if not, why: it then
  /// reads it with queries in the model dtype (one that does not read it at all throws). Null: the
  /// table answers. Asked at most once for each plan, and only if the KV cache is plain FP8.
  std::function<Support(const EngineConfig& config, DataType model_dtype)>
      decode_backend_supports_quantized_query{};

  std::shared_ptr<const detail::DecodeTable> decode_table{};  ///< make_decode_environment() sets it
};

/// That of an engine that runs this backend on the platform. With it a plan also knows the pairs
/// that are not legal. std::invalid_argument for a row that contradicts itself.
[[nodiscard]] MLA_DTYPE_EXPORT DecodeEnvironment
make_decode_environment(const Platform& platform, const DecodeBackend& backend);

/// That of one of vllm_decode_backends(), with the rest for advice. Unknown: std::invalid_argument.
[[nodiscard]] MLA_DTYPE_EXPORT DecodeEnvironment
make_decode_environment(const Platform& platform, std::string_view decode_backend);

/// The same for one of the profile; no name: for the first that can run. Asks `is_available` here.
[[nodiscard]] MLA_DTYPE_EXPORT DecodeEnvironment make_decode_environment(
    const Platform& platform, const EngineProfile& engine,
    const PrefillBackendAvailability& is_available = nullptr, std::string_view decode_backend = {});

/// A data type, and why it is that one.
struct MLA_DTYPE_ABI PlannedDataType {
  DataType data_type = DataType::bfloat16;
  std::string reason{};  ///< one sentence
};

/// What is legal, and may still not be what was meant.
enum class CautionKind : std::uint8_t {
  unit_scales,       ///< FP8 attention with KV scales of 1
  unknown_scales,    ///< ... or with scales that nobody spoke of
  storage_only,      ///< the KV cache is quantized, but decode computes in the model dtype
  flag_ignored,      ///< AITER may run prefill in FP8 on gfx950 although the flag is off
  known_wrong,       ///< FP8 attention of a backend that has been wrong in some version
  unequal_scales,    ///< FP8 attention with a scale of keys that is not that of values
  estimated_scales,  ///< ... or with scales that are estimated
  no_fp8_units,      ///< FP8 queries on a device that computes in no FP8
};

/// The enumerator's name, null-terminated and static; std::invalid_argument for what is none.
[[nodiscard]] MLA_DTYPE_EXPORT std::string_view to_string(CautionKind kind);

struct MLA_DTYPE_ABI Caution {
  CautionKind kind = CautionKind::unit_scales;
  std::string sentence{};
};

/// Every data type of an MLA layer.
struct MLA_DTYPE_ABI AttentionPlan {
  KvCacheResolution kv_cache_dtype{};  ///< resolved: as it is stored, which decoding may change
  KvScales kv_scales = KvScales::unknown;
  PlannedDataType kv_cache_storage{};   ///< as it is allocated: FP8 and packed formats as uint8
  PlannedDataType kv_cache_view{};      ///< as kernels read it: FP8 as the platform's FP8 type
  PlannedDataType prefill_query{};      ///< by determine_prefill_query_data_type()
  PlannedDataType prefill_key_value{};  ///< always the query's
  /// The prefill query's; the model dtype with a decode-context-parallel size above 1; bfloat16 for
  /// `fp8_ds_mla`; none without chunked prefill.
  std::optional<PlannedDataType> chunked_prefill_workspace{};
  PlannedDataType decode_query{};  ///< FP8, without a flag, where the KV cache is plain FP8 and the
                                   ///< backend reads it so; else the model dtype
  PlannedDataType output{};        ///< of prefill and decode: the model dtype

  PrefillQueryExplanation prefill{};  ///< why prefill_query is what it is: blockers, remedies
  PrefillBackendSelection prefill_backend{};  ///< which one to use; empty without a table
  std::string decode_backend{};               ///< the same of decoding
  std::vector<Caution> cautions{};

  // Memory; none where the layout is the engine's: packed, or with scales for each token.
  std::optional<std::size_t> kv_cache_bytes{};   ///< for a token and layer
  std::size_t unquantized_kv_cache_bytes = 0;    ///< the same in the model dtype
  std::optional<std::size_t> workspace_bytes{};  ///< of chunked prefill, for a token
};

/// Every data type of an MLA layer in one answer, consistent; remedies are such as suit decoding.
/// Logs nothing. Throws what determine_prefill_query_data_type() throws; std::invalid_argument also
/// for neither a table nor a predicate of decoding, tables of two devices, an fp8_data_type other
/// than the device's E4M3, and a KV-cache predicate that is wrong about a known dtype;
/// AttentionPlanRefused where no kernel can run: no decode backend, or not the one that was named,
/// reads this KV cache on this device with this model, or no prefill backend runs. Thread-safe if
/// the predicates are; for model init: it allocates.
///
///     const auto decode = make_decode_environment(platform, "FLASHMLA");
///     const auto plan = plan_attention_data_types(config, DataType::bfloat16, env, decode);
///     log_attention_plan(plan, env);
[[nodiscard]] MLA_DTYPE_EXPORT AttentionPlan
plan_attention_data_types(const EngineConfig& config, DataType model_dtype, const Environment& env,
                          const DecodeEnvironment& decode);

/// No kernel can run what was configured; what() says why, and what would help.
class MLA_DTYPE_EXPORT AttentionPlanRefused : public std::runtime_error {
 public:
  explicit AttentionPlanRefused(const std::string& what, std::vector<Remedy> remedies = {});
  ~AttentionPlanRefused() override;

  /// Each gives a plan that runs; FP8 prefill queries only where they are required. Least first.
  [[nodiscard]] const std::vector<Remedy>& remedies() const noexcept { return *remedies_; }

 private:
  std::shared_ptr<const std::vector<Remedy>> remedies_;
};

/// Which decode backend an engine runs, and the queries that it reads the KV cache with.
struct MLA_DTYPE_ABI DecodeBackendSelection {
  std::string name{};  ///< empty: none can run, or not the one that was named
  DecodeQueries queries = DecodeQueries::none;
  std::vector<RejectedPrefillBackend> rejected{};  ///< those that went before it
};

/// The first decode backend, in the order of the engine, that runs this model with this KV cache.
/// std::invalid_argument for what a plan refuses so, and for a predicate of the engine's own; that
/// FP8 prefill queries are required is not looked at. Thread-safe; allocates.
[[nodiscard]] MLA_DTYPE_EXPORT DecodeBackendSelection
select_decode_backend(const EngineConfig& config, DataType model_dtype, const Environment& env,
                      const DecodeEnvironment& decode);

/// Logs the plan's decision on prefill queries as determine_prefill_query_data_type() does (but for
/// remedies that decoding cannot follow), and each caution as a warning; each once, in scope local.
/// True if this call wrote a record. std::invalid_argument for an outcome out of range.
MLA_DTYPE_EXPORT bool log_attention_plan(const AttentionPlan& plan, const Environment& env);
[[nodiscard]] MLA_DTYPE_EXPORT std::vector<LogRecord> records(const AttentionPlan& plan,
                                                              const Environment& env);

/// The plan for a human: lines like `prefill query: bfloat16 (...)`; no newline at the end.
[[nodiscard]] MLA_DTYPE_EXPORT std::string to_string(const AttentionPlan& plan);

/// The plan in 64 bits, the same on every machine and build of this version, for the ranks of a
/// group to compare, since unlike data types give wrong outputs without an error:
///
/// | bits  | field              | values                                                    |
/// |-------|--------------------|-----------------------------------------------------------|
/// | 0-3   | version            | 1                                                         |
/// | 4-31  | kv_cache_storage   | of each PlannedDataType, in the order of the plan, 4 bits |
/// |       | to output          | with a DataType's number; 15: none                        |
/// | 32-39 | kv_cache_dtype     | its place in kv_cache_formats(), `fp8_e4m3` as `fp8`;     |
/// |       |                    | 254: float32; 255: the engine's                           |
/// | 40-43 | kv_scales          | a KvScales' number; 0 if not quantized                    |
/// | 44-63 | kv_cache_name      | FNV-1a of the name, of the engine's own only              |
///
/// std::invalid_argument for a plan with a data type or KV scales out of range.
[[nodiscard]] MLA_DTYPE_EXPORT std::uint64_t pack(const AttentionPlan& plan);

/// One field in which the plan of a rank is not that of rank 0.
struct MLA_DTYPE_ABI RankDifference {
  std::size_t rank = 0;
  std::string_view field{};  ///< that of the plan, or of the table above; static
  std::string value{};       ///< this rank's
  std::string expected{};    ///< rank 0's
};

/// Where the packed plans, one of each rank in order, differ from the first.
[[nodiscard]] MLA_DTYPE_EXPORT std::vector<RankDifference> rank_differences(
    const std::vector<std::uint64_t>& packed_plans);

/// Throws AttentionPlanRefused if there are any, naming each; std::invalid_argument for no plans.
///
///     engine_all_gather(pack(plan), packed);  // a collective of the engine's own
///     check_ranks_agree(packed);
MLA_DTYPE_EXPORT void check_ranks_agree(const std::vector<std::uint64_t>& packed_plans);

}  // namespace mla_dtype

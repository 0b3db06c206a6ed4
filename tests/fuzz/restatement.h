// SPDX-License-Identifier: Apache-2.0
#pragma once

// The rules once more, from what the design and the headers promise, and not from the library's
// code: the simplest thing that could be right, at any cost. Of the library only its vocabulary is
// used (enumerations, configuration, and the tables' types to hand rows to it).

#include <mla_dtype/mla_dtype.h>

#include <algorithm>
#include <cstddef>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

namespace mla_dtype::fuzz {

template <class Items, class Item>
bool holds(const Items& items, const Item& item) {
  return std::find(std::begin(items), std::end(items), item) != std::end(items);
}

// Devices.

struct Device {
  enum Runtime { none, cuda, rocm } runtime = none;
  int major = 0, minor = 0, stepping = 0;

  auto version() const { return std::tuple(major, minor, stepping); }
  friend bool operator==(const Device& a, const Device& b) {
    return a.runtime == b.runtime && a.version() == b.version();
  }

  std::optional<DataType> fp8() const {
    if (runtime == cuda && version() >= std::tuple(8, 9, 0)) return DataType::float8_e4m3fn;
    if (runtime != rocm) return std::nullopt;
    if (major == 9 && minor == 4) return DataType::float8_e4m3fnuz;
    if ((major == 9 && minor == 5) || major >= 12) return DataType::float8_e4m3fn;
    return std::nullopt;
  }

  Platform platform() const {
    if (runtime == none) return {};
    if (runtime == cuda) return mla_dtype::cuda(major, minor);
    constexpr std::string_view digits = "0123456789abcdef";
    return mla_dtype::rocm("gfx" + std::to_string(major) + digits[static_cast<unsigned>(minor)] +
                           digits[static_cast<unsigned>(stepping)]);
  }
};

struct Range {
  Device first, last;

  bool contains(const Device& device) const {
    return device.runtime == first.runtime && device.version() >= first.version() &&
           device.version() <= last.version();
  }
};
using Ranges = std::vector<Range>;

inline Range alone(const Device& device) { return {device, device}; }
inline Range family(int major) { return {{Device::cuda, major, 0}, {Device::cuda, major, 9}}; }

inline bool contain(const Ranges& ranges, const Device& device) {
  return std::any_of(ranges.begin(), ranges.end(),
                     [&](const Range& range) { return range.contains(device); });
}

inline std::vector<DeviceRange> to_library(const Ranges& ranges) {
  std::vector<DeviceRange> result;
  for (const Range& range : ranges) {
    result.emplace_back(range.first.platform(), range.last.platform());
  }
  return result;
}

// KV caches.

struct Cache {
  std::string_view name;
  bool quantized;
  std::optional<DataType> storage, view;  // none: the model dtype
};

constexpr auto byte_type = DataType::uint8;
constexpr auto e4m3 = DataType::float8_e4m3fn;

// In the order of kv_cache_formats(), which a packed plan counts in.
inline constexpr Cache caches[] = {
    {"auto", false, {}, {}},
    {"float16", false, DataType::float16, DataType::float16},
    {"bfloat16", false, DataType::bfloat16, DataType::bfloat16},
    {"fp8", true, byte_type, e4m3},
    {"fp8_e4m3", true, byte_type, e4m3},
    {"fp8_e5m2", true, byte_type, DataType::float8_e5m2},
    {"fp8_inc", true, byte_type, e4m3},
    {"fp8_ds_mla", true, byte_type, byte_type},
    {"fp8_per_token_head", true, byte_type, e4m3},
    {"int8_per_token_head", true, DataType::int8, DataType::int8},
    {"int4_per_token_head", true, byte_type, byte_type},
    {"nvfp4", true, byte_type, byte_type},
    {"nvfp4_4over6", true, byte_type, byte_type},
    {"nvfp4_ds_mla", true, byte_type, byte_type},
    {"turboquant_k8v4", true, byte_type, byte_type},
    {"turboquant_4bit_nc", true, byte_type, byte_type},
    {"turboquant_k3v4_nc", true, byte_type, byte_type},
    {"turboquant_3bit_nc", true, byte_type, byte_type},
};

inline const Cache* find_cache(std::string_view name) {
  for (const Cache& cache : caches) {
    if (cache.name == name) return &cache;
  }
  return nullptr;
}

// E4M3 values with one scale.
inline bool is_plain_fp8(std::string_view name) {
  return name == "fp8" || name == "fp8_e4m3" || name == "fp8_inc";
}

// Tables of backends.

inline const MlaDimensions deepseek = {128, 64, 128};
inline const MlaDimensions wide = {192, 64, 256};

struct Row {
  std::string name;
  Ranges devices = {};
  std::vector<DataType> model_dtypes = {};
  std::vector<MlaDimensions> dimensions = {}, preferred_dimensions = {};
  int head_multiple = 1;
  Fp8Queries fp8_queries = Fp8Queries::never;
  Ranges fp8_devices = {};
  std::vector<DataType> fp8_model_dtypes = {};
  std::vector<std::string> fp8_caches = {};
  bool available = true;

  PrefillBackend to_library() const {
    PrefillBackend result;
    result.name = name;
    result.devices = fuzz::to_library(devices);
    result.model_dtypes = model_dtypes;
    result.dimensions = dimensions;
    result.preferred_dimensions = preferred_dimensions;
    result.head_multiple = head_multiple;
    result.fp8_queries = fp8_queries;
    result.fp8_devices = fuzz::to_library(fp8_devices);
    result.fp8_model_dtypes = fp8_model_dtypes;
    result.fp8_kv_cache_dtypes = fp8_caches;
    return result;
  }
};

inline Row fp8_row(const char* name, Ranges devices, bool writes_float16 = false) {
  Row row{name, std::move(devices)};
  row.fp8_queries = Fp8Queries::optional;
  row.fp8_caches = {"fp8", "fp8_e4m3"};
  if (!writes_float16) row.fp8_model_dtypes = {DataType::bfloat16};
  return row;
}

inline const Device gfx942 = {Device::rocm, 9, 4, 2};
inline const Device gfx950 = {Device::rocm, 9, 5, 0};

inline std::vector<Row> vllm_rows() {
  std::vector<Row> rows = {{"ROCM_AITER_FA", {alone(gfx942), alone(gfx950)}},
                           {"FLASH_ATTN"},
                           fp8_row("TRTLLM_RAGGED", {family(10)}),
                           fp8_row("FLASHINFER", {family(10)}),
                           fp8_row("TOKENSPEED_MLA", {family(10)}, true)};
  rows[2].dimensions = {deepseek, wide};
  rows[2].preferred_dimensions = {wide};
  rows[3].dimensions = rows[4].dimensions = {deepseek};
  return rows;
}

inline std::vector<Row> tensorrt_llm_rows() {
  std::vector<Row> rows = {fp8_row("TRTLLM_FMHA", {{{Device::cuda, 8, 0}, {Device::cuda, 12, 9}}})};
  for (const auto& [major, minor] : {std::pair(9, 0), {10, 0}, {10, 3}, {12, 0}, {12, 1}}) {
    rows[0].fp8_devices.push_back(alone({Device::cuda, major, minor}));
  }
  return rows;
}

struct DecodeRow {
  struct Reads {
    DecodeQueries queries;
    std::vector<std::string> caches;  // empty: those in the model dtype
    Ranges devices;                   // empty: any
    std::vector<DataType> model_dtypes;
  };
  std::string name;
  std::vector<Reads> pairs;
  bool needs_unit_scales = false;

  DecodeBackend to_library() const {
    DecodeBackend result;
    result.name = name;
    result.needs_unit_scales = needs_unit_scales;
    for (const Reads& pair : pairs) {
      DecodePair& added = result.pairs.emplace_back();
      added.queries = pair.queries;
      added.kv_cache_dtypes = pair.caches;
      added.devices = fuzz::to_library(pair.devices);
      added.model_dtypes = pair.model_dtypes;
    }
    return result;
  }
};

inline std::vector<DecodeRow> decode_rows() {
  const std::vector<std::string> plain = {"fp8", "fp8_e4m3"};
  const std::vector<DataType> any_16_bits = {DataType::float16, DataType::bfloat16};
  const std::vector<DataType> bf16 = {DataType::bfloat16};
  const auto cuda = [](int major, int minor) { return alone({Device::cuda, major, minor}); };
  const auto model = DecodeQueries::model;
  const auto fp8 = DecodeQueries::fp8;
  const Ranges trtllm = {cuda(10, 0), cuda(10, 3), cuda(10, 7)};
  const Ranges xqa = {cuda(12, 0), cuda(12, 1)};
  const Ranges hopper = {cuda(9, 0)};
  const Ranges flashmla = {cuda(9, 0), family(10)};
  const Ranges blackwell = {family(10)};
  const Ranges mi300 = {alone(gfx942), alone(gfx950)};
  return {
      {"FLASHINFER_MLA",
       {{model, {}, trtllm, any_16_bits},
        {fp8, plain, trtllm, any_16_bits},
        {model, {}, xqa, bf16},
        {fp8, plain, xqa, any_16_bits},
        {model, {}, hopper, any_16_bits},
        {model, plain, hopper, bf16}}},
      {"FLASHMLA",
       {{model, {}, flashmla, any_16_bits},
        {fp8, plain, flashmla, any_16_bits},
        {model, {"fp8_ds_mla"}, flashmla, bf16}}},
      {"CUTLASS_MLA",
       {{model, {}, blackwell, any_16_bits}, {fp8, plain, blackwell, any_16_bits}},
       true},
      {"TOKENSPEED_MLA",
       {{model, {}, blackwell, any_16_bits}, {fp8, plain, blackwell, any_16_bits}}},
      {"ROCM_AITER_MLA", {{model, {}, mi300, any_16_bits}, {fp8, plain, mi300, any_16_bits}}},
      {"TRITON_MLA", {{model, {}, {}, {}}, {model, plain, {}, {}}}},
      {"FLASHATTN_MLA", {{model, {}, hopper, any_16_bits}}},
  };
}

// The engine, the device and the model; what an operator can change is in a Setting.

enum class KvPredicate { built_in, as_built_in, always, never };

struct World {
  Device device;
  DataType model_dtype = DataType::bfloat16;
  EngineConfig config;

  bool injected = false;  // a prefill predicate of the engine's own, which says `supports`
  bool supports = false;
  std::vector<Row> rows;
  std::string named;  // the row that make_environment() was asked for by name
  KvPredicate kv_predicate = KvPredicate::built_in;
  std::optional<double> speedup;  // what the engine predicts; none: it does not
  DataType fp8_data_type = e4m3;

  std::optional<DecodeRow> decode_row;
  bool decode_supports = false;
};

struct Setting {
  bool requested;
  std::string cache_dtype, choice;
};

// Asked for where the engine says what ISL it expects, and whether FP8 pays is open.
inline std::optional<double> prediction(const World& world) {
  const AttentionConfig& attention = world.config.attention_config;
  const bool is_asked =
      attention.expected_isl && attention.prefill_query_mode != PrefillQueryMode::required;
  return is_asked ? world.speedup : std::nullopt;
}

inline bool is_automatic(const World& world) {
  return world.config.attention_config.prefill_query_mode == PrefillQueryMode::automatic;
}

// What auto comes to by the checkpoint; none where that is not known.
inline std::optional<std::string> effective(const World& world, const std::string& cache_dtype) {
  if (cache_dtype != "auto") return cache_dtype;
  std::string algo = world.config.cache_config.checkpoint_kv_cache_quant_algo;
  for (char& c : algo) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  }
  if (algo.empty() || algo == "MIXED_PRECISION") return "auto";
  if (algo == "FP8") return "fp8_e4m3";
  if (algo == "NVFP4") return "nvfp4";
  return std::nullopt;
}

inline bool is_quantized(const World& world, const std::string& effective_dtype) {
  if (world.kv_predicate == KvPredicate::always) return true;
  if (world.kv_predicate == KvPredicate::never) return false;
  const Cache* cache = find_cache(effective_dtype);
  return cache != nullptr && cache->quantized;
}

// Whether the operator's own words are accepted. What cannot be meant at all is not asked here.
inline bool is_known(const World& world, const Setting& setting) {
  const auto cache_dtype = effective(world, setting.cache_dtype);
  if (!cache_dtype) return false;
  if (world.kv_predicate == KvPredicate::built_in && find_cache(*cache_dtype) == nullptr) {
    return false;
  }
  return world.injected || setting.choice.empty() ||
         std::any_of(world.rows.begin(), world.rows.end(),
                     [&](const Row& row) { return row.name == setting.choice; });
}

// A plan is stricter than the determination: the output has to be written, too.
enum class Rules { determination, plan };

inline bool can_run_at_all(const World& world, const Row& row) {
  const std::vector<DataType> any_16_bits = {DataType::float16, DataType::bfloat16};
  return row.available && (row.devices.empty() || contain(row.devices, world.device)) &&
         holds(row.model_dtypes.empty() ? any_16_bits : row.model_dtypes, world.model_dtype) &&
         (row.dimensions.empty() || holds(row.dimensions, world.config.mla_dimensions)) &&
         world.config.num_attention_heads % row.head_multiple == 0;
}

inline bool reads_in_fp8(const World& world, const Row& row, const std::string& cache_dtype) {
  if (!is_quantized(world, cache_dtype)) return false;
  if (holds(row.fp8_caches, cache_dtype)) return true;
  const auto is_unknown = [](const std::string& name) { return find_cache(name) == nullptr; };
  return is_unknown(cache_dtype) &&
         std::none_of(row.fp8_caches.begin(), row.fp8_caches.end(), is_unknown);
}

inline bool is_vetoed(const World& world) {
  return world.config.cache_config.kv_scales == KvScales::dynamic ||
         world.config.parallel_config.decode_context_parallel_size > 1;
}

inline bool takes_fp8(const World& world, const Row& row, const Setting& setting, Rules rules) {
  const bool writes_output = rules == Rules::determination || row.fp8_model_dtypes.empty() ||
                             holds(row.fp8_model_dtypes, world.model_dtype);
  return can_run_at_all(world, row) && row.fp8_queries != Fp8Queries::never && writes_output &&
         world.device.fp8() &&
         (row.fp8_devices.empty() || contain(row.fp8_devices, world.device)) &&
         reads_in_fp8(world, row, *effective(world, setting.cache_dtype)) && !is_vetoed(world);
}

inline bool runs(const World& world, const Row& row, const Setting& setting, Rules rules) {
  const bool gets_fp8 = setting.requested && takes_fp8(world, row, setting, rules);
  const bool is_required =
      world.config.attention_config.prefill_query_mode == PrefillQueryMode::required;
  return can_run_at_all(world, row) &&
         (gets_fp8 || (row.fp8_queries != Fp8Queries::required && !is_required));
}

// In order of preference: those that are preferred for the dimensions go first.
inline std::vector<const Row*> candidates(const World& world, const Setting& setting) {
  std::vector<const Row*> result;
  for (const bool preferred : {true, false}) {
    for (const Row& row : world.rows) {
      const bool chosen = setting.choice.empty() || row.name == setting.choice;
      if (chosen && holds(row.preferred_dimensions, world.config.mla_dimensions) == preferred) {
        result.push_back(&row);
      }
    }
  }
  return result;
}

// Null: none can be used.
inline const Row* selected(const World& world, const Setting& setting, Rules rules) {
  const auto rows = candidates(world, setting);
  if (setting.requested) {
    for (const Row* row : rows) {
      if (takes_fp8(world, *row, setting, rules)) return row;
    }
  }
  for (const Row* row : rows) {
    if (runs(world, *row, setting, rules)) return row;
  }
  return nullptr;
}

// A prediction compares two ways to run: it decides nothing where there is only that with FP8.
inline bool is_requested(const World& world, const std::string& choice) {
  const AttentionConfig& attention = world.config.attention_config;
  switch (attention.prefill_query_mode) {
    case PrefillQueryMode::by_flag:
      return attention.use_prefill_query_quantization;
    case PrefillQueryMode::required:
      return true;
    case PrefillQueryMode::automatic:
      break;
  }
  if (prediction(world) > 1.0) return true;
  if (world.injected) return false;
  const Setting off = {false, {}, choice};
  const auto rows = candidates(world, off);
  return selected(world, off, Rules::determination) == nullptr &&
         std::any_of(rows.begin(), rows.end(),
                     [&](const Row* row) { return can_run_at_all(world, *row); });
}

inline Setting setting_of(const World& world) {
  const std::string& choice = world.config.attention_config.mla_prefill_backend;
  Setting result = {false, world.config.cache_config.cache_dtype,
                    choice.empty() ? world.named : choice};
  result.requested = is_requested(world, result.choice);
  return result;
}

// The third column of the table of rows, for a KV cache that is quantized.
inline bool backend_supports(const World& world, const Setting& setting, Rules rules) {
  if (world.injected) {
    if (rules == Rules::determination) return world.supports;
    const std::string cache_dtype = *effective(world, setting.cache_dtype);
    return world.supports && !is_vetoed(world) &&
           (is_plain_fp8(cache_dtype) || cache_dtype == "auto" ||  // the engine's own, if quantized
            find_cache(cache_dtype) == nullptr);
  }
  if (!setting.choice.empty()) {
    return takes_fp8(world, *candidates(world, setting).front(), setting, rules);
  }
  const Row* row = selected(world, setting, rules);
  return row != nullptr && takes_fp8(world, *row, setting, rules);
}

struct Decision {
  PrefillQueryOutcome outcome;
  DataType data_type;
  bool quantized, supports;
};

inline Decision decide(const World& world, const Setting& setting, Rules rules) {
  const bool quantized = is_quantized(world, *effective(world, setting.cache_dtype));
  const bool supports = quantized && backend_supports(world, setting, rules);
  if (setting.requested && supports) {
    return {PrefillQueryOutcome::quantized, world.fp8_data_type, quantized, supports};
  }
  const PrefillQueryOutcome outcome = setting.requested ? PrefillQueryOutcome::request_refused
                                      : supports        ? PrefillQueryOutcome::available_but_off
                                                        : PrefillQueryOutcome::not_applicable;
  return {outcome, world.model_dtype, quantized, supports};
}

// Whether the operator is told to change the flag: where it is what decides, and 2 % are to be had.
inline bool advises_change(const World& world, const Setting& setting, Rules rules) {
  const auto speedup = prediction(world);
  if (!speedup || is_automatic(world)) return false;
  const auto outcome = decide(world, setting, rules).outcome;
  if (outcome == PrefillQueryOutcome::available_but_off) return *speedup >= 1.02;
  const Setting off = {false, setting.cache_dtype, setting.choice};
  const bool runs_without = world.injected || selected(world, off, rules) != nullptr;
  return outcome == PrefillQueryOutcome::quantized && runs_without && *speedup <= 1 / 1.02;
}

// The plan.

struct Plan {
  bool no_kernel = false;  // AttentionPlanRefused
  bool no_fp8 = false;     // PrefillQueryRefused
  DataType storage, view, prefill, decode;
  std::optional<DataType> workspace;
  std::string prefill_backend;
  std::vector<CautionKind> cautions;
  std::optional<std::size_t> cache_bytes, workspace_bytes;

  bool is_refused() const { return no_kernel || no_fp8; }
};

// `cache_dtype` is empty for a KV cache in the model dtype.
inline DecodeQueries decode_reads(const World& world, const std::string& cache_dtype) {
  for (const auto& pair : world.decode_row->pairs) {
    const bool reads = cache_dtype.empty() ? pair.caches.empty() : holds(pair.caches, cache_dtype);
    const bool here = pair.devices.empty() || contain(pair.devices, world.device);
    const bool takes_model =
        pair.model_dtypes.empty() || holds(pair.model_dtypes, world.model_dtype);
    const bool computes = pair.queries != DecodeQueries::fp8 || world.device.fp8();
    if (reads && here && takes_model && computes) return pair.queries;
  }
  return DecodeQueries::none;
}

inline std::size_t bits(DataType type) {
  const std::string_view name = to_string(type);
  if (name.find("32") != name.npos) return 32;
  return name.find("8") != name.npos ? 8 : 16;
}

inline Plan plan(const World& world, const Setting& setting) {
  const EngineConfig& config = world.config;
  const std::string cache_dtype = *effective(world, setting.cache_dtype);
  const bool quantized = is_quantized(world, cache_dtype);
  const bool spread = config.parallel_config.decode_context_parallel_size > 1;
  const KvScales scales = config.cache_config.kv_scales;
  Plan result{};

  const Cache* cache = find_cache(cache_dtype);
  if (cache != nullptr && cache->quantized == quantized) {
    result.storage = cache->storage.value_or(world.model_dtype);
    result.view = cache->view.value_or(world.model_dtype);
  } else {
    result.storage = result.view = quantized ? byte_type : world.model_dtype;
  }
  if (world.fp8_data_type == DataType::float8_e4m3fnuz) {
    if (result.view == e4m3) result.view = DataType::float8_e4m3fnuz;
    if (result.view == DataType::float8_e5m2) result.view = DataType::float8_e5m2fnuz;
  }

  result.prefill = decide(world, setting, Rules::plan).data_type;
  result.no_fp8 = config.attention_config.prefill_query_mode == PrefillQueryMode::required &&
                  !is_fp8(result.prefill);
  if (!world.injected) {
    const Row* row = selected(world, setting, Rules::plan);
    result.no_kernel = row == nullptr;
    if (row != nullptr) result.prefill_backend = row->name;
  }

  if (config.scheduler_config.enable_chunked_prefill) {
    result.workspace = result.prefill;
    if (cache_dtype == "fp8_ds_mla") result.workspace = DataType::bfloat16;
    if (spread) result.workspace = world.model_dtype;
  }

  bool decodes_in_fp8 = quantized && is_plain_fp8(cache_dtype) && world.decode_supports;
  if (world.decode_row) {
    const bool in_model_dtype =
        cache == nullptr || !cache->storage || cache->storage == world.model_dtype;
    DecodeQueries queries = DecodeQueries::none;
    if (quantized) queries = decode_reads(world, cache_dtype);
    if (!quantized && in_model_dtype) queries = decode_reads(world, "");
    decodes_in_fp8 = queries == DecodeQueries::fp8;
    if (queries == DecodeQueries::none) result.no_kernel = true;
    if (quantized && world.decode_row->needs_unit_scales &&
        (scales == KvScales::calibrated || scales == KvScales::dynamic)) {
      result.no_kernel = true;
    }
  }
  result.decode = decodes_in_fp8 ? world.fp8_data_type : world.model_dtype;

  const bool computes_in_fp8 = is_fp8(result.prefill) || decodes_in_fp8;
  if (computes_in_fp8 && scales == KvScales::unit) {
    result.cautions.push_back(CautionKind::unit_scales);
  }
  if (computes_in_fp8 && scales == KvScales::unknown) {
    result.cautions.push_back(CautionKind::unknown_scales);
  }
  if (quantized && !decodes_in_fp8) result.cautions.push_back(CautionKind::storage_only);
  if (result.prefill_backend == "ROCM_AITER_FA" && world.device == gfx950) {
    result.cautions.push_back(CautionKind::flag_ignored);
  }

  const auto rank = static_cast<std::size_t>(config.kv_lora_rank);
  const auto rope = static_cast<std::size_t>(config.mla_dimensions.qk_rope_head_dim);
  const bool one_scale = cache_dtype.substr(0, 3) == "fp8" && cache != nullptr &&
                         cache_dtype != "fp8_per_token_head" && result.view != byte_type;
  if (!quantized || one_scale) result.cache_bytes = (rank + rope) * bits(result.storage) / 8;
  // DeepSeek's layout: a byte for each element of the latent, a float32 scale for each 128 of them,
  // and the rotary part in bfloat16.
  if (quantized && cache_dtype == "fp8_ds_mla") {
    result.cache_bytes = rank + (rank + 127) / 128 * 4 + rope * 2;
  }
  if (result.workspace) result.workspace_bytes = (rank + rope) * bits(*result.workspace) / 8;
  return result;
}

// Advice.

// The least changes, beside requesting FP8 queries, that give them by `gives_fp8(setting)`.
template <class GivesFp8>
std::set<std::pair<std::string, std::string>> least_changes(const World& world,
                                                            bool may_change_cache,
                                                            GivesFp8 gives_fp8) {
  const Setting base = setting_of(world);
  std::set<std::pair<std::string, std::string>> result;
  // In mode `automatic` there is no flag to turn on.
  const auto gives = [&](const std::string& cache_dtype, const std::string& choice) {
    const bool requested = !is_automatic(world) || is_requested(world, choice);
    return requested && gives_fp8({true, cache_dtype, choice});
  };
  if (is_automatic(world) && !base.requested) return result;
  if (gives(base.cache_dtype, base.choice)) return {{"", ""}};
  std::vector<std::string> cache_dtypes, choices;
  for (const Cache& cache : caches) {
    // What auto comes to is offered by its own name.
    const bool other = cache.name != base.cache_dtype && cache.name != "auto";
    if (may_change_cache && other) cache_dtypes.emplace_back(cache.name);
  }
  for (const Row& row : world.rows) {
    if (row.name != base.choice) choices.push_back(row.name);
  }
  for (const std::string& cache_dtype : cache_dtypes) {
    if (gives(cache_dtype, base.choice)) result.emplace(cache_dtype, "");
  }
  for (const std::string& choice : choices) {
    if (gives(base.cache_dtype, choice)) result.emplace("", choice);
  }
  for (const std::string& cache_dtype : cache_dtypes) {
    for (const std::string& choice : choices) {
      if (result.count({cache_dtype, ""}) == 0 && result.count({"", choice}) == 0 &&
          gives(cache_dtype, choice)) {
        result.emplace(cache_dtype, choice);
      }
    }
  }
  return result;
}

}  // namespace mla_dtype::fuzz

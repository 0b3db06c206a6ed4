// SPDX-License-Identifier: Apache-2.0
#pragma once

// The rules once more, from what the design and the headers promise, and not from the library's
// code: the simplest thing that could be right, at any cost. Of the library only its vocabulary is
// used (enumerations, configuration, and the tables' types to hand rows to it).
//
// Devices, KV caches and tables of backends: without this a row that differs from its engine's
// could go unnoticed.

#include <mla_dtype/mla_dtype.h>

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <optional>
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
  std::size_t token_bytes = 0;  // of an engine's own; 0: as the elements say, or not known
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
    {"turboquant_k8v4", false, byte_type, byte_type},
    {"turboquant_4bit_nc", false, byte_type, byte_type},
    {"turboquant_k3v4_nc", false, byte_type, byte_type},
    {"turboquant_3bit_nc", false, byte_type, byte_type},
};
inline constexpr Cache float32_cache = {"float32", false, DataType::float32, DataType::float32};

inline const Cache* find_cache(std::string_view name) {
  for (const Cache& cache : caches) {
    if (cache.name == name) return &cache;
  }
  return name == float32_cache.name ? &float32_cache : nullptr;
}

// E4M3 values with one scale.
inline bool is_plain_fp8(std::string_view name) {
  return name == "fp8" || name == "fp8_e4m3" || name == "fp8_inc";
}

// Whether two spellings stand for one storage format.
inline bool are_one_format(std::string_view a, std::string_view b) {
  const auto is_e4m3 = [](std::string_view name) { return name == "fp8" || name == "fp8_e4m3"; };
  return a == b || (is_e4m3(a) && is_e4m3(b));
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
  std::vector<KvScales> fp8_scales = {};  // empty: any
  bool fp8_over_ranks = true;             // with a KV cache that is spread over ranks
  Ranges ignores_flag_on = {};
  bool fp8_with_sparse = false, sparse = false;
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
    result.fp8_kv_scales = fp8_scales;
    result.fp8_with_decode_context_parallel = fp8_over_ranks;
    result.ignores_flag_on = fuzz::to_library(ignores_flag_on);
    result.fp8_with_sparse = fp8_with_sparse;
    result.sparse = sparse;
    return result;
  }
};

inline Row fp8_row(const char* name, Ranges devices, bool writes_all = true) {
  Row row{name, std::move(devices)};
  row.fp8_queries = Fp8Queries::optional;
  row.fp8_caches = {"fp8", "fp8_e4m3"};
  if (!writes_all) row.fp8_model_dtypes = {DataType::bfloat16};
  return row;
}

inline const Device gfx942 = {Device::rocm, 9, 4, 2};
inline const Device gfx950 = {Device::rocm, 9, 5, 0};

inline std::vector<Row> vllm_rows() {
  std::vector<Row> rows = {
      {"ROCM_AITER_FA", {alone(gfx942), alone(gfx950)}},
      {"FLASH_ATTN",
       {{{Device::cuda, 8, 0}, {Device::cuda, 12, 9}}, {{Device::rocm, 9, 0, 10}, gfx950}}},
      fp8_row("TRTLLM_RAGGED", {family(10)}),
      fp8_row("FLASHINFER", {family(10)}, /*writes_all=*/false),
      fp8_row("TOKENSPEED_MLA", {family(10)})};
  rows[1].dimensions = {deepseek, wide, {64, 64, 128}};
  rows[0].ignores_flag_on = {alone(gfx950)};
  rows[2].dimensions = {deepseek, wide};
  rows[2].preferred_dimensions = {wide};
  rows[3].dimensions = rows[4].dimensions = {deepseek};
  return rows;
}

inline std::vector<Row> tensorrt_llm_rows() {
  std::vector<Row> rows = {fp8_row("TRTLLM_FMHA", {{{Device::cuda, 8, 0}, {Device::cuda, 12, 9}}},
                                   /*writes_all=*/false)};
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
    bool over_ranks = true;   // with a KV cache that is spread over ranks
    std::string stored_as{};  // empty: as it is
  };
  std::string name;
  std::vector<Reads> pairs;
  bool needs_unit_scales = false;
  std::vector<int> qk_nope{};               // empty: any
  std::vector<MlaDimensions> dimensions{};  // empty: any
  std::vector<std::size_t> latents{};       // empty: any
  std::vector<int> one_of{};                // heads; with the next two: any, if none is set
  int most_heads = 0, multiple_of = 0;
  bool sparse = false, known_wrong = false;
  // Goes before the others.
  bool preferred_with_quantized = false;
  int preferred_up_to_heads = 0;

  DecodeBackend to_library() const {
    DecodeBackend result;
    result.name = name;
    result.needs_unit_scales = needs_unit_scales;
    result.qk_nope_head_dims = qk_nope;
    result.dimensions = dimensions;
    result.latent_sizes = latents;
    result.sparse = sparse;
    if (known_wrong) result.known_wrong = "before some version";
    result.preferred_with_quantized_kv_cache = preferred_with_quantized;
    result.preferred_up_to_heads = preferred_up_to_heads;
    for (const Reads& pair : pairs) {
      DecodePair& added = result.pairs.emplace_back();
      added.queries = pair.queries;
      added.kv_cache_dtypes = pair.caches;
      added.devices = fuzz::to_library(pair.devices);
      added.model_dtypes = pair.model_dtypes;
      added.heads = {one_of, most_heads, multiple_of};
      added.with_decode_context_parallel = pair.over_ranks;
      added.stored_as = pair.stored_as;
    }
    return result;
  }
};

inline std::vector<DecodeRow> sparse_decode_rows() {
  const std::vector<std::string> plain = {"fp8", "fp8_e4m3"};
  const std::vector<DataType> bf16 = {DataType::bfloat16};
  const std::vector<DataType> any_16_bits = {DataType::float16, DataType::bfloat16};
  const auto model = DecodeQueries::model;
  const auto fp8 = DecodeQueries::fp8;
  const Ranges hopper = {family(9)}, blackwell = {family(10)}, both = {family(9), family(10)};
  const Ranges cdna = {{{Device::rocm, 9, 0, 10}, gfx950}};
  std::vector<DecodeRow> rows = {
      {"FLASH_ATTN_MLA_SPARSE", {{model, {}, hopper, any_16_bits}}},
      {"FLASHMLA_SPARSE",
       {{model, {}, both, bf16},
        {model, {"fp8"}, both, bf16, false, "fp8_ds_mla"},
        {model, {"fp8_ds_mla"}, both, bf16}}},
      {"FLASHINFER_MLA_SPARSE",
       {{model, {}, blackwell, any_16_bits}, {fp8, plain, blackwell, any_16_bits}}},
      {"FLASHINFER_MLA_SPARSE_SM120",
       {{model, {"auto", "fp8", "fp8_e4m3"}, {family(12)}, bf16, false, "fp8_ds_mla"},
        {model, {"fp8_ds_mla"}, {family(12)}, bf16}}},
      {"ROCM_AITER_MLA_SPARSE", {{model, {}, cdna, any_16_bits}, {fp8, plain, cdna, any_16_bits}}}};
  rows[2].qk_nope = {128, 192};
  rows[2].preferred_with_quantized = true;
  rows[2].preferred_up_to_heads = 16;
  for (DecodeRow& row : rows) {
    row.sparse = true;
    if (row.name != "FLASH_ATTN_MLA_SPARSE") row.latents = {576};
    for (DecodeRow::Reads& pair : row.pairs) pair.over_ranks = false;
  }
  return rows;
}

inline std::vector<DecodeRow> decode_rows() {
  const std::vector<std::string> plain = {"fp8", "fp8_e4m3"};
  const std::vector<std::string> with_e5m2 = {"fp8", "fp8_e4m3", "fp8_e5m2"};
  const std::vector<DataType> any_16_bits = {DataType::float16, DataType::bfloat16};
  const auto model = DecodeQueries::model;
  const auto fp8 = DecodeQueries::fp8;
  const Range cdna = {{Device::rocm, 9, 0, 10}, gfx950};
  const Ranges hopper = {family(9)};
  const Ranges blackwell = {family(10)};
  const Ranges from_8_0 = {{{Device::cuda, 8, 0}, {Device::cuda, 12, 9}}, cdna};
  const Ranges from_8_9 = {{{Device::cuda, 8, 9}, {Device::cuda, 12, 9}}, cdna};
  std::vector<DecodeRow> rows = {
      {"ROCM_AITER_MLA", {{model, {}, {cdna}, any_16_bits}, {fp8, with_e5m2, {cdna}, any_16_bits}}},
      {"FLASHINFER_MLA",
       {{model, {}, blackwell, any_16_bits}, {fp8, plain, blackwell, any_16_bits}}},
      {"TOKENSPEED_MLA", {{fp8, plain, blackwell, any_16_bits, /*over_ranks=*/false}}},
      {"CUTLASS_MLA",
       {{model, {}, blackwell, any_16_bits}, {fp8, plain, blackwell, any_16_bits}},
       true},
      {"FLASH_ATTN_MLA", {{model, {}, hopper, any_16_bits}}},
      {"FLASHMLA", {{model, {}, hopper, any_16_bits}, {fp8, plain, hopper, any_16_bits}}},
      {"TRITON_MLA", {{model, {}, from_8_0, any_16_bits}, {model, plain, from_8_9, any_16_bits}}},
      {"ROCM_AITER_TRITON_MLA",
       {{model, {}, {cdna}, any_16_bits}, {fp8, with_e5m2, {cdna}, any_16_bits}}},
  };
  rows[7].most_heads = 128;
  rows[7].multiple_of = 16;
  rows[7].known_wrong = true;
  rows[0].most_heads = rows[3].most_heads = 128;
  rows[0].multiple_of = 16;
  rows[0].known_wrong = true;
  rows[1].qk_nope = {64, 128, 192};
  rows[1].latents = rows[2].latents = rows[4].latents = {320, 576};
  rows[2].dimensions = {deepseek};
  rows[3].latents = rows[5].latents = {576};
  for (DecodeRow& row : sparse_decode_rows()) rows.push_back(std::move(row));
  return rows;
}

}  // namespace mla_dtype::fuzz

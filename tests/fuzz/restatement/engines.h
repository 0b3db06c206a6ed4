// SPDX-License-Identifier: Apache-2.0
#pragma once

// The profiles of engines once more: see tables.h. Without this a row of an engine that is not
// vLLM, the order in which one is taken, or a device on which FP8 was measured, could change
// unnoticed.

#include <mla_dtype/mla_dtype.h>

#include <optional>
#include <string>
#include <vector>

#include "rules.h"
#include "tables.h"

namespace mla_dtype::fuzz {

inline Row by_kv_cache_row(const char* name, Ranges devices, std::vector<std::string> fp8_caches,
                           bool sparse = false) {
  Row row{name, std::move(devices)};
  row.fp8_queries = Fp8Queries::by_kv_cache;
  row.fp8_caches = std::move(fp8_caches);
  row.sparse = row.fp8_with_sparse = sparse;
  return row;
}

inline std::vector<Row> sglang_rows() {
  const Ranges both = {family(9), family(10)};
  const std::vector<std::string> e4m3_only = {"fp8_e4m3"};
  std::vector<Row> rows = {
      by_kv_cache_row("trtllm", {family(10)}, e4m3_only, true),
      {"flashmla_sparse", both},
      {"flashmla_kv", both},
      by_kv_cache_row("flashmla_sparse_q8", {family(9)}, e4m3_only, true),
      by_kv_cache_row("trtllm_mla", {family(10)}, e4m3_only),
      by_kv_cache_row("fa3", {alone({Device::cuda, 9, 0})}, e4m3_only),
      {"aiter", {alone(gfx942), alone(gfx950)}},
  };
  rows[1].sparse = rows[2].sparse = true;
  rows[6].ignores_flag_on = {alone(gfx950)};
  return rows;
}

inline std::vector<DecodeRow> sglang_decode_rows() {
  using Reads = DecodeRow::Reads;
  const std::vector<DataType> any_16_bits = {DataType::float16, DataType::bfloat16};
  const Ranges hopper = {alone({Device::cuda, 9, 0})}, blackwell = {family(10)};
  const auto reads = [&](DecodeQueries queries, std::vector<std::string> cache_dtypes,
                         const Ranges& devices) {
    return Reads{queries, std::move(cache_dtypes), devices, any_16_bits, /*over_ranks=*/false};
  };
  const auto model = DecodeQueries::model;
  const auto fp8 = DecodeQueries::fp8;
  const Reads fp8_on_blackwell = reads(fp8, {"fp8_e4m3"}, blackwell);
  Reads packed = reads(model, {"fp8_e4m3"}, {family(9), family(10)});
  packed.stored_as = "fp8_ds_mla";
  std::vector<DecodeRow> rows = {
      {"trtllm_mla", {reads(model, {"auto", "bf16"}, blackwell), fp8_on_blackwell}},
      {"tokenspeed_mla", {fp8_on_blackwell}},
      {"cutedsl_mla", {reads(model, {}, blackwell), fp8_on_blackwell}},
      {"fa3", {reads(model, {}, hopper), reads(model, {"fp8_e4m3"}, hopper)}},
      {"aiter", {reads(model, {}, {alone(gfx942), alone(gfx950)})}},
      {"fa3", {reads(model, {"auto", "bf16", "bfloat16"}, hopper)}},
      {"trtllm", {reads(model, {"bf16", "bfloat16"}, blackwell), fp8_on_blackwell}},
      {"flashmla_kv", {packed}},
      {"flashmla_sparse",
       {reads(model, {"auto", "bf16", "bfloat16"}, hopper),
        reads(model, {"bf16", "bfloat16"}, blackwell), packed}}};
  for (Reads& pair : rows[2].pairs) pair.over_ranks = true;
  rows[4].one_of = {4, 8, 12, 16, 32, 48, 64, 80, 96, 112, 128};
  for (std::size_t i = 5; i < rows.size(); ++i) rows[i].sparse = true;
  return rows;
}

inline std::vector<Row> tensorrt_llm_engine_rows() {
  std::vector<Row> rows = tensorrt_llm_rows();
  rows[0].fp8_queries = Fp8Queries::by_kv_cache;
  rows[0].fp8_caches = {"fp8"};
  return rows;
}

inline std::vector<DecodeRow> tensorrt_llm_decode_rows() {
  const std::vector<DataType> any_16_bits = {DataType::float16, DataType::bfloat16};
  const Ranges devices = tensorrt_llm_rows()[0].fp8_devices;
  DecodeRow row{"TRTLLM",
                {{DecodeQueries::model, {}, devices, any_16_bits, /*over_ranks=*/false},
                 {DecodeQueries::fp8, {"fp8"}, devices, any_16_bits, /*over_ranks=*/false}}};
  row.latents = {576};
  return {row};
}

inline const std::vector<Cache> sglang_caches = {
    {"bf16", false, DataType::bfloat16, DataType::bfloat16},
    {"fp4_e2m1", true, byte_type, byte_type}};

// Devices by name, and on which of them FP8 was measured.

struct NamedDevice {
  const char* name;
  Device device;
  std::vector<const char*> measured = {};  // the names of pairs of backends, BF16's and FP8's
};

inline std::vector<NamedDevice> named_devices() {
  const char* const vllm = "FLASH_ATTN TRTLLM_RAGGED";
  const char* const sglang = "trtllm_mla trtllm_mla";
  const char* const tensorrt_llm = "TRTLLM_FMHA TRTLLM_FMHA";
  const Device b200 = {Device::cuda, 10, 0}, b300 = {Device::cuda, 10, 3};
  return {{"NVIDIA B200", b200, {vllm, sglang, tensorrt_llm}},
          {"NVIDIA GB200", b200, {vllm, sglang, tensorrt_llm}},
          {"NVIDIA B300 SXM6 AC", b300, {vllm, sglang, tensorrt_llm}},
          {"NVIDIA GB300", b300, {vllm, sglang, tensorrt_llm}},
          {"NVIDIA H100 80GB HBM3", {Device::cuda, 9, 0}, {tensorrt_llm}},
          {"NVIDIA H200", {Device::cuda, 9, 0}, {tensorrt_llm}},
          {"NVIDIA RTX PRO 6000 Blackwell Server Edition", {Device::cuda, 12, 0}, {tensorrt_llm}},
          {"NVIDIA H20", {Device::cuda, 9, 0}},
          {"NVIDIA L40S", {Device::cuda, 8, 9}},
          {"AMD Instinct MI300X", gfx942},
          {"AMD Instinct MI355X", gfx950}};
}

struct Payoff {
  std::string bf16_backend, fp8_backend;
  bool bf16_backend_runs = false;
};

// The backend that takes FP8 queries, would if it were asked to, or should be chosen.
inline std::string fp8_backend(const World& world, const Setting& setting) {
  const std::string choice = fixed_choice(world, setting);
  const Row* subject =
      choice.empty() ? selected(world, setting) : candidates(world, setting).front();
  if (subject != nullptr && takes_fp8(world, *subject, setting)) return subject->name;
  World open = world;
  open.first_usable = false;
  for (const Row* row : candidates(open, {setting.requested, setting.cache_dtype, ""})) {
    if (takes_fp8(world, *row, setting)) return row->name;
  }
  return {};
}

// What runs without FP8 queries: of the choice, or, were it open, of all.
inline std::string bf16_backend(World world, const std::string& choice) {
  world.first_usable = true;
  if (choice.empty()) return fixed_choice(world, {false, "auto", ""});
  for (const Row& row : world.rows) {
    const bool runs = can_run_at_all(world, row) && row.fp8_queries != Fp8Queries::required;
    if (row.name == choice && runs) return choice;
  }
  return {};
}

// Of what is measured: a model in bfloat16, of DeepSeek's dimensions, dense, of 16 to 128 heads.
inline std::optional<Payoff> payoff(const World& world, const Setting& setting) {
  const EngineConfig& config = world.config;
  const std::int64_t heads = config.num_attention_heads;
  if (world.injected || prediction(world) || world.model_dtype != DataType::bfloat16 ||
      config.mla_dimensions != deepseek || is_sparse(world) || heads < 16 || heads > 128 ||
      is_spread(world)) {
    return std::nullopt;
  }
  const std::string fp8 = fp8_backend(world, setting);
  const std::string choice = fixed_choice(world, setting);
  for (const NamedDevice& device : named_devices()) {
    if (device.name != world.device_name || !(device.device == world.device)) continue;
    for (const std::string& chosen : {choice, std::string()}) {
      const std::string bf16 = bf16_backend(world, chosen);
      for (const char* const measured : device.measured) {
        if (measured == bf16 + ' ' + fp8) return Payoff{bf16, fp8, chosen == choice};
      }
    }
  }
  return std::nullopt;
}

}  // namespace mla_dtype::fuzz

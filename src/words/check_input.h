// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mla_dtype/config.h>
#include <mla_dtype/data_type.h>
#include <mla_dtype/decode_backend.h>
#include <mla_dtype/engine_profile.h>
#include <mla_dtype/kv_cache.h>
#include <mla_dtype/prefill_backend.h>

#include <cstdint>
#include <string_view>
#include <vector>

namespace mla_dtype::detail {

// All throw std::invalid_argument for what cannot be meant.

void check_dimensions(const MlaDimensions& dimensions);

/// A data type that no model has.
void check_model_data_type(DataType type, std::string_view field = "model_dtype");

void check_kv_scales(KvScales scales, std::string_view field = "kv_scales");

/// An enumerator out of range, a number below 1, a checkpoint's quantization that is not known.
void check_config(const EngineConfig& config);

/// The latter alone, where `auto` asks for it.
void check_quant_algo(std::string_view cache_dtype, std::string_view quant_algo);

/// The format of a KV-cache dtype that has to be known. `own`: what is accepted, too.
const KvCacheFormat& known_kv_cache_format(std::string_view cache_dtype,
                                           const std::vector<EngineKvCacheFormat>& own = {});

/// Formats of an engine's own without a name, or with one that is known already.
void check_kv_cache_formats(const std::vector<EngineKvCacheFormat>& formats);

/// Rows that contradict themselves, two of one name, none at all.
void check_prefill_backends(const std::vector<PrefillBackend>& backends);

void check_decode_backend(const DecodeBackend& backend);

/// For a type, known or not, that `field` may not have.
[[noreturn]] void throw_bad_data_type(std::string_view field, DataType type,
                                      std::string_view accepted);

}  // namespace mla_dtype::detail

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mla_dtype/engine_profile.h>

namespace mla_dtype::detail {

/// The value between double quotes, fit for a log: control characters, invalid UTF-8, quotes and
/// backslashes escaped, cut after 64 bytes (followed by `...`).
std::string in_quotes(std::string_view value);

/// The text with its control characters, as an engine's own reason may hold them, as spaces.
std::string one_line(std::string_view text);

/// Throws std::invalid_argument: "<field>: <value> is not accepted; accepted: <what>".
[[noreturn]] void throw_invalid_argument(std::string_view field, std::string_view value,
                                         std::string_view accepted);
inline void check_that(bool is_so, std::string_view field, std::string_view value,
                       std::string_view accepted) {
  if (!is_so) throw_invalid_argument(field, value, accepted);
}

/// Throws it for a name that is empty, or has other characters than letters, digits, `_`, `-`, `.`.
void check_name(std::string_view field, std::string_view name);

/// Throws it for a number below `least`, or beyond 31 bits, as no model or group of ranks has.
[[noreturn]] void throw_no_size(std::string_view field, std::int64_t value, int least);
inline void check_at_least(int least, std::string_view field, std::int64_t value) {
  if (value < least) throw_no_size(field, value, least);
}
inline void check_size(std::string_view field, std::int64_t value, int least = 1) {
  if (value < least || value > 0x7fffffff) throw_no_size(field, value, least);
}

/// Throws it for a value of the enumeration `type` that is none of its enumerators.
[[noreturn]] void throw_out_of_range(std::string_view field, std::string_view type, unsigned value);
template <class Enum>
void check_enumerator(std::string_view field, std::string_view type, Enum value, Enum last) {
  if (value > last) throw_out_of_range(field, type, static_cast<unsigned>(value));
}

/// The enumerator's name; throws the same for a value that has none.
template <class Enum, std::size_t count>
std::string_view enumerator_name(const std::string_view (&names)[count], std::string_view field,
                                 std::string_view type, Enum value) {
  check_enumerator(field, type, value, static_cast<Enum>(count - 1));
  return names[static_cast<std::size_t>(value)];
}

/// Throws it where the accepted values have names. The one nearest to `value`, if one is near,
/// comes first; then `forms` if there are too many names to list them all, else the other names.
[[noreturn]] void throw_unknown_name(std::string_view field, std::string_view value,
                                     const std::vector<std::string_view>& names,
                                     std::string_view forms = {});

// What cannot be meant: check_input.cpp. All throw it.

void check_dimensions(const MlaDimensions& dimensions);
void check_model_data_type(DataType type, std::string_view field = "model_dtype");

/// An enumerator out of range, a number below 1, a checkpoint's quantization that is not known.
void check_config(const EngineConfig& config);

/// The latter alone, where `auto` asks for it.
void check_quant_algo(std::string_view cache_dtype, std::string_view quant_algo);

/// The format of a KV-cache dtype that has to be known. `own`: what is accepted, too.
const KvCacheFormat& known_kv_cache_format(std::string_view cache_dtype,
                                           const std::vector<EngineKvCacheFormat>& own = {});

/// Formats of an engine's own that contradict themselves, or have no name, or one that is known
/// already. Allocates only what it throws: each decision is checked.
void check_kv_cache_formats(const std::vector<EngineKvCacheFormat>& formats);

/// Rows that contradict themselves, two of one name, none at all.
void check_prefill_backends(const std::vector<PrefillBackend>& backends);

/// The same; but one name may stand once for dense and once for sparse models.
void check_decode_backends(const std::vector<DecodeBackend>& backends);

/// For a type, known or not, that `field` may not have.
[[noreturn]] void throw_bad_data_type(std::string_view field, DataType type,
                                      std::string_view accepted);

}  // namespace mla_dtype::detail

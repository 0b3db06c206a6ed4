// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mla_dtype/export.h>
#include <mla_dtype/platform.h>

#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace mla_dtype {

/// An answer to "can it?", with the reason if it can not.
///
///     return true;
///     return {false, "FP8 queries were not compiled in."};
///
/// It converts from exactly bool, so that `return "no";` is an error and not a yes.
struct Support {
  Support() = default;  ///< no, without a reason
  template <class Bool, std::enable_if_t<std::is_same_v<Bool, bool>, int> = 0>
  Support(Bool is_supported, std::string why_not = {})  // NOLINT: implicit, see above
      : supported(is_supported), reason(std::move(why_not)) {}

  bool supported = false;
  std::string reason;  ///< whole sentences; ignored where supported
};

/// Whether the prefill backend can take FP8 queries on the device: FLASHINFER, TRTLLM_RAGGED and
/// TOKENSPEED_MLA can, on CUDA devices of capability 10.x; FLASH_ATTN and ROCM_AITER_FA can not
/// (vllm/model_executor/layers/attention/mla_attention.py). std::invalid_argument for any other
/// backend: an engine with a backend of its own answers for it with a predicate of its own.
MLA_DTYPE_EXPORT Support supports_prefill_query_quantization(const Platform& platform,
                                                             std::string_view prefill_backend);

/// Empty where one of those backends can take FP8 queries on the device; else one or more
/// sentences, beginning `On this device`, that no setting will bring them there.
MLA_DTYPE_EXPORT std::string prefill_query_device_limit(const Platform& platform);

}  // namespace mla_dtype

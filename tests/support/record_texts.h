// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace mla_dtype::testing {

// The specification's texts, letter for letter.
inline const std::string row_1 = "FP8 prefill attention enabled: query data type is FP8";
inline const std::string row_2 =
    "Unable to perform FP8 prefill attention when use_prefill_query_quantization is enabled. "
    "Please "
    "ensure that --kv-cache-dtype is set to fp8 and your prefill backend is compatible with FP8 "
    "attention.";
/// Row 3 up to the spelling of the flag.
inline const std::string row_3_before_flag =
    "FP8 KV cache is enabled but prefill queries are not quantized to FP8. For long-context "
    "workloads (ISL >= 4K), enabling FP8 prefill attention can significantly optimize prefill "
    "latency. To enable, add: ";
inline const std::string row_3 =
    row_3_before_flag + "--attention-config '{\"use_prefill_query_quantization\": true}'";

/// vLLM's option for both settings, up to the prefill backend.
inline const std::string set_backend =
    R"(--attention-config '{"use_prefill_query_quantization": true, "mla_prefill_backend": )";

}  // namespace mla_dtype::testing

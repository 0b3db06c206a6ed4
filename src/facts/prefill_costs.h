// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mla_dtype/cost_model.h>

namespace mla_dtype::detail {

/// That of measured_prefills(); null if it is not known.
const MeasuredPrefill* find_measured_prefill(std::string_view device_name,
                                             std::string_view bf16_backend,
                                             std::string_view fp8_backend);

}  // namespace mla_dtype::detail

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mla_dtype/platform.h>

#include <optional>
#include <string_view>

namespace mla_dtype::detail {

struct DeviceVersion {
  int major, minor, stepping;
};

/// A CUDA device as compilers and runtimes spell it: `10.3`, `sm_103`, `sm_103a`, `compute_103`.
std::optional<DeviceVersion> parse_cuda(std::string_view text);

/// A ROCm device as `gcnArchName` has it: `gfx942`, `gfx942:sramecc+:xnack-`.
std::optional<DeviceVersion> parse_rocm(std::string_view text);

}  // namespace mla_dtype::detail

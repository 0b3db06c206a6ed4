// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mla_dtype/platform.h>

namespace mla_dtype::detail {

/// The major, and what follows it, of a CUDA device as compilers and runtimes spell it: `10.3`,
/// `sm_103`, `sm_103a`, `compute_103`.
std::optional<std::pair<int, int>> parse_cuda(std::string_view text);

/// The same of a ROCm device as `gcnArchName` has it: `gfx942`, `gfx942:sramecc+:xnack-`.
std::optional<std::pair<int, int>> parse_rocm(std::string_view text);

/// The card of this name, or the only one of this model. Of another form of a model, or where it
/// has several, only the platform, which they share. None: no such model.
std::optional<Device> find_device(std::string_view name);

}  // namespace mla_dtype::detail

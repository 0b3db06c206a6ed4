// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mla_dtype/decode_backend.h>

#include <stdexcept>
#include <string>

namespace mla_dtype::testing {

/// The row of that name.
inline const DecodeBackend& vllm_decode_backend(const std::string& name) {
  for (const DecodeBackend& backend : vllm_decode_backends()) {
    if (backend.name == name) return backend;
  }
  throw std::out_of_range(name);
}

}  // namespace mla_dtype::testing

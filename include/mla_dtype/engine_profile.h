// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mla_dtype/config.h>
#include <mla_dtype/decode_backend.h>
#include <mla_dtype/export.h>
#include <mla_dtype/prefill_backend.h>

#include <cstdint>
#include <string>
#include <vector>

namespace mla_dtype {

/// How an engine selects a prefill backend where its operator chooses none.
enum class BackendSelection : std::uint8_t {
  first_usable,    ///< the first that can run, whether or not FP8 queries are requested
  first_with_fp8,  ///< where they are requested, the first that takes them
};

/// What is known of one engine. An engine fills in one of its own, or starts from a copy:
///
///     mla_dtype::EngineProfile mine = mla_dtype::vllm_engine();
///     mine.name = "mine";
///     mine.selection = mla_dtype::BackendSelection::first_with_fp8;
///     const auto env = mla_dtype::make_environment(platform, mine);
struct EngineProfile {
  std::string name = {};
  std::string facts_as_of = {};  ///< the version and the day of which the rest is true
  std::vector<PrefillBackend> prefill_backends = {};  ///< in its order of preference
  std::vector<DecodeBackend> decode_backends = {};    ///< in its order of preference
  BackendSelection selection = BackendSelection::first_with_fp8;
  Spellings spellings = {};
};

/// vLLM: it takes the first usable backend, and may then refuse the request (vllm#50181, open in
/// September 2026). Its rows are those of vllm_prefill_backends() and vllm_decode_backends(). Never
/// changes.
[[nodiscard]] MLA_DTYPE_EXPORT const EngineProfile& vllm_engine();

}  // namespace mla_dtype

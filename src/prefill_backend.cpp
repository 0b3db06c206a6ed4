// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <mla_dtype/prefill_backend.h>

#include <algorithm>
#include <iterator>
#include <utility>
#include <vector>

#include "invalid_argument.h"

namespace mla_dtype {
namespace {

struct Backend {
  std::string_view name;
  bool takes_fp8_queries;  // on CUDA capability 10.x
};

// vllm/model_executor/layers/attention/mla_attention.py,
// backend_supports_prefill_query_quantization
constexpr Backend backends[] = {
    {"FLASH_ATTN", false},    {"FLASHINFER", true},     {"TRTLLM_RAGGED", true},
    {"TOKENSPEED_MLA", true}, {"ROCM_AITER_FA", false},
};
constexpr int fp8_query_family = 10;

std::string description(const Platform& platform) {
  return platform == Platform{} ? "no CUDA or ROCm device" : to_string(platform);
}

}  // namespace

Support supports_prefill_query_quantization(const Platform& platform,
                                            std::string_view prefill_backend) {
  const auto* const backend =
      std::find_if(std::begin(backends), std::end(backends),
                   [&](const Backend& known) { return known.name == prefill_backend; });
  if (backend == std::end(backends)) {
    std::vector<std::string_view> names;
    for (const Backend& known : backends) names.push_back(known.name);
    detail::throw_unknown_name("prefill_backend", prefill_backend, names);
  }
  std::string why_not = prefill_query_device_limit(platform);
  if (!backend->takes_fp8_queries) {
    why_not += fmt::format("{}Prefill backend {} does not take FP8 queries",
                           why_not.empty() ? "" : " ", backend->name);
    why_not += is_capability_family(platform, fp8_query_family)
                   ? "; FLASHINFER, TRTLLM_RAGGED and TOKENSPEED_MLA do."
                   : ".";
  }
  const bool supported = why_not.empty();
  return {supported, std::move(why_not)};
}

std::string prefill_query_device_limit(const Platform& platform) {
  if (is_capability_family(platform, fp8_query_family)) return {};
  return fmt::format(
      "On this device ({}) no setting helps: FP8 prefill queries need CUDA capability {}.x. "
      "Prefill in the model's data type is the right choice here.",
      description(platform), fp8_query_family);
}

}  // namespace mla_dtype

// SPDX-License-Identifier: Apache-2.0
#include <mla_dtype/prefill_backend.h>

#include "facts/fp8_row.h"

namespace mla_dtype {
namespace {

// FP8 queries: TensorRT-LLM, cpp/tensorrt_llm/thop/attentionOp.cpp, mFP8ContextMLA; capability 12.1
// counts as 12.0 there (cpp/tensorrt_llm/common/cudaUtils.h, getSMVersion). On other devices, taken
// to be those from capability 8.0 on, the context phase runs in 16 bits. Output: TensorRT-LLM#7581.
std::vector<PrefillBackend> make_tensorrt_llm_backends() {
  PrefillBackend fmha;
  fmha.name = "TRTLLM_FMHA";
  fmha.devices = {DeviceRange(cuda(8, 0), cuda(12, 9))};
  fmha.fp8_devices = {cuda(9, 0), cuda(10, 0), cuda(10, 3), cuda(12, 0), cuda(12, 1)};
  fmha.fp8_model_dtypes = {DataType::bfloat16};
  return {detail::with_fp8_queries(fmha)};
}

}  // namespace

// Never destroyed: an engine may ask while it shuts down.
const std::vector<PrefillBackend>& tensorrt_llm_prefill_backends() {
  static const auto& backends =
      *new const std::vector<PrefillBackend>(make_tensorrt_llm_backends());
  return backends;
}

}  // namespace mla_dtype

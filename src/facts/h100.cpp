// SPDX-License-Identifier: Apache-2.0
#include <mla_dtype/cost_model.h>

namespace mla_dtype {
namespace {

PrefillCostModel make_h100_model() {
  return {PrefillCurve{{256, 0.89283 / 64, 1.6882 / 64},
                       {512, 1.0956 / 32, 1.8225 / 32},
                       {1024, 1.614 / 16, 2.154 / 16},
                       {2048, 2.7256 / 8, 2.834 / 8},
                       {4096, 4.7654 / 4, 4.1751 / 4},
                       {8192, 8.3941 / 2, 7.0291 / 2},
                       {16384, 16.727, 12.583},
                       {32768, 63.258, 47.188},
                       {65536, 250.7, 180.13},
                       {131072, 999.39, 712.54}},
          MlaDimensions{}, "one NVIDIA H100 80GB, FlashAttention-3 and Triton kernels, CUDA 13"};
}

}  // namespace

// Never destroyed: an engine may ask while it shuts down.
const PrefillCostModel& h100_prefill_cost_model() {
  static const auto& model = *new const PrefillCostModel(make_h100_model());
  return model;
}

const PrefillCostModel* find_prefill_cost_model(std::string_view device_name) {
  return device_name == "NVIDIA H100 80GB HBM3" ? &h100_prefill_cost_model() : nullptr;
}

}  // namespace mla_dtype

// SPDX-License-Identifier: Apache-2.0
#include "json_output.h"

namespace mla_dtype::tool {

OrderedJson to_json(const std::vector<Blocker>& blockers) {
  OrderedJson result = OrderedJson::array();
  for (const Blocker& blocker : blockers) {
    result.push_back({{"kind", to_string(blocker.kind)},
                      {"value", blocker.value},
                      {"sentence", blocker.sentence}});
  }
  return result;
}

OrderedJson to_json(const MlaDimensions& dimensions) {
  return {{"qk_nope_head_dim", dimensions.qk_nope_head_dim},
          {"qk_rope_head_dim", dimensions.qk_rope_head_dim},
          {"v_head_dim", dimensions.v_head_dim}};
}

OrderedJson or_null(const std::string& text) {
  return text.empty() ? OrderedJson() : OrderedJson(text);
}

std::string to_document(const OrderedJson& json) {
  return json.dump(/*indent=*/2, ' ', /*ensure_ascii=*/false,
                   OrderedJson::error_handler_t::replace) +
         '\n';
}

}  // namespace mla_dtype::tool

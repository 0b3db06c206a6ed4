// SPDX-License-Identifier: Apache-2.0
#include "prediction.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <mla_dtype/prefill_query.h>

#include <filesystem>

#include "cost_model_file.h"
#include "engine.h"
#include "from.h"
#include "message.h"

namespace mla_dtype::tool {
namespace {

// What was measured on the device, or, where nothing was, on all.
std::string measured_on(const std::string& device_name) {
  std::vector<std::string> here, all;
  for (const MeasuredPrefill& each : measured_prefills()) {
    all.push_back(fmt::format("{}:{}:{}", each.device_name, each.bf16_backend, each.fp8_backend));
    if (each.device_name == device_name) here.push_back(all.back());
  }
  return fmt::format("{}", fmt::join(here.empty() ? all : here, ", "));
}

// `B200:FLASH_ATTN:TRTLLM_RAGGED`; nothing where it is not of this form, or names a file.
std::optional<PrefillCostModel> measured_cost_model(const std::string& name) {
  const std::size_t bf16 = name.find(':');
  const std::size_t fp8 = bf16 == name.npos ? name.npos : name.find(':', bf16 + 1);
  if (fp8 == name.npos || std::filesystem::exists(name)) return std::nullopt;
  const Device device = parse_device(name.substr(0, bf16));
  const auto* const model = find_prefill_cost_model(
      device.name, name.substr(bf16 + 1, fp8 - bf16 - 1), name.substr(fp8 + 1));
  if (model != nullptr) return *model;
  throw std::invalid_argument(
      fmt::format("{} was not measured; these were: {}", in_plain(name), measured_on(device.name)));
}

PrefillCostModel named_cost_model(const std::string& name) {
  if (spells(name, "H100")) return h100_prefill_cost_model();
  if (auto measured = from("--cost-model", [&] { return measured_cost_model(name); })) {
    return *std::move(measured);
  }
  return from("--cost-model: " + name, [&] { return read_cost_model(name); });
}

// What was measured with the backends that would be chosen between; null: nothing.
const PrefillCostModel* model_in_question(const Question& question) {
  Environment env = make_environment(question.platform, question.engine);
  env.device_name = question.device_name;
  EngineConfig config = question.config;
  config.attention_config.prefill_query_mode = PrefillQueryMode::by_flag;
  config.attention_config.use_prefill_query_quantization = true;
  config.attention_config.expected_isl.reset();
  const auto payoff = explain_prefill_query_data_type(config, question.model_dtype, env).payoff;
  return payoff ? find_prefill_cost_model(payoff->device, payoff->bf16_backend, payoff->fp8_backend)
                : nullptr;
}

void take(const PrefillCostModel& model, Question& question) {
  question.cost_model = model;
  question.notes.push_back(
      fmt::format("no --cost-model was given: it is that of {}", model.source));
}

// The library's model, with a note. Where there is none, that is noted, too, or, where `option` is
// nothing without a prediction, an error.
void take_default_cost_model(const char* option, bool is_needed, Question& question) {
  if (const auto* const model = model_in_question(question)) {
    return take(*model, question);
  }
  const std::string device =
      question.device_name.empty() ? to_string(question.platform) : question.device_name;
  const std::string none = fmt::format(
      "{}: no cost model of device {} is known with these backends, so nothing is predicted: "
      "--cost-model gives one",
      option, device);
  if (is_needed) throw std::invalid_argument(none);
  question.notes.push_back(none);
}

// A curve is of no backend: the one that is not of engines, unless a device is meant.
void take_curves_cost_model(bool is_device_given, Question& question) {
  if (is_device_given) {
    throw std::invalid_argument(fmt::format("--curve: --cost-model says of what: h100, a file, {}",
                                            measured_on(question.device_name)));
  }
  take(h100_prefill_cost_model(), question);
}

}  // namespace

void read_prediction(const CLI::App& app, const Arguments& arguments, Question& question) {
  const bool is_automatic = arguments.prefill_query_mode == "automatic";
  const char* const option = is_automatic ? "--prefill-query-mode automatic" : "--expected-isl";
  if (is_automatic && !arguments.expected_isl) {
    throw std::invalid_argument(fmt::format("{}: needs --expected-isl", option));
  }
  const bool is_given = app.count("--cost-model") != 0;
  if (arguments.curve || arguments.expected_isl) {
    if (is_given) {
      question.cost_model = named_cost_model(arguments.cost_model);
    } else if (arguments.curve) {
      take_curves_cost_model(app.count("--device") != 0, question);
    } else {
      take_default_cost_model(option, is_automatic, question);
    }
  } else if (is_given) {
    throw std::invalid_argument("--cost-model: needs --expected-isl or --curve");
  }
}

}  // namespace mla_dtype::tool

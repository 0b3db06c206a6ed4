// SPDX-License-Identifier: Apache-2.0

// Without this vLLM's profile could answer what vLLM does not, unnoticed: each cell that its own
// code answered is asked again, and equal or of a kind that is listed here.

#include <gtest/gtest.h>
#include <mla_dtype/kv_cache.h>
#include <mla_dtype/prefill_query.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "support/csv.h"
#include "support/engine_config.h"
#include "support/recording_log.h"

namespace mla_dtype {
namespace {

using testing::split;

// What differs on purpose.
enum class PrefillDifference {
  equal,
  other_format,  ///< vLLM casts whatever it calls quantized; FP8 attention reads plain E4M3 alone
  other_output,  ///< FLASHINFER writes bfloat16 into a float16 output (flashinfer@fb28d724)
  unlisted,
};

struct Row {
  std::vector<std::string> devices, chosen, cache_dtypes, flags, model_dtypes, dimensions;
  std::string backend, query, log;
};

Row to_row(const std::vector<std::string>& fields) {
  const auto all = [&](std::size_t i) { return split(fields.at(i), '|'); };
  return {all(0), all(1), all(2), all(3), all(4), all(5), fields.at(6), fields.at(7), fields.at(8)};
}

MlaDimensions to_dimensions(const std::string& text) {
  const auto parts = split(text, '/');
  return {std::stoi(parts.at(0)), std::stoi(parts.at(1)), std::stoi(parts.at(2))};
}

// What the library answers, in the words of the file.
struct Answer {
  std::string backend, query, log;
};

Answer answer(const EngineConfig& config, DataType model_dtype, Environment env) {
  testing::RecordingLog output;
  env.log = output.log;
  const auto selection = select_prefill_backend(config, model_dtype, env);
  if (selection.name.empty()) return {"ERROR", "-", "-"};
  const DataType type = determine_prefill_query_data_type(config, model_dtype, env);
  Answer result = {selection.name, type == model_dtype ? "model" : std::string(to_string(type)),
                   "none"};
  for (const auto& record : output.records()) {
    result.log = record.level == LogLevel::warning                 ? "warning:hint"
                 : record.text.find("Unable") != std::string::npos ? "info:unable"
                                                                   : "info:enabled";
  }
  return result;
}

PrefillDifference compare(const Row& row, const Answer& actual, const EngineConfig& config,
                          DataType model_dtype) {
  const std::string& cache_dtype = config.cache_config.cache_dtype;
  if (actual.backend != row.backend) return PrefillDifference::unlisted;
  if (actual.query == row.query && actual.log == row.log) return PrefillDifference::equal;
  if (actual.query != "model" || row.query == "-") return PrefillDifference::unlisted;
  const bool is_plain = cache_dtype == "fp8" || cache_dtype == "fp8_e4m3";
  if (!is_plain) return PrefillDifference::other_format;
  return row.backend == "FLASHINFER" && model_dtype == DataType::float16
             ? PrefillDifference::other_output
             : PrefillDifference::unlisted;
}

class VllmPrefill : public ::testing::Test {
 protected:
  void check(const Row& row, const std::string& device) {
    const Environment env = make_environment(parse_platform(device), vllm_engine());
    for (const std::string& chosen : row.chosen) {
      for (const std::string& cache_dtype : row.cache_dtypes) {
        for (const std::string& flag : row.flags) {
          EngineConfig config = testing::make_config(cache_dtype, flag == "1");
          if (chosen != "-") config.attention_config.mla_prefill_backend = chosen;
          for (const std::string& model : row.model_dtypes) {
            for (const std::string& dimensions : row.dimensions) {
              config.mla_dimensions = to_dimensions(dimensions);
              const DataType model_dtype = parse_model_data_type(model);
              const Answer actual = answer(config, model_dtype, env);
              const PrefillDifference kind = compare(row, actual, config, model_dtype);
              EXPECT_NE(kind, PrefillDifference::unlisted)
                  << device << ' ' << chosen << ' ' << cache_dtype << ' ' << flag << ' ' << model
                  << ' ' << dimensions << ": " << actual.backend << ' ' << actual.query << ' '
                  << actual.log << " instead of " << row.backend << ' ' << row.query << ' '
                  << row.log;
              ++kinds_[kind];
            }
          }
        }
      }
    }
  }

  std::map<PrefillDifference, int> kinds_;
};

TEST_F(VllmPrefill, ProfileIsVllms) {
  for (const auto& fields :
       testing::read_csv(MLA_DTYPE_REFERENCE_DIR "/vllm_prefill.csv",
                         "devices,chosen,cache_dtypes,flags,model_dtypes,dims,backend,query,log")) {
    const Row row = to_row(fields);
    for (const std::string& device : row.devices) check(row, device);
    if (HasFailure()) return;  // one row is enough to read
  }
  int cells = 0;
  for (const auto& [kind, count] : kinds_) cells += count;
  EXPECT_EQ(cells, 20736);
  // A kind that no longer occurs is not listed any more.
  EXPECT_GT(kinds_[PrefillDifference::other_format], 0);
  EXPECT_GT(kinds_[PrefillDifference::other_output], 0);
}

}  // namespace
}  // namespace mla_dtype

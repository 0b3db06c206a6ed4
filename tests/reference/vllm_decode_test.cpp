// SPDX-License-Identifier: Apache-2.0

// Without this vLLM's decode rows could say what vLLM's own code does not, unnoticed: each cell
// that it answered is asked again, and equal or of a kind that is listed here.

#include <gtest/gtest.h>
#include <mla_dtype/decode_backend.h>
#include <mla_dtype/kv_cache.h>

#include <map>
#include <string>

#include "support/csv.h"
#include "support/vllm_decode_backend.h"

namespace mla_dtype {
namespace {

using testing::vllm_decode_backend;

struct Cell {
  std::string device, backend, cache_dtype, model_dtype, legal, query;
};

// What differs on purpose.
enum class DecodeDifference {
  equal,
  other_16_bits,  ///< vLLM's list has both 16-bit KV caches for both model dtypes; a kernel that
                  ///< reads one with queries of the other nobody has shown
  no_fp8,         ///< vLLM asks no gfx architecture; gfx90a computes in no FP8
  unlisted,
};

DecodeQueries vllms_answer(const Cell& cell) {
  if (cell.legal == "0") return DecodeQueries::none;
  return cell.query == "fp8" ? DecodeQueries::fp8 : DecodeQueries::model;
}

DecodeQueries answer(const Cell& cell) {
  const DataType model_dtype = parse_model_data_type(cell.model_dtype);
  const bool is_model = cell.cache_dtype == "auto" || cell.cache_dtype == cell.model_dtype;
  return decode_queries(vllm_decode_backend(cell.backend), parse_platform(cell.device),
                        is_model ? std::string() : cell.cache_dtype, model_dtype);
}

DecodeDifference compare(const Cell& cell) {
  const DecodeQueries actual = answer(cell);
  if (actual == vllms_answer(cell)) return DecodeDifference::equal;
  if (actual != DecodeQueries::none) return DecodeDifference::unlisted;
  const auto format = parse_kv_cache_dtype(cell.cache_dtype);
  if (format && !format->quantized && cell.cache_dtype != "auto")
    return DecodeDifference::other_16_bits;
  return cell.device == "gfx90a" && cell.query == "fp8" ? DecodeDifference::no_fp8
                                                        : DecodeDifference::unlisted;
}

TEST(Reference, DecodeRowsAreVllms) {
  std::map<DecodeDifference, int> kinds;
  for (const auto& fields :
       testing::read_csv(MLA_DTYPE_REFERENCE_DIR "/vllm_decode.csv",
                         "device,decode_backend,cache_dtype,model_dtype,legal,query")) {
    const Cell cell = {fields.at(0), fields.at(1), fields.at(2),
                       fields.at(3), fields.at(4), fields.size() > 5 ? fields[5] : std::string()};
    const DecodeDifference kind = compare(cell);
    EXPECT_NE(kind, DecodeDifference::unlisted)
        << cell.device << ' ' << cell.backend << ' ' << cell.cache_dtype << ' ' << cell.model_dtype;
    ++kinds[kind];
  }
  int cells = 0;
  for (const auto& [kind, count] : kinds) cells += count;
  EXPECT_EQ(cells, 2160);
  // A kind that no longer occurs is not listed any more.
  EXPECT_GT(kinds[DecodeDifference::other_16_bits], 0);
  EXPECT_GT(kinds[DecodeDifference::no_fp8], 0);
}

}  // namespace
}  // namespace mla_dtype

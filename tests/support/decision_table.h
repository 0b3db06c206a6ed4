// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mla_dtype/prefill_query.h>

#include <vector>

#include "record_texts.h"
#include "recording_log.h"

namespace mla_dtype::testing {

/// A row of the table of decisions, for an engine whose FP8 type is float8_e4m3fnuz and a model in
/// float16.
struct PrefillQueryRow {
  bool kv_cache_quantized, requested, supports;
  DataType data_type;
  PrefillQueryOutcome outcome;
  std::vector<Record> records;  // the beginnings of
};

inline const PrefillQueryRow prefill_query_rows[] = {
    {true, true, true, DataType::float8_e4m3fnuz, PrefillQueryOutcome::quantized, {info(row_1)}},
    {true, true, false, DataType::float16, PrefillQueryOutcome::request_refused, {info(row_2)}},
    {false, true, true, DataType::float16, PrefillQueryOutcome::request_refused, {info(row_2)}},
    {false, true, false, DataType::float16, PrefillQueryOutcome::request_refused, {info(row_2)}},
    {true,
     false,
     true,
     DataType::float16,
     PrefillQueryOutcome::available_but_off,
     {warning(row_3)}},
    {true, false, false, DataType::float16, PrefillQueryOutcome::not_applicable, {}},
    {false, false, true, DataType::float16, PrefillQueryOutcome::not_applicable, {}},
    {false, false, false, DataType::float16, PrefillQueryOutcome::not_applicable, {}},
};

}  // namespace mla_dtype::testing

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "decision/evaluate.h"

// What the doors share that decide on prefill queries.

namespace mla_dtype::detail {

/// Throws std::invalid_argument for what cannot be meant; asks no predicate.
void check(const EngineConfig& config, DataType model_dtype, const Environment& env);

/// Checks, and puts the question, with the answers of the predicates: each is asked at most once,
/// and that of the backend only if the KV cache is quantized, or `would_it`.
PrefillQuestion ask(const EngineConfig& config, DataType model_dtype, const Environment& env,
                    bool would_it = false);

/// Throws PrefillQueryRefused where FP8 queries are required and not possible.
void throw_if_refused(const PrefillQuestion& question, const Evaluation& evaluation);

LogLevel level_of(Record record, const Environment& env);

std::vector<LogRecord> records(const PrefillQueryExplanation& explanation, const Environment& env);

/// Says each once, in scope local; whether this call wrote one.
bool say_once(const std::vector<LogRecord>& records, const Environment& env);

/// A hash of all that a record is worded from: decisions with one key say the same. Never 0.
std::uint64_t record_key(const PrefillQuestion& question, const Evaluation& evaluation,
                         Record record, LogLevel level) noexcept;

}  // namespace mla_dtype::detail

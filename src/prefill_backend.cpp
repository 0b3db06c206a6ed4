// SPDX-License-Identifier: Apache-2.0
#include <mla_dtype/prefill_backend.h>

#include <atomic>

#include "prefill_answers.h"
#include "words/invalid_argument.h"
#include "words/sentences.h"

namespace mla_dtype {
namespace {

Environment environment_of(const Platform& platform, detail::PrefillTable table) {
  // From its own address on: a process may hold several copies of the library, each with its count.
  static std::atomic<std::uint64_t> last{std::uint64_t{reinterpret_cast<std::uintptr_t>(&last)}
                                         << 16};
  table.id = ++last;
  Environment env;
  env.prefill_table = std::make_shared<const detail::PrefillTable>(std::move(table));
  // Where the hardware has no FP8 the backend refuses, and the value is never returned.
  env.fp8_data_type = fp8_data_type(platform).value_or(DataType::float8_e4m3fn);
  return env;
}

}  // namespace

Environment make_environment(const Platform& platform, std::string_view prefill_backend) {
  std::vector<std::string_view> names;
  for (const auto* backends : {&vllm_prefill_backends(), &tensorrt_llm_prefill_backends()}) {
    for (const PrefillBackend& backend : *backends) names.push_back(backend.name);
    if (!detail::holds(names, prefill_backend)) continue;
    auto table = detail::make_prefill_table(platform, *backends, nullptr);
    table.named = table.find(prefill_backend);
    return environment_of(platform, std::move(table));
  }
  detail::throw_unknown_name("prefill_backend", prefill_backend, names);
}

Environment make_environment(const Platform& platform,
                             const std::vector<PrefillBackend>& prefill_backends,
                             const PrefillBackendAvailability& is_available) {
  EngineProfile engine;
  engine.prefill_backends = prefill_backends;
  return make_environment(platform, engine, is_available);
}

Environment make_environment(const Platform& platform, const EngineProfile& engine,
                             const PrefillBackendAvailability& is_available) {
  detail::check_enumerator("selection", "BackendSelection", engine.selection,
                           BackendSelection::first_with_fp8);
  detail::check_prefill_backends(engine.prefill_backends);
  detail::check_kv_cache_formats(engine.kv_cache_formats);
  auto table = detail::make_prefill_table(platform, engine.prefill_backends, is_available);
  table.selection = engine.selection;
  table.kv_cache_dtypes = engine.kv_cache_dtypes;
  Environment env = environment_of(platform, std::move(table));
  env.spellings = engine.spellings;
  env.kv_cache_formats = engine.kv_cache_formats;
  return env;
}

PrefillBackendSelection select_prefill_backend(const EngineConfig& config, DataType model_dtype,
                                               const Environment& env) {
  detail::check(config, model_dtype, env);
  detail::check_that(!env.backend_supports_prefill_query_quantization,
                     "backend_supports_prefill_query_quantization",
                     "a predicate of the engine's own",
                     "none, and the table of make_environment()");
  return detail::explain_selection(detail::ask(config, model_dtype, env));
}

PrefillBackendSelection select_prefill_backend(const EngineConfig& config, DataType model_dtype,
                                               const Platform& platform,
                                               const std::vector<PrefillBackend>& backends,
                                               const PrefillBackendAvailability& is_available) {
  detail::check_that(config.attention_config.prefill_query_mode != PrefillQueryMode::automatic,
                     "prefill_query_mode", "automatic",
                     "by_flag, required; with an Environment automatic, too");
  return select_prefill_backend(config, model_dtype,
                                make_environment(platform, backends, is_available));
}

std::vector<LogRecord> records(const PrefillBackendSelection& selection) {
  std::vector<LogRecord> result = {
      {selection.name.empty() ? LogLevel::warning : LogLevel::info, detail::compose(selection)}};
  if (!selection.hint.empty()) result.push_back({LogLevel::warning, selection.hint});
  return result;
}

bool log_prefill_backend(const PrefillBackendSelection& selection, const Environment& env) {
  return detail::say_once(records(selection), env);
}

}  // namespace mla_dtype

# SPDX-License-Identifier: Apache-2.0
#
# A library without spdlog and fmt, and an engine that logs through a function of its own: hidden in
# its shared object, started as several ranks. Without this such a build could look for one of them,
# link it, or say a thing on every rank, unnoticed.
include("${CMAKE_CURRENT_LIST_DIR}/common.cmake")
set(prefix "${WORK}/prefix-without-spdlog")
set(neither -DCMAKE_DISABLE_FIND_PACKAGE_spdlog=ON -DCMAKE_DISABLE_FIND_PACKAGE_fmt=ON)

build("${SOURCE}" "${WORK}/without-spdlog" ${neither} -DMLA_DTYPE_WITH_SPDLOG=OFF
      -DMLA_DTYPE_BUILD_TESTS=OFF -DMLA_DTYPE_BUILD_TOOL=OFF)
expect("something is looked for: ${configure_output}"
       NOT configure_output MATCHES "mla_dtype: (spdlog|fmt)")
file(REMOVE_RECURSE "${prefix}")
run(${CMAKE_COMMAND} --install "${WORK}/without-spdlog" --prefix "${prefix}")

file(GLOB_RECURSE packages "${prefix}/*.cmake" "${prefix}/*.pc")
foreach(package IN LISTS packages)
  file(READ "${package}" text)
  expect("${package} speaks of it" NOT text MATCHES "spdlog|fmt::|\\(fmt ")
endforeach()
run(nm -C "${prefix}/lib/libmla_dtype.a")
expect("a symbol of theirs is left" NOT output MATCHES "spdlog|fmt::")

build("${SOURCE}/tests/engine_init/without_spdlog" "${WORK}/without-spdlog-engine" ${neither}
      "-DCMAKE_PREFIX_PATH=${prefix}")
run(readelf -d "${WORK}/without-spdlog-engine/libengine.so")
expect("it needs them" NOT output MATCHES "spdlog|fmt")
run(nm -CD --defined-only "${WORK}/without-spdlog-engine/libengine.so")
expect("the library is not hidden: ${output}" NOT output MATCHES "mla_dtype::")

set(hint "FP8 KV cache is enabled but prefill queries are not quantized to FP8")
run("${WORK}/without-spdlog-engine/engine" 0 0)
expect("rank 0: ${output}" output MATCHES "^W ${hint}[^\n]*\nI loaded\n$")
run("${WORK}/without-spdlog-engine/engine" 8 0) # the first of the second node
expect("rank 8: ${output}" output MATCHES "^W ${hint}[^\n]*\n$")
run("${WORK}/without-spdlog-engine/engine" 9 1)
expect("rank 9: ${output}" output MATCHES "^$")
run("${WORK}/without-spdlog-engine/engine" 0 0 default) # to stderr
expect("the default log: ${output}" output MATCHES "^\\[warning\\] ${hint}[^\n]*\n\\[info\\] loaded\n$")

# Another ABI of the standard library's strings, which would read garbage: what holds strings or
# lists does not link.
file(WRITE "${WORK}/without-spdlog-engine/abi.cpp" [[
#include <mla_dtype/mla_dtype.h>
void use(const void*);
using namespace mla_dtype;
void use_all(const EngineConfig& config, const Environment& env, const DecodeEnvironment& decode) {
  use(&vllm_engine()), use(&vllm_prefill_backends()), use(&measured_prefills());
  (void)determine_prefill_query_data_type(config, DataType::bfloat16, env);
  (void)plan_attention_data_types(config, DataType::bfloat16, env, decode);
  (void)select_prefill_backend(config, DataType::bfloat16, env);
  (void)parse_device("H200"), (void)rank_differences({});
  (void)resolve_kv_cache_dtype("fp8", DataType::bfloat16, "");
  (void)break_even_isl({}), (void)records(PrefillBackendSelection{});
}
]])
foreach(abi 0 1)
  run(${COMPILER} -std=c++17 -c -D_GLIBCXX_USE_CXX11_ABI=${abi} -DMLA_DTYPE_STATIC_DEFINE
      -I "${prefix}/include" "${WORK}/without-spdlog-engine/abi.cpp"
      -o "${WORK}/without-spdlog-engine/abi-${abi}.o")
  run(nm --undefined-only "${WORK}/without-spdlog-engine/abi-${abi}.o")
  string(REGEX MATCHALL "_ZN9mla_dtype[A-Za-z0-9_]*" needed_${abi} "${output}")
endforeach()
foreach(symbol IN LISTS needed_0)
  expect("${symbol} links with either ABI" NOT symbol IN_LIST needed_1)
endforeach()
list(LENGTH needed_0 count)
expect("only ${count} functions" count GREATER 9)
run_to_fail("undefined reference to .mla_dtype::make_environment"
            ${COMPILER} -std=c++17 -shared -fPIC -Wl,--no-undefined -D_GLIBCXX_USE_CXX11_ABI=0
            -DMLA_DTYPE_STATIC_DEFINE -I "${prefix}/include" "${SOURCE}/tests/engine_init/without_spdlog/engine.cpp"
            "${prefix}/lib/libmla_dtype.a" -o "${WORK}/without-spdlog-engine/other_abi.so")
run_to_fail("mla_dtype was built without spdlog" ${COMPILER} -std=c++17 -fsyntax-only
            -I "${prefix}/include" -x c++ -include mla_dtype/once_sink.h /dev/null)

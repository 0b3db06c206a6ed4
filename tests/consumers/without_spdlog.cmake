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

build("${CASES}/without_spdlog" "${WORK}/without-spdlog-engine" ${neither}
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

# Another ABI of the standard library's strings, which would read garbage.
run_to_fail("undefined reference to .mla_dtype::make_environment"
            ${COMPILER} -std=c++17 -shared -fPIC -Wl,--no-undefined -D_GLIBCXX_USE_CXX11_ABI=0
            -DMLA_DTYPE_STATIC_DEFINE -I "${prefix}/include" "${CASES}/without_spdlog/engine.cpp"
            "${prefix}/lib/libmla_dtype.a" -o "${WORK}/without-spdlog-engine/other_abi.so")
run_to_fail("mla_dtype was built without spdlog" ${COMPILER} -std=c++17 -fsyntax-only
            -I "${prefix}/include" -x c++ -include mla_dtype/once_sink.h /dev/null)

# SPDX-License-Identifier: Apache-2.0
#
# A static library inside hidden-visibility modules with link-time optimization (extension/); two of
# them in one process do not silence each other, and export nothing of the library.
include("${CMAKE_CURRENT_LIST_DIR}/common.cmake")
set(build "${WORK}/extension-build")

build("${CASES}/extension" "${build}" "-DMLA_DTYPE_SOURCE=${SOURCE}" -DCMAKE_BUILD_TYPE=Release)
run("${build}/host" "${build}/first.so" "${build}/second.so")
set(text "[info] FP8 prefill attention enabled: query data type is FP8\n")
foreach(engine 1 2)
  string(FIND "${output}" "${engine} ${text}" first)
  string(FIND "${output}" "${engine} ${text}" last REVERSE)
  expect("engine ${engine} should say it once: ${output}" first GREATER -1 AND first EQUAL last)
endforeach()
string(REGEX MATCHALL "\\[info\\] hello\n" hellos "${output}")
list(LENGTH hellos count)
expect("each module has a default log of its own: ${output}" count EQUAL 2)
# Each counts its tables for itself, and still none of theirs is taken for another.
string(REGEX MATCHALL "Unable to perform FP8 prefill attention" refusals "${output}")
list(LENGTH refusals count)
expect("each module's refusal should be heard: ${output}" count EQUAL 2)

run(nm --dynamic --defined-only --demangle "${build}/first.so")
expect("init_model is not exported: ${output}" output MATCHES " T init_model\n")
expect("the module exports the library: ${output}" NOT output MATCHES "mla_dtype::")

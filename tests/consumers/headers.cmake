# SPDX-License-Identifier: Apache-2.0
#
# Every public header compiles alone, also where exceptions are switched off, and only once_sink.h
# includes spdlog, at any depth. The version stands in one place.
include("${CMAKE_CURRENT_LIST_DIR}/common.cmake")
set(include "${WORK}/prefix-static/include")

file(GLOB headers RELATIVE "${include}" "${include}/mla_dtype/*.h")
list(LENGTH headers count)
expect("only ${count} headers" count GREATER 10)
foreach(header IN LISTS headers)
  set(also_20 -fno-exceptions)
  if(header MATCHES "fmt|once_sink") # spdlog and fmt have switches of their own
    set(also_20 "")
  endif()
  foreach(standard 17 20 2b)
    run(${COMPILER} -std=c++${standard} ${also_${standard}}
        -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror
        -DSPDLOG_COMPILED_LIB -DSPDLOG_FMT_EXTERNAL -I "${include}" -x c++ -fsyntax-only
        -MD -MF "${WORK}/headers.d" -include "${header}" /dev/null)
  endforeach()
  file(READ "${WORK}/headers.d" included)
  string(FIND "${included}" "/spdlog/" spdlog)
  if(header STREQUAL mla_dtype/once_sink.h)
    expect("this test cannot see spdlog" spdlog GREATER -1)
  else()
    expect("${header} includes spdlog" spdlog EQUAL -1)
  endif()
endforeach()

string(REPLACE "." "\\." version "${VERSION}")
file(GLOB_RECURSE files "${SOURCE}/CMakeLists.txt" "${SOURCE}/cmake/*" "${SOURCE}/include/*"
     "${SOURCE}/src/*" "${SOURCE}/README.md")
foreach(file IN LISTS files)
  file(STRINGS "${file}" lines REGEX "(^|[^0-9.])${version}([^0-9.]|$)")
  expect("${file} repeats the version: ${lines}" NOT lines)
endforeach()

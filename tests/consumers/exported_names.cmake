# SPDX-License-Identifier: Apache-2.0
#
# What a shared library exports: the public names of this library, and nothing else of its own; weak
# symbols of the standard library, fmt and spdlog aside. And its SONAME.
include("${CMAKE_CURRENT_LIST_DIR}/common.cmake")
set(library "${WORK}/prefix-shared/lib/libmla_dtype.so")

run(nm --dynamic --defined-only --demangle "${library}")
string(REPLACE ";" "," output "${output}")
string(REPLACE "\n" ";" lines "${output}")
set(own 0)
foreach(line IN LISTS lines)
  if(line STREQUAL "")
    continue()
  endif()
  string(REGEX REPLACE "^[0-9a-f]+ . ((vtable|typeinfo|typeinfo name|VTT) for |(non-virtual|virtual) thunk to )?"
         "" name "${line}")
  if(NOT name MATCHES "^mla_dtype::")
    expect("not a name of this library: ${line}"
           line MATCHES "^[0-9a-f]+ [VWu] .*(std|fmt|spdlog|__gnu_cxx)::")
    continue()
  endif()
  expect("an internal name: ${line}"
         NOT name MATCHES "detail::" OR name MATCHES "^mla_dtype::detail::throw_data_type_out_of_range")
  expect("a member of a private class: ${line}" NOT name MATCHES "::Impl")
  math(EXPR own "${own} + 1")
endforeach()
expect("only ${own} names are exported" own GREATER 20)

string(REGEX MATCH "^[0-9]+\\.[0-9]+" abi "${VERSION}")
run(objdump -p "${library}")
expect("no SONAME libmla_dtype.so.${abi}: ${output}" output MATCHES "SONAME +libmla_dtype\\.so\\.${abi}\n")
expect("no libmla_dtype.so.${VERSION}" EXISTS "${library}.${VERSION}")

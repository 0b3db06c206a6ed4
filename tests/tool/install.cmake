# SPDX-License-Identifier: Apache-2.0
#
# What is installed beside the library. Without this a package could lack the tool, or what its
# users are told to look for in share/mla_dtype, unnoticed.
cmake_minimum_required(VERSION 3.22...3.24)

file(REMOVE_RECURSE "${PREFIX}")
execute_process(COMMAND ${CMAKE_COMMAND} --install "${BUILD}" --prefix "${PREFIX}"
                COMMAND_ERROR_IS_FATAL ANY OUTPUT_QUIET)
execute_process(COMMAND "${PREFIX}/bin/mla-dtype" --version
                COMMAND_ERROR_IS_FATAL ANY OUTPUT_VARIABLE version)
if(NOT version MATCHES "${VERSION}")
  message(FATAL_ERROR "bin/mla-dtype is of version ${version}")
endif()
foreach(file measure_prefill.py mla-dtype.schema.json)
  file(SHA256 "${PREFIX}/share/mla_dtype/${file}" installed)
  file(SHA256 "${SOURCE}/src/tool/${file}" expected)
  if(NOT installed STREQUAL expected)
    message(FATAL_ERROR "share/mla_dtype/${file} is another file")
  endif()
endforeach()

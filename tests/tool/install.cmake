# SPDX-License-Identifier: Apache-2.0
#
# What is installed beside the library. Without this a package could lack the tool, or what its
# users are told to look for in share/mla_dtype, unnoticed.
cmake_minimum_required(VERSION 3.22...3.24)

file(REMOVE_RECURSE "${PREFIX}")
execute_process(COMMAND ${CMAKE_COMMAND} --install "${BUILD}" --config "${CONFIG}" --prefix "${PREFIX}"
                COMMAND_ERROR_IS_FATAL ANY OUTPUT_QUIET)
set(ENV{LD_LIBRARY_PATH} "${PREFIX}/${LIBDIR}:$ENV{LD_LIBRARY_PATH}")
execute_process(COMMAND "${PREFIX}/${BINDIR}/mla-dtype" --version
                COMMAND_ERROR_IS_FATAL ANY OUTPUT_VARIABLE version)
if(NOT version MATCHES "${VERSION}")
  message(FATAL_ERROR "mla-dtype is of version ${version}")
endif()
foreach(file measure_prefill.py mla-dtype.schema.json)
  file(SHA256 "${PREFIX}/${DATADIR}/mla_dtype/${file}" installed)
  file(SHA256 "${SOURCE}/src/tool/${file}" expected)
  if(NOT installed STREQUAL expected)
    message(FATAL_ERROR "${file} is another file")
  endif()
endforeach()

# SPDX-License-Identifier: Apache-2.0
#
# A static and a shared library, and one over header-only spdlog, built as CMake 3.22 does, in
# prefixes of their own, from builds that have neither GoogleTest nor CLI11 nor a network.
include("${CMAKE_CURRENT_LIST_DIR}/common.cmake")

set(static "")
set(shared -DBUILD_SHARED_LIBS=ON)
set(header_only -DMLA_DTYPE_SPDLOG_HEADER_ONLY=ON ${as_cmake_3_22})
foreach(kind static shared header_only)
  build("${SOURCE}" "${WORK}/${kind}" ${${kind}} -DMLA_DTYPE_BUILD_TESTS=OFF
        -DMLA_DTYPE_BUILD_TOOL=OFF -DCMAKE_DISABLE_FIND_PACKAGE_GTest=ON
        -DCMAKE_DISABLE_FIND_PACKAGE_CLI11=ON)
  file(REMOVE_RECURSE "${WORK}/prefix-${kind}")
  run(${CMAKE_COMMAND} --install "${WORK}/${kind}" --prefix "${WORK}/prefix-${kind}")
endforeach()

foreach(kind static header_only)
  file(GLOB_RECURSE headers_${kind} RELATIVE "${WORK}/prefix-${kind}" "${WORK}/prefix-${kind}/include/*")
endforeach()
expect("CMake 3.22 installs ${headers_header_only}" headers_static STREQUAL headers_header_only)

# SPDX-License-Identifier: Apache-2.0
#
# A static and a shared library in prefixes of their own, from builds that have neither GoogleTest
# nor CLI11 nor a network.
include("${CMAKE_CURRENT_LIST_DIR}/common.cmake")

foreach(kind static shared)
  set(is_shared OFF)
  if(kind STREQUAL "shared")
    set(is_shared ON)
  endif()
  build("${SOURCE}" "${WORK}/${kind}" -DBUILD_SHARED_LIBS=${is_shared} -DMLA_DTYPE_BUILD_TESTS=OFF
        -DMLA_DTYPE_BUILD_TOOL=OFF -DCMAKE_DISABLE_FIND_PACKAGE_GTest=ON
        -DCMAKE_DISABLE_FIND_PACKAGE_CLI11=ON)
  file(REMOVE_RECURSE "${WORK}/prefix-${kind}")
  run(${CMAKE_COMMAND} --install "${WORK}/${kind}" --prefix "${WORK}/prefix-${kind}")
endforeach()

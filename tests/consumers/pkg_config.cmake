# SPDX-License-Identifier: Apache-2.0
#
# README's Makefile with pkg-config: static, shared, from a moved prefix, and with an absolute
# CMAKE_INSTALL_LIBDIR.
include("${CMAKE_CURRENT_LIST_DIR}/common.cmake")
set(project "${WORK}/pkg-config")

function(build_with folder)
  file(REMOVE "${project}/my_engine")
  execute_process(
    COMMAND ${CMAKE_COMMAND} -E env "PKG_CONFIG_PATH=${folder}/pkgconfig" make CXX=${COMPILER}
    WORKING_DIRECTORY "${project}" COMMAND_ERROR_IS_FATAL ANY)
  expect_decision(${CMAKE_COMMAND} -E env "LD_LIBRARY_PATH=${folder}" "${project}/my_engine")
endfunction()

foreach(kind static shared header_only)
  build_with("${WORK}/prefix-${kind}/lib")
endforeach()

file(REMOVE_RECURSE "${WORK}/pkg-config-before" "${WORK}/pkg-config-moved")
run(${CMAKE_COMMAND} --install "${WORK}/static" --prefix "${WORK}/pkg-config-before")
file(RENAME "${WORK}/pkg-config-before" "${WORK}/pkg-config-moved")
build_with("${WORK}/pkg-config-moved/lib")

set(elsewhere "${WORK}/elsewhere/lib64")
file(REMOVE_RECURSE "${WORK}/elsewhere")
build("${SOURCE}" "${WORK}/absolute" -DMLA_DTYPE_BUILD_TESTS=OFF -DMLA_DTYPE_BUILD_TOOL=OFF
      "-DCMAKE_INSTALL_LIBDIR=${elsewhere}" "-DCMAKE_INSTALL_PREFIX=${WORK}/elsewhere/prefix")
run(${CMAKE_COMMAND} --install "${WORK}/absolute")
build_with("${elsewhere}")

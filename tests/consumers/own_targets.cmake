# SPDX-License-Identifier: Apache-2.0
#
# Inside a parent that has its own standard and warnings (parent/): with its own fmt and spdlog
# targets, where nothing is left behind; and with the system's, as CMake 3.22 does, where it exports a library that links
# this one, for another project to find.
include("${CMAKE_CURRENT_LIST_DIR}/common.cmake")
set(build "${WORK}/own_targets-build")
set(prefix "${WORK}/own_targets-prefix")
set(arguments "-DMLA_DTYPE_SOURCE=${SOURCE}" "-DMAIN=${WORK}/add_subdirectory/main.cpp"
    "-DCMAKE_INSTALL_PREFIX=${prefix}")
list(REMOVE_ITEM configure -DCMAKE_BUILD_TYPE=Debug) # the parent has set none, and keeps it so

build("${CASES}/parent" "${build}" ${arguments} -DOWN_TARGETS=ON)
expect("not the parent's spdlog: ${configure_output}"
       configure_output MATCHES "spdlog is the parent" AND NOT configure_output MATCHES "mla_dtype: fmt")
expect_decision("${build}/my_engine")
file(REMOVE_RECURSE "${prefix}")
run(${CMAKE_COMMAND} --install "${build}")
expect("something is installed unasked" NOT EXISTS "${prefix}")

build("${CASES}/parent" "${build}" ${arguments} -DMLA_DTYPE_INSTALL=ON -DEXPORT_ENGINE=ON
      ${as_cmake_3_22})
run(${CMAKE_COMMAND} --install "${build}")
build("${CASES}/exported" "${WORK}/exported-build" "-DMAIN=${WORK}/add_subdirectory/main.cpp"
      "-DCMAKE_PREFIX_PATH=${prefix}")
expect_decision("${WORK}/exported-build/my_engine")

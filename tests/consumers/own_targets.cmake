# SPDX-License-Identifier: Apache-2.0
#
# Inside a parent that has its own fmt and spdlog targets, standard and warnings (parent/).
include("${CMAKE_CURRENT_LIST_DIR}/common.cmake")
set(build "${WORK}/own_targets-build")
set(prefix "${WORK}/own_targets-prefix")
set(arguments "-DMLA_DTYPE_SOURCE=${SOURCE}" "-DMAIN=${WORK}/add_subdirectory/main.cpp"
    "-DCMAKE_INSTALL_PREFIX=${prefix}")

file(REMOVE_RECURSE "${build}" "${prefix}")
run(${configure} -S "${CASES}/parent" -B "${build}" ${arguments})
expect("not the parent's fmt and spdlog: ${output}"
       output MATCHES "fmt is the parent.*spdlog is the parent")
run(${CMAKE_COMMAND} --install "${build}")
expect("something is installed unasked" NOT EXISTS "${prefix}")

build("${CASES}/parent" "${build}" ${arguments} -DMLA_DTYPE_INSTALL=ON -DEXPORT_ENGINE=ON)
expect_decision("${build}/my_engine")
run(${CMAKE_COMMAND} --install "${build}")
foreach(file lib/libengine.a lib/libmla_dtype.a lib/cmake/engine/engine-targets.cmake
             include/mla_dtype/mla_dtype.h)
  expect("${file} was not installed" EXISTS "${prefix}/${file}")
endforeach()

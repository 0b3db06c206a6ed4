# SPDX-License-Identifier: Apache-2.0
#
# find_package() from an install prefix, static and shared; from the build tree; from a prefix that
# was moved after the install; and the versions it accepts.
include("${CMAKE_CURRENT_LIST_DIR}/common.cmake")
set(project "${WORK}/find_package")
set(build "${WORK}/find_package-build")

foreach(kind static shared header_only)
  build("${project}" "${build}" "-DCMAKE_PREFIX_PATH=${WORK}/prefix-${kind}")
  expect_decision("${build}/my_engine")
endforeach()

build("${project}" "${build}" "-Dmla_dtype_DIR=${WORK}/static")
expect_decision("${build}/my_engine")

file(REMOVE_RECURSE "${WORK}/before" "${WORK}/moved")
run(${CMAKE_COMMAND} --install "${WORK}/static" --prefix "${WORK}/before")
file(RENAME "${WORK}/before" "${WORK}/moved")
build("${project}" "${build}" "-DCMAKE_PREFIX_PATH=${WORK}/moved")
expect_decision("${build}/my_engine")
file(STRINGS "${build}/CMakeCache.txt" found REGEX "^mla_dtype_DIR")
expect("taken from ${found}" found MATCHES "/moved/")

file(READ "${project}/CMakeLists.txt" lines)
function(with_version version)
  string(REGEX REPLACE "find_package\\(mla_dtype [0-9.]+" "find_package(mla_dtype ${version}" lines
         "${lines}")
  file(WRITE "${WORK}/find_package-version/CMakeLists.txt" "${lines}")
  file(COPY_FILE "${project}/main.cpp" "${WORK}/find_package-version/main.cpp")
endfunction()
set(configure_version ${configure} -S "${WORK}/find_package-version"
    -B "${WORK}/find_package-version-build" "-DCMAKE_PREFIX_PATH=${WORK}/prefix-static")
# Before 1.0 another minor version is another library, as its SONAME says.
foreach(other 99 0.0 0.99)
  with_version(${other})
  run_to_fail("compatible with.*requested version.*\"${other}\"" ${configure_version})
endforeach()
string(REGEX MATCH "^[0-9]+\\.[0-9]+" minor "${VERSION}")
with_version(${minor})
run(${configure_version})

# Another spdlog than it was built with, unless the engine has made a target of it.
set(config "${WORK}/moved/lib/cmake/mla_dtype/mla_dtype-config.cmake")
file(READ "${config}" text)
string(REGEX REPLACE "(mla_dtype_built_with_spdlog \")[0-9.]+" "\\11.2" text "${text}")
file(WRITE "${config}" "${text}")
set(refused "it was built with spdlog 1\\.2, and 1\\..* was found")
set(configure_refused ${configure} -S "${WORK}/find_package-spdlog"
    -B "${WORK}/find_package-spdlog-build" "-DCMAKE_PREFIX_PATH=${WORK}/moved")
foreach(before "" "find_package(spdlog REQUIRED)\n")
  file(WRITE "${WORK}/find_package-spdlog/CMakeLists.txt"
       "cmake_minimum_required(VERSION 3.22...3.24)\nproject(my_engine CXX)\n${before}"
       "find_package(mla_dtype REQUIRED)\n")
  run_to_fail("${refused}" ${configure_refused})
endforeach()
# What was refused leaves nothing behind.
file(WRITE "${WORK}/find_package-spdlog/CMakeLists.txt"
     "cmake_minimum_required(VERSION 3.22...3.24)\nproject(my_engine CXX)\nfind_package(mla_dtype QUIET)\n"
     "if(mla_dtype_FOUND OR TARGET mla_dtype::mla_dtype)\n  message(FATAL_ERROR taken)\nendif()\n")
run(${configure_refused})
file(WRITE "${WORK}/find_package-spdlog/CMakeLists.txt"
     "cmake_minimum_required(VERSION 3.22...3.24)\nproject(my_engine CXX)\n"
     "add_library(spdlog INTERFACE)\nadd_library(spdlog::spdlog ALIAS spdlog)\n"
     "find_package(mla_dtype REQUIRED)\n")
run(${configure_refused})

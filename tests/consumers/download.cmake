# SPDX-License-Identifier: Apache-2.0
#
# A dependency that is missing, or there in the wrong version, is downloaded in the pinned one, its
# hash checked and its options set; one that is there in a right version is not. The archive stands
# for the network.
include("${CMAKE_CURRENT_LIST_DIR}/common.cmake")
set(work "${WORK}/download")
set(archive "${work}/dependency.tar.gz")
list(REMOVE_ITEM configure -DFETCHCONTENT_FULLY_DISCONNECTED=ON)
file(REMOVE_RECURSE "${work}")

file(WRITE "${work}/dependency/CMakeLists.txt" [[
cmake_minimum_required(VERSION 3.22...3.24)
project(dependency LANGUAGES NONE)
add_library(dependency INTERFACE)
add_library(dependency::dependency ALIAS dependency)
message(STATUS "built ${DEPENDENCY_FLAVOUR}")
]])
execute_process(COMMAND ${CMAKE_COMMAND} -E tar czf "${archive}" dependency
                WORKING_DIRECTORY "${work}" COMMAND_ERROR_IS_FATAL ANY)
file(SHA256 "${archive}" sha256)

# A copy on the system, of any version.
function(install_version version)
  set(folder "${work}/system-${version}/lib/cmake/dependency")
  file(WRITE "${folder}/dependency-config.cmake"
       "add_library(dependency::dependency INTERFACE IMPORTED)\n")
  include(CMakePackageConfigHelpers)
  write_basic_package_version_file("${folder}/dependency-config-version.cmake"
    VERSION ${version} COMPATIBILITY AnyNewerVersion ARCH_INDEPENDENT)
endfunction()

set(take ${configure} -S "${CASES}/download" "-DMLA_DTYPE_SOURCE=${SOURCE}" "-DARCHIVE=${archive}")
run(${take} -B "${work}/missing" -DSHA256=${sha256})
expect("not downloaded: ${output}" output MATCHES "dependency 2\\.\\.\\.<3 is not on this system")
expect("its options are not set: ${output}" output MATCHES "built plain")

foreach(version 1.9 3.0)
  install_version(${version})
  run(${take} -B "${work}/wrong-${version}" -DSHA256=${sha256}
      "-DCMAKE_PREFIX_PATH=${work}/system-${version}")
  expect("the wrong version is not named: ${output}" output MATCHES "\\(found: ${version}\\)")
  expect("the wrong version was taken: ${output}" output MATCHES "built plain")
endforeach()

install_version(2.5)
run(${take} -B "${work}/right" -DSHA256=${sha256} "-DCMAKE_PREFIX_PATH=${work}/system-2.5")
expect("the system's was not taken: ${output}" output MATCHES "dependency 2\\.5 is the system's")
expect("taken twice: ${output}" NOT output MATCHES "built plain")

string(REPEAT 0 64 wrong)
run_to_fail("[Hh]ash" ${take} -B "${work}/tampered" -DSHA256=${wrong})

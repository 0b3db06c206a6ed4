# SPDX-License-Identifier: Apache-2.0
#
# FetchContent from an archive in the engine's tree; and not from there if the system has a copy.
include("${CMAKE_CURRENT_LIST_DIR}/common.cmake")
set(project "${WORK}/FetchContent")
set(build "${WORK}/FetchContent-build")
list(REMOVE_ITEM configure -DFETCHCONTENT_FULLY_DISCONNECTED=ON) # the archive is to be unpacked

file(MAKE_DIRECTORY "${project}/third_party")
file(REMOVE_RECURSE "${WORK}/archive")
run(${CMAKE_COMMAND} -E make_directory "${WORK}/archive/mla_dtype")
foreach(item CMakeLists.txt cmake include src)
  file(COPY "${SOURCE}/${item}" DESTINATION "${WORK}/archive/mla_dtype")
endforeach()
execute_process(
  COMMAND ${CMAKE_COMMAND} -E tar czf "${project}/third_party/mla_dtype.tar.gz" mla_dtype
  WORKING_DIRECTORY "${WORK}/archive" COMMAND_ERROR_IS_FATAL ANY)

build("${project}" "${build}")
expect_decision("${build}/my_engine")
expect("the archive was not used" EXISTS "${build}/_deps/mla_dtype-src/CMakeLists.txt")

build("${project}" "${build}" "-DCMAKE_PREFIX_PATH=${WORK}/prefix-shared")
expect_decision("${build}/my_engine")
expect("the system's copy did not win" NOT EXISTS "${build}/_deps/mla_dtype-src")

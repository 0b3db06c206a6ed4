# SPDX-License-Identifier: Apache-2.0
#
# Which spdlog and fmt the library was built with, whatever brought them, is in its package, and who
# has others is refused by name. Without this a program could mix objects of two layouts, or meet two
# versions that do not compile together as pages of errors. The headers of the copies here say their
# versions and nothing else, so that all of this is about configuring.
include("${CMAKE_CURRENT_LIST_DIR}/common.cmake")
set(work "${WORK}/spdlog_versions")
file(REMOVE_RECURSE "${work}")
set(disconnected -DCMAKE_DISABLE_FIND_PACKAGE_spdlog=ON -DCMAKE_DISABLE_FIND_PACKAGE_fmt=ON)

# copy(<name> <spdlog> <fmt> [<definition>...]): an include folder, and a package, of these versions.
function(copy name spdlog fmt)
  string(REGEX MATCHALL "[0-9]+" numbers "${spdlog}")
  set(parts MAJOR MINOR PATCH)
  set(text "")
  foreach(part number IN ZIP_LISTS parts numbers)
    string(APPEND text "#define SPDLOG_VER_${part} ${number}\n")
  endforeach()
  file(WRITE "${work}/${name}/include/spdlog/version.h" "${text}")
  file(WRITE "${work}/${name}/include/fmt/core.h" "#define FMT_VERSION ${fmt}\n")
  file(WRITE "${work}/${name}/lib/cmake/spdlog/spdlog-config.cmake"
    "add_library(spdlog::spdlog INTERFACE IMPORTED)\n"
    "set_target_properties(spdlog::spdlog PROPERTIES\n"
    "  INTERFACE_INCLUDE_DIRECTORIES \"${work}/${name}/include\"\n"
    "  INTERFACE_COMPILE_DEFINITIONS \"${ARGN}\")\n")
endfunction()
copy(newest 1.16.2 120100 SPDLOG_FMT_EXTERNAL)
copy(newer 1.16.0 110200 SPDLOG_FMT_EXTERNAL)
copy(older 1.15.3 120000 SPDLOG_FMT_EXTERNAL)
copy(std 1.16.0 120100 SPDLOG_USE_STD_FORMAT)
copy(unfit 1.15.0 110100 SPDLOG_FMT_EXTERNAL)

# The library over each of these: a parent's target, and a download, which does not happen.
file(WRITE "${work}/parent/CMakeLists.txt" "cmake_minimum_required(VERSION 3.22...3.24)
project(engine CXX)
set(MLA_DTYPE_INSTALL ON)
if(DEFINED COPY)
  include(\"${work}/\${COPY}/lib/cmake/spdlog/spdlog-config.cmake\")
endif()
add_subdirectory(\"${SOURCE}\" mla_dtype)
")
file(WRITE "${work}/downloaded/CMakeLists.txt" "cmake_minimum_required(VERSION 3.22...3.24)
project(spdlog)
add_library(spdlog INTERFACE)
add_library(spdlog::spdlog ALIAS spdlog)
target_compile_definitions(spdlog INTERFACE SPDLOG_FMT_EXTERNAL)
target_include_directories(spdlog INTERFACE \"$<BUILD_INTERFACE:${work}/newest/include>\")
install(TARGETS spdlog EXPORT spdlog-targets)
install(EXPORT spdlog-targets NAMESPACE spdlog:: DESTINATION lib/cmake/spdlog)
")
file(WRITE "${work}/fmt/CMakeLists.txt" "add_library(fmt::fmt INTERFACE IMPORTED GLOBAL)\n")
set(configure_parent ${configure} -S "${work}/parent" ${disconnected})
function(expect_record name spdlog format)
  run(${configure_parent} -B "${work}/build-${name}" ${ARGN})
  file(READ "${work}/build-${name}/mla_dtype/mla_dtype-config.cmake" config)
  foreach(record "spdlog \"${spdlog}\"" "format \"${format}\"")
    string(FIND "${config}" "mla_dtype_built_with_${record}" place)
    expect("${name}: no ${record} in ${config}" place GREATER -1)
  endforeach()
  expect("${name} is not said: ${output}" output MATCHES "spdlog ${spdlog}[0-9.]* formats with ${format}"
         OR format MATCHES "^std")
  set(output "${output}" PARENT_SCOPE)
endfunction()
expect_record(newest 1.16 "fmt 12" -DCOPY=newest)
expect_record(downloaded 1.16 "fmt 12"
  "-DFETCHCONTENT_SOURCE_DIR_MLA_DTYPE_SPDLOG=${work}/downloaded"
  "-DFETCHCONTENT_SOURCE_DIR_MLA_DTYPE_FMT=${work}/fmt")
expect_record(std 1.16 "std::format (SPDLOG_USE_STD_FORMAT)" -DCOPY=std)
expect("std::format is not said: ${output}" output MATCHES "formats with std::format \\(SPDLOG_USE_STD_FORMAT\\)")
set(unfit "spdlog 1\\.15\\.0 does not compile with fmt 11\\.1\\.0")
run_to_fail("${unfit}" ${configure_parent} -B "${work}/build-unfit" -DCOPY=unfit)

# The package of the first and of the third, in the hands of who has each of these.
foreach(name newest std)
  set(package "${work}/package-${name}/lib/cmake/mla_dtype")
  file(COPY "${work}/build-${name}/mla_dtype/mla_dtype-config.cmake"
            "${SOURCE}/cmake/mla_dtype-spdlog.cmake" DESTINATION "${package}")
  file(WRITE "${package}/mla_dtype-targets.cmake" "add_library(mla_dtype::mla_dtype INTERFACE IMPORTED)\n")
endforeach()
file(WRITE "${work}/engine/CMakeLists.txt" "cmake_minimum_required(VERSION 3.22...3.24)
project(engine CXX)
set(CMAKE_PREFIX_PATH \"${work}/package-\${PACKAGE}\" \"${work}/\${COPY}\")
if(BEFORE)
  find_package(spdlog REQUIRED)
endif()
if(NOT EXPECT_REFUSAL)
  find_package(mla_dtype REQUIRED)
  return()
endif()
find_package(mla_dtype QUIET)
if(mla_dtype_FOUND OR TARGET mla_dtype::mla_dtype)
  message(FATAL_ERROR taken)
endif()
")
function(expect_refusal package copy why)
  string(REPLACE " " "[ \n]+" why "${why}") # CMake breaks lines
  foreach(before OFF ON)
    file(REMOVE "${work}/engine-build/CMakeCache.txt")
    set(engine ${configure} -S "${work}/engine" -B "${work}/engine-build"
        -DPACKAGE=${package} -DCOPY=${copy} -DBEFORE=${before})
    run(${engine} -DEXPECT_REFUSAL=ON)
    run_to_fail("${why}" ${engine} -DEXPECT_REFUSAL=OFF)
  endforeach()
endfunction()
expect_refusal(newest older "it was built with spdlog 1\\.16, and 1\\.15\\.3 was found")
expect_refusal(newest newer "a spdlog over fmt 12, and the one that was found is over fmt 11\\.2\\.0")
expect_refusal(newest std "over fmt 12, .* over std::format \\(SPDLOG_USE_STD_FORMAT\\)")
expect_refusal(std newest "over std::format \\(SPDLOG_USE_STD_FORMAT\\), .* over fmt 12\\.1\\.0")
expect_refusal(newest unfit "${unfit}")
foreach(name newest std)
  file(REMOVE "${work}/engine-build/CMakeCache.txt")
  run(${configure} -S "${work}/engine" -B "${work}/engine-build" -DPACKAGE=${name} -DCOPY=${name})
endforeach()

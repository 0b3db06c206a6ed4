# SPDX-License-Identifier: Apache-2.0
#
# Where the dependencies come from, in this order: a target that a parent project has already made,
# a package of the system in a version that is known to work, a pinned release that CMake downloads
# (its SHA-256 is checked). What was taken is printed.
include_guard()
include("${CMAKE_CURRENT_LIST_DIR}/mla_dtype-spdlog.cmake")

# mla_dtype_make_global(<target>...): these, and the imported targets that they link.
function(mla_dtype_make_global)
  foreach(target IN LISTS ARGN)
    if(TARGET "${target}")
      get_target_property(is_imported ${target} IMPORTED)
      get_target_property(is_global ${target} IMPORTED_GLOBAL)
      if(is_imported AND NOT is_global)
        set_target_properties(${target} PROPERTIES IMPORTED_GLOBAL TRUE)
        get_target_property(linked ${target} INTERFACE_LINK_LIBRARIES)
        mla_dtype_make_global(${linked})
      endif()
    endif()
  endforeach()
endfunction()

# mla_dtype_dependency(NAME <package> TARGET <target> VERSIONS <range> URL <url> SHA256 <hash>
#                      [NEEDS <function>] [OPTIONS <variable>=<value>...])
# Where it is downloaded, NEEDS is called before, and OPTIONS hold for its own build.
function(mla_dtype_dependency)
  cmake_parse_arguments(PARSE_ARGV 0 arg "" "NAME;TARGET;VERSIONS;URL;SHA256;NEEDS" "OPTIONS")
  if(CMAKE_VERSION VERSION_LESS 3.24)
    set(has_3_24 OFF)
  else()
    set(has_3_24 ON)
  endif()
  if(TARGET ${arg_TARGET})
    message(STATUS "mla_dtype: ${arg_NAME} is the parent project's")
    return()
  endif()

  # Global, since a parent's targets link what this library links.
  set(CMAKE_FIND_PACKAGE_TARGETS_GLOBAL ${has_3_24})
  find_package(${arg_NAME} ${arg_VERSIONS} CONFIG QUIET)
  if(${arg_NAME}_FOUND)
    if(NOT has_3_24)
      mla_dtype_make_global(${arg_TARGET})
    endif()
    message(STATUS "mla_dtype: ${arg_NAME} ${${arg_NAME}_VERSION} is the system's (${${arg_NAME}_DIR})")
  else()
    set(found "${${arg_NAME}_CONSIDERED_VERSIONS}")
    message(STATUS "mla_dtype: ${arg_NAME} ${arg_VERSIONS} is not on this system (found: "
                   "${found}), taking ${arg_URL}")
    if(arg_NEEDS)
      cmake_language(CALL ${arg_NEEDS})
    endif()
    foreach(assignment IN LISTS arg_OPTIONS)
      string(REGEX MATCH "([^=]*)=(.*)" assignment "${assignment}")
      set(${CMAKE_MATCH_1} "${CMAKE_MATCH_2}")
    endforeach()
    include(FetchContent)
    # A parent may have one of that name, for another purpose.
    set(timestamps "")
    if(has_3_24)
      set(timestamps DOWNLOAD_EXTRACT_TIMESTAMP ON)
    endif()
    FetchContent_Declare(mla_dtype_${arg_NAME}
      URL ${arg_URL} URL_HASH SHA256=${arg_SHA256} ${timestamps})
    FetchContent_MakeAvailable(mla_dtype_${arg_NAME})
  endif()
  if(NOT TARGET ${arg_TARGET})
    message(FATAL_ERROR "mla_dtype: ${arg_NAME} does not define ${arg_TARGET}")
  endif()
endfunction()

# The versions that the library is known to work with, also for those who find it installed.
set(mla_dtype_fmt_versions 9.1...<13)
set(mla_dtype_spdlog_versions 1.10...<2)

# For the tool, and for a spdlog that is downloaded. The library itself formats nothing.
function(mla_dtype_find_fmt)
  mla_dtype_dependency(NAME fmt TARGET fmt::fmt VERSIONS ${mla_dtype_fmt_versions}
    URL https://github.com/fmtlib/fmt/archive/refs/tags/10.2.1.tar.gz
    SHA256 1250e4cc58bf06ee631567523f48848dc4596133e163f02615c97f78bab6c811
    OPTIONS FMT_INSTALL=${MLA_DTYPE_INSTALL})
endfunction()

# Sets mla_dtype_spdlog to the spdlog target to link, which brings the fmt that it was made with: one
# beside it, or one of its own inside; mla_dtype_fmt_header to the header of that; and
# mla_dtype_spdlog_version and mla_dtype_spdlog_format.
function(mla_dtype_find_spdlog)
  set(flavour spdlog::spdlog)
  if(MLA_DTYPE_SPDLOG_HEADER_ONLY)
    set(flavour spdlog::spdlog_header_only)
  endif()
  mla_dtype_dependency(NAME spdlog TARGET ${flavour} VERSIONS ${mla_dtype_spdlog_versions}
    URL https://github.com/gabime/spdlog/archive/refs/tags/v1.15.3.tar.gz
    SHA256 15a04e69c222eb6c01094b5c7ff8a249b36bb22788d72519646fb85feb267e67
    NEEDS mla_dtype_find_fmt
    OPTIONS SPDLOG_FMT_EXTERNAL=ON SPDLOG_INSTALL=${MLA_DTYPE_INSTALL})
  set(mla_dtype_spdlog ${flavour} PARENT_SCOPE)
  get_target_property(definitions ${flavour} INTERFACE_COMPILE_DEFINITIONS)
  if(NOT "${definitions}" MATCHES "SPDLOG_FMT_EXTERNAL") # another one would clash with it
    set(mla_dtype_fmt_header "<spdlog/fmt/fmt.h>" PARENT_SCOPE)
  endif()
  mla_dtype_spdlog_of(${flavour} spdlog)
  if(spdlog_fault)
    message(FATAL_ERROR "mla_dtype: ${spdlog_fault} (${spdlog_include})")
  endif()
  if(spdlog_format)
    message(STATUS "mla_dtype: spdlog ${spdlog_version} formats with ${spdlog_format}")
  endif()
  set(mla_dtype_spdlog_version "${spdlog_version}" PARENT_SCOPE)
  set(mla_dtype_spdlog_format "${spdlog_format}" PARENT_SCOPE)
endfunction()

function(mla_dtype_find_cli11)
  mla_dtype_dependency(NAME CLI11 TARGET CLI11::CLI11 VERSIONS 2.1...<3
    URL https://github.com/CLIUtils/CLI11/archive/refs/tags/v2.4.2.tar.gz
    SHA256 f2d893a65c3b1324c50d4e682c0cdc021dd0477ae2c048544f39eed6654b699a
    OPTIONS CLI11_PRECOMPILED=OFF)
endfunction()

function(mla_dtype_find_json)
  mla_dtype_dependency(NAME nlohmann_json TARGET nlohmann_json::nlohmann_json VERSIONS 3.11
    URL https://github.com/nlohmann/json/archive/refs/tags/v3.11.3.tar.gz
    SHA256 0d8ef5af7f9794e3263480193c491549b2ba6cc74bb018906202ada498a79406
    OPTIONS JSON_BuildTests=OFF JSON_Install=OFF)
endfunction()

function(mla_dtype_find_googletest)
  mla_dtype_dependency(NAME GTest TARGET GTest::gmock_main VERSIONS 1.12...<2
    URL https://github.com/google/googletest/archive/refs/tags/v1.14.0.tar.gz
    SHA256 8ad598c73ad796e0d8280b082cebd82a630d73e73cd3c70057938a6501bba5d7
    OPTIONS INSTALL_GTEST=OFF)
endfunction()

function(mla_dtype_find_benchmark)
  mla_dtype_dependency(NAME benchmark TARGET benchmark::benchmark VERSIONS 1.7...<2
    URL https://github.com/google/benchmark/archive/refs/tags/v1.7.1.tar.gz
    SHA256 6430e4092653380d9dc4ccb45a1e2dc9259d581f4866dc0759713126056bc1d7
    OPTIONS BENCHMARK_ENABLE_TESTING=OFF BENCHMARK_ENABLE_INSTALL=OFF)
endfunction()

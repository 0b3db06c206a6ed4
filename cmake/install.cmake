# SPDX-License-Identifier: Apache-2.0
#
# The library for find_package(mla_dtype), from an install prefix that may be moved or from this
# build tree, and for pkg-config.
include(CMakePackageConfigHelpers)
include(GNUInstallDirs)

set(MLA_DTYPE_INSTALL_CMAKEDIR "${CMAKE_INSTALL_LIBDIR}/cmake/mla_dtype"
    CACHE STRING "Where the CMake package is installed")

if(CMAKE_VERSION VERSION_LESS 3.23) # no file sets
  install(TARGETS mla_dtype EXPORT mla_dtype-targets INCLUDES DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
  install(FILES ${public_headers} DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}/mla_dtype")
else()
  install(TARGETS mla_dtype EXPORT mla_dtype-targets FILE_SET HEADERS)
endif()
install(EXPORT mla_dtype-targets NAMESPACE mla_dtype:: DESTINATION "${MLA_DTYPE_INSTALL_CMAKEDIR}")
if(PROJECT_IS_TOP_LEVEL) # a parent's fmt and spdlog need not be exported from its build tree
  export(EXPORT mla_dtype-targets NAMESPACE mla_dtype:: FILE mla_dtype-targets.cmake)
endif()
if(MLA_DTYPE_BUILD_TOOL)
  install(TARGETS mla_dtype_tool)
  install(PROGRAMS src/tool/measure_prefill.py DESTINATION "${CMAKE_INSTALL_DATADIR}/mla_dtype")
  install(FILES src/tool/mla-dtype.schema.json DESTINATION "${CMAKE_INSTALL_DATADIR}/mla_dtype")
endif()

set(package_dependencies "")
set(minor "")
set(format "")
if(MLA_DTYPE_WITH_SPDLOG)
  string(REGEX MATCH "^[0-9]+\\.[0-9]+" minor "${mla_dtype_spdlog_version}")
  string(REGEX MATCH "^(fmt [0-9]+|std.*)" format "${mla_dtype_spdlog_format}")
  set(package_dependencies "set(mla_dtype_built_with_spdlog \"${minor}\")
set(mla_dtype_built_with_format \"${format}\")
include(\"\${CMAKE_CURRENT_LIST_DIR}/mla_dtype-spdlog.cmake\")
mla_dtype_check_spdlog(mla_dtype_spdlog_fault ${mla_dtype_spdlog}
  \"\${mla_dtype_built_with_spdlog}\" \"\${mla_dtype_built_with_format}\")
if(mla_dtype_spdlog_fault)
  set(\${CMAKE_FIND_PACKAGE_NAME}_FOUND FALSE)
  set(\${CMAKE_FIND_PACKAGE_NAME}_NOT_FOUND_MESSAGE \"\${mla_dtype_spdlog_fault}\")
  return()
endif()")
  configure_file(cmake/mla_dtype-spdlog.cmake mla_dtype-spdlog.cmake COPYONLY)
  install(FILES cmake/mla_dtype-spdlog.cmake DESTINATION "${MLA_DTYPE_INSTALL_CMAKEDIR}")
endif()
configure_package_config_file(cmake/mla_dtype-config.cmake.in mla_dtype-config.cmake
  INSTALL_DESTINATION "${MLA_DTYPE_INSTALL_CMAKEDIR}" NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file(mla_dtype-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES "${CMAKE_CURRENT_BINARY_DIR}/mla_dtype-config.cmake"
              "${CMAKE_CURRENT_BINARY_DIR}/mla_dtype-config-version.cmake"
  DESTINATION "${MLA_DTYPE_INSTALL_CMAKEDIR}")

# Relative to the .pc file where that is possible, so that the prefix may be moved.
if(IS_ABSOLUTE "${CMAKE_INSTALL_LIBDIR}")
  set(pc_prefix "${CMAKE_INSTALL_PREFIX}")
  set(pc_libdir "${CMAKE_INSTALL_LIBDIR}")
else()
  file(RELATIVE_PATH up "/prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/prefix")
  string(REGEX REPLACE "/$" "" up "${up}")
  set(pc_prefix "\${pcfiledir}/${up}")
  set(pc_libdir "\${prefix}/${CMAKE_INSTALL_LIBDIR}")
endif()
set(pc_includedir "\${prefix}/${CMAKE_INSTALL_INCLUDEDIR}")
if(IS_ABSOLUTE "${CMAKE_INSTALL_INCLUDEDIR}")
  set(pc_includedir "${CMAKE_INSTALL_INCLUDEDIR}")
endif()
get_target_property(pc_definitions mla_dtype INTERFACE_COMPILE_DEFINITIONS)
set(pc_cflags "")
if(pc_definitions)
  string(APPEND pc_cflags " -D${pc_definitions}")
endif()
# pc_range(<variable> <package> <version>): of the same last number; any, where it is not known.
function(pc_range variable package version)
  if(version MATCHES "^(([0-9]+\\.)?)([0-9]+)$")
    math(EXPR next "${CMAKE_MATCH_3} + 1")
    string(APPEND package " >= ${version}, ${package} < ${CMAKE_MATCH_1}${next}")
  endif()
  set(${variable} "${package}" PARENT_SCOPE)
endfunction()
pc_range(pc_requires spdlog "${minor}")
if(NOT MLA_DTYPE_WITH_SPDLOG)
  set(pc_requires "")
  string(APPEND pc_cflags " -pthread")
elseif(MLA_DTYPE_SPDLOG_HEADER_ONLY) # spdlog's own .pc file is that of the compiled flavour
  set(pc_requires "")
  string(APPEND pc_cflags " -pthread")
  if(mla_dtype_fmt_header STREQUAL "<fmt/format.h>")
    string(REGEX MATCH "[0-9]+" major "${format}")
    pc_range(pc_requires fmt "${major}")
    string(APPEND pc_cflags " -DSPDLOG_FMT_EXTERNAL")
  endif()
  get_target_property(spdlog_include ${mla_dtype_spdlog} INTERFACE_INCLUDE_DIRECTORIES)
  if(IS_ABSOLUTE "${spdlog_include}") # else it is installed beside this library
    string(APPEND pc_cflags " -I${spdlog_include}")
  endif()
endif()
configure_file(cmake/mla_dtype.pc.in mla_dtype.pc @ONLY)
install(FILES "${CMAKE_CURRENT_BINARY_DIR}/mla_dtype.pc"
  DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")

# SPDX-License-Identifier: Apache-2.0
#
# The library for find_package(mla_dtype), from an install prefix that may be moved or from this
# build tree, and for pkg-config.
include(CMakePackageConfigHelpers)

set(MLA_DTYPE_INSTALL_CMAKEDIR "${CMAKE_INSTALL_LIBDIR}/cmake/mla_dtype"
    CACHE STRING "Where the CMake package is installed")

install(TARGETS mla_dtype EXPORT mla_dtype-targets
  FILE_SET HEADERS
  ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}"
  LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}"
  RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}")
if(MLA_DTYPE_BUILD_TOOL)
  install(TARGETS mla_dtype_tool RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}")
endif()

configure_package_config_file(cmake/mla_dtype-config.cmake.in mla_dtype-config.cmake
  INSTALL_DESTINATION "${MLA_DTYPE_INSTALL_CMAKEDIR}" NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file(mla_dtype-config-version.cmake COMPATIBILITY SameMajorVersion)
install(FILES "${CMAKE_CURRENT_BINARY_DIR}/mla_dtype-config.cmake"
              "${CMAKE_CURRENT_BINARY_DIR}/mla_dtype-config-version.cmake"
  DESTINATION "${MLA_DTYPE_INSTALL_CMAKEDIR}")
install(EXPORT mla_dtype-targets NAMESPACE mla_dtype:: DESTINATION "${MLA_DTYPE_INSTALL_CMAKEDIR}")
export(EXPORT mla_dtype-targets NAMESPACE mla_dtype:: FILE mla_dtype-targets.cmake)

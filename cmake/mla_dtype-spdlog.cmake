# SPDX-License-Identifier: Apache-2.0
#
# The spdlog that the installed library was built with has to be the one of its user: their loggers
# and sinks are the same objects, whose layout changes from one minor version to the next. A target
# that the user has made already, of whatever version, is taken as it is.
if(TARGET spdlog::spdlog OR TARGET spdlog::spdlog_header_only)
  return()
endif()
find_dependency(spdlog CONFIG)
string(REGEX MATCH "^[0-9]+\\.[0-9]+" mla_dtype_found_spdlog "${spdlog_VERSION}")
if(mla_dtype_built_with_spdlog AND NOT mla_dtype_found_spdlog STREQUAL mla_dtype_built_with_spdlog)
  set(${CMAKE_FIND_PACKAGE_NAME}_FOUND FALSE)
  set(${CMAKE_FIND_PACKAGE_NAME}_NOT_FOUND_MESSAGE
      "it was built with spdlog ${mla_dtype_built_with_spdlog}, and ${spdlog_VERSION} was found (${spdlog_DIR})")
endif()

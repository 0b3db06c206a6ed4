# SPDX-License-Identifier: Apache-2.0
#
# The spdlog that the installed library was built with has to be the one of its user: their loggers
# and sinks are the same objects, whose layout changes from one minor version to the next. What the
# user builds himself has no version that could be asked for, and is taken as it is.
set(mla_dtype_is_imported TRUE)
if(TARGET ${mla_dtype_built_with_target})
  get_target_property(mla_dtype_is_imported ${mla_dtype_built_with_target} IMPORTED)
endif()
if(mla_dtype_is_imported)
  find_package(spdlog CONFIG QUIET)
  string(REGEX MATCH "^[0-9]+\\.[0-9]+" mla_dtype_found_spdlog "${spdlog_VERSION}")
  if(NOT spdlog_FOUND)
    set(mla_dtype_spdlog_fault "it needs spdlog, which was not found")
  elseif(mla_dtype_built_with_spdlog AND NOT mla_dtype_found_spdlog STREQUAL mla_dtype_built_with_spdlog)
    set(mla_dtype_spdlog_fault "it was built with spdlog ${mla_dtype_built_with_spdlog}, and \
${spdlog_VERSION} was found (${spdlog_DIR})")
  elseif(NOT TARGET ${mla_dtype_built_with_target})
    set(mla_dtype_spdlog_fault "it was built with ${mla_dtype_built_with_target}, which the spdlog \
that was found (${spdlog_DIR}) does not have")
  endif()
endif()

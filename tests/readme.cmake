# SPDX-License-Identifier: Apache-2.0
#
# Every C++ block of every README is built and run; where a text block follows, it is what the
# program prints (but for the times of log records). Every console block, a `$ mla-dtype ...` and
# what it prints, is run with the tool.
set(fence "```")
file(GLOB_RECURSE readmes RELATIVE "${PROJECT_SOURCE_DIR}" CONFIGURE_DEPENDS
     "${PROJECT_SOURCE_DIR}/include/*.md" "${PROJECT_SOURCE_DIR}/src/*.md"
     "${PROJECT_SOURCE_DIR}/tests/*.md" "${PROJECT_SOURCE_DIR}/.github/*.md")

# mla_dtype_readme_program(<name> <code> <output>): of a C++ block and the text block behind it.
function(mla_dtype_readme_program name code output)
  if(NOT MLA_DTYPE_WITH_SPDLOG AND code MATCHES "spdlog|fmt|once_sink")
    return()
  endif()
  set(target mla_dtype_readme_${name})
  set(path "${CMAKE_CURRENT_BINARY_DIR}/readme/${name}")
  file(CONFIGURE OUTPUT "${path}.cpp" CONTENT "${code}" @ONLY)
  if(code MATCHES "\nTEST\\(")
    mla_dtype_add_tests(${target} "${path}.cpp")
    return()
  endif()
  if(NOT output)
    message(FATAL_ERROR "READMEs: no output follows C++ block ${name}")
  endif()
  add_executable(${target} "${path}.cpp")
  target_link_libraries(${target} PRIVATE mla_dtype::mla_dtype)
  mla_dtype_warnings(${target})
  if(NOT MLA_DTYPE_WITH_SPDLOG AND output MATCHES "(^|\n)[^[][^\n]*\n\\[")
    return() # records go to stderr, and would come before what is printed
  endif()
  file(CONFIGURE OUTPUT "${path}.txt" CONTENT "${output}" @ONLY)
  add_test(NAME readme_${name}
    COMMAND ${CMAKE_COMMAND} "-DPROGRAM=$<TARGET_FILE:${target}>" "-DEXPECTED=${path}.txt"
            -P "${CMAKE_CURRENT_SOURCE_DIR}/compare_output.cmake")
endfunction()

# mla_dtype_readme_console(<name> <command> <output>): of a console block.
function(mla_dtype_readme_console name command output)
  set(path "${CMAKE_CURRENT_BINARY_DIR}/readme/${name}")
  file(CONFIGURE OUTPUT "${path}.txt" CONTENT "${output}" @ONLY)
  file(GENERATE OUTPUT "${path}.sh"
    CONTENT "#!/bin/sh\nPATH=\"$<TARGET_FILE_DIR:mla_dtype_tool>:$PATH\"\n${command}\n"
    FILE_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE)
  add_test(NAME readme_${name} WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}"
    COMMAND ${CMAKE_COMMAND} "-DPROGRAM=${path}.sh" "-DEXPECTED=${path}.txt"
            -P "${CMAKE_CURRENT_SOURCE_DIR}/compare_output.cmake")
endfunction()

foreach(readme README.md ${readmes})
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/${readme}")
  file(READ "${PROJECT_SOURCE_DIR}/${readme}" text)
  string(REGEX REPLACE "/?README\\.md$|\\.md$" "" name "${readme}") # README.md's own is `project`
  string(REPLACE "/" "_" name "${name}")
  if(NOT name)
    set(name project)
  endif()

  set(tested 0)
  set(index 0)
  set(rest "${text}")
  while(TRUE)
    string(FIND "${rest}" "\n${fence}cpp\n" begin)
    if(begin EQUAL -1)
      break()
    endif()
    math(EXPR begin "${begin} + 8")
    string(SUBSTRING "${rest}" ${begin} -1 rest)
    string(FIND "${rest}" "${fence}\n" end)
    string(SUBSTRING "${rest}" 0 ${end} code)
    math(EXPR end "${end} + 4")
    string(SUBSTRING "${rest}" ${end} -1 rest)
    set(output "")
    if(rest MATCHES "^\n${fence}text\n([^`]*)${fence}")
      set(output "${CMAKE_MATCH_1}")
    endif()
    math(EXPR index "${index} + 1")
    math(EXPR tested "${tested} + 1")
    mla_dtype_readme_program(${name}_${index} "${code}" "${output}")
  endwhile()

  set(index 0)
  set(rest "${text}")
  while(MLA_DTYPE_BUILD_TOOL AND
        rest MATCHES "\n${fence}console\n\\$ (([^\n]*\\\\\n)*[^\n]*)\n([^`]*)${fence}\n(.*)")
    set(command "${CMAKE_MATCH_1}")
    set(output "${CMAKE_MATCH_3}")
    set(rest "\n${CMAKE_MATCH_4}")
    math(EXPR index "${index} + 1")
    math(EXPR tested "${tested} + 1")
    mla_dtype_readme_console(${name}_console_${index} "${command}" "${output}")
  endwhile()

  # What is not matched, as a console block with a backquote in it, would go untested.
  string(REGEX MATCHALL "\n${fence}(cpp|console)" fences "${text}")
  list(LENGTH fences blocks)
  if(MLA_DTYPE_BUILD_TOOL AND NOT blocks EQUAL tested)
    message(FATAL_ERROR "${readme}: of ${blocks} blocks ${tested} can be read")
  endif()
endforeach()

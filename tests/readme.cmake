# SPDX-License-Identifier: Apache-2.0
#
# Every C++ block of these is built and run; where a text block follows, it is what the program
# prints (but for the times of log records). Every console block, a `$ mla-dtype ...` and what it
# prints, is run with the tool.

set(all "")
foreach(readme README.md include/mla_dtype/README.md)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/${readme}")
  file(READ "${PROJECT_SOURCE_DIR}/${readme}" text)
  string(APPEND all "${text}\n")
endforeach()
set(rest "${all}")
set(fence "```")
set(index 0)
while(TRUE)
  string(FIND "${rest}" "${fence}cpp\n" begin)
  if(begin EQUAL -1)
    break()
  endif()
  math(EXPR begin "${begin} + 7")
  string(SUBSTRING "${rest}" ${begin} -1 rest)
  string(FIND "${rest}" "${fence}" end)
  string(SUBSTRING "${rest}" 0 ${end} code)
  math(EXPR end "${end} + 3")
  string(SUBSTRING "${rest}" ${end} -1 rest)

  math(EXPR index "${index} + 1")
  if(NOT MLA_DTYPE_WITH_SPDLOG AND code MATCHES "spdlog|fmt|once_sink")
    continue()
  endif()
  set(target mla_dtype_readme_${index})
  set(path "${CMAKE_CURRENT_BINARY_DIR}/readme/${index}")
  file(CONFIGURE OUTPUT "${path}.cpp" CONTENT "${code}" @ONLY)
  if(code MATCHES "\nTEST\\(")
    mla_dtype_add_tests(${target} "${path}.cpp")
    continue()
  endif()
  add_executable(${target} "${path}.cpp")
  target_link_libraries(${target} PRIVATE mla_dtype::mla_dtype)
  mla_dtype_warnings(${target})
  if(rest MATCHES "^\n\n${fence}text\n([^`]*)${fence}")
    file(CONFIGURE OUTPUT "${path}.txt" CONTENT "${CMAKE_MATCH_1}" @ONLY)
  else()
    message(FATAL_ERROR "READMEs: no output follows C++ block ${index}")
  endif()
  if(NOT MLA_DTYPE_WITH_SPDLOG AND CMAKE_MATCH_1 MATCHES "(^|\n)[^[][^\n]*\n\\[")
    continue() # records go to stderr, and would come before what is printed
  endif()
  add_test(NAME readme_${index}
    COMMAND ${CMAKE_COMMAND} "-DPROGRAM=$<TARGET_FILE:${target}>" "-DEXPECTED=${path}.txt"
            -P "${CMAKE_CURRENT_SOURCE_DIR}/compare_output.cmake")
endwhile()

if(MLA_DTYPE_BUILD_TOOL)
  set(rest "${all}")
  set(index 0)
  while(rest MATCHES "\n${fence}console\n\\$ (([^\n]*\\\\\n)*[^\n]*)\n([^`]*)${fence}\n(.*)")
    set(command "${CMAKE_MATCH_1}")
    set(expected "${CMAKE_MATCH_3}")
    set(rest "\n${CMAKE_MATCH_4}")
    math(EXPR index "${index} + 1")
    set(path "${CMAKE_CURRENT_BINARY_DIR}/readme/console_${index}")
    file(CONFIGURE OUTPUT "${path}.txt" CONTENT "${expected}" @ONLY)
    file(GENERATE OUTPUT "${path}.sh"
      CONTENT "#!/bin/sh\nPATH=\"$<TARGET_FILE_DIR:mla_dtype_tool>:$PATH\"\n${command}\n"
      FILE_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE)
    add_test(NAME readme_console_${index} WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}"
      COMMAND ${CMAKE_COMMAND} "-DPROGRAM=${path}.sh" "-DEXPECTED=${path}.txt"
              -P "${CMAKE_CURRENT_SOURCE_DIR}/compare_output.cmake")
  endwhile()
endif()

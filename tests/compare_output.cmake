# SPDX-License-Identifier: Apache-2.0
#
# Runs PROGRAM and compares what it prints with the file EXPECTED, but for the times of log records.
execute_process(COMMAND "${PROGRAM}" OUTPUT_VARIABLE actual ERROR_VARIABLE actual
                COMMAND_ERROR_IS_FATAL ANY)
file(READ "${EXPECTED}" expected)
foreach(text actual expected)
  # Without spdlog there are none.
  string(REGEX REPLACE "\\[[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9] [0-9:.]+\\] " "" ${text}
         "${${text}}")
endforeach()
if(NOT actual STREQUAL expected)
  message(FATAL_ERROR "printed:\n${actual}\nThe README has:\n${expected}")
endif()

# SPDX-License-Identifier: Apache-2.0
#
# cmake -DSOURCE_DIR=<project> -DWORK_DIR=<scratch> -P rooms_test.cmake: plants includes that no room
# may have, one at a time. Without it rooms.cmake could pass whatever it is given.

foreach(planted
    "facts/devices.cpp|\"decision/evaluate.h\""
    "facts/devices.cpp|<mla_dtype/prefill_query.h>"
    "facts/devices.cpp|<mla_dtype/mla_dtype.h>"
    "facts/devices.cpp|<mla_dtype/fmt.h>"
    "facts/devices.cpp|<mla_dtype/nearest_name.h>"
    "facts/devices.cpp|<words/invalid_argument.h>"
    "facts/vllm.cpp|<mla_dtype/once_log.h>"
    "decision/evaluate.cpp|\"words/explain.h\""
    "decision/evaluate.h|\"log/said_set.h\""
    "decision/reasons.cpp|\"prefill_answers.h\""
    "decision/reasons.cpp|\"../words/explain.h\""
    "words/records.cpp|\"log/keyed_log.h\""
    "words/records.cpp|<mla_dtype/once_log.h>"
    "log/said_set.cpp|\"facts/data_types.h\""
    "log/said_set.cpp|<mla_dtype/attention_plan.h>"
    "log/said_set.cpp|<mla_dtype/prefill_backend.h>"
    "log/said_set.cpp|<words/invalid_argument.h>"
    "prefill_query.cpp|\"tool/report.h\""
    "tool/report.cpp|\"words/records.h\"")
  string(REGEX MATCH "^([^|]+)\\|(.+)$" planted "${planted}")
  set(file "${CMAKE_MATCH_1}")
  set(include "${CMAKE_MATCH_2}")
  file(REMOVE_RECURSE "${WORK_DIR}")
  file(COPY "${SOURCE_DIR}/src" DESTINATION "${WORK_DIR}")
  file(APPEND "${WORK_DIR}/src/${file}" "#include ${include}\n")
  execute_process(COMMAND "${CMAKE_COMMAND}" "-DSOURCE_DIR=${WORK_DIR}"
                          -P "${CMAKE_CURRENT_LIST_DIR}/rooms.cmake"
                  RESULT_VARIABLE result ERROR_VARIABLE error)
  string(FIND "${error}" "src/${file}" found)
  if(result EQUAL 0 OR found EQUAL -1)
    message(FATAL_ERROR "${include} in src/${file} was not found:\n${error}")
  endif()
endforeach()
file(REMOVE_RECURSE "${WORK_DIR}")

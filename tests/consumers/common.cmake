# SPDX-License-Identifier: Apache-2.0
#
# What the cases share. Given: SOURCE (the library), CASES (this folder), WORK (to write in),
# COMPILER, GENERATOR, VERSION.
cmake_minimum_required(VERSION 3.22...3.24)

# run(<command>...): must succeed; what it printed is in `output`.
function(run)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE result OUTPUT_VARIABLE text ERROR_VARIABLE text)
  if(NOT result EQUAL 0)
    string(REPLACE ";" " " command "${ARGN}")
    message(FATAL_ERROR "${command}\n${text}\nexit code ${result}")
  endif()
  set(output "${text}" PARENT_SCOPE)
endfunction()

# run_to_fail(<regex> <command>...): must fail, and print what matches.
function(run_to_fail regex)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE result OUTPUT_VARIABLE text ERROR_VARIABLE text)
  if(result EQUAL 0 OR NOT text MATCHES "${regex}")
    string(REPLACE ";" " " command "${ARGN}")
    message(FATAL_ERROR "${command}\n${text}\nshould have failed with ${regex}")
  endif()
endfunction()

function(expect condition_text)
  if(NOT (${ARGN}))
    message(FATAL_ERROR "${condition_text}")
  endif()
endfunction()

# How the library is consumed is what they test; that each of its files compiles alone, others do.
set(configure ${CMAKE_COMMAND} -G ${GENERATOR} -DCMAKE_CXX_COMPILER=${COMPILER}
    -DCMAKE_BUILD_TYPE=Debug -DCMAKE_CXX_FLAGS_DEBUG= -DFETCHCONTENT_FULLY_DISCONNECTED=ON
    -DCMAKE_UNITY_BUILD=ON -DCMAKE_UNITY_BUILD_BATCH_SIZE=0)

# The project's own lines do then what they do with the oldest CMake that README names.
set(as_cmake_3_22 "-DCMAKE_PROJECT_INCLUDE_BEFORE=${CASES}/cmake_3_22.cmake")

# build(<source> <build> <CMake argument>...): from scratch.
function(build source build)
  file(REMOVE_RECURSE "${build}")
  run(${configure} -S "${source}" -B "${build}" ${ARGN})
  set(configure_output "${output}" PARENT_SCOPE)
  run(${CMAKE_COMMAND} --build "${build}")
endfunction()

# expect_decision(<command>...): prints what README's first example prints.
function(expect_decision)
  run(${ARGN})
  expect("unexpected output: ${output}"
         output MATCHES "\\[warning\\] FP8 KV cache is enabled but .*\nbfloat16\n$")
endfunction()

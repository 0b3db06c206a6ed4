# SPDX-License-Identifier: Apache-2.0
#
# A spdlog with a fmt of its own inside, as most engines vendor it: made here of the system's two.
# Without this the library could want another fmt beside it, or fmt.h another one than spdlog's.
include("${CMAKE_CURRENT_LIST_DIR}/common.cmake")
set(vendored "${WORK}/bundled_fmt-spdlog")

run(${COMPILER} -E -x c++ -include spdlog/spdlog.h -include fmt/format.h /dev/null)
foreach(header spdlog/spdlog.h fmt/format.h)
  string(REGEX MATCH "\"(/[^\"]*)/${header}\"" found "${output}")
  string(REGEX MATCH "^[a-z]*" library "${header}")
  set(${library}_include "${CMAKE_MATCH_1}/${library}")
  string(REGEX REPLACE "^\"(.*)/[^/]*\"$" "\\1" ${library}_include "${found}")
endforeach()
file(REMOVE_RECURSE "${vendored}")
file(COPY "${spdlog_include}" DESTINATION "${vendored}")
file(COPY "${fmt_include}/" DESTINATION "${vendored}/spdlog/fmt/bundled")
file(READ "${vendored}/spdlog/tweakme.h" tweaks) # a distribution may say so there
string(REPLACE "\n#define SPDLOG_FMT_EXTERNAL" "\n//" tweaks "${tweaks}")
file(WRITE "${vendored}/spdlog/tweakme.h" "${tweaks}")

build("${CASES}/bundled_fmt" "${WORK}/bundled_fmt-build" "-DVENDORED=${vendored}"
      "-DMLA_DTYPE_SOURCE=${SOURCE}" "-DMAIN=${WORK}/add_subdirectory/main.cpp"
      -DCMAKE_DISABLE_FIND_PACKAGE_fmt=ON -DCMAKE_DISABLE_FIND_PACKAGE_spdlog=ON)
expect_decision("${WORK}/bundled_fmt-build/my_engine")
run("${WORK}/bundled_fmt-build/prints")
expect("fmt.h prints ${output}" output STREQUAL "[info] float8_e4m3fn\n")

# SPDX-License-Identifier: Apache-2.0
#
# A copy in the engine's tree, in both flavours of spdlog.
include("${CMAKE_CURRENT_LIST_DIR}/common.cmake")
set(project "${WORK}/add_subdirectory")
set(build "${WORK}/add_subdirectory-build")

file(MAKE_DIRECTORY "${project}/third_party")
file(CREATE_LINK "${SOURCE}" "${project}/third_party/mla_dtype" SYMBOLIC)

build("${project}" "${build}")
expect_decision("${build}/my_engine")
run(objdump -p "${build}/my_engine")
expect("not the compiled spdlog" output MATCHES "NEEDED +libspdlog")

build("${project}" "${build}" -DMLA_DTYPE_SPDLOG_HEADER_ONLY=ON)
expect_decision("${build}/my_engine")
run(objdump -p "${build}/my_engine")
expect("not the header-only spdlog" NOT output MATCHES "NEEDED +libspdlog")

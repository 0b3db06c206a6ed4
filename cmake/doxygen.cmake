# SPDX-License-Identifier: Apache-2.0
#
# The target mla_dtype_doc, where Doxygen is found: pages of the public headers and the READMEs, in
# doxygen/html of the build folder. A warning is an error.
find_package(Doxygen QUIET)
if(NOT DOXYGEN_FOUND)
  return()
endif()

set(DOXYGEN_OUTPUT_DIRECTORY doxygen)
set(DOXYGEN_WARN_AS_ERROR YES)
set(DOXYGEN_QUIET YES)
set(DOXYGEN_HAVE_DOT NO)
set(DOXYGEN_EXTRACT_ALL YES)
set(DOXYGEN_JAVADOC_AUTOBRIEF YES)
set(DOXYGEN_MACRO_EXPANSION YES)
set(DOXYGEN_EXPAND_ONLY_PREDEF YES)
set(DOXYGEN_PREDEFINED MLA_DTYPE_EXPORT= MLA_DTYPE_ABI= MLA_DTYPE_WITH_SPDLOG=1)
set(DOXYGEN_EXCLUDE_SYMBOLS mla_dtype::detail)
set(DOXYGEN_USE_MDFILE_AS_MAINPAGE "${PROJECT_SOURCE_DIR}/README.md")
set(DOXYGEN_IMAGE_PATH "${PROJECT_SOURCE_DIR}/tests/benchmark")
set(DOXYGEN_EXCLUDE include/mla_dtype/fmt.h) # a specialisation in another namespace, which it cannot place
# It knows headings under other names than GitHub does: link pages instead. A commit is no command.
set(DOXYGEN_FILTER_PATTERNS
  "\"*.md=sed -E -e 's/[[]([^]]*)[]][(]#[^)]*[)]/\\1/g' -e 's/[.]md#[^)]*[)]/.md)/g' -e 's/@([0-9a-f]{7})/ at \\1/g'\"")
doxygen_add_docs(mla_dtype_doc
  README.md include src/README.md src/tool/README.md .github
  tests/README.md tests/benchmark/README.md tests/reference/README.md tests/tool/configs/README.md
  WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}" COMMENT "Pages of the public headers and the READMEs")

# SPDX-License-Identifier: Apache-2.0
#
# For tests/cross.sh: what CMake includes after project(). Each program becomes a script that runs it
# under MLA_DTYPE_EMULATOR, so that tests which start the tool, or a shell that does, need not know.
file(WRITE "${CMAKE_BINARY_DIR}/emulate.sh" "mv \"$1\" \"$1.elf\"
printf '#!/bin/sh\\nexec ${MLA_DTYPE_EMULATOR} -0 \"$0\" \"%s/%s.elf\" \"$@\"\\n' \"$PWD\" \"$1\" >\"$1\"
chmod +x \"$1\"\n")
list(APPEND CMAKE_CXX_LINK_EXECUTABLE "sh ${CMAKE_BINARY_DIR}/emulate.sh <TARGET>")

# The system's is compiled for this machine.
add_library(fmt::fmt INTERFACE IMPORTED GLOBAL)
target_compile_definitions(fmt::fmt INTERFACE FMT_HEADER_ONLY=1)

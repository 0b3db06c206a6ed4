# SPDX-License-Identifier: Apache-2.0
#
# Included by project(): the version that the project's files ask for.
set(CMAKE_VERSION 3.22.1)

// SPDX-License-Identifier: Apache-2.0
#pragma once

/// The one place the version stands; CMake and the tool read it here.
#define MLA_DTYPE_VERSION_MAJOR 0
#define MLA_DTYPE_VERSION_MINOR 1
#define MLA_DTYPE_VERSION_PATCH 0

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>  // any header of the standard library, for __GLIBCXX__

/// `catch (...)` for a block that does not rethrow: with glibc and libstdc++ a cancelled thread
/// unwinds its stack as an exception, and the process is aborted if that one is swallowed.
#ifdef __GLIBCXX__
#include <cxxabi.h>
#define MLA_DTYPE_CATCH_ALL             \
  catch (const abi::__forced_unwind&) { \
    throw;                              \
  }                                     \
  catch (...)
#else
#define MLA_DTYPE_CATCH_ALL catch (...)
#endif

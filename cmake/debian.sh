# SPDX-License-Identifier: Apache-2.0
#
# Sourced by the scripts beside it. What they share: what a bare Debian needs, and a build.

need_packages() { # <package>...: installs those that are missing, on Debian as root
  if ! command -v dpkg-query >/dev/null; then
    return 0 # not Debian: CMake finds the dependencies, or downloads them
  fi
  missing=
  for package in "$@"; do
    case $(dpkg-query -W -f '${Status}' "$package" 2>/dev/null) in
      *' installed') ;;
      *) missing="$missing $package" ;;
    esac
  done
  if [ -z "$missing" ]; then
    return 0
  fi
  if [ "$(id -u)" -ne 0 ]; then
    echo "Not root, so not installed:$missing" >&2
    return 0 # CMake says what it cannot find
  fi
  echo "Installing$missing"
  apt-get update -qq
  # shellcheck disable=SC2086  # one word a package
  DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $missing >/dev/null
}

need_toolchain() { # what building takes; a compiler or generator from elsewhere is as good
  command -v "${CXX:-c++}" >/dev/null || need_packages g++
  command -v cmake >/dev/null || need_packages cmake
  command -v ninja >/dev/null || need_packages ninja-build
  need_packages libspdlog-dev libfmt-dev
}

quietly() { # <command>...: shows what it printed only if it failed
  log=$(mktemp)
  if ! "$@" >"$log" 2>&1; then
    cat "$log" >&2
    rm -f "$log"
    return 1
  fi
  sed -n 's/^-- mla_dtype: /  /p' "$log" # where each dependency came from
  rm -f "$log"
}

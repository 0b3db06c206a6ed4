# SPDX-License-Identifier: Apache-2.0
#
# Sourced by the scripts beside it. What they share: what a bare Debian needs, and a build.

# install_missing <package>[=<command>]...: installs, on Debian and as root, the packages that are
# missing; one whose command is there already, from wherever, is not missing.
install_missing() {
  missing=
  for item in "$@"; do
    package=${item%%=*}
    if [ "$item" != "$package" ] && command -v "${item#*=}" >/dev/null; then
      continue
    fi
    case $(dpkg-query -W -f '${Status}' "$package" 2>/dev/null) in
      *' installed') ;;
      *) missing="$missing $package" ;;
    esac
  done
  if [ -z "$missing" ]; then
    return 0
  fi
  if ! command -v apt-get >/dev/null || [ "$(id -u)" -ne 0 ]; then
    echo "Not here as packages, and not installed (on Debian, as root: apt-get install$missing)" >&2
    for command in "${CXX:-c++}" cmake ninja; do
      command -v "$command" >/dev/null || { echo "Without $command there is no building" >&2; exit 1; }
    done
    return 0 # CMake may know where the libraries are, or download them
  fi
  echo "Installing$missing"
  apt-get update -qq
  # shellcheck disable=SC2086  # one word a package
  DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $missing >/dev/null
}

library="g++=${CXX:-c++} cmake=cmake ninja-build=ninja libspdlog-dev libfmt-dev"

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

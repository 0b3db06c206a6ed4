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
  advice="on Debian, as root: apt-get install$missing"
  if ! command -v apt-get >/dev/null || [ "$(id -u)" -ne 0 ]; then
    for command in "${CXX:-c++}" cmake ninja; do
      command -v "$command" >/dev/null || { echo "No $command here; $advice" >&2; exit 1; }
    done
    echo "Missing as packages:$missing. CMake looks elsewhere, then tries to download them."
    return 0
  fi
  echo "Installing$missing"
  apt-get update -qq
  # shellcheck disable=SC2086  # one word a package
  DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $missing >/dev/null
  advice=
}

# make is for those who go on by hand.
library="g++=${CXX:-c++} cmake=cmake ninja-build=ninja make=make libspdlog-dev libfmt-dev"
advice=

# Sources that are compiled in one go parse their headers once.
several_at_a_time='-DCMAKE_UNITY_BUILD=ON -DCMAKE_UNITY_BUILD_BATCH_SIZE=8'

quietly() { # <command>...: shows what it printed only if it failed
  log=$(mktemp)
  if ! "$@" >"$log" 2>&1; then
    cat "$log" >&2
    rm -f "$log"
    if [ -n "$advice" ]; then echo "If something is missing: $advice" >&2; fi
    return 1
  fi
  sed -n 's/^-- mla_dtype: /  /p' "$log" # where each dependency came from
  rm -f "$log"
}

readme_command() { # <heading>: the first line of the first fenced block under it
  awk -v heading="## $1" '$0 == heading {found = 1} found && fenced {print; exit}
                          found && /^```/ {fenced = 1}' README.md
}

#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs README's two commands, or others, in a bare root of a Debian release, with its compilers and
# dependencies. Usage, as root, with debootstrap: tests/debian_root.sh <release> [<command>...]
#
#     tests/debian_root.sh trixie                                     # Debian 13
#     tests/debian_root.sh testing 'sh cmake/test-it.sh -LE consumer'
set -euo pipefail
cd "$(dirname "$0")/.."
. cmake/debian.sh
release=${1:?which release}
shift
[ $# -ne 0 ] || set -- "$(readme_command 'Run it')" "$(readme_command 'Test it')"

root=$(mktemp -d)
chmod 755 "$root" # apt reads there as another user
leave() {
  umount -R "$root/proc" "$root/dev" 2>/dev/null || true
  rm -rf --one-file-system "$root"
}
trap leave EXIT
log=$root.log
debootstrap --variant=minbase "$release" "$root" >"$log" 2>&1 || { tail -n 20 "$log" >&2; exit 1; }
rm "$log"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount --make-rslave "$root/dev"
cp /etc/resolv.conf "$root/etc/resolv.conf"
# A mirror may be an older snapshot.
echo 'Acquire::Check-Valid-Until "false";' >"$root/etc/apt/apt.conf.d/snapshot"
chroot "$root" apt-get update -qq
mkdir "$root/mla_dtype"
tar -c --exclude='./build*' --exclude=./.git . | tar -x -C "$root/mla_dtype"

for command in "$@"; do
  printf '%s: %s\n' "$release" "$command"
  chroot "$root" sh -c "cd /mla_dtype && $command"
done
chroot "$root" dpkg-query -W -f '${Package} ${Version}\n' g++ libspdlog-dev libfmt-dev libcli11-dev \
  nlohmann-json3-dev googletest 2>/dev/null || true

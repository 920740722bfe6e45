#!/usr/bin/env bash
# Runs a command, by default the test suite, with the Python of another Debian suite, in a chroot. Wants root,
# debootstrap and unshare.
#
#   tools/python_chroot.sh SUITE FOLDER [COMMAND...]
#
#   tools/python_chroot.sh trixie /var/tmp/trixie        # the tests on Python 3.13
#   tools/python_chroot.sh sid /var/tmp/sid make check   # the checks on the Python of Debian unstable
#
# FOLDER keeps the chroot and its virtual environments from call to call; remove it with `rm -r` to start over. The
# command runs in a copy of this checkout without what git ignores. MIRROR names the Debian mirror; the default is the
# one that this machine uses. UPGRADE=1 brings an existing chroot up to date first.
#
# The mounts are made in a mount namespace and the processes run in a PID namespace of their own. Both end with this
# script, also when it fails or is killed: nothing stays mounted and no process is left.
set -euo pipefail

PACKAGES=(
    ca-certificates chromium gcc git libc6-dev make procps python3 python3-dev python3-venv rabbitmq-server redis-server
    tmux
)

die() {
    echo "python_chroot.sh: $1" >&2
    exit 2
}

# The mirror in this machine's apt configuration: the first Debian archive, in either format.
host_mirror() {
    find /etc/apt -name '*.list' -o -name '*.sources' | xargs cat |
        sed -nE 's/^deb (\[[^]]*\] )?//; s/^URIs: *//; s|^(https?://[^ ]*/debian)/?( .*)?$|\1|p' | sed -n 1p
}

# Copies a file or folder of this machine to the same place in the chroot, if this machine has it.
copy() {
    if [ -e "$1" ]
    then
        mkdir -p "$folder$(dirname "$1")"
        rm -rf "${folder:?}$1"
        cp -RL "$1" "$folder$1"
    fi
}

make_chroot() {
    command -v debootstrap >/dev/null || die "debootstrap is not installed"
    MIRROR=${MIRROR:-$(host_mirror)}
    [ -n "$MIRROR" ] || die "no Debian mirror found in /etc/apt; set MIRROR"
    debootstrap --variant=minbase "$suite" "$folder" "$MIRROR"
    touch "$folder/etc/debootstrapped"
}

# What the network needs here, it needs there: names, proxies, certificates, indexes.
copy_configuration() {
    for path in /etc/hosts /etc/resolv.conf /etc/pip.conf /etc/xdg/pip /usr/local/share/ca-certificates
    do
        copy "$path"
    done
    apt-config dump | grep '^Acquire::' | grep --invert-match ::IndexTargets >"$folder/etc/apt/apt.conf.d/90acquire"
}

install_packages() {
    # The tests start servers of their own: none is to be started by being installed.
    printf '#!/bin/sh\nexit 101\n' >"$folder/usr/sbin/policy-rc.d"
    chmod +x "$folder/usr/sbin/policy-rc.d"
    in_chroot apt-get update --quiet
    [ -z "${UPGRADE:-}" ] || in_chroot apt-get dist-upgrade --quiet --yes
    in_chroot apt-get install --quiet --yes --no-install-recommends "${PACKAGES[@]}"
    touch "$folder/etc/packages-installed"
}

in_chroot() {
    # A shell has what it starts in the background ignore Ctrl-C, and so would all that the tests start.
    chroot "$folder" env --default-signal=HUP,INT,TERM DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 "$@"
}

copy_checkout() {
    mkdir -p "$folder/src/imgrelay"
    # Virtual environments stay from the last call, all else is laid anew.
    find "$folder/src/imgrelay" -mindepth 1 -maxdepth 1 ! -name '.venv*' -exec rm -rf {} +
    git -C "$checkout" ls-files -z --cached --others --exclude-standard |
        (cd "$checkout" && xargs -0 sh -c 'for path; do [ ! -e "$path" ] || printf "%s\0" "$path"; done' sh) |
        tar --directory "$checkout" --null --files-from - --create | tar --directory "$folder/src/imgrelay" --extract
}

if [ "${1:-}" != --inside ]
then
    [ $# -ge 2 ] || die "usage: tools/python_chroot.sh SUITE FOLDER [COMMAND...]"
    [ "$(id -u)" = 0 ] || die "a chroot can be made by root only"
    folder=$(realpath -m "$2")
    [ "$folder" != / ] || die "the chroot cannot be /"
    # unshare itself ignores the signals that would end it.
    unshare --mount --propagation private --pid --fork --kill-child "$0" --inside "$1" "$folder" "${@:3}" <&0 &
    namespace=$!
    trap 'kill -KILL "$namespace"' HUP INT TERM
    wait "$namespace"
    exit
fi

suite=$2 folder=$3
shift 3
checkout=$(realpath "$(dirname "$0")/..")
mkdir -p "$folder"
exec {lock}>"$folder.lock"
flock --nonblock "$lock" || die "$folder is in use by another call"
[ -e "$folder/etc/debootstrapped" ] || make_chroot
mount --rbind /dev "$folder/dev" # with /dev/shm and /dev/pts
mount --rbind /sys "$folder/sys"
mount -t proc proc "$folder/proc"
copy_configuration
if [ ! -e "$folder/etc/packages-installed" ] || [ -n "${UPGRADE:-}" ]
then
    install_packages
fi
# After the package ca-certificates, which makes a bundle of its own.
copy /etc/ssl/certs/ca-certificates.crt
copy_checkout
[ $# -gt 0 ] || set -- make test-python PYTHON=python3
in_chroot python3 --version
in_chroot sh -c 'cd /src/imgrelay && exec "$@"' sh "$@" {lock}>&-

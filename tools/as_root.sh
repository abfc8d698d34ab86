#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# as_root.sh [--skip NAME] COMMAND... - runs COMMAND as root, by sudo where this is not
# root. With --skip, where root is not to be had or the kernel refuses BPF to it:
#
#   NAME: SKIPPED: the kernel refuses BPF here (Operation not permitted)
#
# and success. REQUIRE_BPF=1 makes that a failure.
set -u

name=

give_up()
{
	if [ -z "$name" ]; then
		echo "as_root: $*" >&2
		exit 1
	fi
	echo "$name: SKIPPED: $*"
	[ "${REQUIRE_BPF:-0}" = 0 ]
	exit
}

# Why the kernel would not let root trace here, or nothing.
refusal()
{
	if [ ! -e /sys/kernel/btf/vmlinux ]; then
		echo "the kernel has no BTF (/sys/kernel/btf/vmlinux)"
	elif [ ! -e /sys/bus/event_source/devices/uprobe/type ]; then
		echo "the kernel has no uprobes (/sys/bus/event_source/devices/uprobe)"
	elif ! err=$(${sudo:-} "$bpftool" prog show 2>&1 >/dev/null); then
		echo "the kernel refuses BPF here (${err##*: })"
	fi
}

if [ "${1:-}" = --skip ]; then
	name=$2
	shift 2
fi
sudo=
if [ "$(id -u)" != 0 ]; then
	command -v sudo >/dev/null || give_up "not root, and no sudo here"
	# Where nobody can type a password sudo must not ask for one.
	if [ -t 0 ]; then sudo=sudo; else sudo="sudo -n"; fi
	$sudo true || give_up "not root, and sudo refuses"
fi
if [ -n "$name" ]; then
	bpftool=${BPFTOOL:-bpftool}
	why=$(refusal)
	[ -z "$why" ] || give_up "$why"
fi
exec $sudo "$@"

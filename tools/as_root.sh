#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# as_root.sh COMMAND... - runs COMMAND as root, by sudo where this is not root.
# as_root.sh --why      - says in one line why nothing can be traced here; nothing if it can:
#
#   the kernel refuses BPF here (Operation not permitted)
set -u

sudo=()
if [ "$(id -u)" != 0 ]; then
	# Where nobody can type a password sudo must not ask for one.
	if [ -t 0 ]; then sudo=(sudo); else sudo=(sudo -n); fi
fi

why()
{
	local err

	if [ ${#sudo[@]} -gt 0 ] && ! command -v sudo >/dev/null; then
		echo "not root, and no sudo here"
	elif ! "${sudo[@]}" true 2>/dev/null; then
		echo "not root, and sudo refuses"
	elif [ ! -e /sys/kernel/btf/vmlinux ]; then
		echo "the kernel has no BTF (/sys/kernel/btf/vmlinux)"
	elif [ ! -e /sys/bus/event_source/devices/uprobe/type ]; then
		echo "the kernel has no uprobes (/sys/bus/event_source/devices/uprobe)"
	elif ! err=$("${sudo[@]}" "${BPFTOOL:-bpftool}" prog show 2>&1 >/dev/null); then
		echo "the kernel refuses BPF here (${err##*: })"
	fi
}

if [ "${1:-}" = --why ]; then
	why
	exit
fi
if [ ${#sudo[@]} -gt 0 ] && ! command -v sudo >/dev/null; then
	echo "as_root: not root, and no sudo here, for: $*" >&2
	exit 1
fi
exec "${sudo[@]}" "$@"

#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# cleanroot.sh [COMMAND...] - runs the commands (default: 'make demo' 'make check') in a
# fresh Debian that has git, make and certificates and nothing else, on a clean clone of
# this tree's HEAD. Shows what tools/packages.txt forgot. Root only, needs debootstrap.
#
#   KEEP=1     keeps the directory (its name is printed)
#   BASE=FILE  the fresh system as a tar file: made if it is not there, else reused
#
# Packages come from where this machine's apt takes them. The kernel's file systems are
# mounted in a mount namespace of our own, so that they are gone however this ends.
set -eu

top=$(cd "$(dirname "$0")/.." && pwd)

say()
{
	echo "cleanroot: $*" >&2
}

die()
{
	say "$*"
	exit 1
}

# "URI suite component..." of every Debian archive that apt uses, updates and security too.
sources()
{
	# The format is apt's own, not the shell's.
	# shellcheck disable=SC2016
	apt-get indextargets --format '$(ORIGIN) $(REPO_URI) $(RELEASE) $(COMPONENT)' \
		'Created-By: Packages' | sed -n 's/^Debian //p' | sort -u
}

base_make()
{
	local codename uri keyring=/usr/share/keyrings/debian-archive-keyring.gpg

	codename=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
	uri=$(sources | awk -v suite="$codename" '$2 == suite { print $1; exit }')
	[ -n "$uri" ] || die "apt here has no Debian archive with suite '$codename'"
	say "debootstrap $codename"
	debootstrap --variant=minbase --keyring="$keyring" \
		--include=ca-certificates,git,make "$codename" "$1" "$uri" >"$1.log" 2>&1 ||
		die "debootstrap failed: $(tail -n 3 "$1.log")"
	sources | sed 's/^/deb /' >"$1/etc/apt/sources.list"
	apt-config dump Acquire::http::Proxy >"$1/etc/apt/apt.conf.d/90proxy"
	rm -f "$1.log"
}

# Runs in the mount namespace: the one place where something is mounted.
run_inside()
{
	local root=$1 dir cmd
	shift

	mount --bind "$root" "$root"
	for dir in proc sys dev; do
		mount --rbind "/$dir" "$root/$dir"
		mount --make-rslave "$root/$dir"
	done
	mount -t tmpfs none "$root/tmp"
	for cmd in "$@"; do
		say "== $cmd"
		chroot "$root" env -i HOME=/root TERM=dumb LANG=C.UTF-8 CI="${CI:-}" \
			PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
			bash -c "cd /root/memtally && $cmd" </dev/null || {
			say "FAILED ($?): $cmd"
			return 1
		}
	done
	say "all of it passed: $*"
}

# The other side of the namespace sees no mount; if it does, nothing is removed.
remove()
{
	[ -n "${KEEP:-}" ] && say "kept: $1" && return
	if grep -F " $1/" /proc/self/mountinfo >&2; then
		say "still mounted, not removed: $1"
		return
	fi
	rm -rf --one-file-system "$1"
}

main()
{
	local work root

	if [[ ${1:-} == -* ]]; then
		sed -n '3,/^[^#]/s/^# \{0,1\}//p' "$0"
		exit 2
	fi
	[ "$(id -u)" = 0 ] || die "needs root (chroot)"
	command -v debootstrap >/dev/null || die "needs debootstrap"
	[ $# -gt 0 ] || set -- 'make demo' 'make check'
	work=$(mktemp -d "${TMPDIR:-/var/tmp}/cleanroot.XXXXXX")
	# The name is final here, it cannot change before the trap runs.
	# shellcheck disable=SC2064
	trap "remove '$work'" EXIT
	trap 'exit 130' INT TERM HUP
	root=$work/root
	mkdir "$root"
	if [ -n "${BASE:-}" ] && [ -f "$BASE" ]; then
		tar -C "$root" -xf "$BASE"
	else
		base_make "$root"
		[ -z "${BASE:-}" ] || tar -C "$root" -cf "$BASE" .
	fi
	cp /etc/resolv.conf "$root/etc/resolv.conf"
	git clone -q --no-hardlinks "$top" "$root/root/memtally"
	unshare --mount --propagation private -- bash "$0" --inside "$root" "$@"
}

if [ "${1:-}" = --inside ]; then
	shift
	run_inside "$@"
else
	main "$@"
fi

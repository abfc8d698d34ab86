#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# root.sh - the root file system of the guests as an ext4 image, made of this machine's own
# packages, so that what is built here runs there unchanged. Prints the image's name.
#
# It is made once; when a package it holds was changed, it is made again. Needs no root:
# under fakeroot the files get their owners, without it they belong to whoever made it.
#
#   VM_CACHE   build/vm, where it lies
set -eu

here=$(cd "$(dirname "$0")" && pwd)
cache=${VM_CACHE:-$(cd "$here/../.." && pwd)/build/vm}
arch=$(dpkg --print-architecture)
image=$cache/$arch/root.img

# What the tests call; what is not installed here is not there either, and the tests say so.
seeds="base-files bash dash coreutils util-linux mount procps kmod iproute2 busybox-static
	debianutils diffutils findutils grep sed gawk tar gzip xz-utils file libc-bin
	python3 python3-pytest binutils gcc libc6-dev elfutils bpftool sysctl
	libbpf1 libelf1 libdw1 zlib1g libzydis4.0 libpopt0 libjansson4 libcmocka0
	libncursesw6 ncurses-base libasan8 libubsan1 musl libjemalloc2 libtcmalloc-minimal4
	libmimalloc2.0 libc++1 libc++abi1 fio e2fsprogs xfsprogs redis-server tmux"

say()
{
	echo "vm: $*" >&2
}

# "PACKAGE VERSION" of the seeds and of all they depend on.
packages()
{
	# The format is dpkg's own, not the shell's.
	# shellcheck disable=SC2016
	dpkg-query -W -f '${db:Status-Status}|${binary:Package}|${Version}|${Provides}|${Pre-Depends}, ${Depends}\n' |
		awk -F'|' -v seeds="$seeds" -v arch="$arch" '
		$1 == "installed" {
			split($2, full, ":")
			if (full[2] && full[2] != arch) next
			name = full[1]; version[name] = $3; id[name] = $2
			# "a | b" holds the field separator.
			rest = $0; for (i = 1; i < 5; i++) sub(/[^|]*\|/, "", rest)
			depends[name] = rest
			n = split($4, p, ","); for (i = 1; i <= n; i++) provides[bare(p[i])] = name
		}
		function bare(s) { gsub(/\(.*/, "", s); gsub(/[ \t]/, "", s); sub(/:.*/, "", s); return s }
		function want(s) {
			s = bare(s)
			if (!(s in version)) s = provides[s]
			if (s == "" || done[s]++) return
			todo[++last] = s
		}
		END {
			n = split(seeds, p, /[ \t\n]+/); for (i = 1; i <= n; i++) want(p[i])
			for (at = 1; at <= last; at++) {
				print id[todo[at]], version[todo[at]]
				n = split(depends[todo[at]], p, /[,|]/); for (i = 1; i <= n; i++) want(p[i])
			}
		}' | sort
}

# Where /bin is a link to usr/bin, packages still name files by it.
merged()
{
	if [ -L /bin ]; then
		sed -E 's,^/(bin|sbin|lib|lib32|lib64|libx32)/,/usr/\1/,'
	else
		cat
	fi
}

# Their files, and what their scripts made of them: links of alternatives, the linker cache,
# compiled Python.
files()
{
	awk '{ print $1 }' "$1" | xargs dpkg -L |
		grep -vE '^/(\.|usr/share/(doc|man|locale|info)/.*)?$' | merged
	find /etc -maxdepth 0
	find /etc/alternatives /etc/ld.so.c* /etc/passwd /etc/group /etc/nsswitch.conf \
		/etc/localtime
	find /bin /sbin /lib /lib32 /lib64 /libx32 -maxdepth 0 2>/dev/null || true
	find /usr/bin/sh
	find /usr/bin /usr/sbin -lname '/etc/alternatives/*'
	find /usr/lib/python3 /usr/lib/python3.* -name '*.pyc' 2>/dev/null || true
}

build()
{
	local list=$1 tmp=$2

	mkdir -p "$tmp/root"
	files "$list" | sort -u | while IFS= read -r f; do
		if [ -L "$f" ] || [ -r "$f" ]; then echo "${f#/}"; fi
	done >"$tmp/files"
	tar -C / --no-recursion -cf - -T "$tmp/files" | tar -C "$tmp/root" -xpf -
	(cd "$tmp/root" && mkdir -p proc sys dev run tmp root mnt home var/tmp usr/lib/modules
		chmod 1777 tmp var/tmp; : >etc/fstab; ln -sf /proc/self/mounts etc/mtab
		echo 127.0.0.1 localhost >etc/hosts)
	mke2fs -q -t ext4 -b 4096 -O ^has_journal -d "$tmp/root" "$tmp/root.img" \
		"$(($(du -sm "$tmp/root" | cut -f1) * 5 / 4 + 16384))M" >/dev/null
}

# In the image's own name space of owners.
if [ "${1:-}" = --build ]; then
	build "$2" "$3"
	exit
fi

mkdir -p "$cache/$arch"
exec 9>"$cache/$arch/root.lock"
flock 9
tmp=$(mktemp -d "$cache/$arch/root.XXXXXX")
trap 'rm -rf "$tmp"' EXIT
{
	packages
	cksum <"$here/root.sh"
} >"$tmp/list"
if ! cmp -s "$tmp/list" "$image.list"; then
	say "making the guests' root of $(grep -c . "$tmp/list") packages of this machine"
	owner=
	[ "$(id -u)" = 0 ] || ! command -v fakeroot >/dev/null || owner=fakeroot
	$owner "$here/root.sh" --build <(grep -v '^[0-9]' "$tmp/list") "$tmp"
	mv "$tmp/root.img" "$image"
	mv "$tmp/list" "$image.list"
fi
echo "$image"

#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# foreign.sh ARCH - what a machine of another architecture (Debian's name: arm64) needs, out
# of Debian's packages of this machine's release. Prints the directory it lies in:
#
#   sysroot/    headers and libraries, for the cross compiler's --sysroot
#   root.img    a root file system for the guests, as an ext4 image
#   busybox     static, for their initramfs
#
# Packages are unpacked, never configured: nothing of that architecture runs here. Needs no
# root; exit status 3 and the reason when a package cannot be had.
#
#   VM_CACHE   build/vm, where it lies
set -eu

here=$(cd "$(dirname "$0")" && pwd)
cache=${VM_CACHE:-$(cd "$here/../.." && pwd)/build/vm}
arch=${1:?usage: tools/vm/foreign.sh ARCH}
dir=$cache/$arch
apt=$cache/apt-$arch-root
# shellcheck source=/dev/null
releases=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
# shellcheck source=tools/vm/apt.lib.sh
. "$here/apt.lib.sh"

# Like root.sh's, and what is linked against.
seeds="base-files bash dash coreutils util-linux mount procps kmod iproute2 busybox-static
	debianutils diffutils findutils grep sed gawk tar gzip xz-utils file libc-bin
	python3 python3-pytest elfutils bpftool binutils gcc
	libbpf-dev libelf-dev libdw-dev zlib1g-dev libpopt-dev libjansson-dev libiberty-dev
	libcmocka-dev libncurses-dev ncurses-base linux-libc-dev libc6-dev libstdc++-12-dev
	libasan8 libubsan1 libjemalloc2 libtcmalloc-minimal4 libmimalloc2.0 libc++1 libc++abi1
	fio e2fsprogs xfsprogs redis-server tmux"

fetch()
{
	local to=$1

	mkdir -p "$apt/root/archives/partial"
	# shellcheck disable=SC2086
	own_apt apt-get -y -o Dir::Cache="$apt/root" -o Debug::NoLocking=1 \
		--no-install-recommends --download-only install $seeds >"$apt/download.log" 2>&1 ||
		missing "packages for $arch cannot be fetched: $(tail -n 1 "$apt/download.log")"
	mkdir -p "$to"
	for deb in "$apt"/root/archives/*.deb; do
		dpkg-deb --fsys-tarfile "$deb" | tar -C "$to" -xpf - --keep-directory-symlink
	done
}

# What the packages' own scripts would have made.
configure()
{
	local root=$1

	ln -sf gawk "$root/usr/bin/awk"
	ln -sf dash "$root/usr/bin/sh"
	printf 'root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534:nobody:/:/bin/false\n' \
		>"$root/etc/passwd"
	printf 'root:x:0:\nnogroup:x:65534:\n' >"$root/etc/group"
	echo 127.0.0.1 localhost >"$root/etc/hosts"
	: >"$root/etc/fstab"
	ln -sf /proc/self/mounts "$root/etc/mtab"
	chmod 1777 "$root/tmp" "$root/var/tmp"
	# The guest is slow; its Python is of this machine's version.
	/usr/bin/python3 -m compileall -q "$root/usr/lib/python3.11" "$root/usr/lib/python3" \
		-s "$root" >/dev/null 2>&1 || true
}

# Packages name files by /lib and /usr/lib; where both are one, both names must work.
merge_usr()
{
	local root=$1 d

	mkdir -p "$root"/{proc,sys,dev,run,tmp,root,mnt,home,var/tmp,etc}
	for d in bin sbin lib; do
		mkdir -p "$root/usr/$d"
		ln -s "usr/$d" "$root/$d"
	done
}

# Links of packages lead from the root; the linker follows them on this machine.
links_relative()
{
	local root=$1 link to

	find "$root" -lname '/*' | while read -r link; do
		to=$(readlink "$link")
		[ ! -e "$root$to" ] || ln -sfr "$root$to" "$link"
	done
}

build()
{
	local tmp=$1

	merge_usr "$tmp/sysroot"
	fetch "$tmp/sysroot"
	configure "$tmp/sysroot"
	links_relative "$tmp/sysroot"
	cp "$tmp/sysroot/bin/busybox" "$tmp/busybox"
	rm -rf "$tmp/sysroot"/usr/share/{doc,man,locale,info}
	mke2fs -q -t ext4 -b 4096 -O ^has_journal -d "$tmp/sysroot" "$tmp/root.img" \
		"$(($(du -sm "$tmp/sysroot" | cut -f1) * 5 / 4 + 16384))M" >/dev/null
}

mkdir -p "$dir"
exec 9>"$dir/foreign.lock"
flock 9
made=$(cat "$here/foreign.sh" "$here/apt.lib.sh" | cksum)
if [ "$(cat "$dir/foreign.made" 2>/dev/null)" != "$made" ]; then
	lists_wanted
	say "making a root of Debian's $releases packages for $arch"
	rm -rf "$dir/new" "$dir"/{sysroot,root.img,busybox}
	trap 'rm -rf "$dir/new"' EXIT
	mkdir "$dir/new"
	build "$dir/new"
	mv "$dir/new"/{sysroot,root.img,busybox} "$dir/"
	echo "$made" >"$dir/foreign.made"
fi
echo "$dir"

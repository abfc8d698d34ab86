#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# module.sh VERSION - builds the module of tests/module for the kernel that kernel.sh has of
# that version, with Debian's headers of it (as kernel.sh fetches a kernel) and this
# machine's compiler. Prints its name, build/module/RELEASE/kvictim.ko; it goes into guests
# with the tree. Installs nothing.
#
#   VM_CACHE   build/vm, where the headers lie
#
# Exit status 3: it cannot be built; the reason is the last line on standard error.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
tree=$(cd "$here/../.." && pwd)
cache=${VM_CACHE:-$tree/build/vm}
arch=$(dpkg --print-architecture)
version=${1:?usage: tools/vm/module.sh VERSION}
apt=$cache/apt-$arch
releases="bullseye bookworm trixie"
# shellcheck source=tools/vm/apt.lib.sh
. "$here/apt.lib.sh"

# The headers of a flavour, those that all flavours share and the tools to build with them.
packages()
{
	echo "linux-headers-$release"
	own_apt apt-cache depends "linux-headers-$release" |
		sed -nE 's/^ *Depends: (linux-(headers-.*-common|kbuild-.*))$/\1/p'
}

# They name each other by where they would be installed.
relocate()
{
	find "$1"/usr/src/linux-headers-* -maxdepth 1 -name Makefile -exec \
		sed -i "s,/usr/\(src\|lib\)/linux-,$dir/usr/\1/linux-,g" {} +
}

# What packages hold, into a directory.
unpack()
{
	local to=$1 deb

	shift
	(cd "$to" && own_apt apt-get download "$@") >"$apt/download.log" 2>&1 ||
		missing "no headers of $release: $(tail -n 1 "$apt/download.log")"
	for deb in "$to"/*.deb; do
		dpkg-deb -x "$deb" "$to"
		rm "$deb"
	done
}

# The tools of a later Debian than this one run with that one's libraries.
tools_run_here()
{
	local tool libs=

	find "$1"/usr/lib/linux-kbuild-* -type f -perm -u+x | while read -r tool; do
		ldd "$tool" 2>&1 | grep -q 'GLIBC.*not found' || continue
		[ -n "$libs" ] || unpack "$1" libc6 libelf1t64 zlib1g libzstd1
		libs=$dir/usr/lib/x86_64-linux-gnu
		mv "$tool" "$tool.later"
		# For the shell that runs it.
		# shellcheck disable=SC2016
		printf '#!/bin/sh\nexec %s --library-path %s "$0.later" "$@"\n' \
			"$libs/ld-linux-x86-64.so.2" "$libs" >"$tool"
		chmod +x "$tool"
	done
}

headers()
{
	lists_wanted
	say "fetching the headers of $release"
	# shellcheck disable=SC2046
	unpack "$1" $(packages)
	relocate "$1"
	tools_run_here "$1"
}

[ "${VM_ARCH:-$arch}" = "$arch" ] || missing "no module for $VM_ARCH: not built for other machines"
kernel=$("$here/kernel.sh" "$version")
release=$(cat "$kernel/release")
dir=$cache/$arch/headers/$release
mkdir -p "$cache/$arch/headers"
exec 9>"$cache/$arch/lock"
flock 9
if [ ! -d "$dir" ]; then
	trap 'rm -rf "$dir.new"' EXIT
	rm -rf "$dir.new"
	mkdir "$dir.new"
	headers "$dir.new"
	mv "$dir.new" "$dir"
fi
flock -u 9

to=$tree/build/module/$release
work=$tree/build/module-work/$release
mkdir -p "$to" "$work"
cp -u "$tree"/tests/module/* "$work"
make -C "$dir/usr/src/linux-headers-$release" "M=$work" CC=gcc CONFIG_DEBUG_INFO_BTF_MODULES= \
	CONFIG_CC_HAS_MIN_FUNCTION_ALIGNMENT= modules >"$work/log" 2>&1 ||
	missing "no module for $release: $(grep -m 1 -iE 'error|not found' "$work/log")"
cp "$work/kvictim.ko" "$to"
echo "$to/kvictim.ko"

#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# kernel.sh VERSION - the newest Debian cloud kernel of that version ("6.1", "7.2"), from the
# mirror that this machine's apt uses. Prints the directory it lies in:
#
#   vmlinuz       what QEMU boots
#   modules.img   /usr/lib/modules/RELEASE as an ext4 image
#   early/        busybox's /init and the modules it needs to find its disks
#   release       6.1.0-56-cloud-amd64
#
# apt works in a state directory of its own: it checks the signature of each suite and the
# hash of each package, needs no root and leaves the machine's lists alone. What is there
# already is not fetched again; `rm -r` the directory for a newer one.
#
#   VM_CACHE   build/vm, where all of this lies
#   VM_ARCH    amd64 or arm64; default: this machine's
#
# Exit status 3: the kernel cannot be had; the reason is the last line on standard error.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
cache=${VM_CACHE:-$(cd "$here/../.." && pwd)/build/vm}
arch=${VM_ARCH:-$(dpkg --print-architecture)}
version=${1:?usage: tools/vm/kernel.sh VERSION}
dir=$cache/$arch/$version
apt=$cache/apt-$arch

say()
{
	echo "vm: $*" >&2
}

# Not there, but nothing is wrong here.
missing()
{
	say "$*"
	exit 3
}

# "URI LABEL" of Debian's archives in the machine's own configuration.
archives()
{
	# The format is apt's own, not the shell's.
	# shellcheck disable=SC2016
	apt-get indextargets --format '$(ORIGIN) $(REPO_URI) $(LABEL)' 'Created-By: Packages' |
		sed -n 's/^Debian //p' | sort -u
}

sources()
{
	local uri security

	uri=$(archives | awk '$2 == "Debian" { print $1; exit }')
	security=$(archives | awk '$2 == "Debian-Security" { print $1; exit }')
	cat <<-EOF
		Types: deb
		URIs: ${uri:-http://deb.debian.org/debian}
		Suites: bullseye bookworm bookworm-backports trixie trixie-backports
		Components: main
		Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

		Types: deb
		URIs: ${security:-http://deb.debian.org/debian-security}
		Suites: bullseye-security bookworm-security trixie-security
		Components: main
		Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
	EOF
}

own_apt()
{
	local tool=$1
	shift

	"$tool" -q -o Dir::State="$apt" -o Dir::State::status="$apt/status" \
		-o Dir::Cache="$apt/cache" -o Dir::Etc::SourceList="$apt/vm.sources" \
		-o Dir::Etc::SourceParts=/dev/null -o Dir::Etc::Preferences=/dev/null \
		-o APT::Architecture="$arch" -o APT::Architectures="$arch" \
		-o APT::Sandbox::User="$(id -un)" -o Acquire::Languages=none \
		-o Acquire::Retries=2 -o Acquire::http::Timeout=20 "$@"
}

lists_update()
{
	[ -f /usr/share/keyrings/debian-archive-keyring.gpg ] ||
		missing "no Debian keyring here (package debian-archive-keyring)"
	mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial"
	: >"$apt/status"
	sources >"$apt/vm.sources"
	say "reading the package lists of Debian's suites"
	# A suite that has left the mirror is an error to apt, the others are there then.
	own_apt apt-get update >"$apt/update.log" 2>&1 || true
	ls "$apt"/lists/*_Packages* >/dev/null 2>&1 ||
		missing "the Debian mirror cannot be reached:" \
			"$(grep -m 1 '^[WE]:' "$apt/update.log" | tr -s ' ')"
}

# "RELEASE PACKAGE": the newest release has been split differently over packages in time.
packages()
{
	own_apt apt-cache search --names-only \
		"^linux-(image|binary|modules)-${version//./\\.}[.-].*cloud-$arch(-unsigned)?\$" |
		awk '{ r = $1; sub(/^linux-(image|binary|modules)-/, "", r)
		       u = sub(/-unsigned$/, "", r); print r, u, $1 }' | sort -V
}

# Of an image that is there signed and not, the signed one.
download()
{
	local all release names

	all=$(packages)
	[ -n "$all" ] || missing "Debian's mirror has no kernel $version for $arch"
	release=$(tail -n 1 <<<"$all" | cut -d' ' -f1)
	names=$(awk -v r="$release" '$1 == r && !$2 { print $3 }' <<<"$all")
	names=${names:-$(awk -v r="$release" '$1 == r { print $3 }' <<<"$all")}
	say "fetching ${names//$'\n'/ }"
	# shellcheck disable=SC2086
	(cd "$1" && own_apt apt-get download $names) >"$apt/download.log" 2>&1 ||
		missing "kernel $version cannot be fetched: $(tail -n 1 "$apt/download.log")"
	echo "$release" >"$1/release"
}

# The files of modules NAME... and of all they need, in the order of loading.
module_files()
{
	local root=$1 release=$2 name

	shift 2
	for name in "$@"; do
		modprobe -d "$root" -S "$release" --show-depends "$name" 2>/dev/null |
			sed -n 's/^insmod //p'
	done | awk '!seen[$1]++ { print $1 }'
}

early_make()
{
	local tmp=$1 release=$2 file name n=10

	mkdir -p "$tmp/early/modules"
	while read -r file; do
		name=$tmp/early/modules/$n-$(basename "$file" .xz)
		case $file in
		*.xz) xz -dc "$file" >"$name" ;;
		*) cp "$file" "$name" ;;
		esac
		n=$((n + 1))
	done < <(module_files "$tmp/x/usr" "$release" virtio_pci virtio_blk ext4)
}

unpack()
{
	local tmp=$1 release=$2 deb modules

	for deb in "$tmp"/*.deb; do
		dpkg-deb -x "$deb" "$tmp/x"
	done
	if [ -d "$tmp/x/lib/modules" ]; then
		mkdir -p "$tmp/x/usr/lib"
		mv "$tmp/x/lib/modules" "$tmp/x/usr/lib/modules"
	fi
	modules=$tmp/x/usr/lib/modules/$release
	mv "$(find "$tmp/x" -name 'vmlinuz*' -type f | head -n 1)" "$tmp/vmlinuz"
	# modules.builtin and modules.order lie in a package that a guest does not need.
	depmod -b "$tmp/x/usr" "$release" 2>&1 | grep -v "could not open modules" >&2 || true
	early_make "$tmp" "$release"
	mke2fs -q -t ext4 -b 4096 -O ^has_journal -d "$modules" "$tmp/modules.img" \
		"$(($(du -sm "$modules" | cut -f1) * 5 / 4 + 16))M" >/dev/null
	rm -rf "$tmp/x" "$tmp"/*.deb
}

mkdir -p "$cache/$arch"
if [ ! -f "$dir/release" ]; then
	exec 9>"$cache/$arch/lock"
	flock 9
fi
if [ ! -f "$dir/release" ]; then
	trap 'rm -rf "$dir.new"' EXIT
	rm -rf "$dir.new"
	mkdir "$dir.new"
	find "$apt/lists" -name '*_Packages*' -mmin -600 2>/dev/null | grep -q . || lists_update
	download "$dir.new"
	unpack "$dir.new" "$(cat "$dir.new/release")"
	rm -rf "$dir"
	mv "$dir.new" "$dir"
fi
echo "$dir"

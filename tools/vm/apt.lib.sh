# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# apt.lib.sh - an apt with a state directory of its own, for kernel.sh and foreign.sh: it
# checks the signature of each suite and the hash of each package, needs no root and leaves
# the machine's lists alone. Set before: arch (Debian's name), apt (the directory) and
# releases ("bullseye bookworm").
# shellcheck disable=SC2154

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
	local uri security r backports='' patches=''

	for r in $releases; do
		backports+=" $r $r-backports"
		patches+=" $r-security"
	done
	uri=$(archives | awk '$2 == "Debian" { print $1; exit }')
	security=$(archives | awk '$2 == "Debian-Security" { print $1; exit }')
	cat <<-EOF
		Types: deb
		URIs: ${uri:-http://deb.debian.org/debian}
		Suites:$backports
		Components: main
		Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

		Types: deb
		URIs: ${security:-http://deb.debian.org/debian-security}
		Suites:$patches
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

# The lists are there and not older than ten hours.
lists_wanted()
{
	find "$apt/lists" -name '*_Packages*' -mmin -600 2>/dev/null | grep -q . || lists_update
}

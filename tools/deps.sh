#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# deps.sh build|check|static|fuzz|tidy|vm|arm64 - installs what the system lacks of tools/packages.txt.
#
#   deps: installing with apt-get: libbpf-dev libdw-dev
#
# One line per call of the package manager, none when nothing is missing. DEPS=0 skips.
set -u

cd "$(dirname "$0")/.." || exit 1
list=tools/packages.txt
updated=

say()
{
	echo "deps: $*" >&2
}

# Needs of build are needs of all; check builds the static binary too.
rows()
{
	awk -v want="$1" -v column="$2" '
		BEGIN { wanted["build"]; wanted[want]; if (want == "check") wanted["static"] }
		/^#/ || !($1 in wanted) || $column == "-" { next }
		!seen[$column]++ { print $column }
	' "$list"
}

as_root()
{
	if [ "$(id -u)" = 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo "$@"
	else
		say "cannot install: neither root nor sudo here; as root: $*"
		return 1
	fi
}

# The manager's own words matter only when it fails.
quietly()
{
	local log status=0

	log=$(mktemp) || return 1
	as_root "$@" </dev/null >"$log" 2>&1 || status=$?
	[ $status = 0 ] || tail -n 20 "$log" >&2
	rm -f "$log"
	return $status
}

apt_run()
{
	quietly env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300 "$@"
}

apt_update()
{
	updated=1
	say "updating the package lists with apt-get"
	apt_run update
}

# Of "a|b" on standard input, those lines of which no alternative is installed.
apt_missing()
{
	local installed name names

	# The trailing status words tell a removed package with kept configuration apart.
	installed=$(dpkg-query -W -f '${Package} ${db:Status-Status}\n' 2>/dev/null |
		sed -n 's/ installed$//p')
	while read -r names; do
		for name in ${names//|/ }; do
			[[ $'\n'$installed$'\n' == *$'\n'$name$'\n'* ]] && continue 2
		done
		echo "$names"
	done
}

apt_choose()
{
	local names name

	for names in "$@"; do
		for name in ${names//|/ }; do
			# A purely virtual package has no version.
			if apt-cache show --no-all-versions "$name" 2>/dev/null |
				grep '^Version:' >/dev/null; then
				echo "$name"
				continue 2
			fi
		done
		echo "?$names"
	done
}

apt_install()
{
	local chosen

	chosen=$(apt_choose "$@")
	if [[ $chosen == *\?* ]]; then
		apt_update || return 1
		chosen=$(apt_choose "$@")
	fi
	if [[ $chosen == *\?* ]]; then
		say "this release has no package $(grep '^?' <<<"$chosen" | tr -d '?' | xargs)," \
			"going on without"
		chosen=$(grep -v '^?' <<<"$chosen")
	fi
	[ -n "$chosen" ] || return 0
	mapfile -t chosen <<<"$chosen"
	say "installing with apt-get: ${chosen[*]}"
	apt_run install -y --no-install-recommends "${chosen[@]}" && return 0
	# Lists older than the mirror name files that are gone.
	[ -z "$updated" ] && apt_update || return 1
	say "installing with apt-get: ${chosen[*]}"
	apt_run install -y --no-install-recommends "${chosen[@]}"
}

dnf_missing()
{
	local installed name names

	installed=$(rpm -qa --qf '%{NAME}\n')
	while read -r names; do
		for name in ${names//|/ }; do
			[[ $'\n'$installed$'\n' == *$'\n'$name$'\n'* ]] && continue 2
		done
		echo "$names"
	done
}

dnf_install()
{
	local names name chosen=() known asked

	IFS='| ' read -ra asked <<<"$*"
	known=$(dnf -q repoquery --qf '%{name}\n' "${asked[@]}" 2>/dev/null)
	for names in "$@"; do
		for name in ${names//|/ }; do
			if [[ $'\n'$known$'\n' == *$'\n'$name$'\n'* ]]; then
				chosen+=("$name")
				continue 2
			fi
		done
		say "this release has no package ${names}, going on without"
	done
	[ ${#chosen[@]} -gt 0 ] || return 0
	say "installing with dnf: ${chosen[*]}"
	quietly dnf -y --setopt=install_weak_deps=False install "${chosen[@]}"
}

# Older libraries build halfway and then fail in many lines.
libbpf_check()
{
	local header=/usr/include/bpf/libbpf_version.h version

	version=$(awk '/define LIBBPF_(MAJOR|MINOR)_VERSION/ { printf "%s%s", d, $3; d = "." }' \
		"$header" 2>/dev/null)
	case $version in
	0.* | 1.0 | "")
		say "libbpf 1.1 or newer is needed, this release has ${version:-0.6 or older}"
		return 1
		;;
	esac
}

main()
{
	local column manager missing

	case ${1:-} in
	build | check | static | fuzz | tidy | vm | arm64) ;;
	*)
		echo "usage: tools/deps.sh build|check|static|fuzz|tidy|vm|arm64" >&2
		exit 2
		;;
	esac
	[ "${DEPS:-1}" = 0 ] && exit 0
	if command -v apt-get >/dev/null; then
		manager=apt column=2
	elif command -v dnf >/dev/null; then
		manager=dnf column=3
	else
		say "neither apt-get nor dnf here, nothing was checked; the list is in $list"
		exit 0
	fi
	mapfile -t missing < <(rows "$1" $column | ${manager}_missing)
	if [ ${#missing[@]} -gt 0 ]; then
		${manager}_install "${missing[@]}" || {
			say "failed; DEPS=0 goes on without installing"
			exit 1
		}
	fi
	libbpf_check
}

main "$@"

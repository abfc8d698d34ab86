#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# lint.sh - the rules of the house that a machine can check. One line per offence:
#
#   lint: src/sym/elf.c:12: includes "trace/trace.h", a room may not look there
#
# and at the end the size of the functions:
#
#   lint: 412 functions, median 13 lines, longest 61 (run_config in src/cmd_leak.c)
set -u

cd "$(dirname "$0")/.." || exit 1
max_file=400
max_test_file=700 # tables of cases
max_function=80
max_median=20
format_version=14
found=0

files=$(mktemp -d) || exit 1
trap 'rm -rf "$files"' EXIT

# Offences on standard input, "FILE:LINE: text".
offences()
{
	local line

	while IFS= read -r line; do
		echo "lint: $line"
		found=1
	done
}

# Files of the tree that end so, committed or about to be; what is deleted is left out.
tree()
{
	git ls-files -co --exclude-standard -- "$@" | while IFS= read -r f; do
		[ -f "$f" ] && echo "$f"
	done
}

# includes OPEN-CHARACTER - "FILE:LINE NAME" of every include of the files on standard input.
includes()
{
	xargs -r grep -nHE "^[[:space:]]*#[[:space:]]*include[[:space:]]*$1" |
		sed -E "s/^([^:]*:[0-9]+):[^$1]*$1([^\">]*).*/\1 \2/"
}

# room FILES-REGEX ALLOWED-REGEX - what the quoted includes of these files may name.
room()
{
	grep -E "$1" "$files/c" | includes '"' | awk -v allowed="^($2)\$" '
		$2 !~ allowed { print $1 ": includes \"" $2 "\", a room may not look there" }'
}

# system_room FILES-REGEX FORBIDDEN-REGEX [BUT-REGEX] - the same for <...>, the other way round.
system_room()
{
	grep -E "$1" "$files/c" | includes '<' |
		awk -v forbidden="^($2)\$" -v but="^(${3:--})\$" '
		$2 ~ forbidden && $2 !~ but {
			print $1 ": includes <" $2 ">, which is not for this room" }'
}

check_includes()
{
	local h='[a-z0-9_]+\.h' headers

	# The contract headers are named without a directory.
	headers=$(tree 'include/*.h' | sed 's|.*/||; s/\./\\./' | paste -sd '|')
	headers=${headers:--}
	room '^src/lib/' "lib/$h"
	room '^src/sym/' "(lib|sym)/$h"
	room '^src/store/' "(lib|store)/$h"
	room '^src/view/' "(lib|view)/$h"
	room '^src/cfi/' "(lib|cfi)/$h|unwind\.h"
	# The unwinder loads what the cfi room makes; no other file of trace looks there.
	room '^src/trace/unwind' "(lib|trace|cfi)/$h|$headers"
	room '^src/trace/([^u]|u[^n])' "(lib|trace)/$h|$headers"
	room '^src/[^/]*$' "([a-z]+/)?$h|[a-z0-9_]+\.skel\.h"
	room '^include/' "$headers"
	room '^bpf/' "[a-z0-9_]+\.bpf\.h|vmlinux\.h|$headers"
	system_room '^include/' '.*' 'linux/types\.h'
	system_room '^src/(lib|sym|store|view|cfi)/' 'bpf/.*'
}

# Source with comments and strings blanked, lines kept: "FILE:LINE: code" of every line.
code()
{
	awk '
	FNR == 1 { comment = 0 }
	{
		out = ""
		for (i = 1; i <= length($0); i++) {
			two = substr($0, i, 2); c = substr($0, i, 1)
			if (comment) { if (two == "*/") { comment = 0; i++ } }
			else if (two == "/*") { comment = 1; i++ }
			else if (two == "//") break
			else if (c == "\"" || c == "\047") {
				for (i++; i <= length($0) && substr($0, i, 1) != c; i++)
					if (substr($0, i, 1) == "\\") i++
				out = out c c
			} else out = out c
		}
		print FILENAME ":" FNR ": " out
	}' "$@" /dev/null
}

# forbid REGEX WHY - in the code on standard input.
forbid()
{
	grep -E "^[^:]*:[0-9]+: (.*[^A-Za-z0-9_])?($1)" "$files/code" |
		sed -E "s|^([^:]*:[0-9]+): .*|\1: $2|"
}

check_code()
{
	mapfile -t sources < <(grep '^src/' "$files/c")
	code "${sources[@]}" >"$files/code"
	forbid '(atoi|atol|atoll|atof|strtol|strtoll|strtoul|strtof|strtod)[[:space:]]*\(' \
		'numbers are parsed by lib.h, which checks them'
	forbid '(system|popen)[[:space:]]*\(' 'no shell'
	forbid '(sleep|usleep|nanosleep|clock_nanosleep)[[:space:]]*\(' \
		'wait for the event, do not sleep'
	forbid '(strcpy|strcat|sprintf|vsprintf|strtok|gets|alloca)[[:space:]]*\(' \
		'has no bound, or changes its input'
	forbid '(exit|abort|assert)[[:space:]]*\(' 'errors are returned; only main ends the program'
	forbid '(__)?([su](8|16|32|64)|__(le|be)(16|32|64))([^A-Za-z0-9_]|$)' \
		'a kernel type; user code has uint32_t and its kin'
	forbid 'typedef([^A-Za-z0-9_]|$)' 'no typedefs'
	# The mode is in a string: taken from the file itself.
	printf '%s\n' "${sources[@]}" | xargs -r grep -nHE '\b(fopen|fdopen)\([^;]*, "[^"e]*"\)' |
		sed -E 's/^([^:]*:[0-9]+):.*/\1: fopen without "e" (O_CLOEXEC)/'
	grep -E '[^A-Za-z0-9_](open|openat|memfd_create|socket|pipe2|epoll_create1|eventfd|dup)\(' \
		"$files/code" | grep -E '\(.*;' | grep -vE 'CLOEXEC|flags' |
		sed -E 's/^([^:]*:[0-9]+):.*/\1: opens without O_CLOEXEC/'
}

check_files()
{
	local f

	while IFS= read -r f; do
		head -n 2 "$f" | grep 'SPDX-License-Identifier: GPL-2.0-or-later' >/dev/null ||
			echo "$f:1: no SPDX line"
	done < <(cat "$files/c" "$files/sh"; tree Makefile '*.mk' '*.py')
	xargs -r wc -l <"$files/c" | awk -v max_src=$max_file -v max_test=$max_test_file '
		{ max = $2 ~ /^tests\// ? max_test : max_src }
		$2 != "total" && $1 > max { print $2 ":" $1 ": longer than " max " lines" }'
	# -I: grep finds no line in a binary file.
	tree | while IFS= read -r f; do
		[ -s "$f" ] && ! grep -Iq . "$f" && echo "$f:1: a binary file in the tree"
	done
	tree Makefile '*.mk' | xargs -r grep -nHE -- '-mcpu=(v4|probe|native)|-m(arch|tune)=native' |
		sed -E 's/^([^:]*:[0-9]+):.*/\1: built for one machine or one compiler/'
}

# Bodies of functions: kernel style has their braces alone in the first column.
functions()
{
	# The script is awk's.
	# shellcheck disable=SC2016
	grep -E '^(src|bpf)/' "$files/c" | xargs -r awk '
		FNR == 1 { open = 0 }
		/^[A-Za-z_].*\(/ && !/^SEC/ {
			name = $0
			# int BPF_KPROBE(name, ...) is called name.
			if (!sub(/^.*BPF_[A-Z_0-9]+\(/, "", name)) sub(/\(.*/, "", name)
			sub(/[,)].*/, "", name); sub(/.*[ *]/, "", name)
		}
		/^\{/ { open = FNR }
		/^\}/ && open { print FNR - open - 1, FILENAME ":" open, name; open = 0 }' /dev/null |
		sort -n
}

check_functions()
{
	functions >"$files/functions"
	awk -v max=$max_function '$1 > max { print $2 ": " $3 " has " $1 " lines, more than " max }' \
		"$files/functions"
	awk -v max=$max_median '{ n[NR] = $1 } END {
		m = n[int((NR + 1) / 2)]
		if (m > max) print "src:0: the median function has " m " lines, more than " max }' \
		"$files/functions"
}

# tool NAME - whether it is there, and a word if not.
tool()
{
	command -v "$1" >/dev/null && return
	echo "lint: SKIPPED: $1 is not here"
	return 1
}

check_tools()
{
	local mans

	# Every release formats a little differently: the tree is formatted by one.
	if ! clang-format --version 2>/dev/null | grep "version $format_version\." >/dev/null; then
		echo "lint: SKIPPED: formatting, clang-format $format_version is not here"
	else
		# A file is named once, with the first line that would change.
		grep -v '^vmlinux/' "$files/c" | xargs -r clang-format --dry-run 2>&1 |
			sed -nE 's/^([^:]*:[0-9]+):.*\[-Wclang-format.*/\1: clang-format would change it/p' |
			awk -F: '!seen[$1]++'
	fi
	if tool shellcheck; then
		xargs -r shellcheck -f gcc <"$files/sh"
	fi
	mapfile -t mans < <(tree 'docs/*.[1-8]')
	if [ ${#mans[@]} -gt 0 ] && tool mandoc; then
		mandoc -T lint -W warning "${mans[@]}" 2>&1 | sed 's/^mandoc: //'
	fi
}

tree '*.c' '*.h' >"$files/c"
tree '*.sh' .ci/run >"$files/sh"
if ! [ -s "$files/c" ]; then
	echo "lint: no files; this is not a clone with git" >&2
	exit 1
fi

check_includes >"$files/1"
check_files >"$files/2"
check_code >"$files/3"
check_functions >"$files/4"
check_tools >"$files/5"
grep -h '^lint: SKIPPED' "$files/5"
offences < <(grep -hv '^lint: SKIPPED' "$files"/[1-5])
awk '{ n[NR] = $1; at[NR] = $3 " in " $2 } END {
	sub(/:[0-9]*$/, "", at[NR])
	printf "lint: %d functions, median %d lines, longest %d (%s)\n", NR,
		n[int((NR + 1) / 2)], n[NR], at[NR] }' "$files/functions"
exit $found

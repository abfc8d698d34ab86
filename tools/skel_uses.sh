#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# skel_uses.sh - says which .c file needs which skeleton, itself or by a header of ours:
#
#   src/cmd_leak.c:leak.skel.h
#
# The compiler says so too, in .d files, but only after the first build.
files=$(ls src/*.[ch] src/*/*.[ch] tests/bpf/*.[ch] tests/bench/*.[ch] 2>/dev/null)
# shellcheck disable=SC2086
grep -oHE '^#[[:space:]]*include[[:space:]]*"[^"]*"' $files /dev/null | awk -F '[:"]' '
	{ includes[$1] = includes[$1] " " $3 }
	# The file that this name means here: beside it, or of src/.
	function path(from, name) {
		sub(/[^\/]*$/, "", from)
		return (from name) in includes ? from name : "src/" name
	}
	function walk(file, user, names, n, i, h) {
		if (seen[user, file]++)
			return
		n = split(includes[file], names, " ")
		for (i = 1; i <= n; i++) {
			if (names[i] ~ /\.skel\.h$/) {
				if (!told[user, names[i]]++)
					print user ":" names[i]
			} else {
				walk(path(file, names[i]), user)
			}
		}
	}
	END {
		for (f in includes)
			all[f]
		for (f in all)
			if (f ~ /\.c$/)
				walk(f, f)
	}' | sort

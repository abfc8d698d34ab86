#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# check.sh BUILD PART... - runs `make check-PART` for each, all of them whatever fails, and
# closes with what became of each:
#
#   check-unit       ok       214 tests in 17 programs
#   check-e2e        SKIPPED  not root, and no sudo here; 59 passed, 334 deselected in 27.3s
#   check-bpf        FAILED   12 tests in 3 programs; see build/check-bpf.log
#
# REQUIRE_ALL=1: what is skipped has failed.
set -u

make=${CHECK_MAKE:-make}
build=$1
shift
mkdir -p "$build"
summary=
failed=0

# The last words of a log: its counts where it has them.
closing()
{
	local tests programs

	tests=$(awk '/^\[==========\].* test\(s\) run/ { n += $(NF - 2) } END { print n + 0 }' "$1")
	programs=$(grep -c '^== ' "$1")
	if [ "$tests" -gt 0 ]; then
		echo "$tests tests in $programs programs"
	else
		grep -vE '^$|^make' "$1" | tail -n 1 | sed 's/^=* *//; s/ *=*$//; s/^check-[a-z]*: //'
	fi
}

for part in "$@"; do
	log=$build/check-$part.log
	echo "== check-$part"
	$make "check-$part" 2>&1 </dev/null | tee "$log"
	if [ "${PIPESTATUS[0]}" != 0 ]; then
		word=FAILED text="$(closing "$log"); see $log"
		failed=1
	elif grep "^check-$part: SKIPPED: " "$log" >/dev/null; then
		word=SKIPPED text=$(sed -n "s/^check-$part: SKIPPED: //p" "$log")
		rest=$(closing "$log")
		[ "$rest" = "SKIPPED: $text" ] || text+="; $rest"
	else
		word=ok text=$(closing "$log")
	fi
	summary+=$(printf '%-16s %-8s %s' "check-$part" "$word" "$text")$'\n'
done
printf '\n%s' "$summary"
exit $failed

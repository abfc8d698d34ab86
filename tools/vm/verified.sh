#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# verified.sh - in a guest, as root: loads every program of every command once in each way
# that makes it another program, and prints how many instructions the verifier looked at:
#
#   cachestat cache_map_pages 5821
#
# A way that this kernel lacks prints nothing. MEMTALLY and GUEST: the binary (./memtally) and
# where verified.so lies (build/guest).
cd "$(dirname "$0")/../.." || exit 1
notes=$(mktemp)

# load NAME ARG... - memtally ARG..., under NAME.
load()
{
	local name=$1
	shift

	: >"$notes"
	LD_PRELOAD=$PWD/${GUEST:-build/guest}/verified.so VERIFIED=$notes timeout 300 \
		"${MEMTALLY:-./memtally}" "$@" \
		</dev/null >/dev/null 2>&1
	# What is loaded more than once: the largest. Features are tried with small programs.
	sort -k1,1 -k2,2nr "$notes" | awk -v name="$name" '!seen[$1]++ && $2 > 20 { print name, $0 }'
}

load leak leak -- /bin/true
load leak-fp leak -z 1 --unwind fp -- /bin/true
load leak-none leak --unwind none -- /bin/true
load leak-sample leak -s 512K -- /bin/true
load leak-all leak --all --duration 0.1
load kmem kmem --duration 0.1
load kmem-full kmem --full --duration 0.1
load kmem-pid kmem -p $$ --duration 0.1
load kmem-user kmem slab --user-stack -p $$ --duration 0.1
load kmem-account kmem --account --duration 0.1 0.1
load faults faults -- /bin/true
load faults-stack faults --by stack -- /bin/true
load faults-all faults --all --duration 0.1
load faults-bad faults --bad --duration 0.1
load faults-rss faults --rss -- /bin/true
load cachestat cachestat 0.1 1
load cachestat-pid cachestat -p $$ 0.1 1
load cachetop-file cachetop --by file 0.1 1
load resident resident --map --top 1 -p $$
rm -f "$notes"

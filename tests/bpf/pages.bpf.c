/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The bitmap of bpf/cache_pending.bpf.h, one operation per BPF_PROG_TEST_RUN. */
#include "cache_pending.bpf.h"
#include "pages_input.h"

struct pages_input input;
long result;

SEC("raw_tp/test")
int run_pending(void *ctx)
{
	struct pending_walk p = {
		.key = {.ino = input.ino}, .op = input.op, .lo = input.lo, .hi = input.hi};

	result = input.op == PENDING_TAKE ? pending_take(&p.key, p.lo, p.hi) : pending_do(&p);
	return 0;
}

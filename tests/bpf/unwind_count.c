/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * unwind_count - counts the stacks at a function of a program and times the walk:
 *
 *	unwind_count [OPTION...] OBJECT:FUNCTION PROGRAM [ARG...]
 *	  -b PROGRAM   BPF program: count_enter (default), stackid_enter, every_enter
 *	  -r FUNCTION  of the same object gets a uretprobe too, to hide return addresses
 *	  -s N, -H N, -F N   required: distinct stacks, hits, frames in total
 *	  -n NS        fail if a walk takes longer on average
 *	  -c           fail unless every stack is complete
 *
 *	120001 hits, 2940010 frames, 9 stacks; 1203 ns per hit (24.5 frames)
 *
 * The distinct stacks' hashes are combined into one number, equal for equal sets.
 */
#include "harness.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/personality.h>

struct expect {
	uint64_t stacks, hits, frames, max_ns;
	bool complete;
};

static uint64_t set_hash;

static int on_record(void *arg, const struct walk_record *rec)
{
	(void)arg;
	set_hash += rec->head.hash * 0x9E3779B97F4A7C15ULL;
	return 0;
}

static int differs(const char *what, uint64_t expected, uint64_t got)
{
	if (!expected || expected == got)
		return 0;
	printf("FAIL: %lu %s, expected %lu\n", got, what, expected);
	return 1;
}

static int judge(const struct harness *h, const struct expect *e)
{
	const struct walk_totals *t = harness_totals(h);
	uint64_t stacks = harness_stacks(h), runs, ns = harness_run_ns(h, &runs);
	int failed = 0;

	printf("%s: %lu hits, %lu frames, %lu stacks (set %016lx), complete %lu depth %lu "
	       "no_mapping %lu no_row %lu unsupported %lu fault %lu; no storage %lu, dropped %lu\n"
	       "  %lu ns per hit over %lu runs, %.1f frames\n",
	       h->program, (uint64_t)t->hits, (uint64_t)t->frames, stacks, set_hash,
	       (uint64_t)t->status[0], (uint64_t)t->status[1], (uint64_t)t->status[2],
	       (uint64_t)t->status[3], (uint64_t)t->status[4], (uint64_t)t->status[5],
	       (uint64_t)t->no_storage, (uint64_t)t->dropped, ns, runs,
	       t->hits ? (double)t->frames / (double)t->hits : 0);
	failed |= differs("stacks", e->stacks, stacks);
	failed |= differs("hits", e->hits, t->hits);
	failed |= differs("frames", e->frames, t->frames);
	if (e->complete)
		failed |= differs("complete stacks", t->hits, t->status[WALK_COMPLETE]);
	if (e->max_ns && ns > e->max_ns) {
		printf("FAIL: more than %lu ns per hit\n", e->max_ns);
		failed = 1;
	}
	return failed;
}

static int run(struct harness *h, const struct expect *e)
{
	int stats = bpf_enable_stats(BPF_STATS_RUN_TIME), failed = 1;
	int err = harness_start(h);

	if (!err)
		err = harness_run(h);
	if (err)
		fprintf(stderr, "unwind_count: %s\n", errno_name(err));
	else
		failed = judge(h, e);
	if (stats >= 0)
		close(stats);
	return failed;
}

static int parse(int argc, char **argv, struct harness *h, struct expect *e)
{
	uint64_t *number;
	int c;

	while ((c = getopt(argc, argv, "+b:r:s:H:F:n:c")) != -1) {
		number = c == 's'   ? &e->stacks
			 : c == 'H' ? &e->hits
			 : c == 'F' ? &e->frames
			 : c == 'n' ? &e->max_ns
				    : NULL;
		if (number && parse_u64(optarg, 0, UINT64_MAX, number))
			return -EINVAL;
		if (c == 'b')
			h->program = optarg;
		else if (c == 'r')
			h->hide = optarg;
		else if (c == 'c')
			e->complete = true;
		else if (!number)
			return -EINVAL;
	}
	return argc - optind >= 2 ? 0 : -EINVAL;
}

int main(int argc, char **argv)
{
	struct harness h = {.program = "count_enter", .mode = UNWIND_DWARF};
	struct expect e = {0};
	char object[PATH_MAX], *colon;
	int failed;

	h.on_record = on_record;
	if (parse(argc, argv, &h, &e))
		return 2;
	colon = strrchr(argv[optind], ':');
	if (!colon)
		return 2;
	*colon = '\0';
	if (!realpath(argv[optind], object))
		return 2;
	h.object = object;
	h.function = colon + 1;
	h.argv = argv + optind + 1;
	personality(ADDR_NO_RANDOMIZE); /* so that hashes of two runs agree */
	failed = run(&h, &e);
	harness_stop(&h);
	return failed;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rank.h - numbers to order; pure. Rows of equal identity are merged, rates come from
 * the difference to the previous tick, then the rows are sorted.
 *
 * No row is dropped from the array: rank only permutes. The merged, sorted rows come
 * first, rows that were added to another one are behind them, so that whoever owns
 * the array frees all n elements as before.
 */
#ifndef MEMTALLY_RANK_H
#define MEMTALLY_RANK_H

#include "lib/snapshot.h"

/* all descending */
enum rank_key {
	RANK_BYTES,
	RANK_COUNT,
	RANK_AGE,  /* age_max_ns where blocks were walked, else age_mean_ns */
	RANK_RATE, /* net calls per second: alloc_rate - free_rate */
};

/* what makes two rows one */
enum {
	RANK_PID = 1,
	RANK_TID = 2,
	RANK_STACK = 4,
	RANK_KIND = 8,
	RANK_BY_STACK = RANK_PID | RANK_KIND | RANK_STACK,
	RANK_BY_THREAD = RANK_PID | RANK_TID | RANK_KIND | RANK_STACK,
	RANK_BY_PROCESS = RANK_PID,
};

struct rank;

/* identity: RANK_PID etc.; start_ns: monotonic time when counting began (rates of tick 0). */
struct rank *rank_new(unsigned int identity, enum rank_key key, uint64_t start_ns);
void rank_free(struct rank *r);

/*
 * Merges, fills alloc_rate, free_rate and growth_rate, sorts. now_ns: monotonic, the
 * time the numbers were read. *ret_n: how many rows lead the array. Fields outside the
 * identity are zeroed in merged rows (tid, stack). `blocks` of merged rows are joined
 * with realloc(). Cost: O(n log n). 0, or -ENOMEM (rows then only permuted).
 */
int rank_tick(struct rank *r, struct row *rows, size_t n, uint64_t now_ns, size_t *ret_n);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sort by identity, merge neighbours, join with the previous tick (kept in the same
 * order), sort by key: two sorts and three linear passes.
 */
#include "view/rank.h"

#include <errno.h>
#include <string.h>

struct past { /* what the next tick needs to know of a row */
	int pid, tid;
	const char *kind;
	uint64_t stack_id;
	uint64_t bytes, allocs, frees;
};

struct rank {
	unsigned int identity;
	enum rank_key key;
	uint64_t last_ns;
	struct past *past; /* in order of identity */
	size_t n_past;
};

struct rank *rank_new(unsigned int identity, enum rank_key key, uint64_t start_ns)
{
	struct rank *r = calloc(1, sizeof(*r));

	if (r)
		*r = (struct rank){.identity = identity, .key = key, .last_ns = start_ns};
	return r;
}

void rank_free(struct rank *r)
{
	if (r)
		free(r->past);
	free(r);
}

static int compare_u64(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

static int compare_double(double a, double b)
{
	return (a > b) - (a < b);
}

static int compare_kind(const char *a, const char *b)
{
	return a == b ? 0 : strcmp(a ? a : "", b ? b : "");
}

static struct past past_of(const struct row *r)
{
	return (struct past){.pid = r->pid,
			     .tid = r->tid,
			     .kind = r->kind,
			     .stack_id = r->stack_id,
			     .bytes = r->bytes,
			     .allocs = r->allocs,
			     .frees = r->frees};
}

static int compare_identity(const struct past *a, const struct past *b, unsigned int identity)
{
	int d = 0;

	if (identity & RANK_PID)
		d = (a->pid > b->pid) - (a->pid < b->pid);
	if (!d && (identity & RANK_TID))
		d = (a->tid > b->tid) - (a->tid < b->tid);
	if (!d && (identity & RANK_STACK))
		d = compare_u64(a->stack_id, b->stack_id);
	if (!d && (identity & RANK_KIND))
		d = compare_kind(a->kind, b->kind);
	return d;
}

static int compare_rows(const void *a, const void *b, void *arg)
{
	const struct rank *r = arg;
	struct past x = past_of(a), y = past_of(b);

	return compare_identity(&x, &y, r->identity);
}

static double net_rate(const struct row *r)
{
	return r->alloc_rate - r->free_rate;
}

static uint64_t row_age(const struct row *r)
{
	return r->has_ages ? r->age_max_ns : r->age_mean_ns;
}

static int compare_key(const struct row *a, const struct row *b, enum rank_key key)
{
	switch (key) {
	case RANK_BYTES:
		return compare_u64(b->bytes, a->bytes);
	case RANK_COUNT:
		return compare_u64(b->count, a->count);
	case RANK_AGE:
		return compare_u64(row_age(b), row_age(a));
	case RANK_RATE:
		return compare_double(net_rate(b), net_rate(a));
	}
	return 0;
}

/* Ties fall back to bytes, count, then identity: the order never depends on the input's. */
static int compare_ranked(const void *a, const void *b, void *arg)
{
	const struct rank *r = arg;
	int d = compare_key(a, b, r->key);

	if (!d)
		d = compare_key(a, b, RANK_BYTES);
	if (!d)
		d = compare_key(a, b, RANK_COUNT);
	return d ? d : compare_rows(a, b, arg);
}

static uint64_t add_capped(uint64_t a, uint64_t b)
{
	uint64_t sum;

	return __builtin_add_overflow(a, b, &sum) ? UINT64_MAX : sum;
}

/* The mean weighs by count, in one division: no rounding that depends on the order. */
static void ages_merge(struct row *run, size_t n)
{
	unsigned __int128 sum = 0, count = 0;

	for (size_t i = 0; i < n; i++) {
		sum += (unsigned __int128)run[i].age_mean_ns * run[i].count;
		count += run[i].count;
		run[0].has_ages = run[0].has_ages && run[i].has_ages;
		run[0].age_max_ns = MAX(run[0].age_max_ns, run[i].age_max_ns);
	}
	run[0].age_mean_ns = count ? (uint64_t)(sum / count) : 0;
	run[0].age_p50_ns = AGE_UNKNOWN; /* medians cannot be added */
}

static void numbers_merge(struct row *to, const struct row *from)
{
	to->bytes = add_capped(to->bytes, from->bytes);
	to->count = add_capped(to->count, from->count);
	to->allocs = add_capped(to->allocs, from->allocs);
	to->frees = add_capped(to->frees, from->frees);
	to->estimated = to->estimated || from->estimated;
	if (compare_kind(to->kind, from->kind))
		to->kind = "all";
}

/* Joins the blocks of run[0..n) in run[0] with one allocation. */
static int blocks_merge(struct row *run, size_t n)
{
	size_t total = 0, at = run[0].n_blocks;
	struct block *grown;

	for (size_t i = 0; i < n; i++)
		total += run[i].n_blocks;
	if (total == at)
		return 0;
	grown = reallocarray(run[0].blocks, total, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	run[0].blocks = grown;
	for (size_t i = 1; i < n; i++) {
		if (run[i].n_blocks)
			memcpy(grown + at, run[i].blocks, run[i].n_blocks * sizeof(*grown));
		at += run[i].n_blocks;
	}
	run[0].n_blocks = total;
	return 0;
}

static void row_swap(struct row *a, struct row *b)
{
	struct row t = *a;

	*a = *b;
	*b = t;
}

static void row_forget(struct row *row, unsigned int identity)
{
	if (!(identity & RANK_TID))
		row->tid = 0;
	if (identity & RANK_STACK)
		return;
	row->stack_id = 0;
	row->n_addresses = row->n_frames = 0; /* the arrays stay owned by the row */
	row->status = STACK_COMPLETE;
}

/* Rows in order of identity: merges runs, moves the merged rows to the front in order. */
static int rows_merge(const struct rank *r, struct row *rows, size_t n, size_t *ret_n)
{
	size_t lead = 0, end;
	int err;

	for (size_t i = 0; i < n; i = end) {
		for (end = i + 1; end < n; end++)
			if (compare_rows(&rows[i], &rows[end], (void *)r))
				break;
		err = blocks_merge(&rows[i], end - i);
		if (err)
			return err;
		if (end - i > 1)
			ages_merge(&rows[i], end - i); /* while the counts are each row's own */
		for (size_t k = i + 1; k < end; k++)
			numbers_merge(&rows[i], &rows[k]);
		row_forget(&rows[i], r->identity);
		row_swap(&rows[lead++], &rows[i]);
	}
	*ret_n = lead;
	return 0;
}

/* A counter that went down belongs to a site that was dropped and made anew. */
static double calls_since(uint64_t now, uint64_t before)
{
	return (double)(now >= before ? now - before : now);
}

static void row_rate(struct row *row, const struct past *before, double seconds)
{
	static const struct past none;

	if (!before)
		before = &none;
	if (seconds <= 0) {
		row->alloc_rate = row->free_rate = row->growth_rate = 0;
		return;
	}
	row->alloc_rate = calls_since(row->allocs, before->allocs) / seconds;
	row->free_rate = calls_since(row->frees, before->frees) / seconds;
	row->growth_rate = ((double)row->bytes - (double)before->bytes) / seconds;
}

static void rows_rate(const struct rank *r, struct row *rows, size_t n, uint64_t now_ns)
{
	double seconds = now_ns > r->last_ns ? (double)(now_ns - r->last_ns) / 1e9 : 0;
	size_t at = 0;

	for (size_t i = 0; i < n; i++) {
		struct past now = past_of(&rows[i]);
		int d = 1;

		while (at < r->n_past &&
		       (d = compare_identity(&r->past[at], &now, r->identity)) < 0)
			at++;
		row_rate(&rows[i], at < r->n_past && d == 0 ? &r->past[at] : NULL, seconds);
	}
}

static void past_replace(struct rank *r, struct past *past, size_t n, uint64_t now_ns)
{
	free(r->past);
	r->past = past;
	r->n_past = n;
	r->last_ns = now_ns;
}

int rank_tick(struct rank *r, struct row *rows, size_t n, uint64_t now_ns, size_t *ret_n)
{
	struct past *past;
	size_t lead;
	int err;

	if (n)
		qsort_r(rows, n, sizeof(*rows), compare_rows, r);
	err = rows_merge(r, rows, n, &lead);
	if (err)
		return err;
	past = calloc(lead + 1, sizeof(*past));
	if (!past)
		return -ENOMEM;
	rows_rate(r, rows, lead, now_ns);
	for (size_t i = 0; i < lead; i++)
		past[i] = past_of(&rows[i]);
	past_replace(r, past, lead, now_ns);
	if (lead)
		qsort_r(rows, lead, sizeof(*rows), compare_ranked, r);
	*ret_n = lead;
	return 0;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "trace/lives.h"

#include <errno.h>

#include "trace/collect.h"

struct reading {
	const struct lives_query *q;
	struct lives l;
};

static int on_block(const void *key, const void *value, void *arg)
{
	const struct block_value *b = value;
	struct reading *r = arg;
	int err;

	if (b->born_ns > r->q->born_before_ns)
		return 0;
	err = array_reserve(&r->l.v, &r->l.cap, r->l.n + 1, sizeof(*r->l.v));
	if (!err)
		r->l.v[r->l.n++] = (struct live){stacks_site(r->q->stacks, b->site),
						 *(const struct block_key *)key, *b};
	return err;
}

static int by_site_and_birth(const void *a, const void *b)
{
	const struct live *x = a, *y = b;

	if (x->site != y->site)
		return x->site < y->site ? -1 : 1;
	return x->b.born_ns < y->b.born_ns ? -1 : x->b.born_ns > y->b.born_ns;
}

int lives_read(const struct lives_query *q, struct lives *ret)
{
	struct reading r = {.q = q};
	int err = tables_each_block(q->tables, on_block, &r);

	if (err)
		lives_deinit(&r.l);
	else if (r.l.n)
		qsort(r.l.v, r.l.n, sizeof(*r.l.v), by_site_and_birth);
	*ret = r.l;
	return err;
}

void lives_deinit(struct lives *l)
{
	free(l->v);
	*l = (struct lives){0};
}

int lives_each_site(const struct lives *l, int (*fn)(void *arg, const struct live *v, size_t n),
		    void *arg)
{
	size_t first = 0;
	int err = 0;

	for (size_t i = 1; i <= l->n && !err; i++) {
		if (i < l->n && l->v[i].site == l->v[first].site)
			continue;
		err = fn(arg, &l->v[first], i - first);
		first = i;
	}
	return err;
}

void lives_ages(const struct live *v, size_t n, uint64_t now_ns, struct row *row)
{
	uint64_t sum_us = 0;

	for (size_t i = 0; i < n; i++)
		sum_us += (now_ns - v[i].b.born_ns) / 1000;
	row->has_ages = true;
	row->age_mean_ns = sum_us / n * 1000;
	row->age_max_ns = now_ns - v[0].b.born_ns;
	row->age_p50_ns = now_ns - v[n / 2].b.born_ns;
}

int lives_list(const struct live *v, size_t n, uint64_t now_ns, struct row *row)
{
	row->blocks = calloc(n, sizeof(*row->blocks));
	if (!row->blocks)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		row->blocks[i] =
			(struct block){v[i].key.address, v[i].b.size, now_ns - v[i].b.born_ns};
	row->n_blocks = n;
	return 0;
}

void rows_free(struct row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(rows[i].frames);
		free(rows[i].blocks);
	}
	free(rows);
}

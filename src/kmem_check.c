/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The check at a report: every recorded slab object and page is judged by
 * bpf/kmem_judge.bpf.h, what is free is judged once more and taken out of the tables, so
 * that rows, ages and later ticks are those of verified blocks.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <string.h>

#include "kmem.h"
#include "kmem.skel.h"
#include "lib/log.h"
#include "trace/collect.h"
#include "trace/judge.h"

/*
 * What is younger is not judged: its tracepoint comes before its page is marked. Births are
 * exact to a tick, of 10 ms at most; with more, a block that was judged and one recorded anew
 * at its address differ in their births.
 */
#define MIN_AGE_NS 12000000ULL

void kmem_check_start(struct kmem *k)
{
	struct kmem_judge *j = &k->bpf->bss->kmem_judge;
	bool found;

	if (!bpf_program__autoload(k->bpf->progs.kmem_locate))
		return;
	found = judge_prepare(j, bpf_program__fd(k->bpf->progs.kmem_locate),
			      bpf_program__fd(k->bpf->progs.kmem_confirm));
	k->checks = found && bpf_program__autoload(k->bpf->progs.kmem_judge_batch);
	if (found)
		log_debug("vmemmap 0x%llx page_offset 0x%llx: %u of 5 known objects confirmed",
			  (unsigned long long)j->vmemmap, (unsigned long long)j->page_offset,
			  j->matches);
	else
		log_warn("cannot find this kernel's page tables: blocks stay unverified");
}

/* ---- blocks ---- */

struct suspects {
	struct kmem *k;
	struct kmem_judged *v;
	size_t n, cap;
	uint64_t born_before_ns;
};

static int on_block(const void *key, const void *value, void *arg)
{
	const struct block_value *b = value;
	const struct block_key *bk = key;
	struct suspects *s = arg;
	int err;

	if (b->born_ns > s->born_before_ns ||
	    (bk->proc_key != KMEM_SLAB && bk->proc_key != KMEM_PAGES))
		return 0;
	err = array_reserve(&s->v, &s->cap, s->n + 1, sizeof(*s->v));
	if (!err)
		s->v[s->n++] = (struct kmem_judged){bk->address, b->born_ns, (uint32_t)bk->proc_key,
						    KMEM_UNKNOWN};
	return err;
}

/* Neighbours are of one slab: what was read of it is in the cache. */
static int by_address(const void *a, const void *b)
{
	const struct kmem_judged *x = a, *y = b;

	return (x->address > y->address) - (x->address < y->address);
}

static bool is_gone(const struct kmem_judged *j)
{
	return j->verdict != KMEM_LIVE && j->verdict != KMEM_UNKNOWN;
}

/* Judges all; with remove, what is not live leaves the tables. */
static int judge_all(struct suspects *s, bool remove)
{
	struct kmem_judge *j = &s->k->bpf->bss->kmem_judge;
	int err;

	j->remove = remove;
	for (size_t at = 0; at < s->n; at += KMEM_JUDGE_BATCH) {
		j->n = (uint32_t)MIN(s->n - at, (size_t)KMEM_JUDGE_BATCH);
		memcpy(j->blocks, s->v + at, j->n * sizeof(*s->v));
		err = judge_run(bpf_program__fd(s->k->bpf->progs.kmem_judge_batch));
		if (err)
			return err;
		memcpy(s->v + at, j->blocks, j->n * sizeof(*s->v));
		s->k->verdicts.removed += j->removed;
	}
	return 0;
}

/* What lives or cannot be told is counted now; what is gone has to be so twice. */
static void keep_gone(struct suspects *s)
{
	size_t n = 0;

	for (size_t i = 0; i < s->n; i++) {
		if (is_gone(&s->v[i]))
			s->v[n++] = s->v[i];
		else if (s->v[i].verdict == KMEM_LIVE)
			s->k->verdicts.live++;
		else
			s->k->verdicts.unknown++;
	}
	s->n = n;
}

int kmem_check(struct kmem *k)
{
	struct suspects s = {.k = k, .born_before_ns = clock_mono_ns() - MIN_AGE_NS};
	int err;

	k->verdicts.live = k->verdicts.unknown = 0;
	if (!k->checks)
		return 0;
	err = tables_each_block(&k->tables, on_block, &s);
	if (!err && s.n)
		qsort(s.v, s.n, sizeof(*s.v), by_address);
	if (!err)
		err = judge_all(&s, false);
	if (!err) {
		keep_gone(&s);
		err = judge_all(&s, true);
	}
	for (size_t i = 0; i < s.n && !err; i++) {
		if (s.v[i].verdict == KMEM_OTHER_KIND)
			k->verdicts.other++;
		else if (is_gone(&s.v[i]))
			k->verdicts.freed++;
		else if (s.v[i].verdict == KMEM_LIVE)
			k->verdicts.live++;
		else
			k->verdicts.unknown++;
	}
	free(s.v);
	return err;
}

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

#define BASE_ALIGN	(1ULL << 30) /* both bases are PUD-aligned, with KASLR too */
#define MATCHES_ENOUGH	3	     /* of kmem_confirm's five objects */
#define MOST_CANDIDATES (1u << 17)
#define MIN_AGE_NS	1000000ULL /* younger: its tracepoint comes before its page is marked */

static int run(struct bpf_program *p)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts);

	return bpf_prog_test_run_opts(bpf_program__fd(p), &opts);
}

/* ---- bases ---- */

static uint32_t matches_at(struct kmem *k, uint64_t vmemmap, uint64_t page_offset)
{
	struct kmem_judge *j = &k->bpf->bss->kmem_judge;

	j->vmemmap = vmemmap;
	j->page_offset = page_offset;
	return run(k->bpf->progs.kmem_confirm) ? 0 : j->matches;
}

/*
 * The page and the object that we know lie less than all memory (and its holes) above their
 * bases: a few candidates each.
 */
static bool find_bases(struct kmem *k)
{
	struct kmem_judge *j = &k->bpf->bss->kmem_judge;
	uint64_t ram = (uint64_t)sysconf(_SC_PHYS_PAGES) * j->page_bytes;
	uint64_t n_offsets = ram / BASE_ALIGN * 2 + 16, n_maps;
	uint64_t map = j->some_page & ~(BASE_ALIGN - 1);
	uint64_t offset = j->some_object & ~(BASE_ALIGN - 1);

	n_maps = n_offsets * (BASE_ALIGN / j->page_bytes) * j->page_struct_bytes / BASE_ALIGN + 1;
	for (uint64_t m = 0; m < n_maps; m++)
		for (uint64_t o = 0; o < n_offsets && m * n_offsets + o < MOST_CANDIDATES; o++)
			if (matches_at(k, map - m * BASE_ALIGN, offset - o * BASE_ALIGN) >=
			    MATCHES_ENOUGH)
				return true;
	j->vmemmap = j->page_offset = 0;
	return false;
}

static uint32_t count_nodes(void)
{
	char path[64];
	uint32_t n = 0;

	do
		snprintf(path, sizeof(path), "/sys/devices/system/node/node%u", n);
	while (!access(path, F_OK) && ++n < 16);
	return n ? n : 1;
}

void kmem_check_start(struct kmem *k)
{
	struct kmem_judge *j = &k->bpf->bss->kmem_judge;
	int cpus = libbpf_num_possible_cpus();

	if (k->o->no_check)
		return;
	j->page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
	j->cpus = cpus > 0 ? (uint32_t)cpus : 0;
	j->nodes = count_nodes();
	k->checks =
		j->cpus && j->cpus <= KMEM_CPUS && !run(k->bpf->progs.kmem_locate) && find_bases(k);
	if (k->checks)
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
		err = run(s->k->bpf->progs.kmem_judge_batch);
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
	struct collect_map map = {bpf_map__fd(k->bpf->maps.blocks), sizeof(struct block_key),
				  sizeof(struct block_value)};
	struct suspects s = {.k = k, .born_before_ns = clock_mono_ns() - MIN_AGE_NS};
	int err;

	k->verdicts.live = k->verdicts.unknown = 0;
	if (!k->checks)
		return 0;
	err = collect_each(&map, on_block, &s);
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

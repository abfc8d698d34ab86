/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which programs `memtally kmem` runs on which event, by what is asked for and the kernel. */
#include <bpf/libbpf.h>
#include <string.h>

#include "kmem.h"
#include "kmem.skel.h"
#include "lib/log.h"
#include "trace/collect.h"
#include "trace/features.h"

#define TASK_BIT    (1u << 0) /* no memory: processes, for --user-stack */
#define SLAB_BIT    (1u << KMEM_SLAB)
#define PAGES_BIT   (1u << KMEM_PAGES)
#define VMALLOC_BIT (1u << KMEM_VMALLOC)
#define PERCPU_BIT  (1u << KMEM_PERCPU)

/* Kernels whose events name caches have no others for a node; their arguments changed, too. */
enum kernels { EVERY_KERNEL, NO_CACHES, SITES, NO_SITES };

struct kmem_probe {
	const char *program, *event;
	unsigned int kind;
	bool allocates, required;
	enum kernels kernels;
};

/* Attached in this order: frees first. */
static const struct kmem_probe probes[] = {
	{"kmem_exec", "sched_process_exec", TASK_BIT, false, true, EVERY_KERNEL},
	{"kmem_kfree", "kfree", SLAB_BIT, false, true, EVERY_KERNEL},
	{"kmem_cache_free", "kmem_cache_free", SLAB_BIT, false, true, EVERY_KERNEL},
	{"kmem_page_free", "mm_page_free", PAGES_BIT, false, true, EVERY_KERNEL},
	{"kmem_vmap_free", "free_vmap_area_noflush", VMALLOC_BIT, false, false,
	 EVERY_KERNEL}, /* v6.12 */
	{"kmem_percpu_free", "percpu_free_percpu", PERCPU_BIT, false, true, EVERY_KERNEL},
	{"kmem_kmalloc_node", "kmalloc_node", SLAB_BIT, true, false, NO_CACHES},
	{"kmem_cache_alloc_node", "kmem_cache_alloc_node", SLAB_BIT, true, false, NO_CACHES},
	{"kmem_kmalloc", "kmalloc", SLAB_BIT, true, true, EVERY_KERNEL},
	{"kmem_cache_alloc", "kmem_cache_alloc", SLAB_BIT, true, true, EVERY_KERNEL},
	{"kmem_page_alloc", "mm_page_alloc", PAGES_BIT, true, true, EVERY_KERNEL},
	{"kmem_vmap_alloc", "alloc_vmap_area", VMALLOC_BIT, true, false, EVERY_KERNEL},
	{"kmem_percpu_alloc", "percpu_alloc_percpu", PERCPU_BIT, true, true, SITES},
	{"kmem_percpu_alloc_siteless", "percpu_alloc_percpu", PERCPU_BIT, true, true, NO_SITES},
};

/* Frees without a tracepoint: by the first way that the kernel has. */
static const struct {
	const char *fentry, *kprobe, *function;
} bulk_probes[] = {
	{"kmem_bulk_fentry", "kmem_bulk_kprobe", "kmem_cache_free_bulk"},
	{"kmem_kvfree_fentry", "kmem_kvfree_kprobe", "kvfree_call_rcu"},
};

unsigned int kmem_kinds(const struct kmem_opts *o)
{
	static const unsigned int kinds[] = {
		[WHAT_DEFAULT] = SLAB_BIT | PAGES_BIT,
		[WHAT_SLAB] = SLAB_BIT,
		[WHAT_PAGES] = PAGES_BIT,
		[WHAT_VMALLOC] = VMALLOC_BIT,
		[WHAT_PERCPU] = PERCPU_BIT,
		[WHAT_ALL] = SLAB_BIT | PAGES_BIT | VMALLOC_BIT | PERCPU_BIT,
	};

	if (o->account)
		return PAGES_BIT;
	if (o->cache || o->suspect)
		return SLAB_BIT;
	return kinds[o->what];
}

static bool is_of_kernel(const struct kmem_probe *p)
{
	bool sites = p->kernels >= SITES && feature_has(FEATURE_PERCPU_SITES);

	return p->kernels == EVERY_KERNEL || (p->kernels == SITES && sites) ||
	       (p->kernels == NO_SITES && !sites) ||
	       (p->kernels == NO_CACHES && !feature_has(FEATURE_SLAB_EVENTS));
}

static bool is_chosen(const struct kmem *k, const struct kmem_probe *p)
{
	return is_of_kernel(p) && p->kind & (kmem_kinds(k->o) | (k->o->user_stack ? TASK_BIT : 0));
}

static struct bpf_program *program(const struct kmem *k, const char *name)
{
	return bpf_object__find_program_by_name(k->bpf->obj, name);
}

/* Each event of memory has two programs where every block counts. */
static bool is_twice(const struct kmem *k, const struct kmem_probe *p)
{
	return k->sample == 1 && p->kind != TASK_BIT;
}

static const char *bulk_program(size_t i)
{
	return feature_has(FEATURE_FENTRY) && !kmem_is_old() ? bulk_probes[i].fentry
	       : feature_has(FEATURE_KPROBE)		     ? bulk_probes[i].kprobe
							     : NULL;
}

void kmem_choose(struct kmem *k)
{
	unsigned int kinds = kmem_kinds(k->o);
	bool checks = !k->o->no_check && !kmem_is_old();
	bool finds_pages = checks || !feature_has(FEATURE_SLAB_EVENTS);

	for (size_t i = 0; i < ARRAY_SIZE(probes); i++) {
		if (!is_chosen(k, &probes[i]))
			continue;
		if (is_twice(k, &probes[i]))
			turns_load(k->bpf->obj, program(k, probes[i].program), 2, true);
		else
			bpf_program__set_autoload(program(k, probes[i].program), true);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bulk_probes) && kinds & SLAB_BIT; i++)
		if (bulk_program(i))
			bpf_program__set_autoload(program(k, bulk_program(i)), true);
	bpf_program__set_autoload(k->bpf->progs.kmem_locate, finds_pages);
	bpf_program__set_autoload(k->bpf->progs.kmem_confirm, finds_pages);
	bpf_program__set_autoload(k->bpf->progs.kmem_judge_batch, checks);
}

static int attach_event(struct kmem *k, const struct kmem_probe *p)
{
	struct bpf_program *prog = program(k, p->program);
	int err = is_twice(k, p) ? turns_attach(&k->links, k->bpf->obj, prog, 2, p->event)
				 : attach_raw(&k->links, prog, p->event);

	if (!err)
		return 0;
	if (p->required || k->o->what == WHAT_VMALLOC) {
		log_error("cannot attach to the tracepoint '%s': %s", p->event, errno_name(err));
		return err;
	}
	log_warn("no tracepoint '%s' in this kernel, ignoring", p->event);
	return 0;
}

/* Without them the check finds more blocks free, so that failing is no error. */
static void attach_bulk(struct kmem *k)
{
	for (size_t i = 0; i < ARRAY_SIZE(bulk_probes); i++) {
		const char *name = bulk_program(i);

		if (name && links_keep(&k->links, bpf_program__attach(program(k, name))))
			log_debug("cannot attach to %s()", bulk_probes[i].function);
	}
}

int kmem_attach(struct kmem *k)
{
	int err = 0;

	if (kmem_kinds(k->o) & SLAB_BIT)
		attach_bulk(k);
	for (size_t i = 0; i < ARRAY_SIZE(probes) && !err; i++)
		if (is_chosen(k, &probes[i]))
			err = attach_event(k, &probes[i]);
	return err;
}

void kmem_detach(struct kmem *k)
{
	/* Allocations first: nothing may come that is not seen to go. */
	links_drop(&k->links);
}

/* A free is checked later if the check works and knows its kind. */
static bool is_checked(const struct kmem *k, unsigned int kind)
{
	return k->checks && kind & (SLAB_BIT | PAGES_BIT);
}

static uint64_t second_misses(const struct kmem *k, const struct bpf_program *first)
{
	return collect_program(program_turn(k->bpf->obj, first, 1)).misses;
}

void kmem_missed_read(const struct kmem *k, struct kmem_missed *ret)
{
	uint64_t stats[STAT_COUNT] = {0};

	*ret = (struct kmem_missed){0};
	collect_stats(bpf_map__fd(k->bpf->maps.stats), stats, STAT_COUNT);
	for (size_t i = 0; i < ARRAY_SIZE(probes); i++) {
		struct bpf_program *first = program(k, probes[i].program);
		uint64_t n = collect_program(first).misses;

		if (probes[i].allocates)
			ret->allocs += n;
		else if (probes[i].kind != TASK_BIT && !is_checked(k, probes[i].kind))
			ret->frees += is_twice(k, &probes[i]) ? MIN(n, second_misses(k, first)) : n;
	}
	ret->allocs -= MIN(ret->allocs, stats[STAT_ALLOCS_SAVED]);
}

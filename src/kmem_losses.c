/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "kmem.h"
#include "kmem.skel.h"
#include "trace/collect.h"

#define MISSED_SHARE_OK 0.001

static const struct stat_loss bpf_losses[] = {
	{STAT_BLOCKS_FULL,
	 {"blocks_full", 0, "allocations not recorded: the table of blocks is full",
	  "raise --max-blocks, or name a --cache"}},
	{STAT_SITES_FULL,
	 {"stacks_full", 0, "allocations without their own stack: the table of stacks is full",
	  "raise --max-stacks"}},
	{STAT_THREADS_FULL,
	 {"nested_too_deep", 0, "allocations not recorded: interrupts nested too deep",
	  "report it: this is not known to happen"}},
	{STAT_KSTACKS_LOST,
	 {"stacks_lost", 0, "allocations whose stack could not be taken",
	  "another kernel: this one cannot walk its own stack there"}},
};

static const struct stat_loss user_losses[] = {
	{STAT_PROCS_FULL,
	 {"processes_full", 0, "processes without user stacks: the table of processes is full",
	  "restrict the targets"}},
	{STAT_EVENTS_LOST,
	 {"events_lost", 0, "processes without names: the event ring was full",
	  "give memtally more CPU"}},
};

/*
 * The share of allocations that were missed because they interrupted the program they were
 * for. Sampling has the same chance for all of them.
 */
static double missed_share(const struct kmem *k, const uint64_t *stats, uint64_t missed)
{
	double all = (double)stats[STAT_ALLOCS] * (double)k->sample + (double)missed;

	return missed ? (double)missed / all : 0;
}

/*
 * An estimate is not made worse by a share that is far below its own error, so that it only
 * counts as a loss above that; where every block counts, every missed one is a loss.
 */
static uint64_t missed_loss(const struct kmem *k, const uint64_t *stats, uint64_t missed)
{
	return k->sample == 1 || missed_share(k, stats, missed) > MISSED_SHARE_OK ? missed : 0;
}

int kmem_losses_read(struct kmem *k, struct losses *ret)
{
	uint64_t stats[STAT_COUNT] = {0};
	struct kmem_missed missed;
	struct losses n = {
		.err = collect_stats(bpf_map__fd(k->bpf->maps.stats), stats, STAT_COUNT)};

	kmem_missed_read(k, &missed);
	losses_add_stats(&n, bpf_losses, ARRAY_SIZE(bpf_losses), stats);
	losses_add(&n, (struct loss){"stacks_unsent",
				     tables_unsent(&k->tables, stats[STAT_STACK_RETRY]) * k->sample,
				     "blocks without a stack: the event ring was full",
				     "give memtally more CPU"});
	losses_add(&n, (struct loss){"allocs_missed", missed_loss(k, stats, missed.allocs),
				     "allocations that interrupted the programs they were for",
				     "name a --cache or a --site: fewer blocks take less time"});
	losses_add(&n, (struct loss){"frees_missed", missed.frees,
				     "frees that interrupted the programs they were for, of blocks "
				     "that cannot be checked",
				     "leave out --no-check, or ask for slab and pages only"});
	if (k->o->user_stack) {
		losses_add_stats(&n, user_losses, ARRAY_SIZE(user_losses), stats);
		losses_add_tracer(&n, k->tracer);
	}
	k->incomplete |= losses_any(&n);
	*ret = n;
	return n.err;
}

/* Events of blocks that are followed: the others leave no trace. */
static uint64_t events_seen(const uint64_t *stats)
{
	return stats[STAT_ALLOCS] + stats[STAT_BLOCKS_FULL] + stats[STAT_FREES] +
	       stats[STAT_FREES_OTHER];
}

void kmem_activity(struct kmem *k, struct view_cost *ret)
{
	uint64_t stats[STAT_COUNT] = {0};

	collect_stats(bpf_map__fd(k->bpf->maps.stats), stats, STAT_COUNT);
	ret->events = events_seen(stats);
	ret->run_ns = (double)collect_run_ns(k->bpf->obj);
}

/* ---- what a report ends with ---- */

static int by_name(const void *a, const void *b)
{
	const struct kmem_cache_total *x = a, *y = b;

	return (x->name > y->name) - (x->name < y->name);
}

static int by_bytes(const void *a, const void *b)
{
	const struct kmem_cache_total *x = a, *y = b;

	return (y->bytes > x->bytes) - (y->bytes < x->bytes);
}

int kmem_totals_note(struct kmem *k, const struct row *rows, size_t n)
{
	struct kmem_cache_total *v = calloc(n + 1, sizeof(*v));
	size_t n_rows = 0, lead = 0;

	if (!v)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		if (rows[i].cache)
			v[n_rows++] = (struct kmem_cache_total){rows[i].cache, rows[i].count,
								rows[i].bytes};
	qsort(v, n_rows, sizeof(*v), by_name);
	for (size_t i = 0; i < n_rows; i++) {
		if (lead && v[lead - 1].name == v[i].name) {
			v[lead - 1].count += v[i].count;
			v[lead - 1].bytes += v[i].bytes;
		} else {
			v[lead++] = v[i];
		}
	}
	qsort(v, lead, sizeof(*v), by_bytes);
	free(k->totals);
	k->totals = v;
	k->n_totals = lead;
	return 0;
}

static int print_cache(struct kmem *k, const struct kmem_cache_total *t,
		       const struct slab_counters *now)
{
	const struct slab_counter *c = slab_counters_find(now, t->name);
	const struct slab_counter *before = slab_counters_find(&k->slab_start, t->name);
	_cleanup_(strlist_deinit) struct strlist aliases = {0};
	_cleanup_free_ char *line = NULL;
	int64_t growth;

	if (!c)
		return 0;
	growth = (int64_t)c->objects - (int64_t)(before ? before->objects : 0);
	slab_aliases("/sys/kernel/slab", t->name, &aliases);
	if (asprintf(&line,
		     "cache %s: %" PRIu64 " objects, grew by %" PRId64
		     " since the start; our stacks hold %s%" PRIu64 "%s%s%s",
		     t->name, c->objects, growth, k->sample > 1 ? "~" : "", t->count,
		     aliases.n ? "; also named " : "", aliases.n ? aliases.v[0] : "",
		     aliases.n > 1 ? ", ..." : "") < 0) {
		line = NULL;
		return -ENOMEM;
	}
	return record_write(
		&(struct record){
			.type = "slab_cache",
			.command = "kmem",
			.time_ns = clock_real_ns(),
			.tick = k->ticks,
			.line = line,
			.fields =
				(struct record_field[]){
					FIELD_TEXT("name", t->name),
					FIELD_TEXTS("aliases", (const char *const *)aliases.v,
						    aliases.n),
					FIELD_UINT("objects", c->objects),
					FIELD_UINT("object_bytes", c->object_bytes),
					FIELD_INT("growth_objects", growth),
					FIELD_INT("growth_bytes",
						  growth * (int64_t)c->object_bytes),
					FIELD_UINT("traced_objects", t->count),
					FIELD_UINT("traced_bytes", t->bytes),
				},
			.n = 8,
		},
		k->o->common.json, stdout);
}

static int print_caches(struct kmem *k)
{
	struct slab_counters now = {0};
	int err = 0;

	if (slabinfo_read(&now))
		return 0; /* not everywhere */
	for (size_t i = 0; i < k->n_totals && i < k->o->common.top && !err; i++)
		err = print_cache(k, &k->totals[i], &now);
	slab_counters_deinit(&now);
	return err;
}

static double share_of(uint64_t part, uint64_t whole)
{
	return whole ? (double)part / (double)whole : 0;
}

static int print_trust(struct kmem *k)
{
	const struct kmem_verdicts *v = &k->verdicts;
	uint64_t stats[STAT_COUNT] = {0};
	_cleanup_free_ char *line = NULL, *checked = NULL;
	uint64_t found, judged = v->live + v->unknown;
	struct kmem_missed missed;

	collect_stats(bpf_map__fd(k->bpf->maps.stats), stats, STAT_COUNT);
	kmem_missed_read(k, &missed);
	found = stats[STAT_FREES_MISSED] + v->freed;
	if (asprintf(&checked, "%" PRIu64 " blocks verified live, %.2f %% unverifiable", v->live,
		     share_of(v->unknown, judged) * 100) < 0)
		return -ENOMEM;
	if (asprintf(&line,
		     "Events seen %" PRIu64 "; allocations recorded %" PRIu64
		     ", missed %.4f %%; missed frees found %" PRIu64 " (%.3f %%); %s",
		     events_seen(stats), stats[STAT_ALLOCS],
		     missed_share(k, stats, missed.allocs) * 100, found,
		     share_of(found, stats[STAT_ALLOCS]) * 100,
		     k->checks ? checked : "blocks not verified") < 0)
		return -ENOMEM;
	return record_write(
		&(struct record){
			.type = "trust",
			.command = "kmem",
			.time_ns = clock_real_ns(),
			.tick = k->ticks,
			.line = line,
			.fields =
				(struct record_field[]){
					FIELD_UINT("events", events_seen(stats)),
					FIELD_UINT("allocations", stats[STAT_ALLOCS]),
					FIELD_UINT("missed_allocations", missed.allocs),
					FIELD_UINT("frees", stats[STAT_FREES] - v->removed),
					FIELD_UINT("bulk_frees", stats[STAT_FREES_BULK]),
					FIELD_UINT("missed_frees", found),
					FIELD_UINT("missed_by_reuse", stats[STAT_FREES_MISSED]),
					FIELD_UINT("missed_by_check", v->freed),
					FIELD_UINT("counted_elsewhere", v->other),
					FIELD_UINT("verified_live", v->live),
					FIELD_REAL("unverifiable_ratio",
						   k->checks ? share_of(v->unknown, judged) : 1),
				},
			.n = 11,
		},
		k->o->common.json, stdout);
}

int kmem_facts_print(struct kmem *k)
{
	int err = 0;

	if (k->o->common.folded && strcmp(k->o->common.folded, "-") == 0)
		return 0;
	err = print_caches(k);
	return err ? err : print_trust(k);
}

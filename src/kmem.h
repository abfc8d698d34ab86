/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kmem.h - the parts of `memtally kmem` among themselves: cmd_kmem.c runs it, kmem_load.c
 * loads, kmem_probes.c attaches, kmem_rows.c makes rows of the tables, kmem_names.c words,
 * kmem_losses.c says what was lost and how far the numbers can be trusted, kmem_check.c
 * asks the slab allocator; kmem_purge.c forgets processes; kmem_watch.c and kmem_account.c are the
 * gears without probes.
 */
#ifndef MEMTALLY_KMEM_H
#define MEMTALLY_KMEM_H

#include "abi.h"
#include "cmd_kmem.h"
#include "cmd_run.h"
#include "kmem_abi.h"
#include "lib/snapshot.h"
#include "lib/strlist.h"
#include "sym/sym.h"
#include "trace/attach.h"
#include "trace/slabinfo.h"
#include "trace/stacks.h"
#include "trace/tables.h"
#include "trace/tracer.h"
#include "view/rank.h"
#include "view/record.h"
#include "view/view.h"

struct kmem_bpf;
struct bpf_object;

/* What the kernel keeps of a cache, with the name as the user knows it. */
struct kmem_cache_row {
	uint64_t address;
	struct kmem_cache_info info;
};

struct kmem_origin_row {
	uint64_t site;
	struct kmem_origin o;
};

/* What the check found: live and unknown at the last report, the others since the start. */
struct kmem_verdicts {
	uint64_t live, unknown;
	uint64_t freed;	  /* were free, and are no longer recorded */
	uint64_t other;	  /* pages that are slabs, large kmalloc()s or page cache */
	uint64_t removed; /* of these: out of the tables */
};

struct kmem_consumer {
	const char *name; /* as in /proc/meminfo, or a word of ours; static */
	int64_t bytes;
};

/* Who has MemTotal; the last consumer is the rest. */
struct kmem_account {
	struct kmem_consumer *v;
	size_t n, cap;
	int64_t total, sum;
};

struct kmem_cache_total {
	const char *name; /* interned */
	uint64_t count, bytes;
};

/* Counters of /proc at one time. */
struct kmem_readings {
	struct slab_counters slab, vmalloc, memory;
	uint64_t time_ns;
};

struct kmem {
	const struct kmem_opts *o;
	struct kmem_bpf *bpf;
	struct tables tables;
	struct links links;
	struct tracer *tracer;
	struct stacks *stacks;
	struct symbolizer *sym;
	struct rank *rank;
	struct view *view;
	struct strlist names;		 /* words that rows point to */
	struct kmem_cache_row *caches;	 /* of this tick, by address */
	struct kmem_origin_row *origins; /* of this tick, by site */
	size_t n_caches, n_origins, cap_caches, cap_origins;
	struct slab_counters slab_start;	/* /proc/slabinfo when tracing began */
	char suspects[KMEM_FILTERS][KMEM_NAME]; /* --suspect: caches that grew */
	size_t n_suspects;
	int stats_fd;		       /* holds the kernel's run time statistics on; -1 */
	uint64_t sample;	       /* one block of this many is followed */
	uint64_t site_start, site_end; /* --site; end 0: any */
	uint64_t map_bytes;
	uint64_t ticks, start_ns, end_ns;
	struct kmem_cache_total *totals; /* of this tick, by cache */
	size_t n_totals;
	bool incomplete;
	bool purge_wanted; /* a process has ended */
	uint64_t purged_ns;
	bool checks; /* the check knows where things are */
	struct kmem_verdicts verdicts;
	struct kmem_readings readings;	   /* --watch: the first */
	struct kmem_account account_start; /* --account: the first */
};

/* ---- kmem_load.c ---- */

/* Does the kernel need the object that was built for old ones? It checks nothing. */
bool kmem_is_old(void);
/* User stacks of every process are asked for. */
bool kmem_follows_all(const struct kmem_opts *o);
/* Opens, configures and loads the programs; fills k->bpf. Tells what failed. */
int kmem_load(struct kmem *k);
struct tracer_maps kmem_tracer_maps(const struct kmem *k);
/* Whose unwind tables the tracer fills; NULL: no user stacks. */
struct bpf_object *kmem_user_object(const struct kmem *k);
void kmem_unload(struct kmem *k);

/* ---- kmem_probes.c ---- */

/* Events whose programs were kept from running by running already, since the start. */
struct kmem_missed {
	uint64_t allocs; /* may be some more than there were */
	uint64_t frees;	 /* of what the check cannot judge; likewise */
};

/* Kinds of memory that the options ask for: bit 1 << enum kmem_kind each. */
unsigned int kmem_kinds(const struct kmem_opts *o);
/* Before load: which programs are loaded. */
void kmem_choose(struct kmem *k);
/* Frees before allocations, so that nothing is seen to come and never to go. */
int kmem_attach(struct kmem *k);
void kmem_detach(struct kmem *k);
void kmem_missed_read(const struct kmem *k, struct kmem_missed *ret);

/* ---- kmem_check.c ---- */

/* Finds what the check needs; without it blocks stay unverified, which is said. */
void kmem_check_start(struct kmem *k);
/* Judges all blocks; what is free leaves the tables. 0 or -errno. */
int kmem_check(struct kmem *k);

/* ---- kmem_rows.c ---- */

/* One row per site with outstanding memory; freed by rows_free(). 0 or -errno. */
int kmem_rows_read(struct kmem *k, struct row **ret, size_t *ret_n);
/* Names the frames of one row, those of its user stack last, and says where its cgroup is. 0 or
 * -ENOMEM. */
int kmem_row_resolve(struct kmem *k, struct row *row);

/* ---- kmem_purge.c ---- */

/*
 * --user-stack: frees what is kept of processes that have ended and hold nothing, if one has
 * (purge_wanted) and the last time is a while ago. 0 or -errno.
 */
int kmem_purge(struct kmem *k);

/* For qsort() and bsearch(): by the uint64_t that an element begins with. */
int kmem_by_u64(const void *a, const void *b);

/* ---- kmem_names.c ---- */

/* A copy of text that lives as long as *k; "?" when memory is out. */
const char *kmem_intern(struct kmem *k, const char *text);
/* "kmalloc-cg-192" for an object of that size made with these flags. */
void kmem_kmalloc_name(uint64_t size, uint64_t gfp, char *ret, size_t n);
/*
 * The other way round: which sizes and flags a kmalloc cache takes. False if the name is
 * not one of kmalloc's.
 */
bool kmem_kmalloc_parse(const char *name, struct kmem_cache_filter *ret);
/* "GFP_KERNEL|__GFP_ZERO" */
void kmem_gfp_text(uint64_t gfp, char *ret, size_t n);
/* The frames of the tracing itself at the leaf of a kernel stack: how many to cut. */
size_t kmem_tracing_frames(const struct frame *frames, size_t n);
/* The frames of the page and vmalloc allocators themselves at the leaf. */
size_t kmem_allocator_frames(const struct frame *frames, size_t n);
/* Whether a stack was taken in an interrupt. */
bool kmem_in_interrupt(const struct frame *frames, size_t n);
/* Whether pages from this stack have a line of their own in --account: vmalloc, page tables. */
bool kmem_is_accounted(const struct frame *frames, size_t n);
/* The range of return addresses that FUNC or FUNC+OFF means. 0, -ENOENT, -EINVAL. */
int kmem_site_parse(const char *text, uint64_t *ret_start, uint64_t *ret_end);
/* Path of a cgroup below its mount, by id; NULL if it is gone. Interned. */
const char *kmem_cgroup_path(struct kmem *k, uint64_t id);

/* ---- kmem_losses.c ---- */

/* Every loss counter; *ret is the caller's in any case. Sets k->incomplete. 0 or -errno. */
int kmem_losses_read(struct kmem *k, struct losses *ret);
/* Sums the rows up by cache, before they are merged to what --by says. 0 or -ENOMEM. */
int kmem_totals_note(struct kmem *k, const struct row *rows, size_t n);
/* The lines after a report: caches compared with slabinfo; how far to trust it. */
int kmem_facts_print(struct kmem *k);
/* Fills in the events so far and the time our programs ran. */
void kmem_activity(struct kmem *k, struct view_cost *ret);

/* ---- the gears without probes: kmem_watch.c, kmem_account.c ---- */

int kmem_watch_start(struct kmem *k);
int kmem_watch_tick(struct kmem *k);
/* The same, and notes the slab caches that grew most as suspects. */
int kmem_watch_suspect(struct kmem *k);
void kmem_watch_end(struct kmem *k);

/* Texts of /proc/meminfo and /proc/zoneinfo. 0, -EBADMSG without MemTotal, -ENOMEM. */
int kmem_account_parse(const char *meminfo, const char *zoneinfo, uint64_t page_bytes,
		       struct kmem_account *ret);
int kmem_account_read(struct kmem_account *ret);
void kmem_account_deinit(struct kmem_account *a);
int kmem_account_start(struct kmem *k);
int kmem_account_tick(struct kmem *k);
void kmem_account_end(struct kmem *k);

#endif

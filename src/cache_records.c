/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Rows of --by: records for text, JSON and the live table:
 *
 *	[10:13:16] Buffers MB: 112 / Cached MB: 1337 / rows: 3:
 *	     PID    UID CMD                  HITS   MISSES       RA  DIRTIES READ_HIT% ...
 *	    4711      0 dd                      0       16      984        0     0.00% ...
 *
 * HITRATIO and READ_HIT% have only pages in their denominator that were used; RA beside
 * them says which of the pages that were no hits cost no wait for being absent.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "cmd_cache.h"

#define MAX_FIELDS 32
#define OTHERS	   "[others]" /* what found the table of rows full */

/* A record under construction; what its fields point at lives as long. */
struct line {
	struct view_field f[MAX_FIELDS];
	size_t n;
	char device[32], comm[16], name[64];
	char *path;
};

static struct view_field *add(struct line *l, const char *key, enum view_kind kind, uint64_t n)
{
	struct view_field *f = &l->f[MIN(l->n, (size_t)MAX_FIELDS - 1)];

	l->n = MIN(l->n + 1, (size_t)MAX_FIELDS);
	*f = (struct view_field){.key = key, .kind = kind, .n = n};
	return f;
}

static void titled(struct view_field *f, const char *title, int width)
{
	f->title = title;
	f->width = width;
}

/* 0 to 1; below 0: nothing to divide by. */
static double ratio(uint64_t part, uint64_t all)
{
	return all ? (double)(int64_t)part / (double)(int64_t)all : -1;
}

double cache_hit_ratio(const struct cache_counters *n)
{
	return ratio(cache_hits(n), cache_hits(n) + cache_misses(n) + cache_ra(n));
}

/* Of the pages that became dirty: those that no write had to add first. */
static double write_hit_ratio(const struct cache_counters *n)
{
	return ratio(n->dirtied - MIN(n->write_added, n->dirtied), n->dirtied);
}

/* ---- fields ---- */

static void add_columns(struct line *l, const struct cache_counters *n)
{
	titled(add(l, "hits", VIEW_SIGNED, cache_hits(n)), "HITS", 8);
	titled(add(l, "misses", VIEW_SIGNED, cache_misses(n)), "MISSES", 8);
	titled(add(l, "readahead", VIEW_SIGNED, cache_ra(n)), "RA", 8);
	titled(add(l, "dirties", VIEW_COUNT, n->dirtied), "DIRTIES", 8);
	titled(add(l, "read_hit_ratio", VIEW_RATIO, 0), "READ_HIT%", 9);
	l->f[l->n - 1].real = cache_hit_ratio(n);
	titled(add(l, "write_hit_ratio", VIEW_RATIO, 0), "WRITE_HIT%", 10);
	l->f[l->n - 1].real = write_hit_ratio(n);
	titled(add(l, "direct_bytes", VIEW_BYTES, n->direct_read_bytes + n->direct_write_bytes),
	       "DIRECT", 8);
}

static void add_counters(struct line *l, const struct cache_counters *n)
{
	const struct {
		const char *key;
		uint64_t v;
	} fields[] = {
		{"accesses", cache_hits(n) + cache_misses(n) + cache_ra(n)},
		{"evicted", n->removed},
		{"added", n->added},
		{"unused_readahead", n->unused},
		{"read_hits", n->read_hits},
		{"read_misses", n->read_misses},
		{"read_readahead", n->read_ra},
		{"mmap_hits", n->map_hits},
		{"mmap_misses", n->map_misses},
		{"mmap_readahead", n->map_ra},
		{"write_added", n->write_added},
		{"direct_reads", n->direct_reads},
		{"direct_read_bytes", n->direct_read_bytes},
		{"direct_writes", n->direct_writes},
		{"direct_write_bytes", n->direct_write_bytes},
	};

	for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
		add(l, fields[i].key, VIEW_SIGNED, fields[i].v);
	add(l, "hit_ratio", VIEW_RATIO, 0)->real = cache_hit_ratio(n);
}

static void add_process(const struct cache *c, struct line *l, const struct cache_entry *e)
{
	struct cache_name name = {.comm = OTHERS};
	struct view_field *f;

	if (!e->key.others)
		name = cache_rows_name(c, e->key.id);
	memcpy(l->comm, name.comm, sizeof(l->comm));
	titled(add(l, "pid", VIEW_COUNT, e->key.id), "PID", 8);
	titled(add(l, "uid", VIEW_COUNT, name.uid), "UID", 6);
	f = add(l, "comm", VIEW_WORD, 0);
	f->word = l->comm;
	titled(f, "CMD", 16);
	add_columns(l, &e->n);
}

static int add_file(const struct cache *c, struct line *l, const struct cache_entry *e)
{
	struct view_field *f;

	l->path = e->key.others ? strdup(OTHERS) : cache_paths_find(c->paths, &e->key);
	if (!l->path)
		return -ENOMEM;
	add_columns(l, &e->n);
	f = add(l, "path", VIEW_WORD, 0);
	f->word = l->path;
	titled(f, "FILE", 0);
	snprintf(l->device, sizeof(l->device), "%u:%u", e->key.dev >> 20, e->key.dev & 0xfffff);
	add(l, "device", VIEW_WORD, 0)->word = l->device;
	add(l, "inode", VIEW_COUNT, e->key.id);
	return 0;
}

static int add_cgroup(const struct cache *c, struct line *l, const struct cache_entry *e)
{
	struct cache_cgroup g = {.path = OTHERS};
	struct view_field *f;
	int err = e->key.others ? 0 : cache_cgroups_find(c->cgroups, e->key.id, &g);

	if (err)
		return err;
	if (!g.path)
		snprintf(l->name, sizeof(l->name), "[cgroup %" PRIu64 "]", (uint64_t)e->key.id);
	if (asprintf(&l->path, "%s%s", g.path ? g.path : l->name, g.removed ? " (removed)" : "") <
	    0)
		return -ENOMEM;
	add_columns(l, &e->n);
	f = add(l, "name", VIEW_WORD, 0);
	f->word = l->path;
	titled(f, "CGROUP", 0);
	add(l, "path", VIEW_WORD, 0)->word = g.path;
	add(l, "id", VIEW_COUNT, e->key.id);
	add(l, "removed", VIEW_BOOL, g.removed);
	return 0;
}

const char *cache_sort_title(int sort)
{
	static const char *const titles[] = {
		[CACHE_SORT_ACCESSES] = NULL,	  [CACHE_SORT_HITS] = "HITS",
		[CACHE_SORT_MISSES] = "MISSES",	  [CACHE_SORT_RA] = "RA",
		[CACHE_SORT_DIRTIES] = "DIRTIES", [CACHE_SORT_DIRECT] = "DIRECT",
	};

	return titles[sort];
}

/* ---- rows ---- */

static int print_row(const struct cache *c, const struct cache_entry *e, const char *headline)
{
	static const char *const types[] = {
		[CACHE_BY_FILE] = "file",
		[CACHE_BY_PROCESS] = "process",
		[CACHE_BY_CGROUP] = "cgroup",
	};
	struct line l = {.n = 0};
	struct view_record r = {
		.type = types[c->by],
		.time_ns = c->now_ns,
		.tick = c->ticks,
		.headline = headline,
		.fields = l.f,
	};
	int err = 0;

	if (c->by == CACHE_BY_PROCESS)
		add_process(c, &l, e);
	else
		err = c->by == CACHE_BY_FILE ? add_file(c, &l, e) : add_cgroup(c, &l, e);
	add_counters(&l, &e->n);
	add(&l, "others", VIEW_BOOL, e->key.others);
	r.n_fields = l.n;
	if (!err)
		err = view_record(c->view, &r);
	free(l.path);
	return err;
}

int cache_print_rows(const struct cache *c)
{
	_cleanup_free_ const struct cache_entry **rows = NULL;
	struct cache_memory m = cache_memory_read();
	char headline[128];
	size_t n, top;
	int err = cache_rows_rank(c, &rows, &n);

	if (err)
		return err;
	top = live_is_open(c->live) ? n : MIN(n, (size_t)c->o->common.top);
	snprintf(headline, sizeof(headline), "Buffers MB: %llu / Cached MB: %llu / rows: %zu",
		 m.buffers_kib / 1024, m.cached_kib / 1024, n);
	for (size_t i = 0; i < top && !err; i++)
		err = print_row(c, rows[i], i ? NULL : headline);
	return err;
}

int cache_print_sum(const struct cache *c)
{
	struct cache_counters sum = cache_rows_sum(c);
	struct cache_memory m = cache_memory_read();
	struct line l = {.n = 0};
	struct view_record r = {
		.type = "cache",
		.time_ns = c->now_ns,
		.tick = c->ticks,
		.fields = l.f,
	};

	add_columns(&l, &sum);
	add_counters(&l, &sum);
	add(&l, "buffers_bytes", VIEW_COUNT, m.buffers_kib * 1024);
	add(&l, "cached_bytes", VIEW_COUNT, m.cached_kib * 1024);
	r.n_fields = l.n;
	return view_record(c->view, &r);
}

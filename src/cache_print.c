/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One tick as text or JSON. A line of cachestat, whose first columns are those its users
 * know; HITRATIO has only pages in its denominator that were used, RA beside it says which
 * of the pages that were no hits cost no wait for being absent:
 *
 *	    HITS   MISSES  DIRTIES HITRATIO   BUFFERS_MB  CACHED_MB       RA   DIRECT  EVICTED
 *	    4081       16        0   99.61%          112       1337        0        0        0
 */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <string.h>
#include <time.h>

#include "cmd_cache.h"
#include "view/utf8.h"

struct tick {
	const struct cache *c;
	uint64_t time_ns;
	FILE *out;
};

/* ---- numbers ---- */

static uint64_t accesses(const struct cache_counters *n)
{
	return cache_hits(n) + cache_misses(n) + cache_ra(n);
}

/* 0 to 1; below 0: nothing to divide by. */
static double ratio(uint64_t part, uint64_t all)
{
	return all ? (double)(int64_t)part / (double)(int64_t)all : -1;
}

static double hit_ratio(const struct cache_counters *n)
{
	return ratio(cache_hits(n), accesses(n));
}

/* Of the pages that became dirty: those that no write had to add first. */
static double write_hit_ratio(const struct cache_counters *n)
{
	return ratio(n->dirtied - MIN(n->write_added, n->dirtied), n->dirtied);
}

static uint64_t direct_bytes(const struct cache_counters *n)
{
	return n->direct_read_bytes + n->direct_write_bytes;
}

struct memory {
	unsigned long long buffers_kib, cached_kib;
};

static unsigned long long meminfo_value(const char *text, const char *name)
{
	unsigned long long kib = 0;
	const char *at = strstr(text, name);

	if (!at || sscanf(at + strlen(name), " %llu", &kib) != 1)
		return 0;
	return kib;
}

static struct memory read_memory(void)
{
	_cleanup_free_ char *text = NULL;

	if (read_file("/proc/meminfo", &text, NULL))
		return (struct memory){0, 0};
	return (struct memory){meminfo_value(text, "\nBuffers:"), meminfo_value(text, "\nCached:")};
}

/* ---- JSON ---- */

static json_t *json_u(uint64_t v)
{
	return json_integer((json_int_t)v);
}

static json_t *json_ratio(double v)
{
	return v < 0 ? json_null() : json_real(v);
}

static json_t *json_text(const char *s)
{
	_cleanup_free_ char *clean = utf8_sanitize(s, strlen(s));

	return clean ? json_string_nocheck(clean) : NULL;
}

/* A value that could not be made takes "type" with it, and the line fails. */
static void put(json_t *o, const char *key, json_t *value)
{
	if (json_object_set_new_nocheck(o, key, value))
		json_object_del(o, "type");
}

static json_t *json_head(const struct tick *t, const char *type)
{
	json_t *o = json_object();

	put(o, "type", json_string(type));
	put(o, "command", json_string(t->c->command));
	put(o, "time", json_real((double)t->time_ns / 1e9));
	put(o, "tick", json_u(t->c->ticks));
	return o;
}

static int json_line(json_t *o, FILE *out)
{
	int err = json_object_get(o, "type") ? 0 : -ENOMEM;

	if (!err && !json_dumpf(o, out, JSON_COMPACT | JSON_REAL_PRECISION(16)))
		fputc('\n', out);
	json_decref(o);
	return err;
}

static void put_counters(json_t *o, const struct cache_counters *n)
{
	const struct {
		const char *key;
		uint64_t v;
	} fields[] = {
		{"accesses", accesses(n)},
		{"hits", cache_hits(n)},
		{"misses", cache_misses(n)},
		{"readahead", cache_ra(n)},
		{"dirties", n->dirtied},
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
		put(o, fields[i].key, json_u(fields[i].v));
	put(o, "hit_ratio", json_ratio(hit_ratio(n)));
}

static int json_total(const struct tick *t)
{
	struct cache_counters sum = cache_rows_sum(t->c);
	struct memory m = read_memory();
	json_t *o = json_head(t, "cache");

	put_counters(o, &sum);
	put(o, "buffers_bytes", json_u(m.buffers_kib * 1024));
	put(o, "cached_bytes", json_u(m.cached_kib * 1024));
	return json_line(o, t->out);
}

static json_t *json_file(const struct tick *t, const struct cache_entry *e)
{
	_cleanup_free_ char *path = cache_paths_find(t->c->paths, &e->key);
	json_t *o = json_head(t, "file");
	char device[32];

	snprintf(device, sizeof(device), "%u:%u", e->key.dev >> 20, e->key.dev & 0xfffff);
	put(o, "path", path ? json_text(path) : NULL);
	put(o, "device", json_string(device));
	put(o, "inode", json_u(e->key.id));
	return o;
}

static json_t *json_process(const struct tick *t, const struct cache_entry *e)
{
	struct cache_name name = cache_rows_name(t->c, e->key.id);
	json_t *o = json_head(t, "process");

	put(o, "pid", json_u(e->key.id));
	put(o, "uid", json_u(name.uid));
	put(o, "comm", json_text(name.comm));
	put(o, "read_hit_ratio", json_ratio(hit_ratio(&e->n)));
	put(o, "write_hit_ratio", json_ratio(write_hit_ratio(&e->n)));
	return o;
}

static int json_row(const struct tick *t, const struct cache_entry *e)
{
	json_t *o;

	if (t->c->by == CACHE_BY_FILE) {
		o = json_file(t, e);
	} else if (t->c->by == CACHE_BY_PROCESS) {
		o = json_process(t, e);
	} else {
		o = json_head(t, "cgroup");
		put(o, "id", json_u(e->key.id));
	}
	put_counters(o, &e->n);
	return json_line(o, t->out);
}

/* ---- text ---- */

static void text_clock(const struct tick *t)
{
	time_t seconds = (time_t)(t->time_ns / 1000000000);
	struct tm tm;

	localtime_r(&seconds, &tm);
	fprintf(t->out, "%02d:%02d:%02d", tm.tm_hour, tm.tm_min, tm.tm_sec);
}

static void text_ratio(const struct tick *t, int width, double v)
{
	if (v < 0)
		fprintf(t->out, " %*s", width, "-");
	else
		fprintf(t->out, " %*.2f%%", width - 1, v * 100);
}

/* 4096 is "4.0K": a column of bytes of any size. */
static void text_bytes(const struct tick *t, int width, uint64_t bytes)
{
	static const char units[] = "BKMGTPE";
	double v = (double)bytes;
	size_t u = 0;

	for (; v >= 1024 && units[u + 1]; u++)
		v /= 1024;
	if (!u)
		fprintf(t->out, " %*" PRIu64, width, bytes);
	else
		fprintf(t->out, " %*.1f%c", width - 1, v, units[u]);
}

static void text_numbers(const struct tick *t, const uint64_t *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		fprintf(t->out, " %8" PRId64, (int64_t)v[i]);
}

static void text_total_header(const struct tick *t)
{
	if (t->c->o->timestamps)
		fputs("TIME    ", t->out);
	fprintf(t->out, " %8s %8s %8s %8s %10s %10s %8s %8s %8s %8s", "HITS", "MISSES", "DIRTIES",
		"HITRATIO", "BUFFERS_MB", "CACHED_MB", "RA", "DIRECT", "EVICTED", "UNUSED_RA");
	if (t->c->o->common.verbose)
		fprintf(t->out, " %8s %8s %8s %8s %8s %8s %8s", "RD_HIT", "RD_MISS", "RD_RA",
			"MAP_HIT", "MAP_MISS", "MAP_RA", "WR_NEW");
	fputc('\n', t->out);
}

static void text_total(const struct tick *t)
{
	struct cache_counters s = cache_rows_sum(t->c);
	struct memory m = read_memory();

	if (!t->c->ticks)
		text_total_header(t);
	if (t->c->o->timestamps)
		text_clock(t);
	text_numbers(t, (uint64_t[]){cache_hits(&s), cache_misses(&s), s.dirtied}, 3);
	text_ratio(t, 8, hit_ratio(&s));
	fprintf(t->out, " %10llu %10llu", m.buffers_kib / 1024, m.cached_kib / 1024);
	text_numbers(t, (uint64_t[]){cache_ra(&s)}, 1);
	text_bytes(t, 8, direct_bytes(&s));
	text_numbers(t, (uint64_t[]){s.removed, s.unused}, 2);
	if (t->c->o->common.verbose)
		text_numbers(t,
			     (uint64_t[]){s.read_hits, s.read_misses, s.read_ra, s.map_hits,
					  s.map_misses, s.map_ra, s.write_added},
			     7);
	fputc('\n', t->out);
}

static void text_rows_header(const struct tick *t, size_t n)
{
	struct memory m = read_memory();
	bool process = t->c->by == CACHE_BY_PROCESS;

	text_clock(t);
	fprintf(t->out, " Buffers MB: %llu / Cached MB: %llu / rows: %zu\n", m.buffers_kib / 1024,
		m.cached_kib / 1024, n);
	if (process)
		fprintf(t->out, "%8s %6s %-16s", "PID", "UID", "CMD");
	fprintf(t->out, " %8s %8s %8s %8s %9s %10s %8s%s\n", "HITS", "MISSES", "RA", "DIRTIES",
		"READ_HIT%", "WRITE_HIT%", "DIRECT",
		process			    ? ""
		: t->c->by == CACHE_BY_FILE ? " FILE"
					    : " CGROUP");
}

static void text_process(const struct tick *t, const struct cache_entry *e)
{
	struct cache_name name = cache_rows_name(t->c, e->key.id);

	fprintf(t->out, "%8" PRIu64 " %6u ", (uint64_t)e->key.id, name.uid);
	utf8_write(t->out, name.comm, UTF8_TEXT);
	for (size_t i = strlen(name.comm); i < 16; i++)
		fputc(' ', t->out);
}

static int text_row(const struct tick *t, const struct cache_entry *e)
{
	_cleanup_free_ char *path = NULL;

	if (t->c->by == CACHE_BY_PROCESS)
		text_process(t, e);
	text_numbers(
		t,
		(uint64_t[]){cache_hits(&e->n), cache_misses(&e->n), cache_ra(&e->n), e->n.dirtied},
		4);
	text_ratio(t, 9, hit_ratio(&e->n));
	text_ratio(t, 10, write_hit_ratio(&e->n));
	text_bytes(t, 8, direct_bytes(&e->n));
	if (t->c->by == CACHE_BY_FILE) {
		path = cache_paths_find(t->c->paths, &e->key);
		if (!path)
			return -ENOMEM;
		fputc(' ', t->out);
		utf8_write(t->out, path, UTF8_TEXT);
	} else if (t->c->by == CACHE_BY_CGROUP) {
		fprintf(t->out, " %" PRIu64, (uint64_t)e->key.id);
	}
	fputc('\n', t->out);
	return 0;
}

/* ---- both ---- */

static int print_rows(const struct tick *t)
{
	_cleanup_free_ const struct cache_entry **rows = NULL;
	bool json = t->c->o->common.json;
	size_t n;
	int err = cache_rows_rank(t->c, &rows, &n);

	if (!err && !json)
		text_rows_header(t, n);
	for (size_t i = 0; i < MIN(n, t->c->o->common.top) && !err; i++)
		err = json ? json_row(t, rows[i]) : text_row(t, rows[i]);
	if (!json)
		fputc('\n', t->out);
	return err;
}

int cache_print(const struct cache *c, FILE *out)
{
	struct tick t = {c, clock_real_ns(), out};
	int err = 0;

	if (c->o->common.json)
		err = json_total(&t);
	else if (c->by == CACHE_BY_TOTAL)
		text_total(&t);
	if (!err && c->by != CACHE_BY_TOTAL)
		err = print_rows(&t);
	if (!err && (fflush(out) || ferror(out)))
		err = -errno;
	return err;
}

int cache_print_losses(const struct loss *losses, size_t n, FILE *out)
{
	for (size_t i = 0; i < n; i++)
		if (losses[i].count)
			fprintf(out, "LOST %" PRIu64 ": %s; cure: %s\n", losses[i].count,
				losses[i].what, losses[i].cure);
	return fflush(out) ? -errno : 0;
}

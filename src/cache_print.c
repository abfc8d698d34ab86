/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One tick. A line of cachestat, whose first columns are those its users know; HITRATIO has
 * only pages in its denominator that were used, RA beside it says which of the pages that
 * were no hits cost no wait for being absent:
 *
 *	    HITS   MISSES  DIRTIES HITRATIO   BUFFERS_MB  CACHED_MB       RA   DIRECT  EVICTED
 *	    4081       16        0   99.61%          112       1337        0        0        0
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "cmd_cache.h"

struct tick {
	const struct cache *c;
	uint64_t time_ns;
	FILE *out;
};

/* ---- numbers ---- */

static uint64_t direct_bytes(const struct cache_counters *n)
{
	return n->direct_read_bytes + n->direct_write_bytes;
}

static unsigned long long meminfo_value(const char *text, const char *name)
{
	unsigned long long kib = 0;
	const char *at = strstr(text, name);

	if (!at || sscanf(at + strlen(name), " %llu", &kib) != 1)
		return 0;
	return kib;
}

struct cache_memory cache_memory_read(void)
{
	_cleanup_free_ char *text = NULL;

	if (read_file("/proc/meminfo", &text, NULL))
		return (struct cache_memory){0, 0};
	return (struct cache_memory){meminfo_value(text, "\nBuffers:"),
				     meminfo_value(text, "\nCached:")};
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
	struct cache_memory m = cache_memory_read();

	if (!t->c->ticks)
		text_total_header(t);
	if (t->c->o->timestamps)
		text_clock(t);
	text_numbers(t, (uint64_t[]){cache_hits(&s), cache_misses(&s), s.dirtied}, 3);
	text_ratio(t, 8, cache_hit_ratio(&s));
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

/* ---- both ---- */

int cache_print(const struct cache *c, FILE *out)
{
	struct tick t = {c, c->now_ns, out};
	int err = 0;

	if (c->o->common.json)
		err = cache_print_sum(c);
	else if (c->by == CACHE_BY_TOTAL)
		text_total(&t);
	if (!err && c->by != CACHE_BY_TOTAL)
		err = cache_print_rows(c);
	return err || live_is_open(c->live) ? err : fflush(out) || ferror(out) ? -errno : 0;
}

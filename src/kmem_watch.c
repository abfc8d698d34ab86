/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * `memtally kmem --watch`: what grows, from /proc alone. Every counter of slab caches,
 * vmalloc callers and /proc/meminfo is compared with the first reading; the slope is over
 * the whole time, so that what comes and goes levels off.
 *
 *	[10:13:16] Top 10 counters of kernel memory by growth:
 *		+1728000 bytes (+9000 objects, 345600 bytes/s) slab dentry: 27302400 bytes
 */
#include "kmem.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

struct watched {
	const char *kind;
	const struct slab_counter *now, *before; /* before: NULL if it was not there */
	int64_t growth, objects;
};

static int by_growth(const void *a, const void *b)
{
	const struct watched *x = a, *y = b;

	if (x->growth != y->growth)
		return x->growth < y->growth ? 1 : -1;
	return strcmp(x->now->name, y->now->name);
}

/* Kernel-held counters of /proc/meminfo that no slab cache or vmalloc caller contains. */
static int meminfo_read(struct slab_counters *ret)
{
	static const char *const wanted[] = {"KernelStack", "PageTables",  "SecPageTables",
					     "Percpu",	    "Unaccounted", NULL};
	struct kmem_account a = {0};
	struct slab_counter c = {0};
	int err = kmem_account_read(&a);

	for (size_t i = 0; i < a.n && !err; i++) {
		for (size_t w = 0; wanted[w]; w++) {
			if (strcmp(a.v[i].name, wanted[w]) != 0)
				continue;
			snprintf(c.name, sizeof(c.name), "%s", a.v[i].name);
			c.bytes = a.v[i].bytes > 0 ? (uint64_t)a.v[i].bytes : 0;
			err = array_reserve(&ret->v, &ret->cap, ret->n + 1, sizeof(*ret->v));
			if (!err)
				ret->v[ret->n++] = c;
		}
	}
	kmem_account_deinit(&a);
	return err;
}

/* What cannot be read here (vmallocinfo needs root) is left out. */
static int readings_take(struct kmem_readings *r)
{
	memset(r, 0, sizeof(*r));
	slabinfo_read(&r->slab);
	vmallocinfo_read(&r->vmalloc);
	r->time_ns = clock_mono_ns();
	return meminfo_read(&r->memory);
}

static void readings_deinit(struct kmem_readings *r)
{
	slab_counters_deinit(&r->slab);
	slab_counters_deinit(&r->vmalloc);
	slab_counters_deinit(&r->memory);
}

static size_t compare(const struct slab_counters *now, const struct slab_counters *before,
		      const char *kind, struct watched *out)
{
	size_t n = 0;

	for (size_t i = 0; i < now->n; i++) {
		const struct slab_counter *c = &now->v[i];
		const struct slab_counter *old = NULL;

		for (size_t k = 0; k < before->n && !old; k++)
			if (strcmp(before->v[k].name, c->name) == 0)
				old = &before->v[k];
		out[n] = (struct watched){.kind = kind, .now = c, .before = old};
		/* Whole slabs go back late: objects are what a leak is made of. */
		out[n].objects = (int64_t)c->objects - (int64_t)(old ? old->objects : 0);
		out[n].growth = c->object_bytes
					? out[n].objects * (int64_t)c->object_bytes
					: (int64_t)c->bytes - (int64_t)(old ? old->bytes : 0);
		n++;
	}
	return n;
}

static int print_watched(struct kmem *k, const struct watched *w, double seconds)
{
	double slope = seconds > 0 ? (double)w->growth / seconds : 0;
	_cleanup_(strlist_deinit) struct strlist aliases = {0};
	_cleanup_free_ char *line = NULL;
	bool slab = strcmp(w->kind, "slab") == 0;

	if (slab)
		slab_aliases("/sys/kernel/slab", w->now->name, &aliases);
	if (asprintf(&line,
		     "    %+" PRId64 " bytes (%+" PRId64 " objects, %+.0f bytes/s) %s %s: %" PRIu64
		     " bytes%s%s%s",
		     w->growth, w->objects, slope, w->kind, w->now->name, w->now->bytes,
		     aliases.n ? "; also named " : "", aliases.n ? aliases.v[0] : "",
		     aliases.n > 1 ? ", ..." : "") < 0)
		return -ENOMEM;
	return record_write(
		&(struct record){
			.type = slab ? "slab_cache" : "counter",
			.command = "kmem",
			.time_ns = clock_real_ns(),
			.tick = k->ticks,
			.line = line,
			.fields =
				(struct record_field[]){
					FIELD_TEXT("name", w->now->name),
					FIELD_TEXT("kind", w->kind),
					FIELD_TEXTS("aliases", (const char *const *)aliases.v,
						    aliases.n),
					FIELD_UINT("bytes", w->now->bytes),
					FIELD_UINT("objects", w->now->objects),
					FIELD_UINT("object_bytes", w->now->object_bytes),
					FIELD_INT("growth_objects", w->objects),
					FIELD_INT("growth_bytes", w->growth),
					FIELD_REAL("growth_bytes_per_s", slope),
				},
			.n = 9,
		},
		k->o->common.json, stdout);
}

static int print_heading(struct kmem *k)
{
	time_t now = time(NULL);
	struct tm tm;

	if (k->o->common.json)
		return 0;
	localtime_r(&now, &tm);
	printf("[%02d:%02d:%02d] Top %" PRIu64 " counters of kernel memory by growth:\n",
	       tm.tm_hour, tm.tm_min, tm.tm_sec, k->o->common.top);
	return ferror(stdout) ? -EIO : 0;
}

static void note_suspect(struct kmem *k, const struct watched *w)
{
	if (strcmp(w->kind, "slab") != 0 || w->growth <= 0 || k->n_suspects >= KMEM_FILTERS)
		return;
	snprintf(k->suspects[k->n_suspects++], KMEM_NAME, "%.*s", KMEM_NAME - 1, w->now->name);
}

static int print_growth(struct kmem *k, const struct kmem_readings *now, bool note)
{
	const struct kmem_readings *old = &k->readings;
	double seconds = (double)(now->time_ns - old->time_ns) / 1e9;
	_cleanup_free_ struct watched *w =
		calloc(now->slab.n + now->vmalloc.n + now->memory.n + 1, sizeof(*w));
	size_t n = 0;
	int err;

	if (!w)
		return -ENOMEM;
	n += compare(&now->slab, &old->slab, "slab", w);
	n += compare(&now->vmalloc, &old->vmalloc, "vmalloc", w + n);
	n += compare(&now->memory, &old->memory, "memory", w + n);
	qsort(w, n, sizeof(*w), by_growth);
	for (size_t i = 0; i < n && note; i++)
		note_suspect(k, &w[i]);
	err = print_heading(k);
	for (size_t i = 0; i < n && i < k->o->common.top && !err; i++)
		if (w[i].growth > 0)
			err = print_watched(k, &w[i], seconds);
	return err;
}

int kmem_watch_start(struct kmem *k)
{
	return readings_take(&k->readings);
}

static int watch(struct kmem *k, bool note)
{
	struct kmem_readings now;
	int err = readings_take(&now);

	if (!err)
		err = print_growth(k, &now, note);
	readings_deinit(&now);
	return err;
}

int kmem_watch_tick(struct kmem *k)
{
	return watch(k, false);
}

int kmem_watch_suspect(struct kmem *k)
{
	return watch(k, true);
}

void kmem_watch_end(struct kmem *k)
{
	readings_deinit(&k->readings);
}

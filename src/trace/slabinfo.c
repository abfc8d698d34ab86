/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "trace/slabinfo.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define LINE_MAX_COUNTERS 65536 /* names that are kept */

void slab_counters_deinit(struct slab_counters *c)
{
	free(c->v);
	*c = (struct slab_counters){0};
}

static int by_name(const void *a, const void *b)
{
	const struct slab_counter *x = a, *y = b;

	return strcmp(x->name, y->name);
}

static int counters_add(struct slab_counters *c, const struct slab_counter *one)
{
	int err;

	if (c->n >= LINE_MAX_COUNTERS)
		return 0;
	err = array_reserve(&c->v, &c->cap, c->n + 1, sizeof(*c->v));
	if (!err)
		c->v[c->n++] = *one;
	return err;
}

static void counters_sort(struct slab_counters *c)
{
	if (c->n)
		qsort(c->v, c->n, sizeof(*c->v), by_name);
}

const struct slab_counter *slab_counters_find(const struct slab_counters *c, const char *name)
{
	struct slab_counter key;

	snprintf(key.name, sizeof(key.name), "%s", name);
	return c->n ? bsearch(&key, c->v, c->n, sizeof(*c->v), by_name) : NULL;
}

/* ---- /proc/slabinfo ---- */

static int slabinfo_line(const char *line, uint64_t page_bytes, struct slab_counters *ret)
{
	uint64_t active, total, size, per_slab, pages, slabs;
	struct slab_counter c = {0};

	if (*line == '#' || sscanf(line,
				   "%63s %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64
				   " : tunables %*u %*u %*u : slabdata %*u %" SCNu64,
				   c.name, &active, &total, &size, &per_slab, &pages, &slabs) != 7)
		return 0;
	c.objects = active;
	c.object_bytes = size;
	c.bytes = slabs * pages * page_bytes;
	return counters_add(ret, &c);
}

int slabinfo_parse(char *text, uint64_t page_bytes, struct slab_counters *ret)
{
	struct slab_counters c = {0};
	char *rest = text, *line;
	int err = 0;

	if (strncmp(text, "slabinfo - version: 2.", 22) != 0)
		return -EBADMSG;
	while (!err && (line = strsep(&rest, "\n")))
		err = slabinfo_line(line, page_bytes, &c);
	if (err) {
		slab_counters_deinit(&c);
		return err;
	}
	counters_sort(&c);
	*ret = c;
	return 0;
}

/* ---- /proc/vmallocinfo ---- */

/*
 * 0x...-0x...   20480 irq_init_percpu_irqstack+0xca/0x100 pages=4 vmalloc N0=4
 * Areas without pages= map something that is no memory of theirs.
 */
static int vmallocinfo_line(char *line, uint64_t page_bytes, struct slab_counters *ret)
{
	struct slab_counter c = {.objects = 1};
	char *pages = strstr(line, " pages=");
	uint64_t n;

	if (!pages || sscanf(pages, " pages=%" SCNu64, &n) != 1 ||
	    sscanf(line, "%*s %*u %63s", c.name) != 1)
		return 0;
	c.name[strcspn(c.name, "/")] = '\0';
	c.bytes = n * page_bytes;
	return counters_add(ret, &c);
}

static void counters_merge(struct slab_counters *c)
{
	size_t n = 0;

	counters_sort(c);
	for (size_t i = 0; i < c->n; i++) {
		if (n && strcmp(c->v[n - 1].name, c->v[i].name) == 0) {
			c->v[n - 1].objects += c->v[i].objects;
			c->v[n - 1].bytes += c->v[i].bytes;
		} else {
			c->v[n++] = c->v[i];
		}
	}
	c->n = n;
}

int vmallocinfo_parse(char *text, uint64_t page_bytes, struct slab_counters *ret)
{
	struct slab_counters c = {0};
	char *rest = text, *line;
	int err = 0;

	while (!err && (line = strsep(&rest, "\n")))
		err = vmallocinfo_line(line, page_bytes, &c);
	if (err) {
		slab_counters_deinit(&c);
		return err;
	}
	counters_merge(&c);
	*ret = c;
	return 0;
}

/* ---- the files ---- */

static int read_with(const char *path, struct slab_counters *ret,
		     int (*parse)(char *, uint64_t, struct slab_counters *))
{
	_cleanup_free_ char *text = NULL;
	int err = read_file(path, &text, NULL);

	return err ? err : parse(text, (uint64_t)sysconf(_SC_PAGESIZE), ret);
}

int slabinfo_read(struct slab_counters *ret)
{
	return read_with("/proc/slabinfo", ret, slabinfo_parse);
}

int vmallocinfo_read(struct slab_counters *ret)
{
	return read_with("/proc/vmallocinfo", ret, vmallocinfo_parse);
}

/*
 * "    cpu: 0\n              count:    12\n"; high, batch and the like follow. v6.14 and
 * later add "high_min:", none of which is called count.
 */
uint64_t zoneinfo_percpu_pages(const char *text)
{
	uint64_t sum = 0, n;

	for (const char *at = text; (at = strstr(at, " count:")); at += 7)
		if (sscanf(at, " count: %" SCNu64, &n) == 1)
			sum += n;
	return sum;
}

/* ---- merged caches ---- */

/* The unique name (":0000064") that an alias links to; a cache of its own is itself. */
static void group_of(const char *dir, const char *name, char *ret, size_t size)
{
	char path[512];
	ssize_t n;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	n = readlink(path, ret, size - 1);
	if (n <= 0)
		snprintf(ret, size, "%s", name);
	else
		ret[n] = '\0';
}

int slab_aliases(const char *dir, const char *name, struct strlist *ret)
{
	char group[256], other[256];
	struct dirent *e;
	DIR *d = opendir(dir);
	int err = 0;

	if (!d)
		return -errno;
	group_of(dir, name, group, sizeof(group));
	while (!err && (e = readdir(d))) {
		if (e->d_type != DT_LNK || strcmp(e->d_name, name) == 0)
			continue;
		group_of(dir, e->d_name, other, sizeof(other));
		if (strcmp(group, other) == 0)
			err = strlist_add(ret, "%s", e->d_name);
	}
	closedir(d);
	return err;
}

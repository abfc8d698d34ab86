/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * `memtally kmem --account`: MemTotal, one line per consumer, and the rest that nobody
 * accounts for: pages that drivers, sockets, pipes and packet rings took from the page
 * allocator directly.
 *
 * The sum: free pages, also those kept per CPU (/proc/zoneinfo; several times the true
 * rest), what user space has (anonymous, page cache, buffers, swap cache), and what the
 * kernel has (slab, other reclaimable, stacks, page tables, per-CPU, vmalloc, huge pages
 * and so on). Shmem is part of Cached, Unevictable and Mapped overlap others. Fields that
 * a kernel lacks count 0.
 */
#include "kmem.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define READINGS     16
#define GOOD_READING 64 /* pages moved meanwhile */

/* Fields of /proc/meminfo that add up. */
static const char *const parts[] = {
	"MemFree",     "AnonPages",  "Cached",	      "Buffers",   "SwapCached",  "Slab",
	"KernelStack", "PageTables", "SecPageTables", "Percpu",	   "VmallocUsed", "Hugetlb",
	"Bounce",      "Zswap",	     "Balloon",	      "GPUActive", "GPUReclaim",  "Unaccepted",
};

/* Bytes of a field, or 0. */
static uint64_t field_bytes(const char *meminfo, const char *name)
{
	size_t len = strlen(name);
	uint64_t kib;

	for (const char *line = meminfo; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, name, len) == 0 && line[len] == ':')
			return sscanf(line + len, ": %" SCNu64, &kib) == 1 ? kib * 1024 : 0;
	}
	return 0;
}

static int account_add(struct kmem_account *a, const char *name, int64_t bytes)
{
	int err = array_reserve(&a->v, &a->cap, a->n + 1, sizeof(*a->v));

	if (err)
		return err;
	a->v[a->n++] = (struct kmem_consumer){name, bytes};
	a->sum += bytes;
	return 0;
}

int kmem_account_parse(const char *meminfo, const char *zoneinfo, uint64_t page_bytes,
		       struct kmem_account *ret)
{
	struct kmem_account a = {.total = (int64_t)field_bytes(meminfo, "MemTotal")};
	int64_t reclaimable = (int64_t)field_bytes(meminfo, "KReclaimable") -
			      (int64_t)field_bytes(meminfo, "SReclaimable");
	int err = a.total ? 0 : -EBADMSG;

	for (size_t i = 0; i < ARRAY_SIZE(parts) && !err; i++)
		err = account_add(&a, parts[i], (int64_t)field_bytes(meminfo, parts[i]));
	if (!err)
		err = account_add(&a, "FreePerCpu",
				  (int64_t)(zoneinfo_percpu_pages(zoneinfo) * page_bytes));
	if (!err)
		err = account_add(&a, "KReclaimableOther", reclaimable > 0 ? reclaimable : 0);
	if (!err)
		err = account_add(&a, "Unaccounted", a.total - a.sum);
	if (err) {
		kmem_account_deinit(&a);
		return err;
	}
	*ret = a;
	return 0;
}

/*
 * Pages wander between the free lists that the two files count: a reading is good if as many
 * are kept per CPU after it as before. The best of a few is taken.
 */
int kmem_account_read(struct kmem_account *ret)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), moved, least = UINT64_MAX;
	struct kmem_account a;
	int err = 0;

	for (int i = 0; i < READINGS && least > GOOD_READING && !err; i++) {
		_cleanup_free_ char *before = NULL, *meminfo = NULL, *after = NULL;

		err = read_file("/proc/zoneinfo", &before, NULL);
		if (!err)
			err = read_file("/proc/meminfo", &meminfo, NULL);
		if (!err)
			err = read_file("/proc/zoneinfo", &after, NULL);
		if (err)
			break;
		moved = zoneinfo_percpu_pages(before) > zoneinfo_percpu_pages(after)
				? zoneinfo_percpu_pages(before) - zoneinfo_percpu_pages(after)
				: zoneinfo_percpu_pages(after) - zoneinfo_percpu_pages(before);
		if (moved >= least)
			continue;
		err = kmem_account_parse(meminfo, after, page, &a);
		if (err)
			break;
		if (least != UINT64_MAX)
			kmem_account_deinit(ret);
		*ret = a;
		least = moved;
	}
	if (err && least != UINT64_MAX)
		kmem_account_deinit(ret);
	return err;
}

void kmem_account_deinit(struct kmem_account *a)
{
	free(a->v);
	*a = (struct kmem_account){0};
}

static int print_consumer(struct kmem *k, const struct kmem_account *a,
			  const struct kmem_consumer *c)
{
	const struct kmem_account *start = &k->account_start;
	int64_t before = c->bytes == a->total ? a->total : 0;
	_cleanup_free_ char *line = NULL;

	for (size_t i = 0; i < start->n; i++)
		if (strcmp(start->v[i].name, c->name) == 0)
			before = start->v[i].bytes;
	if (asprintf(&line, "%18s %15" PRId64 " bytes %7.3f %% %+14" PRId64 " since the start",
		     c->name, c->bytes, (double)c->bytes * 100 / (double)a->total,
		     c->bytes - before) < 0)
		return -ENOMEM;
	return record_write(
		&(struct record){
			.type = "account",
			.command = "kmem",
			.time_ns = clock_real_ns(),
			.tick = k->ticks,
			.line = c->bytes || before ? line : NULL,
			.fields =
				(struct record_field[]){
					FIELD_TEXT("consumer", c->name),
					FIELD_INT("bytes", c->bytes),
					FIELD_INT("growth_bytes", c->bytes - before),
				},
			.n = 3,
		},
		k->o->common.json, stdout);
}

static int by_bytes(const void *a, const void *b)
{
	const struct kmem_consumer *x = a, *y = b;

	return (y->bytes > x->bytes) - (y->bytes < x->bytes);
}

int kmem_account_start(struct kmem *k)
{
	return kmem_account_read(&k->account_start);
}

/* The rest last: it is the question. */
int kmem_account_tick(struct kmem *k)
{
	struct kmem_account a = {0};
	int err = kmem_account_read(&a);

	if (err)
		return err;
	qsort(a.v, a.n - 1, sizeof(*a.v), by_bytes);
	err = print_consumer(k, &a, &(struct kmem_consumer){"MemTotal", a.total});
	for (size_t i = 0; i < a.n && !err; i++)
		err = print_consumer(k, &a, &a.v[i]);
	kmem_account_deinit(&a);
	return err;
}

void kmem_account_end(struct kmem *k)
{
	kmem_account_deinit(&k->account_start);
}

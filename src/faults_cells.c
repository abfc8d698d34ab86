/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The table of cells, fault_cells.bpf.h: an array that is mapped here, an index by id, and
 * a stack of the places that are free, the first one on top. Place 0 is the catch-all cell.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "faults.h"

struct faults_cells {
	struct fault_cell *v; /* as the kernel writes them */
	size_t bytes;
	uint32_t n;
	const uint64_t *given; /* in the programs' memory */
	int index_fd, free_fd;
};

static size_t page_up(size_t n)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	return (n + page - 1) / page * page;
}

static int put_free(const struct faults_cells *c, uint32_t place)
{
	return bpf_map_update_elem(c->free_fd, NULL, &place, BPF_ANY);
}

/* The catch-all cell, and all others free. */
static int fill(struct faults_cells *c, uint32_t n)
{
	uint64_t id = CATCH_ALL_SITE;
	uint32_t place = 0;
	int err = bpf_map_update_elem(c->index_fd, &id, &place, BPF_ANY);

	c->v[0].sent = UINT32_MAX;
	for (place = n - 1; place > 0 && !err; place--)
		err = put_free(c, place);
	return err;
}

int faults_cells_new(const struct faults_cells_maps *maps, uint32_t n, struct faults_cells **ret)
{
	struct faults_cells *c = calloc(1, sizeof(*c));
	int err;

	if (!c)
		return -ENOMEM;
	c->bytes = page_up(n * sizeof(*c->v));
	c->n = n;
	c->given = maps->given;
	c->index_fd = maps->index_fd;
	c->free_fd = maps->free_fd;
	c->v = mmap(NULL, c->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, maps->cells_fd, 0);
	err = c->v == MAP_FAILED ? -errno : fill(c, n);
	if (err)
		faults_cells_free(c);
	else
		*ret = c;
	return err;
}

void faults_cells_free(struct faults_cells *c)
{
	if (c && c->v != MAP_FAILED)
		munmap(c->v, c->bytes);
	free(c);
}

/*
 * By the mapped table alone. A batch of look-ups in the index would keep programs on faults from
 * being run (bpf/turns.bpf.h) while it goes over all of its buckets, for milliseconds. A cell
 * without faults is just being made, by one of two CPUs that may make the same.
 */
int faults_cells_each(const struct faults_cells *c,
		      int (*fn)(const struct fault_cell *cell, void *arg), void *arg)
{
	uint64_t given = __atomic_load_n(c->given, __ATOMIC_RELAXED);
	int err = fn(&c->v[0], arg);

	for (uint32_t i = 1; i < c->n && i <= given && !err; i++)
		if (c->v[i].id && c->v[i].minor + c->v[i].major)
			err = fn(&c->v[i], arg);
	return err;
}

/*
 * Who adds to a cell while it is taken is a thread of an ended process: there is none.
 * A CPU that remembers the place sees that it has another id by now.
 */
int faults_cells_take(struct faults_cells *c, uint64_t id, struct fault_cell *ret)
{
	struct fault_cell *cell;
	uint32_t place;

	if (bpf_map_lookup_elem(c->index_fd, &id, &place) || !place)
		return -ENOENT;
	cell = &c->v[place];
	bpf_map_delete_elem(c->index_fd, &id);
	__atomic_store_n(&cell->id, 0, __ATOMIC_SEQ_CST);
	*ret = *cell;
	memset(cell, 0, sizeof(*cell));
	return put_free(c, place);
}

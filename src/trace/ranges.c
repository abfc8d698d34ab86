/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "trace/ranges.h"

#include <errno.h>
#include <string.h>

struct pending {
	uint32_t tid;
	uint64_t start, length;
	struct range *removed;
	size_t n, cap;
};

struct ranges {
	struct range *v; /* sorted, disjoint */
	size_t n, cap;
	uint64_t page;
	struct pending *pending; /* few: threads inside munmap or mremap right now */
	size_t n_pending, cap_pending;
};

struct ranges *ranges_new(void)
{
	struct ranges *r = calloc(1, sizeof(*r));

	if (r)
		r->page = (uint64_t)sysconf(_SC_PAGESIZE);
	return r;
}

void ranges_free(struct ranges *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->n_pending; i++)
		free(r->pending[i].removed);
	free(r->pending);
	free(r->v);
	free(r);
}

static uint64_t page_up(const struct ranges *r, uint64_t v)
{
	return (v + r->page - 1) & ~(r->page - 1);
}

/* Index of the first range that ends behind addr. */
static size_t first_behind(const struct ranges *r, uint64_t addr)
{
	size_t lo = 0, hi = r->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (r->v[mid].end <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static int insert_at(struct ranges *r, size_t i, const struct range *add)
{
	int err = array_reserve(&r->v, &r->cap, r->n + 1, sizeof(*r->v));

	if (err)
		return err;
	memmove(&r->v[i + 1], &r->v[i], (r->n - i) * sizeof(*r->v));
	r->v[i] = *add;
	r->n++;
	return 0;
}

/* Cuts [start, end) out of the table; what goes is appended to *removed when given. */
static int cut(struct ranges *r, uint64_t start, uint64_t end, struct pending *removed)
{
	size_t i = first_behind(r, start), j;
	int err = array_reserve(&r->v, &r->cap, r->n + 1, sizeof(*r->v));

	if (err)
		return err;
	if (i < r->n && r->v[i].start < start) { /* split: the left rest stays */
		struct range right = r->v[i];

		right.start = start;
		r->v[i].end = start;
		insert_at(r, ++i, &right); /* room was reserved */
	}
	for (j = i; j < r->n && r->v[j].start < end; j++) {
		struct range gone = r->v[j];

		gone.end = MIN(gone.end, end);
		if (removed) {
			err = array_reserve(&removed->removed, &removed->cap, removed->n + 1,
					    sizeof(gone));
			if (err)
				return err;
			removed->removed[removed->n++] = gone;
		}
		if (r->v[j].end > end) { /* the right rest stays */
			r->v[j].start = end;
			break;
		}
	}
	memmove(&r->v[i], &r->v[j], (r->n - j) * sizeof(*r->v));
	r->n -= j - i;
	return 0;
}

static int put(struct ranges *r, const struct range *add)
{
	int err = cut(r, add->start, add->end, NULL);

	return err ? err : insert_at(r, first_behind(r, add->start), add);
}

int ranges_map(struct ranges *r, uint64_t start, uint64_t length, uint64_t site, uint64_t born_ns)
{
	uint64_t end;

	if (__builtin_add_overflow(start, page_up(r, length), &end) || end <= start)
		return 0; /* the kernel would have refused it */
	return put(r, &(struct range){start, end, site, born_ns, start});
}

static struct pending *pending_of(struct ranges *r, uint32_t tid)
{
	for (size_t i = 0; i < r->n_pending; i++)
		if (r->pending[i].tid == tid)
			return &r->pending[i];
	return NULL;
}

static struct pending *pending_begin(struct ranges *r, uint32_t tid)
{
	struct pending *p = pending_of(r, tid);

	if (!p) {
		if (array_reserve(&r->pending, &r->cap_pending, r->n_pending + 1, sizeof(*p)))
			return NULL;
		p = &r->pending[r->n_pending++];
		*p = (struct pending){.tid = tid};
	}
	p->n = 0;
	return p;
}

static void pending_end(struct ranges *r, struct pending *p)
{
	free(p->removed);
	*p = r->pending[--r->n_pending];
}

int ranges_unmap(struct ranges *r, uint32_t tid, uint64_t start, uint64_t length)
{
	struct pending *p;
	uint64_t end;

	if (start % r->page || !length || __builtin_add_overflow(start, page_up(r, length), &end) ||
	    end <= start)
		return 0; /* EINVAL for certain: nothing will happen */
	p = pending_begin(r, tid);
	if (!p)
		return -ENOMEM;
	p->start = start;
	p->length = end - start;
	return cut(r, start, end, p);
}

int ranges_undo(struct ranges *r, uint32_t tid)
{
	struct pending *p = pending_of(r, tid);
	int err = 0;

	if (!p)
		return 0;
	for (size_t i = 0; i < p->n && !err; i++)
		err = put(r, &p->removed[i]);
	pending_end(r, p);
	return err;
}

/* The part of a moved range that was uncounted stays so, at its new place. */
static int remap_uncounted(struct ranges *r, const struct pending *p, uint64_t start,
			   uint64_t length)
{
	int err = 0;

	for (size_t i = 0; i < p->n && !err; i++) {
		uint64_t off = p->removed[i].start - p->start;
		uint64_t len = p->removed[i].end - p->removed[i].start;

		if (p->removed[i].site != RANGE_UNCOUNTED || off >= length)
			continue;
		err = ranges_map(r, start + off, MIN(len, length - off), RANGE_UNCOUNTED,
				 p->removed[i].born_ns);
	}
	return err;
}

int ranges_remap(struct ranges *r, uint32_t tid, uint64_t start, uint64_t length, uint64_t site,
		 uint64_t born_ns)
{
	struct pending *p = pending_of(r, tid);
	int err = ranges_map(r, start, length, site, born_ns);

	if (!p)
		return err;
	if (!err)
		err = remap_uncounted(r, p, start, length);
	pending_end(r, p);
	return err;
}

bool ranges_counted(const struct ranges *r)
{
	for (size_t i = 0; i < r->n; i++)
		if (r->v[i].site != RANGE_UNCOUNTED)
			return true;
	return false;
}

size_t ranges_count(const struct ranges *r)
{
	return r->n;
}

const struct range *ranges_at(const struct ranges *r, size_t i)
{
	return &r->v[i];
}

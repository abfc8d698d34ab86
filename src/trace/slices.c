/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "trace/slices.h"

#include <errno.h>
#include <linux/membarrier.h>
#include <string.h>
#include <sys/syscall.h>

#define RETIRED_AGE_NS 10000000000ULL /* no walk is preempted for that long */

static uint64_t content_hash(const struct unwind_mapping *m, size_t n)
{
	const uint64_t *words = (const uint64_t *)m;
	uint64_t h = n;

	for (size_t i = 0; i < n * sizeof(*m) / sizeof(*words); i++) {
		h = (h ^ words[i]) * 0x9E3779B97F4A7C15ULL;
		h ^= h >> 32;
	}
	return h;
}

bool slices_equal(const struct slices *s, const struct unwind_slice *slice,
		  const struct unwind_mapping *m, size_t n)
{
	return slice->n == n && (!n || !memcmp(s->array + slice->lo, m, n * sizeof(*m)));
}

/* First gap of n mappings; *ret_index is where its slice belongs in s->v. */
static bool find_gap(const struct slices *s, size_t n, size_t *ret_lo, size_t *ret_index)
{
	size_t lo = 0;

	for (size_t i = 0; i <= s->n; i++) {
		size_t end = i < s->n ? s->v[i].at.lo : s->max;

		if (end - lo >= n) {
			*ret_lo = lo;
			*ret_index = i;
			return true;
		}
		if (i < s->n)
			lo = s->v[i].at.lo + s->v[i].at.n;
	}
	return false;
}

/*
 * Waits until no walk can read the slices given back so far. Walks run under
 * rcu_read_lock(), and MEMBARRIER_CMD_GLOBAL is synchronize_rcu() on more than one CPU
 * (kernel/sched/membarrier.c); it is refused with nohz_full, where age must do.
 */
static bool wait_for_walks(void)
{
	return sysconf(_SC_NPROCESSORS_ONLN) > 1 &&
	       !syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0);
}

static void drop_retired(struct slices *s)
{
	bool all = wait_for_walks();
	uint64_t now = clock_mono_ns();
	size_t n = 0;

	for (size_t i = 0; i < s->n; i++) {
		if (!s->v[i].refs && (all || now - s->v[i].retired_ns > RETIRED_AGE_NS))
			s->used -= s->v[i].at.n;
		else
			s->v[n++] = s->v[i];
	}
	s->n = n;
}

/* Shares a live slice. One given back is not revived: readers may come from its past. */
static bool share(struct slices *s, const struct slice *want, const struct unwind_mapping *m,
		  struct unwind_slice *ret)
{
	for (size_t i = 0; i < s->n; i++) {
		struct slice *have = &s->v[i];

		if (have->refs && have->hash == want->hash &&
		    slices_equal(s, &have->at, m, want->at.n)) {
			have->refs++;
			*ret = have->at;
			return true;
		}
	}
	return false;
}

int slices_get(struct slices *s, const struct unwind_mapping *m, size_t n, struct unwind_slice *ret)
{
	struct slice new = {.at.n = (uint32_t)n, .refs = 1, .hash = content_hash(m, n)};
	size_t lo, index;
	int err;

	if (!n) {
		*ret = (struct unwind_slice){0};
		return 0;
	}
	if (share(s, &new, m, ret))
		return 0;
	if (!find_gap(s, n, &lo, &index)) {
		drop_retired(s);
		if (!find_gap(s, n, &lo, &index))
			return -ENOSPC;
	}
	err = array_reserve(&s->v, &s->cap, s->n + 1, sizeof(*s->v));
	if (err)
		return err;
	memcpy(s->array + lo, m, n * sizeof(*m));
	new.at.lo = (uint32_t)lo;
	memmove(&s->v[index + 1], &s->v[index], (s->n - index) * sizeof(*s->v));
	s->v[index] = new;
	s->n++;
	s->used += n;
	*ret = new.at;
	return 0;
}

void slices_put(struct slices *s, const struct unwind_slice *slice)
{
	for (size_t i = 0; slice->n && i < s->n; i++) {
		if (s->v[i].at.lo != slice->lo)
			continue;
		if (s->v[i].refs && !--s->v[i].refs)
			s->v[i].retired_ns = clock_mono_ns();
		return;
	}
}

void slices_deinit(struct slices *s)
{
	free(s->v);
	s->v = NULL;
	s->n = s->cap = 0;
}

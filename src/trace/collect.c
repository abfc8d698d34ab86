/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "trace/collect.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <string.h>

#include "lib/log.h"
#include "trace/attach.h"
#include "trace/loop.h"

#define BATCH	  4096u
#define BATCH_MAX (1u << 20)

#define MISSES_READS	8
#define MISSES_PAUSE_NS 10000000

struct visitor {
	int (*fn)(const void *key, const void *value, void *arg);
	void *arg;
};

struct batch {
	void *keys, *values;
	uint32_t size;	   /* elements that fit */
	uint8_t token[64]; /* the kernel's position: a bucket number or a key */
};

static int batch_alloc(struct batch *b, const struct collect_map *map, uint32_t size)
{
	free(b->keys);
	free(b->values);
	b->keys = calloc(size, map->key_size);
	b->values = calloc(size, map->value_size);
	b->size = size;
	return b->keys && b->values ? 0 : -ENOMEM;
}

static void batch_deinit(struct batch *b)
{
	free(b->keys);
	free(b->values);
}

static int each_of(const struct batch *b, const struct collect_map *map, uint32_t n,
		   const struct visitor *v)
{
	int err = 0;

	for (uint32_t i = 0; i < n && !err; i++)
		err = v->fn((char *)b->keys + i * map->key_size,
			    (char *)b->values + i * map->value_size, v->arg);
	return err;
}

/* -EOPNOTSUPP: nothing was delivered yet, use the slow way. */
static int each_batch(const struct collect_map *map, const struct visitor *v)
{
	_cleanup_(batch_deinit) struct batch b = {0};
	bool first = true, end = false;
	uint32_t n;
	int err = batch_alloc(&b, map, BATCH);

	while (!err && !end) {
		n = b.size;
		err = bpf_map_lookup_batch(map->fd, first ? NULL : b.token, b.token, b.keys,
					   b.values, &n, NULL);
		if (err == -ENOSPC && b.size < BATCH_MAX) { /* one bucket holds more */
			err = batch_alloc(&b, map, b.size * 4);
			continue;
		}
		end = err == -ENOENT; /* with a valid count: the last batch */
		if (err && !end)
			return first && (err == -EINVAL || err == -ENOTSUP) ? -EOPNOTSUPP : err;
		first = false;
		err = each_of(&b, map, n, v);
	}
	return err;
}

static int each_single(const struct collect_map *map, const struct visitor *v)
{
	_cleanup_(batch_deinit) struct batch b = {0};
	_cleanup_free_ void *prev = calloc(1, map->key_size);
	bool first = true;
	int err = batch_alloc(&b, map, 1);

	if (err || !prev)
		return -ENOMEM;
	while (!bpf_map_get_next_key(map->fd, first ? NULL : prev, b.keys)) {
		first = false;
		memcpy(prev, b.keys, map->key_size);
		if (bpf_map_lookup_elem(map->fd, b.keys, b.values))
			continue;
		err = v->fn(b.keys, b.values, v->arg);
		if (err)
			return err;
	}
	return 0;
}

int collect_each(const struct collect_map *map,
		 int (*fn)(const void *key, const void *value, void *arg), void *arg)
{
	struct visitor v = {fn, arg};
	int err = each_batch(map, &v);

	return err == -EOPNOTSUPP ? each_single(map, &v) : err;
}

int collect_each_gently(const struct collect_map *map,
			int (*fn)(const void *key, const void *value, void *arg), void *arg)
{
	struct visitor v = {fn, arg};

	return each_single(map, &v);
}

int64_t collect_count(const struct site *s)
{
	return (int64_t)(s->allocs - s->frees) + s->extra;
}

uint64_t collect_mean_age(const struct site *s, uint64_t now_ns)
{
	uint64_t blocks = s->allocs > s->frees ? s->allocs - s->frees : 1;
	uint64_t born_ns = s->born_sum / blocks << SITE_BORN_SHIFT;

	return now_ns > born_ns ? now_ns - born_ns : 0;
}

int collect_site(const void *key, const void *value, void *arg)
{
	struct site_list *l = arg;
	int err = array_reserve(&l->v, &l->cap, l->n + 1, sizeof(*l->v));

	if (!err)
		l->v[l->n++] =
			(struct site_entry){*(const uint64_t *)key, *(const struct site *)value};
	return err;
}

int collect_unsent(const void *key, const void *value, void *arg)
{
	const struct site *s = value;
	uint64_t *sum = arg;

	(void)key;
	if (!s->sent && collect_count(s) > 0)
		*sum += (uint64_t)collect_count(s);
	return 0;
}

int collect_stats(int fd, uint64_t *ret, size_t n)
{
	int cpus = libbpf_num_possible_cpus();
	_cleanup_free_ uint64_t *values = NULL;

	if (cpus < 0)
		return cpus;
	values = calloc((size_t)cpus, sizeof(*values));
	if (!values)
		return -ENOMEM;
	for (uint32_t i = 0; i < n; i++) {
		int err = bpf_map_lookup_elem(fd, &i, values);

		if (err)
			return err;
		ret[i] = 0;
		for (int c = 0; c < cpus; c++)
			ret[i] += values[c];
	}
	return 0;
}

static uint64_t map_bytes(int fd)
{
	_cleanup_free_ char *text = NULL;
	unsigned long long bytes = 0;
	char path[64], *line;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	if (read_file(path, &text, NULL))
		return 0;
	line = strstr(text, "memlock:");
	if (line && sscanf(line, "memlock: %llu", &bytes) != 1)
		bytes = 0;
	return bytes;
}

uint64_t collect_map_bytes(const struct bpf_object *obj)
{
	uint64_t sum = 0;
	struct bpf_map *m;

	bpf_object__for_each_map(m, obj)
	{
		if (bpf_map__fd(m) >= 0)
			sum += map_bytes(bpf_map__fd(m));
	}
	return sum;
}

struct program_counts collect_program(const struct bpf_program *p)
{
	struct bpf_prog_info info = {0};
	uint32_t len = sizeof(info);

	if (bpf_program__fd(p) < 0 || bpf_obj_get_info_by_fd(bpf_program__fd(p), &info, &len))
		return (struct program_counts){0};
	return (struct program_counts){info.run_cnt, info.run_time_ns, info.recursion_misses};
}

uint64_t collect_run_ns(const struct bpf_object *obj)
{
	struct bpf_program *p;
	uint64_t sum = 0;

	bpf_object__for_each_program(p, obj) sum += collect_program(p).run_ns;
	return sum;
}

static uint64_t misses_of_all(const struct bpf_object *obj,
			      bool (*exempt)(const struct bpf_program *p))
{
	struct bpf_program *p;
	uint64_t sum = 0;

	bpf_object__for_each_program(p, obj)
	{
		if (program_is_first(p) && !(exempt && exempt(p)))
			sum += collect_program(p).misses;
	}
	return sum;
}

static void say_misses(const struct bpf_object *obj)
{
	struct bpf_program *p;

	bpf_object__for_each_program(p, obj)
	{
		uint64_t misses = collect_program(p).misses;

		if (misses)
			log_verbose("program '%s' was skipped %llu times", bpf_program__name(p),
				    (unsigned long long)misses);
	}
}

static uint64_t events_saved(int stats_fd)
{
	uint64_t stats[STAT_COUNT] = {0};

	collect_stats(stats_fd, stats, STAT_COUNT); /* on failure all is 0 */
	return stats[STAT_EVENTS_SAVED];
}

uint64_t collect_misses(const struct bpf_object *obj, bool (*exempt)(const struct bpf_program *p),
			int stats_fd, uint64_t known)
{
	uint64_t saved, misses, least = UINT64_MAX;
	int reads = 0;

	do {
		if (reads)
			loop_wait_readable(-1, clock_mono_ns() + MISSES_PAUSE_NS);
		saved = events_saved(stats_fd);
		misses = misses_of_all(obj, exempt);
		least = MIN(least, misses - MIN(misses, saved));
	} while (least > known && saved && ++reads < MISSES_READS);
	say_misses(obj);
	return MAX(least, known);
}

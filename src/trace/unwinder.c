/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "trace/unwinder.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <elf.h>
#include <errno.h>
#include <string.h>

#include "cfi/cfi.h"
#include "lib/log.h"
#include "trace/bpf_array.h"
#include "trace/finisher.h"
#include "trace/slices.h"
#include "trace/unwind_objects.h"

#define MIN_HEADROOM_ROWS (512U << 10)
#define ROWS_PER_BLOCK	  4	/* real code has 5 to 7: room for sparser */
#define MIN_MAPPINGS	  65536 /* 2 MiB: processes come and go, and places rest before reuse */
#define MIN_OBJECTS	  (8U << 10)

enum table_state {
	TABLE_NEW,
	TABLE_STAGED, /* compiled, rows in our memory */
	TABLE_LIVE,   /* in the arrays */
	TABLE_NONE,   /* has none, or no room for it */
};

struct table { /* of one object */
	enum table_state state;
	struct table *same;   /* the table of another file with the same build id */
	struct cfi_table cfi; /* rows freed once live */
	struct unwind_place place;
	bool listed; /* the file is in unwind_objects, under its own numbers */
};

struct unwinder {
	struct objects *objects;
	struct cfi_rules *rules;
	struct table **tables; /* by object id */
	size_t n_tables, cap_tables;
	size_t staged_rows, staged_blocks, prepared_mappings;
	struct bpf_array rows, blocks, rule_array, mappings;
	int objects_fd; /* map unwind_objects */
	bool published;
	struct slices slices;
	struct unwind_mapping *scratch;
	size_t cap_scratch;
	struct unwinder_stats stats;
};

struct unwinder *unwinder_new(struct objects *objects)
{
	struct unwinder *u = calloc(1, sizeof(*u));

	if (!u)
		return NULL;
	u->objects = objects;
	u->rules = cfi_rules_new();
	if (!u->rules) {
		free(u);
		return NULL;
	}
	return u;
}

void unwinder_free(struct unwinder *u)
{
	if (!u)
		return;
	for (size_t i = 0; i < u->n_tables; i++) {
		if (u->tables[i])
			cfi_table_deinit(&u->tables[i]->cfi);
		free(u->tables[i]);
	}
	bpf_array_unmap(&u->rows);
	bpf_array_unmap(&u->blocks);
	bpf_array_unmap(&u->rule_array);
	bpf_array_unmap(&u->mappings);
	slices_deinit(&u->slices);
	cfi_rules_free(u->rules);
	free(u->tables);
	free(u->scratch);
	free(u);
}

static struct table *table_of(struct unwinder *u, uint32_t id)
{
	if (id >= u->n_tables) {
		size_t n = (size_t)id + 1;

		if (array_reserve(&u->tables, &u->cap_tables, n, sizeof(struct table *)))
			return NULL;
		memset(u->tables + u->n_tables, 0, (n - u->n_tables) * sizeof(struct table *));
		u->n_tables = n;
	}
	if (!u->tables[id])
		u->tables[id] = calloc(1, sizeof(struct table));
	return u->tables[id];
}

static struct table *find_same(struct unwinder *u, const struct object *o)
{
	for (uint32_t id = 0; id < u->n_tables; id++) {
		struct table *t = u->tables[id];

		if (id != o->id && t && !t->same && t->state != TABLE_NEW &&
		    unwind_objects_same_build(o, objects_at(u->objects, id)))
			return t;
	}
	return NULL;
}

static int read_object(void *arg, uint64_t off, void *buf, size_t len)
{
	return object_read(arg, off, buf, len);
}

static void table_compile(struct unwinder *u, struct object *o, struct table *t)
{
	struct cfi_file f = {.read = read_object, .arg = o};
	uint64_t start = clock_mono_ns();
	int err = cfi_compile_file(&f, u->rules, &t->cfi);

	u->stats.parse_ns += clock_mono_ns() - start;
	t->state = TABLE_NONE;
	if (err) {
		log_debug("no unwind table for '%s': %s", o->path, errno_name(err));
		if (err == -ENODATA)
			u->stats.objects_without++;
		else
			u->stats.objects_bad++;
		return;
	}
	t->state = TABLE_STAGED;
	t->place.first = t->cfi.base;
	t->place.n_blocks = (uint32_t)cfi_table_blocks(&t->cfi);
	u->staged_rows += t->cfi.n_rows;
	u->staged_blocks += t->place.n_blocks;
	u->stats.objects++;
	u->stats.bad_functions += t->cfi.stats.bad_fdes + t->cfi.stats.bad_ops;
	u->stats.unsupported += t->cfi.stats.unsupported;
	u->stats.rules_full = cfi_rules_refused(u->rules);
}

/* Moves a compiled table into the arrays; rules go first, then rows, then blocks. */
static void table_publish(struct unwinder *u, struct table *t)
{
	size_t n_rows = t->cfi.n_rows;

	u->staged_rows -= n_rows;
	u->staged_blocks -= t->place.n_blocks;
	t->state = TABLE_NONE;
	if (u->rows.max - u->rows.n < n_rows || u->blocks.max - u->blocks.n < t->place.n_blocks) {
		u->stats.objects_full++;
		cfi_table_deinit(&t->cfi);
		return;
	}
	for (; u->rule_array.n < cfi_rules_count(u->rules); u->rule_array.n++)
		((struct unwind_rule *)u->rule_array.v)[u->rule_array.n] =
			*cfi_rules_at(u->rules, (uint32_t)u->rule_array.n);
	memcpy((struct unwind_row *)u->rows.v + u->rows.n, t->cfi.rows,
	       n_rows * sizeof(struct unwind_row));
	cfi_table_index(&t->cfi, (uint32_t)u->rows.n,
			(struct unwind_block *)u->blocks.v + u->blocks.n);
	t->place.block = (uint32_t)u->blocks.n;
	u->rows.n += n_rows;
	u->blocks.n += t->place.n_blocks;
	t->state = TABLE_LIVE;
	cfi_table_deinit(&t->cfi);
}

/* The object's table, compiled at first sight, published if that is possible yet. */
static struct table *table_get(struct unwinder *u, struct object *o)
{
	struct table *t = table_of(u, o->id), *own = t;
	const struct unwind_place none = {0};

	if (!t)
		return NULL;
	if (t->state == TABLE_NEW && !t->same) {
		t->same = find_same(u, o);
		if (!t->same)
			table_compile(u, o, t);
	}
	if (t->same)
		t = t->same;
	if (t->state == TABLE_STAGED && u->published)
		table_publish(u, t);
	if (u->published && !own->listed) {
		own->listed = true; /* also that it has none: nobody need wait for it */
		if (unwind_objects_add(u->objects_fd, o,
				       t->state == TABLE_LIVE ? &t->place : &none))
			u->stats.files_full++;
	}
	return t;
}

static bool is_executable(const struct mapping *m)
{
	return m->prot & MAP_EXEC;
}

int unwinder_prepare(struct unwinder *u, pid_t pid, const struct maps *maps)
{
	struct object *o;

	for (size_t i = 0; i < maps->n; i++) {
		if (!is_executable(&maps->v[i]))
			continue;
		u->prepared_mappings++;
		if (objects_get(u->objects, pid, &maps->v[i], &o))
			continue;
		if (!table_get(u, o))
			return -ENOMEM;
	}
	return 0;
}

int unwinder_prepare_object(struct unwinder *u, struct object *o)
{
	u->prepared_mappings++;
	return table_get(u, o) ? 0 : -ENOMEM;
}

int unwinder_size_maps(struct unwinder *u, struct bpf_object *obj, size_t headroom_rows)
{
	size_t room =
		headroom_rows ? headroom_rows : MAX(u->staged_rows / 4, (size_t)MIN_HEADROOM_ROWS);
	int err = bpf_array_size(obj, "unwind_rows", u->staged_rows + room, &u->rows);

	if (!err)
		err = bpf_array_size(obj, "unwind_blocks",
				     u->staged_blocks + room / ROWS_PER_BLOCK + 1, &u->blocks);
	if (!err)
		err = bpf_array_size(obj, "unwind_rules", UNWIND_MAX_RULES, &u->rule_array);
	if (!err)
		err = bpf_array_size(obj, "unwind_mappings",
				     MAX(u->prepared_mappings * 2, (size_t)MIN_MAPPINGS),
				     &u->mappings);
	if (!err)
		err = bpf_array_size(obj, "unwind_objects",
				     MAX(u->n_tables * 4, (size_t)MIN_OBJECTS),
				     &(struct bpf_array){0});
	return err;
}

int unwinder_publish(struct unwinder *u, struct bpf_object *obj)
{
	struct bpf_map *map = bpf_object__find_map_by_name(obj, "unwind_objects");
	int err = map ? 0 : -ENOENT;

	if (!err)
		err = bpf_array_map(obj, "unwind_rows", sizeof(struct unwind_row), &u->rows);
	if (!err)
		err = bpf_array_map(obj, "unwind_blocks", sizeof(struct unwind_block), &u->blocks);
	if (!err)
		err = bpf_array_map(obj, "unwind_rules", sizeof(struct unwind_rule),
				    &u->rule_array);
	if (!err)
		err = bpf_array_map(obj, "unwind_mappings", sizeof(struct unwind_mapping),
				    &u->mappings);
	if (err)
		return err;
	u->slices.array = u->mappings.v;
	u->slices.max = u->mappings.max;
	u->objects_fd = bpf_map__fd(map);
	u->published = true;
	for (size_t i = 0; i < u->n_tables; i++)
		if (u->tables[i])
			table_get(u, objects_at(u->objects, (uint32_t)i));
	return 0;
}

int unwinder_map(struct unwinder *u, pid_t pid, const struct mapping *m, struct unwind_mapping *ret)
{
	struct object *o;
	struct table *t;
	uint64_t bias;

	if (!is_executable(m) || objects_get(u->objects, pid, m, &o))
		return -ENOENT;
	t = table_get(u, o);
	if (!t)
		return -ENOMEM;
	if (t->state != TABLE_LIVE || object_bias(o, m, &bias))
		return -ENOENT;
	unwind_objects_alias(u->objects_fd, o, &t->place, m);
	*ret = (struct unwind_mapping){
		.start = m->start,
		.end = m->end,
		.base = bias + t->place.first,
		.block = t->place.block,
		.n_blocks = t->place.n_blocks,
	};
	return 0;
}

void unwinder_tables(const struct unwinder *u, struct finisher_tables *ret)
{
	*ret = (struct finisher_tables){
		.blocks = u->blocks.v,
		.rows = u->rows.v,
		.rules = u->rule_array.v,
		.n_blocks = u->blocks.max,
		.n_rows = u->rows.max,
		.n_rules = u->rule_array.max,
	};
}

/* The sorted mappings of a process, those without a table left out, into u->scratch. */
static int collect_mappings(struct unwinder *u, pid_t pid, const struct maps *maps, size_t *ret)
{
	size_t n = 0;

	for (size_t i = 0; i < maps->n; i++) {
		struct unwind_mapping m;
		int err = unwinder_map(u, pid, &maps->v[i], &m);

		if (err == -ENOENT)
			continue;
		if (err)
			return err;
		if (n >= UNWIND_MAX_MAPPINGS) {
			u->stats.mappings_full++;
			break;
		}
		err = array_reserve(&u->scratch, &u->cap_scratch, n + 1, sizeof(*u->scratch));
		if (err)
			return err;
		u->scratch[n++] = m;
	}
	*ret = n;
	return 0;
}

int unwinder_update(struct unwinder *u, pid_t pid, const struct maps *maps,
		    const struct unwind_slice *old, struct unwind_slice *ret)
{
	struct unwind_slice new;
	size_t n;
	int err;

	if (!u->published)
		return -EINVAL;
	err = collect_mappings(u, pid, maps, &n);
	if (err)
		return err;
	if (old && slices_equal(&u->slices, old, u->scratch, n)) {
		*ret = *old;
		return 0;
	}
	/* Tables before the slice that names them: weakly ordered CPUs need the fence. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	err = slices_get(&u->slices, u->scratch, n, &new);
	if (err) {
		u->stats.mappings_full += err == -ENOSPC;
		return err;
	}
	if (old)
		slices_put(&u->slices, old);
	*ret = new;
	return 0;
}

void unwinder_forget(struct unwinder *u, const struct unwind_slice *slice)
{
	slices_put(&u->slices, slice);
}

void unwinder_stats(const struct unwinder *u, struct unwinder_stats *ret)
{
	*ret = u->stats;
	ret->rows = u->rows.n + u->staged_rows;
	ret->rows_max = u->rows.max;
	ret->blocks = u->blocks.n + u->staged_blocks;
	ret->blocks_max = u->blocks.max;
	ret->rules = cfi_rules_count(u->rules);
	ret->mappings = u->slices.used;
	ret->mappings_max = u->mappings.max;
	ret->bytes = u->rows.max * sizeof(struct unwind_row) +
		     u->blocks.max * sizeof(struct unwind_block) +
		     u->rule_array.max * sizeof(struct unwind_rule) +
		     u->mappings.max * sizeof(struct unwind_mapping);
}

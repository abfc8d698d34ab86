/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Rows to records:
 *
 *	[10:13:16] Top 10 of 23 rows by process, 12034 faults:
 *	     PID COMM      MAJOR  MINOR  P50 us  P99 us  MAX us  MAJ ms CAUSE       MAPPING
 *	     431 postgres     12   4031     0.8     2.1  1203.0     9.1 first touch anon
 */
#include <errno.h>
#include <string.h>

#include "faults.h"

#define MAX_FIELDS   32
#define LIVE_ROWS    ((size_t)1000) /* one can scroll */
#define MAX_MAPPINGS 64		    /* named in one row; the rest is summed up */

const char *const fault_mapping_names[FAULT_MAPPINGS] = {
	[FAULT_MAP_UNKNOWN] = "unknown", [FAULT_MAP_HEAP] = "heap",
	[FAULT_MAP_STACK] = "stack",	 [FAULT_MAP_THREAD_STACK] = "thread stack",
	[FAULT_MAP_VDSO] = "vdso",	 [FAULT_MAP_ANON] = "anon",
	[FAULT_MAP_FILE] = "file",	 [FAULT_MAP_SHM] = "shm",
	[FAULT_MAP_HUGETLB] = "hugetlb",
};

const char *const fault_cause_names[FAULT_CAUSES] = {
	[FAULT_UNKNOWN] = "unknown",
	[FAULT_FIRST_TOUCH] = "first touch",
	[FAULT_ZERO_PAGE] = "zero page",
	[FAULT_COW_COPY] = "copy-on-write copy",
	[FAULT_COW_REUSE] = "copy-on-write reuse",
	[FAULT_FILE_READ] = "file read",
	[FAULT_FILE_MAP] = "file map",
	[FAULT_FILE_COW] = "file copy",
	[FAULT_MKWRITE] = "mkwrite",
	[FAULT_SWAP_IN] = "swap-in",
	[FAULT_THP] = "huge page",
	[FAULT_HUGETLB] = "hugetlb",
	[FAULT_USERFAULTFD] = "userfaultfd",
	[FAULT_SHM_NEW] = "shm new",
	[FAULT_SHM_MAP] = "shm map",
};

/* A record under construction; what its fields point at lives as long. */
struct line {
	struct view_field f[MAX_FIELDS];
	size_t n;
	struct view_field latency[3];
	struct view_field causes[FAULT_CAUSES];
	struct view_field mappings[MAX_MAPPINGS + 1];
	size_t n_causes, n_mappings;
	char device[32];
	struct frame *frames;
	size_t n_frames;
};

static struct view_field *add(struct line *l, const char *key, enum view_kind kind)
{
	struct view_field *f = &l->f[MIN(l->n, (size_t)MAX_FIELDS - 1)];

	l->n = MIN(l->n + 1, (size_t)MAX_FIELDS);
	*f = (struct view_field){.key = key, .kind = kind};
	return f;
}

static void add_count(struct line *l, const char *key, uint64_t n, const char *title, int width)
{
	struct view_field *f = add(l, key, VIEW_COUNT);

	f->n = n;
	f->title = title;
	f->width = width;
}

static void add_real(struct line *l, const char *key, double real, const char *title, int width)
{
	struct view_field *f = add(l, key, VIEW_REAL);

	f->real = real;
	f->title = title;
	f->width = width;
}

static void add_word(struct line *l, const char *key, const char *word, const char *title,
		     int width)
{
	struct view_field *f = add(l, key, VIEW_WORD);

	f->word = word;
	f->title = title;
	f->width = width;
}

static void add_hex(struct line *l, const char *key, uint64_t n, const char *title, int width)
{
	struct view_field *f = add(l, key, VIEW_HEX);

	f->n = n;
	f->title = title;
	f->width = width;
}

static void add_map(struct line *l, const char *key, const struct view_field *map, size_t n)
{
	struct view_field *f = add(l, key, VIEW_MAP);

	f->map = map;
	f->n = n;
}

/* ---- what a row consists of ---- */

static void causes_count(struct line *l, const struct faults_cell *c, size_t n)
{
	uint64_t counts[FAULT_CAUSES] = {0};

	for (size_t i = 0; i < n; i++)
		counts[c[i].key.cause % FAULT_CAUSES] += c[i].v.minor + c[i].v.major;
	for (size_t i = 0; i < FAULT_CAUSES; i++)
		if (counts[i])
			l->causes[l->n_causes++] = (struct view_field){
				.key = fault_cause_names[i], .kind = VIEW_COUNT, .n = counts[i]};
}

static const char *mapping_name(const struct faults *f, const struct fault_key *k)
{
	return k->mapping == FAULT_MAP_FILE ? faults_files_name(f->files, k->dev, k->ino)
					    : fault_mapping_names[k->mapping % FAULT_MAPPINGS];
}

static void mappings_count(struct faults *f, struct line *l, const struct faults_cell *c, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const char *name = mapping_name(f, &c[i].key);
		size_t k = 0;

		while (k < l->n_mappings && strcmp(l->mappings[k].key, name) != 0)
			k++;
		if (k == l->n_mappings && k == MAX_MAPPINGS)
			name = "other";
		if (k == l->n_mappings)
			l->mappings[l->n_mappings++] =
				(struct view_field){.key = name, .kind = VIEW_COUNT};
		l->mappings[MIN(k, (size_t)MAX_MAPPINGS)].n += c[i].v.minor + c[i].v.major;
	}
}

static const char *top_of(const struct view_field *map, size_t n)
{
	const struct view_field *top = NULL;

	for (size_t i = 0; i < n; i++)
		if (!top || map[i].n > top->n)
			top = &map[i];
	return top ? top->key : "-";
}

static struct view_field us(const char *key, uint64_t ns)
{
	return (struct view_field){.key = key, .kind = VIEW_REAL, .real = (double)ns / 1e3};
}

static void add_latency(struct line *l, const struct fault_cell *v)
{
	l->latency[0] = us("p50", faults_quantile(v, 0.5));
	l->latency[1] = us("p99", faults_quantile(v, 0.99));
	l->latency[2] = us("max", v->max_ns);
	add_map(l, "latency_us", l->latency, 3);
}

/* Who: pid, uid, comm, thread, and what else the view keeps. */
static void add_identity(struct faults *f, struct line *l, const struct faults_row *r)
{
	struct process *p = faults_process(f, r->key.proc_key);
	const char *comm = p && p->comm[0] ? p->comm : r->sum.comm;

	if (r->key.proc_key) {
		add_count(l, "pid", (uint32_t)r->key.proc_key, "PID", 8);
		add_count(l, "uid", r->sum.uid, NULL, 0);
		add_word(l, "comm", comm, "COMM", 15);
	}
	if (f->by & FAULTS_BY_THREAD)
		add_count(l, "tid", r->key.tid, "TID", 8);
	if (f->by & FAULTS_BY_RANGE) {
		add_hex(l, "address", r->key.range, "ADDRESS", 18);
		add_count(l, "range_bytes", f->o->range_bytes, NULL, 0);
	}
}

static void add_numbers(struct faults *f, struct line *l, const struct faults_row *r, double s)
{
	bool rates = f->interval_ns;
	const struct fault_cell *v = &r->sum;

	add_count(l, "major", v->major, rates ? NULL : "MAJOR", 9);
	add_count(l, "minor", v->minor, rates ? NULL : "MINOR", 10);
	add_real(l, "major_rate", (double)v->major / s, rates ? "MAJ/s" : NULL, 9);
	add_real(l, "minor_rate", (double)v->minor / s, rates ? "MIN/s" : NULL, 10);
	if (f->o->detail == FAULTS_DETAIL_COUNT)
		return;
	add_latency(l, v);
	add_real(l, "p50_us", l->latency[0].real, "P50 us", 8);
	add_real(l, "p99_us", l->latency[1].real, "P99 us", 8);
	add_real(l, "max_us", l->latency[2].real, "MAX us", 9);
	add_real(l, "time_ms", (double)v->time_ns / 1e6, "TIME ms", 9);
	add_real(l, "major_ms", (double)v->major_ns / 1e6, "MAJ ms", 9);
}

static void add_kinds(struct faults *f, struct line *l, const struct faults_row *r,
		      const struct faults_table *t)
{
	if (f->o->detail != FAULTS_DETAIL_FULL)
		return;
	causes_count(l, &t->cells[r->first], r->n);
	mappings_count(f, l, &t->cells[r->first], r->n);
	add_map(l, "cause", l->causes, l->n_causes);
	add_map(l, "mapping", l->mappings, l->n_mappings);
	add_word(l, "top_cause", top_of(l->causes, l->n_causes), "CAUSE", 19);
	add_word(l, "top_mapping", top_of(l->mappings, l->n_mappings), "MAPPING", 0);
	if (f->by & FAULTS_BY_MAPPING) {
		add_word(l, "kind", fault_mapping_names[r->key.mapping % FAULT_MAPPINGS], NULL, 0);
		add_count(l, "inode", r->key.ino, NULL, 0);
		snprintf(l->device, sizeof(l->device), "%u:%u", r->key.dev >> 20,
			 r->key.dev & 0xfffff);
		add_word(l, "device", l->device, NULL, 0);
	}
}

static const char *row_type(unsigned int by)
{
	return by & FAULTS_BY_STACK	? "stack"
	       : by & FAULTS_BY_RANGE	? "range"
	       : by & FAULTS_BY_THREAD	? "thread"
	       : by & FAULTS_BY_PROCESS ? "process"
	       : by & FAULTS_BY_MAPPING ? "mapping"
					: "cause";
}

static int add_stack(struct faults *f, struct line *l, const struct faults_row *r,
		     struct view_record *rec)
{
	const struct stack *st = stacks_find(f->stacks, r->key.stack);
	int err = st ? faults_resolve(f, st, false, &l->frames, &l->n_frames) : 0;

	add_word(l, "kind", "fault", NULL, 0);
	add_count(l, "count", r->sum.major + r->sum.minor, NULL, 0);
	rec->has_stack = true;
	rec->status = st ? (enum stack_status)st->status : STACK_NONE;
	rec->stack_id = r->key.stack;
	rec->frames = l->frames;
	rec->n_frames = l->n_frames;
	return err;
}

const char *faults_sort_title(int sort)
{
	switch (sort) {
	case FAULTS_SORT_MAJOR:
		return "MAJ/s";
	case FAULTS_SORT_MINOR:
		return "MIN/s";
	case FAULTS_SORT_TIME:
		return "TIME ms";
	default:
		return NULL;
	}
}

struct page {
	double seconds;
	const char *headline; /* for the first row */
};

static int print_row(struct faults *f, const struct faults_table *t, size_t i, struct page *page)
{
	const struct faults_row *r = &t->rows[i];
	_cleanup_free_ struct line *l = calloc(1, sizeof(*l));
	struct view_record rec = {
		.type = row_type(f->by),
		.time_ns = f->now_ns,
		.tick = f->ticks,
		.headline = i ? NULL : page->headline,
	};
	int err = 0;

	if (!l)
		return -ENOMEM;
	add_identity(f, l, r);
	add_numbers(f, l, r, page->seconds);
	add_kinds(f, l, r, t);
	if (f->by & FAULTS_BY_STACK)
		err = add_stack(f, l, r, &rec);
	rec.fields = l->f;
	rec.n_fields = l->n;
	if (!err)
		err = view_record(f->view, &rec);
	free(l->frames);
	return err;
}

int faults_print(struct faults *f)
{
	struct faults_table t = {0};
	uint64_t now = clock_mono_ns(), all = 0;
	struct page page = {0};
	char headline[160];
	int err = faults_table_read(f, &t);
	size_t top;

	if (err)
		return err;
	top = MIN(t.n_rows, live_is_open(f->live) ? LIVE_ROWS : (size_t)f->o->common.top);
	for (size_t i = 0; i < t.n_rows; i++)
		all += t.rows[i].sum.minor + t.rows[i].sum.major;
	snprintf(headline, sizeof(headline), "Top %zu of %zu rows by %s, %llu faults", top,
		 t.n_rows, f->o->by, (unsigned long long)all);
	page.headline = headline;
	page.seconds = (double)MAX(now - f->last_tick_ns, 1u) / 1e9;
	f->last_tick_ns = now;
	for (size_t i = 0; i < top && !err; i++)
		err = print_row(f, &t, i, &page);
	if (!err && f->o->hist)
		err = faults_print_hist(f, &t);
	faults_table_free(&t);
	return err;
}

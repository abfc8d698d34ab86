/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cmd_resident.c - `memtally resident`: one look at what the page cache holds. */
#include "cmd_resident.h"

#include <errno.h>
#include <string.h>

#include "cmd.h"
#include "cmd_run.h"
#include "lib/log.h"
#include "trace/features.h"
#include "view/view.h"

#define MAX_LIMITS 4

/* ---- files ---- */

static int fail_path(const char *path, int err)
{
	log_error("cannot look at '%s': %s", path, errno_name(err));
	return err;
}

static bool is_machine(const struct resident_opts *o)
{
	return !o->files.n && !o->common.pids.n;
}

static int find_machine(struct resident_files *all)
{
	int err = resident_iter_usable() ? resident_iter(all) : -EOPNOTSUPP;

	all->by_iterator = !err;
	if (!err || err == -ENOMEM)
		return err;
	if (err != -EOPNOTSUPP)
		log_warn("the kernel's iterators fail (%s); looking through /proc",
			 errno_name(err));
	return resident_add_all(all);
}

static int find_files(const struct resident_opts *o, struct resident_files *all)
{
	char text[32];
	int err;

	for (size_t i = 0; i < o->files.n; i++) {
		err = resident_add_path(all, o->files.v[i]);
		if (err)
			return fail_path(o->files.v[i], err);
	}
	for (size_t i = 0; i < o->common.pids.n; i++) {
		err = resident_add_pid(all, o->common.pids.v[i]);
		snprintf(text, sizeof(text), "process %d", o->common.pids.v[i]);
		if (err)
			return fail_path(text, err);
	}
	err = is_machine(o) ? find_machine(all) : 0;
	return err ? fail_path("/proc", err) : 0;
}

/* Of files that an iterator found: what else there is to know, for the first n. */
static void complete(const struct resident_opts *o, struct resident_files *all, size_t n)
{
	for (size_t i = 0; i < MIN(n, all->n); i++)
		if (resident_complete(&all->v[i], o->map))
			log_debug("no more is known of '%s'", all->v[i].path);
}

static double sort_value(const struct resident_file *f, int sort)
{
	switch (sort) {
	case RESIDENT_SORT_SIZE:
		return (double)f->size;
	case RESIDENT_SORT_PERCENT:
		return f->pages ? (double)f->n.cached / (double)f->pages : 0;
	case RESIDENT_SORT_DIRTY:
		return (double)f->n.dirty;
	default:
		return (double)f->n.cached;
	}
}

static int file_compare(const void *a, const void *b, void *arg)
{
	const struct resident_file *x = a, *y = b;
	double vx = sort_value(x, *(const int *)arg), vy = sort_value(y, *(const int *)arg);

	if (vx < vy || vx > vy)
		return vx > vy ? -1 : 1;
	return strcmp(x->path, y->path);
}

/* ---- output ---- */

/* What the numbers do not tell, by where they come from. */
static size_t limits(const struct resident_opts *o, const struct resident_files *all,
		     const char **ret)
{
	size_t n = 0;

	if (!feature_has(FEATURE_CACHESTAT)) {
		ret[n++] = "dirty, written back and evicted pages (mincore knows none)";
		ret[n++] = "pages that are being read just now (mincore does not count them)";
	}
	if (is_machine(o))
		ret[n++] = "closed files (name their directory)";
	if (is_machine(o) && !all->by_iterator)
		ret[n++] = "descriptors of threads that have their own (seen by iterators only)";
	return n;
}

static const char *method_of(const struct resident_opts *o, const struct resident_files *all)
{
	if (is_machine(o))
		return all->by_iterator ? "task-iterators" : "/proc";
	return feature_has(FEATURE_CACHESTAT) ? "cachestat" : "mincore";
}

static int print_text(const struct resident_opts *o, const struct resident_files *all)
{
	const char *skipped[MAX_LIMITS];
	size_t n = limits(o, all, skipped);

	if (n)
		fprintf(stderr, "resident: by %s; not seen: ", method_of(o, all));
	for (size_t i = 0; i < n; i++)
		fprintf(stderr, "%s%s", skipped[i], i + 1 < n ? ", " : "\n");
	return resident_print_text(o, all, stdout);
}

static int print_json(const struct resident_opts *o, const struct resident_files *all,
		      uint64_t start_ns)
{
	struct loss unreadable = {"files_unreadable", all->unreadable,
				  "files that could not be asked about", "run as root"};
	const char *skipped[MAX_LIMITS];
	size_t n_skipped = limits(o, all, skipped);
	struct view *view;
	int err = view_new(
		&(struct view_config){
			.command = "resident", .out = stdout, .notes = stderr, .json = true},
		&view);

	if (err)
		return err;
	err = cmd_print_start(view, NULL,
			      &(struct view_start){
				      .method = method_of(o, all),
				      .spec = &resident_spec,
				      .cfg = o,
				      .skipped = skipped,
				      .n_skipped = n_skipped,
			      });
	if (!err)
		err = resident_print_json(o, all, stdout);
	if (!err)
		err = view_report(view, &(struct view_report){.time_ns = clock_real_ns(),
							      .losses = &unreadable,
							      .n_losses = 1});
	if (!err)
		err = view_end(view,
			       &(struct view_end){.time_ns = clock_real_ns(),
						  .ticks = 1,
						  .cost.duration_ns = clock_mono_ns() - start_ns});
	view_free(view);
	return err;
}

static int report(const struct resident_opts *o, struct resident_files *all, uint64_t start_ns)
{
	int sort = o->common.sort;
	int err;

	if (sort == RESIDENT_SORT_DIRTY)
		complete(o, all, all->n);
	if (all->n)
		qsort_r(all->v, all->n, sizeof(all->v[0]), file_compare, &sort);
	complete(o, all, (size_t)o->common.top);
	err = o->common.json ? print_json(o, all, start_ns) : print_text(o, all);
	if (err)
		log_error("cannot write: %s", errno_name(err));
	return err;
}

static int run(const void *cfg)
{
	const struct resident_opts *o = cfg;
	struct resident_files all = {
		.map = o->map,
		.only_cached = is_machine(o),
		.page_size = (uint64_t)sysconf(_SC_PAGESIZE),
	};
	uint64_t start_ns = clock_mono_ns();
	bool lost;
	int err = find_files(o, &all);

	if (!err)
		err = report(o, &all, start_ns);
	lost = all.unreadable;
	if (!err && lost)
		log_warn("%llu files or directories not shown, the first '%s': %s; cure: run as "
			 "root",
			 (unsigned long long)all.unreadable, all.first_path ? all.first_path : "",
			 errno_name(all.first_err));
	resident_files_deinit(&all);
	return err ? STATUS_FAILURE : lost ? STATUS_INCOMPLETE : STATUS_FINE;
}

const struct command cmd_resident = {
	.name = "resident",
	.flags = CMD_COMMON,
	.opts = &resident_spec,
	.run = run,
};

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cmd_resident.c - `memtally resident`: one look at what the page cache holds. */
#include "cmd_resident.h"

#include <errno.h>
#include <string.h>
#include <sys/utsname.h>

#include "cmd.h"
#include "lib/log.h"
#include "view/view.h"

#define COMMON(name) offsetof(struct common_opts, name)
#define FIELD(name)  offsetof(struct resident_opts, name)

static const char *const sort_words[] = {"cached", "size", "percent", "dirty", NULL};

static const struct opt resident_rows[] = {
	OPT_ROW("pid", 'p', OPT_PIDS, COMMON(pids), "PID[,PID...]",
		"Files that these processes have open or mapped"),
	OPT_ROW("top", 'T', OPT_U64, COMMON(top), "N",
		"Rows to print; without FILE and -p of all files that any process has open or "
		"mapped",
		.fallback = "20", .min = 1, .max = 1000000),
	OPT_SORT(sort_words, "cached"),
	OPT_ROW("map", 0, OPT_FLAG, FIELD(map), NULL,
		"Draw which parts of each file are cached: # all, o and - some, . none"),
	OPT_ROW("json", 0, OPT_FLAG, COMMON(json), NULL, "Print JSON, one object a line"),
};

static const struct opt_group resident_group = {"Report", resident_rows, ARRAY_SIZE(resident_rows),
						0};
static const struct opt_group *const resident_groups[] = {&resident_group, NULL};

static int resident_check(const void *cfg, char **ret_msg)
{
	const struct resident_opts *o = cfg;

	if (o->files.n && o->common.pids.n)
		return opts_fail(-EINVAL, ret_msg, "either FILE or -p PID, not both");
	return 0;
}

static const struct opts_spec resident_spec = {
	.command = "resident",
	.summary = "How much of which files is in the page cache; changes nothing by looking.",
	.groups = resident_groups,
	.examples = "  memtally resident --map /var/lib/db/file\n"
		    "  memtally resident --top 50 /usr/lib\n"
		    "  memtally resident -p 1234\n"
		    "  memtally resident --top 20          files of all processes\n",
	.config_size = sizeof(struct resident_opts),
	.operands = "[FILE|DIR...]",
	.operands_offset = FIELD(files),
	.check = resident_check,
};

/* ---- files ---- */

static int fail_path(const char *path, int err)
{
	log_error("cannot look at '%s': %s", path, errno_name(err));
	return err;
}

static int find_files(const struct resident_opts *o, struct resident_files *all)
{
	char text[32];
	int err = 0;

	for (size_t i = 0; i < o->files.n && !err; i++) {
		err = resident_add_path(all, o->files.v[i]);
		if (err)
			return fail_path(o->files.v[i], err);
	}
	for (size_t i = 0; i < o->common.pids.n && !err; i++) {
		err = resident_add_pid(all, o->common.pids.v[i]);
		snprintf(text, sizeof(text), "process %d", o->common.pids.v[i]);
		if (err)
			return fail_path(text, err);
	}
	if (!o->files.n && !o->common.pids.n)
		err = resident_add_all(all);
	return err ? fail_path("/proc", err) : 0;
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

static int print_json(const struct resident_opts *o, const struct resident_files *all,
		      uint64_t start_ns)
{
	struct loss unreadable = {"files_unreadable", all->unreadable,
				  "files that could not be asked about", "run as root"};
	struct view *view;
	struct utsname u;
	int err = view_new(
		&(struct view_config){
			.command = "resident", .out = stdout, .notes = stderr, .json = true},
		&view);

	if (err)
		return err;
	err = view_start(
		view, &(struct view_start){
			      .time_ns = clock_real_ns(),
			      .version = MEMTALLY_VERSION,
			      .kernel = uname(&u) ? "" : u.release,
			      .method = all->n && all->v[0].n.only_cached ? "mincore" : "cachestat",
			      .spec = &resident_spec,
			      .cfg = o,
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

	if (all->n)
		qsort_r(all->v, all->n, sizeof(all->v[0]), file_compare, &sort);
	err = o->common.json ? print_json(o, all, start_ns) : resident_print_text(o, all, stdout);
	if (err)
		log_error("cannot write: %s", errno_name(err));
	return err;
}

static int run(const void *cfg)
{
	const struct resident_opts *o = cfg;
	struct resident_files all = {.map = o->map};
	uint64_t start_ns = clock_mono_ns();
	bool lost;
	int err = find_files(o, &all);

	if (!err)
		err = report(o, &all, start_ns);
	lost = all.unreadable;
	if (!err && lost)
		log_warn("%llu files or directories not shown, the first '%s': %s",
			 (unsigned long long)all.unreadable, all.first_path ? all.first_path : "",
			 errno_name(all.first_err));
	resident_files_deinit(&all);
	return err ? STATUS_FAILURE : lost ? STATUS_INCOMPLETE : STATUS_FINE;
}

const struct command cmd_resident = {
	.name = "resident",
	.opts = &resident_spec,
	.run = run,
};

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * faults.h - the parts of `memtally faults` among themselves: cmd_faults.c runs it,
 * faults_attach.c hangs the programs on their events, faults_rows.c makes rows of the
 * table of cells, faults_print.c records of the rows, faults_bad.c and faults_rss.c are the
 * other two reports, faults_files.c names files, faults_check.c compares with the kernel,
 * faults_iter.c looks at tasks or pages before a report.
 */
#ifndef MEMTALLY_FAULTS_H
#define MEMTALLY_FAULTS_H

#include "cmd_faults.h"
#include "cmd_live.h"
#include "cmd_run.h"
#include "faults_abi.h"
#include "lib/snapshot.h"
#include "sym/sym.h"
#include "trace/attach.h"
#include "trace/stacks.h"
#include "trace/tracer.h"
#include "view/rank.h"
#include "view/view.h"

struct faults_bpf;
struct faults_cells;
struct faults_files;
struct faults_bads;
struct faults_check;

/* What processes that have ended leave; see faults_purge.c. */
struct faults_gone {
	struct fault_cell *v; /* to be in the report at the end */
	size_t n, cap, n_reported;
	struct fault_cell rest;	 /* of those that found no room in it */
	uint64_t dropped;	 /* faults in rest */
	uint64_t minor, major;	 /* of all cells that were taken */
	struct fault_proc procs; /* sums */
};

struct faults {
	const struct faults_opts *o;
	unsigned int by;
	struct faults_bpf *bpf;
	struct bpf_object *obj;
	struct tracer *tracer;
	struct stacks *stacks;
	struct symbolizer *sym;
	struct rank *rank; /* --rss */
	struct view *view;
	struct live *live; /* NULL: no live table */
	struct cmd_live live_run;
	struct faults_files *files;
	struct faults_bads *bads;
	struct faults_check *check;
	struct faults_cell *previous; /* of the last tick, sorted by key */
	size_t n_previous;
	struct links links;
	struct bpf_link *iter;	    /* of tasks or of sampled pages; or NULL */
	uint64_t untaken;	    /* tasks that the last look at them had no memory for */
	struct faults_cells *cells; /* NULL with --rss */
	int procs_fd, sites_fd, stats_fd, fault_stats_fd;
	int run_time_fd;      /* holds the kernel's run time statistics on; -1 */
	bool every;	      /* the whole machine */
	uint64_t interval_ns; /* 0: one report at the end */
	uint64_t map_bytes, ticks, last_tick_ns, end_ns;
	uint64_t now_ns; /* wall clock of this tick */
	bool incomplete;
	struct faults_gone gone;
	bool purge_wanted;
	uint64_t purged_ns;
};

/* ---- load and attach ---- */

/* 0, or -errno after telling the user. */
int faults_load(struct faults *f);
/* Which programs load, as the options say. Before load. */
void faults_select(struct faults *f);
/* After load, before targets are bound: what follows processes. 0, or -errno after telling. */
int faults_attach_follows(struct faults *f);
/* After that: all else. 0, or -errno after telling. */
int faults_attach(struct faults *f);
void faults_detach(struct faults *f);

/* ---- iterators ---- */

/*
 * Whether the kernel's own counters tell all that is asked for: then no faults are watched.
 * After configuration of the pid namespace.
 */
bool faults_counters_usable(const struct faults *f);
/* Where there is one. Counters: what was before is not ours. After all else. 0 or -errno. */
int faults_iter_begin(struct faults *f);
/* Brings cells, or the sample, up to date; does nothing without iterator. 0 or -errno. */
int faults_iter_read(struct faults *f);

/* ---- the table of cells ---- */

struct faults_cells_maps {
	int cells_fd, index_fd, free_fd;
	const uint64_t *given; /* fault_cells_given */
};

/* n: places, of which one is the catch-all cell. 0 or -errno. The maps stay the caller's. */
int faults_cells_new(const struct faults_cells_maps *maps, uint32_t n, struct faults_cells **ret);
void faults_cells_free(struct faults_cells *c);
/* Calls fn with every cell in use, which may change meanwhile, until it returns not 0: that. */
int faults_cells_each(const struct faults_cells *c,
		      int (*fn)(const struct fault_cell *cell, void *arg), void *arg);

/* Takes a cell out: 0, -ENOENT or another -errno. Of an ended process only. */
int faults_cells_take(struct faults_cells *c, uint64_t id, struct fault_cell *ret);

/* ---- processes that have ended ---- */

/* Makes room, once a second at most. 0 or -errno. May free processes. */
int faults_purge(struct faults *f);
/* Whether the last report had all of a cell. */
bool faults_reported(const struct faults *f, const struct fault_cell *c);
/* A cell that goes: *c becomes what no report had of it, and its key begins anew. */
void faults_cell_forget(struct faults *f, struct fault_cell *c);
/* A cell that was kept goes: its key has so much less. */
void faults_cell_dropped(struct faults *f, const struct fault_cell *c);
void faults_proc_sum(struct fault_proc *to, const struct fault_proc *add);

/* ---- names of files ---- */

struct faults_files *faults_files_new(void);
void faults_files_free(struct faults_files *t);
/* An EVENT_FAULT_FILE; p may be NULL (gone). 0 or -ENOMEM. */
int faults_files_add(struct faults_files *t, const struct process *p,
		     const struct fault_file_event *e);
/* Never NULL; owned by t. */
const char *faults_files_name(const struct faults_files *t, uint32_t dev, uint64_t ino);
/* Names the file of a mapping of p (may be NULL) while p still is there. 0 or -ENOMEM. */
int faults_files_learn(struct faults_files *t, const struct process *p, const struct fault_vma *v);

/* ---- rows ---- */

struct faults_cell {
	struct fault_key key;
	struct fault_cell v;
};

struct faults_row {
	struct fault_key key;  /* what the view keeps; proc_key: the last image of the process */
	struct fault_cell sum; /* slots: of this row */
	size_t first, n;       /* its cells in struct faults_table */
};

struct faults_table {
	struct faults_cell *cells; /* what happened since the last tick */
	size_t n_cells;
	struct faults_row *rows; /* largest first */
	size_t n_rows;
};

/*
 * Reads the event ring after a table was read: the stacks of what was new in it are there
 * then. Nothing is purged in between. 0 or -errno.
 */
int faults_read_stacks(struct faults *f);
/* 0 or -errno. *ret is to be freed by faults_table_free(). */
int faults_table_read(struct faults *f, struct faults_table *ret);
void faults_table_free(struct faults_table *t);
/* Sums cells into *to. */
void faults_cell_sum(struct fault_cell *to, const struct fault_cell *add);
/* Latency below which a share q of the timed faults was, in ns. */
uint64_t faults_quantile(const struct fault_cell *c, double q);
/* The newest image of the process that an image belongs to (exec makes a new one). */
uint64_t faults_owner(struct faults *f, uint64_t proc_key);

/* ---- reports ---- */

/* Title of the column that --sort names; NULL: the order is of no column. Static. */
const char *faults_sort_title(int sort);
int faults_print(struct faults *f);
int faults_print_hist(struct faults *f, const struct faults_table *t);
int faults_print_bad(struct faults *f);
int faults_print_rss(struct faults *f);
/* Frames of a stack: 0 or -ENOMEM; *ret is the caller's. */
int faults_resolve(struct faults *f, const struct stack *st, bool is_call, struct frame **ret,
		   size_t *ret_n);
struct process *faults_process(struct faults *f, uint64_t proc_key);

struct faults_bads *faults_bads_new(void);
void faults_bads_free(struct faults_bads *b);
/* Rows that found no room. */
uint64_t faults_bads_dropped(const struct faults_bads *b);
/* Keeps the processes that the report names. */
void faults_bads_hold(struct faults *f);
/* An EVENT_FAULT_BAD: 0 or -ENOMEM. */
int faults_bads_add(struct faults *f, const struct fault_bad_event *e);

extern const char *const fault_mapping_names[FAULT_MAPPINGS];
extern const char *const fault_cause_names[FAULT_CAUSES];

/* ---- check and losses ---- */

struct faults_check *faults_check_new(void);
void faults_check_free(struct faults_check *c);
/* Notes the kernel's counters of every process: before and after the events are attached. */
int faults_check_begin(struct faults *f, bool attached);
/* Compares and prints. */
int faults_check_print(struct faults *f);

/* Every loss counter; *ret is the caller's in any case. Sets f->incomplete. 0 or -errno. */
int faults_losses_read(struct faults *f, struct losses *ret);
/* Fills in the faults so far and the time our programs ran. */
void faults_activity(struct faults *f, struct view_cost *ret);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * view.h - rows to text, JSON or folded stacks. One writer per run; every function
 * writes and flushes, and returns 0 or the negative errno of the first failed write
 * (-EPIPE when the reader went away, -ENOSPC ...), which is sticky; notes that cannot be
 * written are no error, and -t prints nothing with folded "-". The process must
 * ignore SIGPIPE (main does), so that a closed pipe never skips the detach.
 */
#ifndef MEMTALLY_VIEW_H
#define MEMTALLY_VIEW_H

#include "lib/opts.h"
#include "lib/snapshot.h"

struct live;

struct view_config {
	const char *command; /* "leak" */
	FILE *out;	     /* data; borrowed */
	FILE *notes; /* start line in text mode, end line and losses with folded "-"; borrowed */
	bool json;
	const char
		*folded;   /* file rewritten by each report; "-": to out instead of text; or NULL */
	bool show_blocks;  /* -a */
	bool show_process; /* more than one process may appear */
	bool totals;	   /* rows are sums of a process: no stacks (--by process) */
	const char *noun;  /* what the rows are: "stacks", "processes"; NULL: "stacks" */
	const char *held;  /* what they have; NULL: "outstanding allocations" */
	const char *unit;  /* what is counted in them; NULL: "allocations" */
	const char *events; /* what the end line counts; NULL: "calls" */
	const char *from;   /* what a row is of, "from stack"; NULL: that */
	struct live *live;  /* while it is open, records and losses go there; borrowed, or NULL */
};

struct view_target {
	int pid;
	const char *comm, *exe; /* any bytes; exe may be NULL */
};

struct view_start {
	uint64_t time_ns; /* wall clock, as all time_ns here */
	const char *version, *kernel, *method;
	const struct opts_spec *spec; /* with cfg: the `options` object; or NULL */
	const void *cfg;
	const struct view_target *targets;
	size_t n_targets;
	const char *const *found; /* "glibc /usr/lib/x86_64-linux-gnu/libc.so.6 (11 functions)" */
	size_t n_found;
	const char *const *skipped;
	size_t n_skipped;
	uint64_t map_bytes; /* memory of the kernel tables */
};

struct view_report {
	uint64_t time_ns;
	uint64_t tick;		/* 0-based */
	const struct row *rows; /* ranked */
	size_t n_rows;		/* all; folded takes them all */
	size_t n_top;		/* text and JSON print the first n_top; their frames are resolved */
	uint64_t top;		/* -T as given, for the headline */
	const struct loss *losses; /* every counter, zeros too */
	size_t n_losses;
};

struct view_call { /* -t: one traced call */
	uint64_t time_ns, tick;
	int pid, tid;
	const char *comm, *function;
	bool is_free;
	uint64_t address, bytes; /* bytes: 0 if not known for a free */
	enum stack_status status;
	const struct frame *frames;
	size_t n_frames;
};

enum view_kind {
	VIEW_NULL,
	VIEW_COUNT,  /* n */
	VIEW_SIGNED, /* n, taken as int64_t */
	VIEW_BYTES,  /* n; "4.0K" in text */
	VIEW_REAL,   /* real, one digit after the point in text */
	VIEW_RATIO,  /* real, 0 to 1; in percent in text; below 0: null */
	VIEW_WORD,   /* word: any bytes, NULL: null */
	VIEW_HEX,    /* n */
	VIEW_BOOL,   /* n */
	VIEW_MAP,    /* map: an object of n fields; JSON only */
};

/* One value of a record: a key of the JSON object, and a column of text if it has a title. */
struct view_field {
	const char *key;
	enum view_kind kind;
	uint64_t n;
	double real;
	const char *word;
	const struct view_field *map;
	const char *title; /* NULL: JSON only */
	int width;	   /* of the column; numbers to the right, words to the left */
};

/* A row of a command's own making: one JSON object, one line of a table. */
struct view_record {
	const char *type; /* of the JSON object */
	uint64_t time_ns, tick;
	const struct view_field *fields;
	size_t n_fields;
	const char *headline; /* text: first of a table, titles follow; or NULL */
	bool has_stack;
	enum stack_status status;
	uint64_t stack_id;
	const struct frame *frames;
	size_t n_frames;
};

/* What tracing took from the CPUs. */
struct view_cost {
	uint64_t duration_ns, events;
	bool timed;		/* the two that follow are known */
	double run_ns, trap_ns; /* in BPF programs; in the traps of the probes */
	uint64_t sample_bytes;	/* mean distance of samples now; 0: everything is recorded */
	double bound;		/* --max-overhead, share of one CPU; 0: none */
	bool over;		/* the bound is not kept ... */
	bool floor_over;	/* ... and cannot be: the probes alone take more */
};

struct view_end {
	uint64_t time_ns, ticks;
	struct view_cost cost; /* of the whole run */
	bool has_program;
	int wait_status; /* of the program, as waitpid() gave it */
};

struct view;

/* Copies *c; opens the folded file (O_CLOEXEC). 0, -ENOMEM or what open() said. */
int view_new(const struct view_config *c, struct view **ret);
/* Closes what view_new opened; accepts NULL. */
void view_free(struct view *v);

int view_start(struct view *v, const struct view_start *s);
int view_report(struct view *v, const struct view_report *r);
/* A record; nothing with folded "-". */
int view_record(struct view *v, const struct view_record *r);
/* What tracing has cost since the last report. */
int view_cost(struct view *v, uint64_t time_ns, uint64_t tick, const struct view_cost *cost);
/* The losses of a report that was made of records; its rows (if any) are for folded only. */
int view_losses(struct view *v, const struct view_report *r);
int view_call(struct view *v, const struct view_call *c);
int view_end(struct view *v, const struct view_end *e);

#endif

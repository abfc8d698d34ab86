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
	const char *from;  /* what a row is of, "from stack"; NULL: that */
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

struct view_end {
	uint64_t time_ns, ticks, duration_ns, events;
	double tracing_cpu_ratio; /* CPU seconds in probes per second; < 0: not known */
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
int view_call(struct view *v, const struct view_call *c);
int view_end(struct view *v, const struct view_end *e);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cmd_run.h - what every command that traces does alike: from its options to the tracer and
 * to the BPF side, the first and the last record, and the losses of a report.
 */
#ifndef MEMTALLY_CMD_RUN_H
#define MEMTALLY_CMD_RUN_H

#include "abi.h"
#include "lib/opts_common.h"
#include "lib/snapshot.h"
#include "trace/tracer.h"
#include "view/view.h"

/* Neither processes nor a cgroup nor a program is named: the machine. */
bool cmd_wants_machine(const struct common_opts *c);
/* Do we see pids other than the kernel's own? */
bool cmd_in_pid_namespace(void);

/* Targets and times as the options have them; the options must live as long. */
struct tracer_config cmd_tracer_config(const struct common_opts *c);
/* Whose events count; `every`: of any process. */
void cmd_configure(const struct common_opts *c, bool every, struct cfg *ret);

/* How user stacks are walked. */
void cmd_configure_unwind(const struct common_opts *c, struct unwind_cfg *ret);

/*
 * With -v: has the kernel measure the run time of programs until the fd is closed. -1: not
 * asked for, or the kernel cannot (v5.8, CAP_SYS_ADMIN), or should not: its clock switches
 * preemption on (sched_clock(), arch/x86/kernel/tsc.c), which bpf/hold.bpf.h puts off until a
 * program is done.
 */
int cmd_enable_stats(const struct common_opts *c);

/*
 * Prints the first record: *s with the time, the version, the kernel and the processes of the
 * tracer. What s->targets has already stays; t: NULL for none. 0, -ENOMEM, or as view_start().
 */
int cmd_print_start(struct view *v, struct tracer *t, const struct view_start *s);
/* The last: ends the program if there is one. As view_end(). */
int cmd_print_end(struct view *v, struct tracer *t, uint64_t ticks, const struct view_cost *cost);

/*
 * Says what stopped the run: the program that could not be started, else err alone (-errno), as
 * when the output cannot be written.
 */
void cmd_say_stopped(const struct common_opts *c, const struct tracer *t, int err);
/* tracer_scan(), and says why it fails. */
int cmd_scan(const struct common_opts *c, struct tracer *t);

/* The counters of one report. Once memory is out, err says so and nothing more is added. */
struct losses {
	struct loss *v;
	size_t n, cap;
	int err;
};

/* A counter of the BPF side, and what it means. */
struct stat_loss {
	uint32_t stat;
	struct loss loss;
};

void losses_deinit(struct losses *l);
void losses_add(struct losses *l, struct loss loss);
/* One for each row, with the counters as they were read. */
void losses_add_stats(struct losses *l, const struct stat_loss *rows, size_t n_rows,
		      const uint64_t *stats);
/* What the tracer itself lost: process events, room in the unwind tables. */
void losses_add_tracer(struct losses *l, struct tracer *t);
bool losses_any(const struct losses *l);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * meter.h - what tracing costs the traced programs: calls, the time that our BPF programs
 * ran for them, and what the probes take around the programs.
 *
 * The kernel's run time statistics themselves cost two clock reads per program run, a
 * sixth of the whole price of a malloc under trace. So they are on for a part of the time
 * only: at first, then METER_ON_NS of every period, longer while there are too few
 * calls to tell. The calls of the rest of the period are counted exactly, and taken to
 * cost what the measured ones cost.
 *
 * These statistics do not see the trap, the emulated or single-stepped instruction and
 * the trampoline of a uretprobe: several times what a short program takes. Those are the
 * program's runs by what such a hit was measured to cost on this machine (calibrate.h).
 */
#ifndef MEMTALLY_METER_H
#define MEMTALLY_METER_H

#include "trace/probes.h"
#include "trace/tracer.h"

#define METER_PERIOD_NS 1000000000ULL
#define METER_FAST_NS	250000000ULL /* period where somebody acts upon it */
#define METER_ON_NS	20000000ULL
#define METER_MIN_CALLS 1000

struct meter_config {
	const struct bpf_object *obj; /* loaded */
	int stats;		      /* fd of its counters */
	struct probes_programs programs;
	uint64_t period_ns;
};

/* From the beginning. Times are estimates; what is not known (!timed) is 0. */
struct meter_sum {
	uint64_t calls;	   /* exact */
	uint64_t recorded; /* of these allocations; exact */
	double run_ns, trap_ns;
	bool timed;
};

struct meter;

/* Measures from now on. NULL: no memory. Kernels before v5.8 give no time. */
struct meter *meter_new(const struct meter_config *c);
void meter_free(struct meter *m);
/* What one hit costs; may change as objects are found. */
void meter_set_costs(struct meter *m, const struct probe_costs *costs);

/*
 * Has the tracer switch the statistics off and on while it runs; fn (or NULL) is called
 * whenever a period was measured, and may end the run by a negative errno. 0 or -errno.
 */
int meter_schedule(struct meter *m, struct tracer *t, int (*fn)(void *arg), void *arg);

void meter_read(struct meter *m, struct meter_sum *ret);

#endif

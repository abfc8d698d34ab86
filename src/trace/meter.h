/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * meter.h - what tracing costs the traced programs: calls, and the time that our BPF
 * programs ran for them.
 *
 * The kernel's run time statistics themselves cost two clock reads per program run, a
 * sixth of the whole price of a malloc under trace. So they are on for a part of the time
 * only: at first, then METER_ON_NS of every METER_PERIOD_NS, longer while there are too few
 * calls to tell. The time of all calls follows from that of the measured ones.
 */
#ifndef MEMTALLY_METER_H
#define MEMTALLY_METER_H

#include "trace/tracer.h"

#define METER_PERIOD_NS 1000000000ULL
#define METER_ON_NS	20000000ULL
#define METER_MIN_CALLS 1000

struct meter;

/*
 * Measures from now on. obj: loaded; stats: fd of its counters, with STAT_CALLS. NULL:
 * no memory. A kernel without such statistics (before v5.8) gives no time.
 */
struct meter *meter_new(const struct bpf_object *obj, int stats);
void meter_free(struct meter *m);

/* Has the tracer switch the statistics off and on while it runs. 0 or -errno. */
int meter_schedule(struct meter *m, struct tracer *t);

/*
 * Calls so far, and the time that all of them took in our programs (an estimate; negative
 * where it is not known).
 */
void meter_read(struct meter *m, uint64_t *ret_calls, double *ret_run_ns);

#endif

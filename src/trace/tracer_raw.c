/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Stacks that BPF left to be finished here, for want of a table. */
#include <bpf/libbpf.h>
#include <errno.h>

#include "trace/finisher.h"
#include "trace/tracer_parts.h"

struct lookup {
	struct tracer *t;
	struct process *p;
};

static bool find_table(void *arg, uint64_t pc, struct unwind_mapping *ret)
{
	const struct lookup *l = arg;
	const struct mapping *m = maps_find(&l->p->maps, pc);

	return m && !unwinder_map(l->t->unwinder, l->p->pid, m, ret);
}

static int finish(struct tracer *t, const struct raw_event *raw, size_t len)
{
	struct process *p = NULL;
	struct lookup lookup = {.t = t};
	struct finisher f = {
		.max_frames = t->maps.max_frames,
		.find = find_table,
		.arg = &lookup,
	};
	struct stack_event stack;
	int err = watch_image(t, &raw->ev, &p);

	if (err || !p)
		return err; /* gone before anyone could look: its stack stays without names */
	lookup.p = p;
	/* Tables are made where they are looked up, but all of it lies in fixed arrays. */
	unwinder_tables(t->unwinder, &f.tables);
	finisher_run(&f, raw, len, &stack);
	return t->ops.stack(t->arg, &stack, raw->site);
}

static int on_raw(void *arg, void *data, size_t len)
{
	struct tracer *t = arg;
	int err = len < RAW_EVENT_HEADER ? 0 : finish(t, data, len);

	if (err && !t->err)
		t->err = err;
	return 0;
}

int raws_open(struct tracer *t)
{
	if (!t->maps.raws)
		return 0;
	t->raws = ring_buffer__new(t->maps.raws, on_raw, t, NULL);
	return t->raws ? 0 : -errno;
}

int tracer_drain_raws(struct tracer *t)
{
	int err = t->raws ? ring_buffer__consume(t->raws) : 0;

	return t->err ? t->err : err < 0 ? err : 0;
}

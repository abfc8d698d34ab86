/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The rings; stacks that BPF left to be finished here, for want of a table. */
#include <bpf/bpf.h>
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

static int on_raw(void *arg, const void *data, size_t len)
{
	const struct raw_event *raw = data;
	bool whole = len >= RAW_EVENT_HEADER && raw->room <= ABI_MAX_FRAMES &&
		     len >= RAW_EVENT_SIZE(raw->room, 0);

	return whole ? finish(arg, raw, len) : 0;
}

static int ring_open(int fd, struct ringbuf *ret)
{
	struct bpf_map_info info = {0};
	uint32_t len = sizeof(info);

	if (bpf_obj_get_info_by_fd(fd, &info, &len))
		return -errno;
	return ringbuf_open(fd, info.max_entries, ret);
}

_Static_assert(sizeof(struct raw_event) <= RINGBUF_RECORD_MAX, "raw_event");

int rings_open(struct tracer *t)
{
	int err = ring_open(t->maps.events, &t->ring);

	return err || !t->maps.raws ? err : ring_open(t->maps.raws, &t->raws);
}

int tracer_drain_raws(struct tracer *t)
{
	return t->raws.consumer ? ringbuf_consume(&t->raws, on_raw, t) : 0;
}

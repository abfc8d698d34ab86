/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <linux/mman.h>

#include "leak.h"

/* Wall-clock time of a monotonic stamp. */
static uint64_t wall_ns(uint64_t mono_ns)
{
	return clock_real_ns() - (clock_mono_ns() - mono_ns);
}

static int frames_of(struct leak *l, const struct process *p, const struct stack_event *ev,
		     bool leaf_is_return, struct view_call *call)
{
	struct frame *frames = NULL;
	int err = symbolizer_stack(l->sym,
				   &(struct sym_stack){
					   .pid = p->pid,
					   .maps = &p->maps,
					   .addresses = (const uint64_t *)ev->pcs,
					   .n = MIN(ev->n, ABI_MAX_FRAMES),
					   .leaf_is_return = leaf_is_return,
				   },
				   &frames, &call->n_frames);

	call->frames = frames;
	return err;
}

/* --trace: one line per call, while it happens. */
static int on_call(struct leak *l, const struct stack_event *ev)
{
	struct process *p = processes_find_key(tracer_processes(l->tracer), ev->ev.proc_key);
	bool is_free = ev->op == ALLOC_OP_FREE;
	struct view_call call = {
		.time_ns = wall_ns(ev->ev.time_ns),
		.tick = l->ticks,
		.pid = (int)(uint32_t)ev->ev.proc_key,
		.tid = (int)ev->ev.tid,
		.comm = p ? p->comm : "",
		.function = allocators_name(l->allocators, ev->function),
		.is_free = is_free,
		.address = ev->address,
		.bytes = ev->size,
		.status = (enum stack_status)ev->status,
	};
	int err = p ? frames_of(l, p, ev, !is_free, &call) : 0;

	if (!err && !l->view_err)
		l->view_err = view_call(l->view, &call);
	free((void *)call.frames);
	return err ? err : l->view_err;
}

static bool counted(const struct leak *l, const struct range_event *r)
{
	return (r->flags & MAP_ANONYMOUS) && r->length >= l->o->min_size &&
	       (!l->o->max_size || r->length <= l->o->max_size);
}

static int on_range(struct leak *l, const struct range_event *r)
{
	struct process *p = processes_find_key(tracer_processes(l->tracer), r->ev.proc_key);

	if (!p || process_seed_ranges(p))
		return p ? -ENOMEM : 0;
	switch (r->ev.type) {
	case EVENT_MMAP:
		return ranges_map(p->ranges, r->start, r->length,
				  counted(l, r) ? r->site : RANGE_UNCOUNTED, r->ev.time_ns);
	case EVENT_MUNMAP:
	case EVENT_MREMAP:
		return ranges_unmap(p->ranges, r->ev.tid, r->start, r->length);
	case EVENT_UNDO:
		return ranges_undo(p->ranges, r->ev.tid);
	default:
		return ranges_remap(p->ranges, r->ev.tid, r->start, r->length, r->site,
				    r->ev.time_ns);
	}
}

int leak_on_event(void *arg, const struct event *ev, size_t len)
{
	struct leak *l = arg;

	switch (ev->type) {
	case EVENT_STACK:
	case EVENT_CALL:
		if (len < STACK_EVENT_HEADER)
			return 0;
		return ev->type == EVENT_STACK
			       ? stacks_add(l->stacks, (const struct stack_event *)ev)
			       : on_call(l, (const struct stack_event *)ev);
	default:
		return len < sizeof(struct range_event)
			       ? 0
			       : on_range(l, (const struct range_event *)ev);
	}
}

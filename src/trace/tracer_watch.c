/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Two sources tell about processes, and they race. The BPF side knows at once which image
 * a hit belongs to (its key) and says so in the event ring; the kernel's perf records tell
 * of forks, execs and mappings. Perf writes its record of a fork or exec before our
 * tracepoint program runs, so reading the perf rings whenever the event ring names a new
 * image puts them in order.
 */
#include <bpf/bpf.h>
#include <errno.h>

#include "trace/tracer_parts.h"

int tell_object(struct tracer *t, struct process *p, struct object *o)
{
	return t->ops.object ? t->ops.object(t->arg, p, o) : 0;
}

int tell_process(struct tracer *t, struct process *p)
{
	return t->ops.process ? t->ops.process(t->arg, p) : 0;
}

int watch_announce(struct tracer *t, struct process *p, const struct mapping *m)
{
	struct object *o;

	if (!(m->prot & MAP_EXEC) || objects_get(t->objects, p->pid, m, &o))
		return 0;
	return tell_object(t, p, o);
}

int watch_publish(struct tracer *t, struct process *p)
{
	struct unwind_slice slice = {0};
	uint32_t pid = (uint32_t)p->pid;
	int err;

	/* Without a key it is not known whether this still is the running image. */
	if (!t->bound || !p->maps_changed || p->ended || !p->key || t->cfg.no_stacks)
		return 0;
	p->maps_changed = false;
	err = unwinder_update(t->unwinder, p->pid, &p->maps, &p->slice, &slice);
	if (err)
		return err == -ENOMEM ? err : 0; /* full tables are counted by the unwinder */
	p->slice = slice;
	return bpf_map_update_elem(t->maps.slices, &pid, &slice, BPF_ANY) ? -errno : 0;
}

static int watch_publish_all(struct tracer *t)
{
	int err = 0;

	for (size_t i = 0; i < processes_count(t->processes) && !err; i++)
		err = watch_publish(t, processes_at(t->processes, i));
	return err;
}

/* ---- process events of the kernel ---- */

static int on_fork(struct tracer *t, const struct proc_event *e)
{
	struct process *parent = processes_find_pid(t->processes, e->ppid), *child;
	int err;

	if (!parent || e->pid == e->ppid || !t->cfg.follow)
		return 0;
	err = processes_fork(t->processes, parent, e->pid, &child);
	if (!err)
		child->born_ns = e->time_ns;
	return err;
}

static int on_exec(struct tracer *t, const struct proc_event *e)
{
	struct process *p = processes_find_pid(t->processes, e->pid), *new;
	int err;

	if (!p)
		return 0;
	err = processes_exec(t->processes, e->pid, e->comm, &new);
	if (err)
		return err;
	new->born_ns = e->time_ns;
	unwinder_forget(t->unwinder, &p->slice);
	p->slice = (struct unwind_slice){0};
	return 0;
}

/* Tables for what has come, unless there are no stacks or those of the start come first. */
static int prepare_new(struct tracer *t, const struct process *p, const struct maps *maps)
{
	return t->bound && !t->cfg.no_stacks ? unwinder_prepare(t->unwinder, p->pid, maps) : 0;
}

static int on_mmap(struct tracer *t, const struct proc_event *e)
{
	struct process *p = processes_find_pid(t->processes, e->pid);
	struct mapping mapping = e->mapping;
	int err;

	if (!p)
		return 0;
	err = maps_insert(&p->maps, &e->mapping);
	p->maps_changed = true;
	/* Its table first: the process runs on, and the walk finds the file by its inode. */
	if (!err)
		err = prepare_new(t, p, &(struct maps){.v = &mapping, .n = 1});
	return err ? err : watch_announce(t, p, &e->mapping);
}

static int on_proc_event(const struct proc_event *e, void *arg)
{
	struct tracer *t = arg;

	switch (e->type) {
	case PROC_EVENT_FORK:
		return on_fork(t, e);
	case PROC_EVENT_EXEC:
		return on_exec(t, e);
	case PROC_EVENT_MMAP:
		return on_mmap(t, e);
	default:
		return 0;
	}
}

static int read_again(struct tracer *t, struct process *p)
{
	int err = process_read_again(p);

	if (!err)
		err = prepare_new(t, p, &p->maps);
	for (size_t i = 0; i < p->maps.n && !err; i++)
		err = watch_announce(t, p, &p->maps.v[i]);
	return err;
}

/* Reads the targets' mappings again. *ret_gone: of some there are none any more. */
static int read_all_again(struct tracer *t, bool *ret_gone)
{
	int err = 0;

	*ret_gone = false;
	for (size_t i = 0; i < processes_count(t->processes) && !err; i++) {
		struct process *p = processes_at(t->processes, i);

		err = p->ended ? 0 : read_again(t, p);
		*ret_gone |= err == -ESRCH;
		if (err == -ESRCH)
			err = 0;
	}
	return err;
}

/* Forks and execs of targets are told by the BPF side too; mappings are to be seen. */
static int repair_losses(struct tracer *t)
{
	uint64_t gaps = procwatch_gaps(t->watch), lost = procwatch_lost(t->watch);
	bool gone;
	int err;

	if (gaps == t->gaps)
		return 0;
	err = read_all_again(t, &gone);
	if (gone)
		t->lost += MAX(lost - t->lost_told, 1ULL);
	t->lost_told = lost;
	t->gaps = gaps;
	return err;
}

int watch_drain(struct tracer *t)
{
	int err = t->watch ? procwatch_drain(t->watch, on_proc_event, t) : 0;

	if (!err && t->watch)
		err = repair_losses(t);
	return err ? err : watch_publish_all(t);
}

/* ---- the event ring ---- */

/* The BPF side took up a process, by fork, by exec, or because everything is wanted. */
static int on_new_image(struct tracer *t, const struct event *ev)
{
	pid_t pid = (pid_t)(uint32_t)ev->proc_key;
	struct process *p;
	bool known;
	int err = watch_drain(t);

	if (err || processes_find_key(t->processes, ev->proc_key))
		return err;
	/* Its fork or exec was seen: its mappings are announced. It may be replaced by now. */
	p = processes_find_unnamed(t->processes, pid, ev->time_ns);
	known = p != NULL;
	if (!p)
		p = processes_find_pid(t->processes, pid);
	if (p && p->key == ev->proc_key)
		return 0;
	if (!known)
		err = processes_add(t->processes, pid, &p);
	if (err == -ESRCH)
		return 0; /* gone already: its stacks stay without names */
	if (err)
		return err;
	p->key = ev->proc_key;
	for (size_t i = 0; i < p->maps.n && !known && !err; i++)
		err = watch_announce(t, p, &p->maps.v[i]);
	if (!err)
		err = watch_publish(t, p);
	if (!err)
		err = end_watch(t, pid);
	if (err == -ESRCH)
		err = 0;
	return err ? err : tell_process(t, p);
}

int watch_image(struct tracer *t, const struct event *ev, struct process **ret)
{
	bool known = processes_find_key(t->processes, ev->proc_key) != NULL;
	int err = known ? watch_drain(t) : on_new_image(t, ev);

	*ret = processes_find_key(t->processes, ev->proc_key);
	return err;
}

int watch_on_record(void *arg, const void *data, size_t len)
{
	const struct event *ev = data;
	struct tracer *t = arg;

	if (len < sizeof(*ev))
		return 0;
	if (ev->type == EVENT_PROC)
		return on_new_image(t, ev);
	return t->ops.event ? t->ops.event(t->arg, ev, len) : 0;
}

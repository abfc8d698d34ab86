/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "lib/opts.h"
#include "trace/predict.h"
#include "trace/tracer_parts.h"

int tracer_new(const struct tracer_config *c, const struct tracer_ops *ops, void *arg,
	       struct tracer **ret, char **ret_msg)
{
	struct tracer *t = calloc(1, sizeof(*t));
	int err;

	if (!t)
		return -ENOMEM;
	t->cfg = *c;
	t->ops = *ops;
	t->arg = arg;
	t->spawn.go_fd = t->spawn.fail_fd = -1;
	t->loop = loop_new();
	t->objects = objects_new();
	t->processes = processes_new();
	t->unwinder = t->objects ? unwinder_new(t->objects) : NULL;
	err = t->loop && t->processes && t->unwinder ? 0 : -ENOMEM;
	if (!err && !t->cfg.kernel) {
		err = procwatch_new(&t->watch);
		if (err)
			opts_fail(err, ret_msg, "cannot watch processes (perf_event_open): %s",
				  errno_name(err));
	}
	if (!err && !t->cfg.kernel)
		err = targets_add(t, ret_msg);
	/* There is no program that would inherit what is blocked. */
	if (!err && t->cfg.kernel)
		err = loop_add_signals(t->loop, end_on_signal, t);
	if (err) {
		tracer_free(t);
		return err;
	}
	*ret = t;
	return 0;
}

void tracer_free(struct tracer *t)
{
	if (!t)
		return;
	spawn_deinit(&t->spawn);
	ringbuf_close(&t->ring);
	ringbuf_close(&t->raws);
	procwatch_free(t->watch);
	unwinder_free(t->unwinder);
	processes_free(t->processes);
	objects_free(t->objects);
	loop_free(t->loop);
	for (size_t i = 0; i < t->n_exits; i++) {
		if (t->exits[i]->fd >= 0)
			close(t->exits[i]->fd);
		free(t->exits[i]);
	}
	free(t->exits);
	free(t);
}

struct processes *tracer_processes(struct tracer *t)
{
	return t->processes;
}

struct objects *tracer_objects(struct tracer *t)
{
	return t->objects;
}

struct unwinder *tracer_unwinder(struct tracer *t)
{
	return t->unwinder;
}

uint64_t tracer_lost(const struct tracer *t)
{
	return t->lost;
}

uint64_t tracer_repaired(const struct tracer *t)
{
	return t->lost_told > t->lost ? t->lost_told - t->lost : 0;
}

uint64_t tracer_start_ns(const struct tracer *t)
{
	return t->start_ns;
}

static int announce_predicted_object(struct tracer *t, struct process *p, struct object *o)
{
	int err = unwinder_prepare_object(t->unwinder, o);

	return err ? err : tell_object(t, p, o);
}

static int announce_predicted(struct tracer *t, struct process *p)
{
	char **paths = NULL;
	struct object *o;
	size_t n = 0;
	int err = predict_objects(t->cfg.program, &paths, &n);

	if (err)
		return err;
	if (n)
		process_will_run(p, paths[0]);
	for (size_t i = 0; i < n && !err; i++)
		if (!objects_get_path(t->objects, paths[i], &o))
			err = announce_predicted_object(t, p, o);
	predict_free(paths, n);
	return err;
}

int tracer_scan(struct tracer *t)
{
	int err = 0;

	for (size_t i = 0; i < processes_count(t->processes) && !err; i++) {
		struct process *p = processes_at(t->processes, i);

		if (!t->cfg.no_stacks)
			err = unwinder_prepare(t->unwinder, p->pid, &p->maps);
		for (size_t k = 0; k < p->maps.n && !err; k++)
			err = watch_announce(t, p, &p->maps.v[k]);
		if (!err && p->pid == t->spawn.pid && !t->cfg.no_stacks)
			err = announce_predicted(t, p);
	}
	return err;
}

static int bind_process(struct tracer *t, struct process *p)
{
	uint32_t pid = (uint32_t)p->pid;
	struct proc proc = {.key = clock_mono_ns() >> 16 << 32 | pid};
	int err;

	p->key = proc.key;
	err = watch_publish(t, p);
	if (err)
		return err;
	if (bpf_map_update_elem(t->maps.procs, &pid, &proc, BPF_ANY))
		return -errno;
	err = end_watch(t, p->pid);
	if (err && err != -ESRCH)
		return err;
	if (err == -ESRCH)
		p->ended = true;
	return tell_process(t, p);
}

/* A task whose calls count: nothing but its number and its end matters. */
static int bind_task(struct tracer *t, pid_t pid)
{
	struct proc proc = {.key = clock_mono_ns() >> 16 << 32 | (uint32_t)pid};
	uint32_t key = (uint32_t)pid;

	if (bpf_map_update_elem(t->maps.procs, &key, &proc, BPF_ANY))
		return -errno;
	return end_watch(t, pid);
}

static int bind_tasks(struct tracer *t)
{
	int err = 0;

	for (size_t i = 0; i < t->cfg.n_pids && !err; i++)
		err = bind_task(t, t->cfg.pids[i]);
	return err;
}

int tracer_drain(struct tracer *t)
{
	int err = watch_drain(t);

	if (!err && t->ring.consumer)
		err = ringbuf_consume(&t->ring, watch_on_record, t);
	if (!err)
		processes_ring_read(t->processes);
	return err ? err : tracer_drain_raws(t);
}

static int on_events(void *arg, int fd)
{
	(void)fd;
	return tracer_drain(arg);
}

static int on_watch(void *arg, int fd)
{
	(void)fd;
	return watch_drain(arg);
}

static int bind_cgroup(struct tracer *t)
{
	_cleanup_close_ int fd = -1;
	uint32_t zero = 0;

	if (!t->cfg.cgroup)
		return 0;
	fd = open(t->cfg.cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || bpf_map_update_elem(t->maps.cgroups, &zero, &fd, BPF_ANY))
		return -errno;
	return 0;
}

int tracer_bind(struct tracer *t, const struct tracer_maps *maps, struct bpf_object *obj)
{
	int err;

	t->maps = *maps;
	t->bound = obj != NULL;
	t->start_ns = clock_mono_ns();
	err = rings_open(t);
	/* From here on an interrupt ends the run with a report. */
	if (!err && !t->cfg.kernel)
		err = loop_add_signals(t->loop, end_on_signal, t);
	if (!err && t->cfg.kernel)
		err = bind_tasks(t);
	else if (!err && obj)
		err = unwinder_publish(t->unwinder, obj);
	if (!err)
		err = bind_cgroup(t);
	for (size_t i = 0; i < processes_count(t->processes) && !err; i++)
		err = bind_process(t, processes_at(t->processes, i));
	return err;
}

static int add_sources(struct tracer *t)
{
	int err = t->ring.consumer ? loop_add(t->loop, t->ring.fd, on_events, t) : 0;

	if (!err && t->raws.consumer)
		err = loop_add(t->loop, t->raws.fd, on_events, t);
	for (size_t i = 0; t->watch && i < procwatch_n_fds(t->watch) && !err; i++)
		err = loop_add(t->loop, procwatch_fd(t->watch, i), on_watch, t);
	if (!err && t->cfg.interval_ns)
		err = loop_add_timer(t->loop,
				     &(struct loop_timer){t->cfg.interval_ns, t->cfg.interval_ns},
				     end_on_interval, t);
	if (!err && t->cfg.duration_ns)
		err = loop_add_timer(t->loop, &(struct loop_timer){t->cfg.duration_ns, 0},
				     end_on_duration, t);
	return err;
}

int tracer_add_timer(struct tracer *t, const struct loop_timer *timer, int (*fn)(void *arg, int fd),
		     void *arg)
{
	return loop_add_timer(t->loop, timer, fn, arg);
}

int tracer_add_fd(struct tracer *t, int fd, int (*fn)(void *arg, int fd), void *arg)
{
	return loop_add(t->loop, fd, fn, arg);
}

int tracer_set_interval(struct tracer *t, uint64_t ns)
{
	return loop_set_timer(t->loop, &(struct loop_timer){ns, ns}, end_on_interval, t);
}

bool tracer_program_began(const struct tracer *t)
{
	return t->spawn_began;
}

int tracer_run(struct tracer *t)
{
	int err = add_sources(t);

	if (!err)
		err = watch_drain(t);
	if (!err && t->spawn.pid > 0)
		err = spawn_release(&t->spawn);
	t->spawn_began = !err;
	if (!err)
		err = end_try(t); /* the targets may have ended while we attached */
	return err ? err : loop_run(t->loop);
}

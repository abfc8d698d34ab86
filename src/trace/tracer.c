/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Two sources tell about processes, and they race. The BPF side knows at once which image
 * a hit belongs to (its key) and says so in the event ring; the kernel's perf records tell
 * of forks, execs and mappings. Perf writes its record of a fork or exec before our
 * tracepoint program runs, so reading the perf rings whenever the event ring names a new
 * image puts them in order.
 */
#include "trace/tracer.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "trace/loop.h"
#include "trace/predict.h"
#include "trace/procwatch.h"
#include "trace/spawn.h"

struct exit_watch {
	struct tracer *t;
	pid_t pid;
	int fd; /* pidfd; -1 once it has ended */
};

struct tracer {
	struct tracer_config cfg;
	struct tracer_ops ops;
	void *arg;
	struct loop *loop;
	struct objects *objects;
	struct processes *processes;
	struct unwinder *unwinder;
	struct procwatch *watch;
	struct ring_buffer *ring;
	struct tracer_maps maps;
	struct spawn spawn;
	bool spawn_ended;
	int spawn_status;
	struct exit_watch **exits;
	size_t n_exits, cap_exits;
	size_t running; /* processes watched that have not ended */
	bool bound, finished;
	uint64_t ticks, start_ns;
	unsigned int interrupts;
	int err; /* first error inside a callback that can't return one */
};

static int fail(int err, char **ret_msg, const char *fmt, ...) _printf_(3, 4);

static int fail(int err, char **ret_msg, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(ret_msg, fmt, ap) < 0)
		*ret_msg = NULL;
	va_end(ap);
	return err;
}

/* ---- targets ---- */

static int add_pid(struct tracer *t, pid_t pid, char **ret_msg)
{
	const char *why = NULL;
	struct process *p;
	int err;

	if (processes_find_pid(t->processes, pid) || t->cfg.kernel)
		return 0;
	err = process_check_target(pid, &why);
	if (err)
		return fail(err, ret_msg, "cannot trace pid %d: %s", pid, why);
	err = processes_add(t->processes, pid, &p);
	if (err)
		return fail(err, ret_msg, "cannot trace pid %d: %s", pid, errno_name(err));
	return 0;
}

/* Processes that can't be traced (kernel threads, 32-bit ones) are no error here. */
static void add_pid_quietly(struct tracer *t, pid_t pid)
{
	_cleanup_free_ char *msg = NULL;

	if (pid != getpid())
		add_pid(t, pid, &msg);
}

static int add_all(struct tracer *t)
{
	DIR *dir = opendir("/proc");
	struct dirent *e;
	uint64_t pid;

	if (!dir)
		return -errno;
	while ((e = readdir(dir)))
		if (!parse_u64(e->d_name, 1, INT32_MAX, &pid))
			add_pid_quietly(t, (pid_t)pid);
	closedir(dir);
	return 0;
}

static int add_cgroup_procs(struct tracer *t, const char *path)
{
	_cleanup_fclose_ FILE *f = NULL;
	char file[4200];
	int pid;

	snprintf(file, sizeof(file), "%s/cgroup.procs", path);
	f = fopen(file, "re");
	if (!f)
		return -errno;
	while (fscanf(f, "%d", &pid) == 1)
		if (pid > 0)
			add_pid_quietly(t, pid);
	return 0;
}

/* cgroup.procs of the whole subtree; depth is bounded because links are not followed. */
static int add_cgroup(struct tracer *t, const char *path, int depth)
{
	char sub[4096];
	struct dirent *e;
	DIR *dir;
	int err = add_cgroup_procs(t, path);

	if (err || depth > 32)
		return err;
	dir = opendir(path);
	if (!dir)
		return -errno;
	while ((e = readdir(dir))) {
		if (e->d_type != DT_DIR || e->d_name[0] == '.')
			continue;
		if (snprintf(sub, sizeof(sub), "%s/%s", path, e->d_name) < (int)sizeof(sub))
			add_cgroup(t, sub, depth + 1); /* may vanish meanwhile */
	}
	closedir(dir);
	return 0;
}

static int add_program(struct tracer *t, char **ret_msg)
{
	struct process *p;
	int err = spawn_hold(t->cfg.program, &t->spawn);

	if (!err && t->cfg.kernel)
		return 0;
	if (!err)
		err = processes_add(t->processes, t->spawn.pid, &p);
	if (err)
		return fail(err, ret_msg, "cannot start '%s': %s", t->cfg.program[0],
			    errno_name(err));
	maps_deinit(&p->maps); /* still ours; the program's own come with its exec */
	snprintf(p->comm, sizeof(p->comm), "%s", t->cfg.program[0]);
	return 0;
}

static int add_targets(struct tracer *t, char **ret_msg)
{
	int err = 0;

	for (size_t i = 0; i < t->cfg.n_pids && !err; i++)
		err = add_pid(t, t->cfg.pids[i], ret_msg);
	if (!err && t->cfg.cgroup && !t->cfg.kernel) {
		err = add_cgroup(t, t->cfg.cgroup, 0);
		if (err)
			return fail(err, ret_msg, "cannot read cgroup '%s': %s", t->cfg.cgroup,
				    errno_name(err));
	}
	if (!err && t->cfg.all)
		err = add_all(t);
	if (!err && t->cfg.program)
		err = add_program(t, ret_msg);
	return err;
}

static int on_signal(void *arg, int signo, bool from_user);

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
			fail(err, ret_msg, "cannot watch processes (perf_event_open): %s",
			     errno_name(err));
	}
	if (!err)
		err = add_targets(t, ret_msg);
	/* From the start line on a signal means the end, not death. A program inherits what
	 * is blocked, so that with one it waits until that runs. */
	if (!err && t->cfg.kernel)
		err = loop_add_signals(t->loop, on_signal, t);
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
	ring_buffer__free(t->ring);
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
	return t->watch ? procwatch_lost(t->watch) : 0;
}

uint64_t tracer_start_ns(const struct tracer *t)
{
	return t->start_ns;
}

/* ---- objects ---- */

static int announce_mapping(struct tracer *t, struct process *p, const struct mapping *m)
{
	struct object *o;

	if (!(m->prot & MAP_EXEC) || objects_get(t->objects, p->pid, m, &o))
		return 0;
	return t->ops.object(t->arg, p, o);
}

static int announce_predicted_object(struct tracer *t, struct process *p, struct object *o)
{
	int err = unwinder_prepare_object(t->unwinder, o);

	return err ? err : t->ops.object(t->arg, p, o);
}

static int announce_predicted(struct tracer *t, struct process *p)
{
	char **paths = NULL;
	struct object *o;
	size_t n = 0;
	int err = predict_objects(t->cfg.program, &paths, &n);

	if (err)
		return err;
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

		err = unwinder_prepare(t->unwinder, p->pid, &p->maps);
		for (size_t k = 0; k < p->maps.n && !err; k++)
			err = announce_mapping(t, p, &p->maps.v[k]);
		if (!err && p->pid == t->spawn.pid)
			err = announce_predicted(t, p);
	}
	return err;
}

/* ---- what the BPF side must know ---- */

/* Gives the walk in BPF the mappings of a process as they are now. */
static int publish(struct tracer *t, struct process *p)
{
	struct unwind_slice slice = {0};
	uint32_t pid = (uint32_t)p->pid;
	int err;

	if (!t->bound || !p->maps_changed || p->ended)
		return 0;
	p->maps_changed = false;
	err = unwinder_update(t->unwinder, p->pid, &p->maps, &p->slice, &slice);
	if (err)
		return err == -ENOMEM ? err : 0; /* full tables are counted by the unwinder */
	p->slice = slice;
	return bpf_map_update_elem(t->maps.slices, &pid, &slice, BPF_ANY) ? -errno : 0;
}

static int publish_all(struct tracer *t)
{
	int err = 0;

	for (size_t i = 0; i < processes_count(t->processes) && !err; i++)
		err = publish(t, processes_at(t->processes, i));
	return err;
}

static int watch_exit(struct tracer *t, pid_t pid);

static int bind_process(struct tracer *t, struct process *p)
{
	uint32_t pid = (uint32_t)p->pid;
	struct proc proc = {.key = clock_mono_ns() >> 16 << 32 | pid};
	int err;

	p->key = proc.key;
	err = publish(t, p);
	if (err)
		return err;
	if (bpf_map_update_elem(t->maps.procs, &pid, &proc, BPF_ANY))
		return -errno;
	err = watch_exit(t, p->pid);
	if (err && err != -ESRCH)
		return err;
	if (err == -ESRCH)
		p->ended = true;
	return t->ops.process(t->arg, p);
}

/* ---- the end ---- */

static int report(struct tracer *t, bool last)
{
	int err;

	if (t->finished)
		return 0;
	t->finished = last;
	err = t->ops.tick(t->arg, last);
	t->ticks++;
	if (last)
		loop_stop(t->loop);
	return err;
}

static bool ends_by_itself(const struct tracer *t)
{
	bool machine = t->cfg.kernel && !t->cfg.n_pids && !t->cfg.program;

	return !t->cfg.all && !t->cfg.cgroup && !machine;
}

static int process_ended(struct tracer *t, pid_t pid)
{
	struct process *p = processes_find_pid(t->processes, pid);
	uint32_t key = (uint32_t)pid;
	int err;

	bpf_map_delete_elem(t->maps.procs, &key);
	if (!p)
		return 0;
	p->ended = true;
	bpf_map_delete_elem(t->maps.slices, &key);
	unwinder_forget(t->unwinder, &p->slice);
	p->slice = (struct unwind_slice){0};
	err = t->ops.process(t->arg, p);
	return err;
}

/* A program we started ends the run once it is reaped; with --follow its children too. */
static int try_end(struct tracer *t)
{
	bool program = t->spawn.pid > 0;

	if (!ends_by_itself(t) || (program && !t->spawn_ended) ||
	    ((!program || t->cfg.follow) && t->running))
		return 0;
	return report(t, true);
}

static void reap_program(struct tracer *t)
{
	int status;

	if (t->spawn.pid <= 0 || t->spawn_ended ||
	    waitpid(t->spawn.pid, &status, WNOHANG) != t->spawn.pid)
		return;
	t->spawn_ended = true;
	t->spawn_status = status;
}

static int on_exit_fd(void *arg, int fd)
{
	struct exit_watch *w = arg;
	struct tracer *t = w->t;
	int err = tracer_drain(t); /* what it did last may still be in the rings */

	loop_remove(t->loop, fd);
	close(fd);
	w->fd = -1;
	t->running--;
	if (!err)
		err = process_ended(t, w->pid);
	reap_program(t);
	return err ? err : try_end(t);
}

static int watch_exit(struct tracer *t, pid_t pid)
{
	int err = array_reserve(&t->exits, &t->cap_exits, t->n_exits + 1, sizeof(t->exits[0]));
	struct exit_watch *w = err ? NULL : malloc(sizeof(*w));

	if (!w)
		return -ENOMEM;
	*w = (struct exit_watch){t, pid, (int)syscall(SYS_pidfd_open, pid, 0)};
	err = w->fd < 0 ? -errno : loop_add(t->loop, w->fd, on_exit_fd, w);
	if (err) {
		if (w->fd >= 0)
			close(w->fd);
		free(w);
		return err;
	}
	t->exits[t->n_exits++] = w;
	t->running++;
	return 0;
}

/*
 * The first interrupt goes to the program we started (from the terminal it has it already)
 * and its end is awaited; the second one ends the run whatever the program does.
 */
static int on_signal(void *arg, int signo, bool from_user)
{
	struct tracer *t = arg;

	if (signo == SIGCHLD) {
		reap_program(t);
		return try_end(t);
	}
	if (t->spawn.pid > 0 && !t->spawn_ended && !t->interrupts++) {
		if (from_user)
			kill(t->spawn.pid, signo);
		return 0;
	}
	return report(t, true);
}

static int on_interval(void *arg, int fd)
{
	struct tracer *t = arg;

	(void)fd;
	return report(t, t->cfg.count && t->ticks + 1 >= t->cfg.count);
}

static int on_duration(void *arg, int fd)
{
	(void)fd;
	return report(arg, true);
}

/* ---- process events of the kernel ---- */

static int on_fork(struct tracer *t, const struct proc_event *e)
{
	struct process *parent = processes_find_pid(t->processes, e->ppid), *child;

	if (!parent || e->pid == e->ppid || !t->cfg.follow)
		return 0;
	return processes_fork(t->processes, parent, e->pid, &child);
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
	unwinder_forget(t->unwinder, &p->slice);
	p->slice = (struct unwind_slice){0};
	return 0;
}

static int on_mmap(struct tracer *t, const struct proc_event *e)
{
	struct process *p = processes_find_pid(t->processes, e->pid);
	int err;

	if (!p)
		return 0;
	err = maps_insert(&p->maps, &e->mapping);
	p->maps_changed = true;
	return err ? err : announce_mapping(t, p, &e->mapping);
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

static int drain_watch(struct tracer *t)
{
	int err = t->watch ? procwatch_drain(t->watch, on_proc_event, t) : 0;

	return err ? err : publish_all(t);
}

static int on_watch(void *arg, int fd)
{
	(void)fd;
	return drain_watch(arg);
}

/* ---- the event ring ---- */

/* The BPF side took up a process, by fork, by exec, or because everything is wanted. */
static int on_new_image(struct tracer *t, const struct event *ev)
{
	pid_t pid = (pid_t)(uint32_t)ev->proc_key;
	struct process *p;
	bool known;
	int err = drain_watch(t);

	if (err)
		return err;
	p = processes_find_pid(t->processes, pid);
	known = p && !p->key; /* its fork or exec was seen: its mappings are announced */
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
		err = announce_mapping(t, p, &p->maps.v[i]);
	if (!err)
		err = publish(t, p);
	if (!err)
		err = watch_exit(t, pid);
	if (err == -ESRCH)
		err = 0;
	return err ? err : t->ops.process(t->arg, p);
}

static int on_ring(void *arg, void *data, size_t len)
{
	const struct event *ev = data;
	struct tracer *t = arg;
	int err;

	if (len < sizeof(*ev))
		return 0;
	err = ev->type == EVENT_PROC ? on_new_image(t, ev) : t->ops.event(t->arg, ev, len);
	if (err && !t->err)
		t->err = err;
	return 0;
}

int tracer_drain(struct tracer *t)
{
	int err = drain_watch(t);

	if (err || !t->ring)
		return err;
	err = ring_buffer__consume(t->ring);
	return t->err ? t->err : err < 0 ? err : 0;
}

static int on_events(void *arg, int fd)
{
	(void)fd;
	return tracer_drain(arg);
}

/* ---- running ---- */

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

/* A task whose calls count: nothing but its number and its end matters. */
static int bind_task(struct tracer *t, pid_t pid)
{
	struct proc proc = {.key = clock_mono_ns() >> 16 << 32 | (uint32_t)pid};
	uint32_t key = (uint32_t)pid;

	if (bpf_map_update_elem(t->maps.procs, &key, &proc, BPF_ANY))
		return -errno;
	return watch_exit(t, pid);
}

static int bind_tasks(struct tracer *t)
{
	int err = 0;

	for (size_t i = 0; i < t->cfg.n_pids && !err; i++)
		err = bind_task(t, t->cfg.pids[i]);
	if (!err && t->spawn.pid > 0)
		err = bind_task(t, t->spawn.pid);
	return err;
}

int tracer_bind(struct tracer *t, const struct tracer_maps *maps, struct bpf_object *obj)
{
	int err;

	t->maps = *maps;
	t->bound = true;
	t->start_ns = clock_mono_ns();
	t->ring = ring_buffer__new(maps->events, on_ring, t, NULL);
	if (!t->ring)
		return -errno;
	err = t->cfg.kernel ? bind_tasks(t) : unwinder_publish(t->unwinder, obj);
	if (!err)
		err = bind_cgroup(t);
	for (size_t i = 0; i < processes_count(t->processes) && !err; i++)
		err = bind_process(t, processes_at(t->processes, i));
	return err;
}

static int add_sources(struct tracer *t)
{
	int err = t->ring ? loop_add(t->loop, ring_buffer__epoll_fd(t->ring), on_events, t) : 0;

	if (!err && !t->cfg.kernel)
		err = loop_add_signals(t->loop, on_signal, t);
	for (size_t i = 0; t->watch && i < procwatch_n_fds(t->watch) && !err; i++)
		err = loop_add(t->loop, procwatch_fd(t->watch, i), on_watch, t);
	if (!err && t->cfg.interval_ns)
		err = loop_add_timer(t->loop, t->cfg.interval_ns, t->cfg.interval_ns, on_interval,
				     t);
	if (!err && t->cfg.duration_ns)
		err = loop_add_timer(t->loop, t->cfg.duration_ns, 0, on_duration, t);
	return err;
}

int tracer_run(struct tracer *t)
{
	int err = add_sources(t);

	if (!err)
		err = drain_watch(t);
	if (!err && t->spawn.pid > 0)
		err = spawn_release(&t->spawn);
	if (!err)
		err = try_end(t); /* the targets may have ended while we attached */
	return err ? err : loop_run(t->loop);
}

/* Waits for a child without blocking for ever: true once it has ended. */
static bool await_child(pid_t pid, int *ret_status, uint64_t ns)
{
	uint64_t end = clock_mono_ns() + ns;
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);
	pid_t got;

	do {
		got = waitpid(pid, ret_status, WNOHANG);
		if (!got && fd >= 0)
			loop_wait_readable(fd, end);
	} while (!got && clock_mono_ns() < end);
	if (fd >= 0)
		close(fd);
	return got == pid;
}

bool tracer_finish_program(struct tracer *t, int *ret_status)
{
	if (t->spawn.pid <= 0)
		return false;
	if (!t->spawn_ended && t->spawn.go_fd < 0) {
		kill(t->spawn.pid, SIGTERM);
		t->spawn_ended = await_child(t->spawn.pid, &t->spawn_status, 10000000000ULL);
	}
	if (t->spawn_ended)
		*ret_status = t->spawn_status;
	return t->spawn_ended;
}

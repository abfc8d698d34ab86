/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <bpf/bpf.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "trace/tracer_parts.h"

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
	bool machine = t->cfg.machine || (t->cfg.kernel && !t->cfg.n_pids);

	return !t->cfg.all && !t->cfg.cgroup && !machine;
}

static int process_ended(struct tracer *t, pid_t pid)
{
	struct process *p = processes_find_pid(t->processes, pid);
	uint32_t key = (uint32_t)pid;

	bpf_map_delete_elem(t->maps.procs, &key);
	if (!p)
		return 0;
	p->ended = true;
	bpf_map_delete_elem(t->maps.slices, &key);
	unwinder_forget(t->unwinder, &p->slice);
	p->slice = (struct unwind_slice){0};
	return tell_process(t, p);
}

/* A program we started ends the run once it is reaped; with --follow its children too. */
int end_try(struct tracer *t)
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
	return err ? err : end_try(t);
}

int end_watch(struct tracer *t, pid_t pid)
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
int end_on_signal(void *arg, int signo, bool from_user)
{
	struct tracer *t = arg;

	if (signo == SIGCHLD) {
		reap_program(t);
		return end_try(t);
	}
	if (t->spawn.pid > 0 && !t->spawn_ended && !t->interrupts++) {
		if (from_user)
			kill(t->spawn.pid, signo);
		return 0;
	}
	return report(t, true);
}

int end_on_interval(void *arg, int fd)
{
	struct tracer *t = arg;

	(void)fd;
	return report(t, t->cfg.count && t->ticks + 1 >= t->cfg.count);
}

int end_on_duration(void *arg, int fd)
{
	(void)fd;
	return report(arg, true);
}

int tracer_stop(struct tracer *t)
{
	return report(t, true);
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

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "lib/object.h"
#include "trace/procwatch.h"

struct seen {
	struct proc_event *v;
	size_t n, cap;
	pid_t only; /* 0: all */
};

static int keep(const struct proc_event *e, void *arg)
{
	struct seen *s = arg;

	if (s->only && e->pid != s->only && e->ppid != s->only)
		return 0;
	if (array_reserve(&s->v, &s->cap, s->n + 1, sizeof(*s->v)))
		return -ENOMEM;
	s->v[s->n] = *e;
	if (e->type == PROC_EVENT_MMAP)
		s->v[s->n].mapping.path = strdup(e->mapping.path);
	s->n++;
	return 0;
}

static void seen_deinit(struct seen *s)
{
	for (size_t i = 0; i < s->n; i++)
		free(s->v[i].mapping.path);
	free(s->v);
	*s = (struct seen){};
}

static const struct proc_event *find(const struct seen *s, enum proc_event_type type, pid_t pid)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->v[i].type == type && s->v[i].pid == pid)
			return &s->v[i];
	return NULL;
}

static const struct proc_event *find_path(const struct seen *s, pid_t pid, const char *path)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->v[i].type == PROC_EVENT_MMAP && s->v[i].pid == pid &&
		    strstr(s->v[i].mapping.path, path))
			return &s->v[i];
	return NULL;
}

static bool no_watch(struct procwatch **ret)
{
	int err = procwatch_new(ret);

	if (!err)
		return false;
	if (geteuid())
		print_message("skipped: needs CAP_PERFMON: %s\n", errno_name(err));
	else
		fail_msg("procwatch_new: %s", errno_name(err));
	return true;
}

/* Waits until the kernel says that there are records, then takes them. */
static void drain_next(struct procwatch *w, struct seen *s)
{
	struct pollfd fds[256];
	nfds_t n = MIN(procwatch_n_fds(w), ARRAY_SIZE(fds));

	for (size_t i = 0; i < n; i++)
		fds[i] = (struct pollfd){.fd = procwatch_fd(w, i), .events = POLLIN};
	assert_true(poll(fds, n, 10000) > 0);
	assert_int_equal(0, procwatch_drain(w, keep, s));
}

static pid_t spawn_true(void)
{
	pid_t pid = fork();

	if (!pid) {
		execl("/bin/true", "true", NULL);
		_exit(127);
	}
	return pid;
}

static void test_life(void **state)
{
	const struct proc_event *start, *exec, *exe, *libc, *end;
	struct seen s = {};
	struct procwatch *w;
	uint64_t before = clock_mono_ns();
	pid_t pid;

	(void)state;
	if (no_watch(&w))
		skip();
	pid = s.only = spawn_true();
	while (!(end = find(&s, PROC_EVENT_EXIT, pid)))
		drain_next(w, &s);
	assert_int_equal(pid, waitpid(pid, NULL, 0));
	start = find(&s, PROC_EVENT_FORK, pid);
	exec = find(&s, PROC_EVENT_EXEC, pid);
	exe = find_path(&s, pid, "/true");
	libc = find_path(&s, pid, "/libc");
	assert_true(start && exec && exe && libc);
	assert_int_equal(getpid(), start->ppid);
	assert_int_equal(pid, start->tid);
	assert_string_equal("true", exec->comm);
	assert_true(start < exec && exec < exe && exe < libc && libc < end);
	assert_true(exe->mapping.prot & MAP_EXEC);
	assert_true(before < start->time_ns && end->time_ns < clock_mono_ns());
	for (size_t i = 1; i < s.n; i++)
		assert_true(s.v[i - 1].time_ns <= s.v[i].time_ns);
	assert_int_equal(0, procwatch_lost(w));
	seen_deinit(&s);
	procwatch_free(w);
	procwatch_free(NULL);
}

static void *map_code(const char *path, size_t off)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	void *p = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, (off_t)off);

	close(fd);
	return p;
}

/* What a record says of a mapping against what maps says. */
static void test_mapping(void **state)
{
	struct seen s = {.only = getpid()};
	const struct mapping *m, *e = NULL;
	struct procwatch *w;
	struct maps maps;
	void *p;

	(void)state;
	if (no_watch(&w))
		skip();
	p = map_code("/bin/true", 8192);
	assert_ptr_not_equal(MAP_FAILED, p);
	while (!find_path(&s, getpid(), "/true"))
		drain_next(w, &s);
	e = &find_path(&s, getpid(), "/true")->mapping;
	assert_int_equal(0, maps_read(getpid(), &maps));
	m = maps_find(&maps, (uint64_t)(uintptr_t)p);
	assert_int_equal(m->start, e->start);
	assert_int_equal(m->end, e->end);
	assert_int_equal(8192, e->offset);
	assert_int_equal(m->prot, e->prot);
	assert_string_equal(m->path, e->path);
	assert_false(e->deleted);
	maps_deinit(&maps);
	munmap(p, 4096);
	seen_deinit(&s);
	/* Made executable later; anonymous. */
	s.only = getpid();
	p = mmap(NULL, 8192, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_int_equal(0, mprotect(p, 4096, PROT_READ | PROT_EXEC));
	while (!find(&s, PROC_EVENT_MMAP, getpid()))
		drain_next(w, &s);
	e = &find(&s, PROC_EVENT_MMAP, getpid())->mapping;
	assert_int_equal((uint64_t)(uintptr_t)p, e->start);
	assert_string_equal("", e->path);
	assert_int_equal(0, e->inode);
	assert_int_equal(0, e->offset);
	munmap(p, 8192);
	seen_deinit(&s);
	procwatch_free(w);
}

static void test_deleted_and_names(void **state)
{
	char path[] = "/tmp/memtally\nwatch.XXXXXX";
	struct seen s = {.only = getpid()};
	const struct mapping *e;
	struct procwatch *w;
	int fd = mkstemp(path);
	void *p;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(0, ftruncate(fd, 4096));
	unlink(path);
	if (no_watch(&w))
		skip();
	p = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
	prctl(PR_SET_NAME, "a\xff b");
	while (!find(&s, PROC_EVENT_COMM, getpid()))
		drain_next(w, &s);
	assert_string_equal("a\xff b", find(&s, PROC_EVENT_COMM, getpid())->comm);
	e = &find(&s, PROC_EVENT_MMAP, getpid())->mapping;
	assert_string_equal(path, e->path);
	assert_true(e->deleted);
	munmap(p, 4096);
	close(fd);
	seen_deinit(&s);
	procwatch_free(w);
}

/* Parent and children on different CPUs: nobody maps before he is born. */
static void test_order(void **state)
{
	enum { CHILDREN = 100 };
	struct seen s = {.only = getpid()};
	struct procwatch *w;
	cpu_set_t old, one;
	size_t born = 0;

	(void)state;
	if (no_watch(&w))
		skip();
	assert_int_equal(0, sched_getaffinity(0, sizeof(old), &old));
	if (CPU_COUNT(&old) < 2) {
		print_message("skipped: one CPU has only one order\n");
		procwatch_free(w);
		skip();
	}
	s.only = 0;
	for (int i = 0; i < CHILDREN; i++) {
		pid_t pid = fork();

		if (!pid) {
			CPU_ZERO(&one);
			for (int cpu = 0, k = i % CPU_COUNT(&old); cpu < CPU_SETSIZE; cpu++)
				if (CPU_ISSET(cpu, &old) && k-- == 0)
					CPU_SET(cpu, &one);
			sched_setaffinity(0, sizeof(one), &one);
			map_code("/bin/true", 0);
			_exit(0);
		}
		assert_int_equal(0, procwatch_drain(w, keep, &s));
	}
	while (wait(NULL) > 0)
		;
	/* All have ended, so all is written: two rounds reach what the first held back. */
	assert_int_equal(0, procwatch_drain(w, keep, &s));
	for (size_t i = 0; i < s.n; i++) {
		const struct proc_event *e = &s.v[i];

		if (i)
			assert_true(s.v[i - 1].time_ns <= e->time_ns);
		if (e->type != PROC_EVENT_FORK || e->ppid != getpid() || e->pid == getpid())
			continue;
		born++;
		assert_true(find_path(&s, e->pid, "/true") > e);
		assert_true(find(&s, PROC_EVENT_EXIT, e->pid) > find_path(&s, e->pid, "/true"));
	}
	assert_int_equal(CHILDREN, born);
	seen_deinit(&s);
	procwatch_free(w);
}

static int refuse(const struct proc_event *e, void *arg)
{
	(void)e;
	++*(int *)arg;
	return -ECANCELED;
}

static int count_mmaps(const struct proc_event *e, void *arg)
{
	*(uint64_t *)arg += e->type == PROC_EVENT_MMAP && e->pid == getpid();
	return 0;
}

static void test_lost(void **state)
{
	enum { CALLS = 60000 };
	uint64_t seen = 0;
	struct procwatch *w;
	cpu_set_t old, one;
	int calls = 0;

	(void)state;
	if (no_watch(&w))
		skip();
	/* Each CPU tells of its own losses. */
	assert_int_equal(0, sched_getaffinity(0, sizeof(old), &old));
	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	assert_int_equal(0, sched_setaffinity(0, sizeof(one), &one));
	for (int i = 0; i < CALLS; i++)
		munmap(map_code("/bin/true", 0), 4096);
	assert_true(procwatch_gaps(w) == 0);
	assert_int_equal(0, procwatch_drain(w, count_mmaps, &seen));
	assert_true(procwatch_gaps(w) > 0);
	/* The kernel tells of a loss with the next record that it can write. */
	munmap(map_code("/bin/true", 0), 4096);
	assert_int_equal(0, procwatch_drain(w, count_mmaps, &seen));
	assert_true(procwatch_lost(w) > 0);
	assert_true(seen + procwatch_lost(w) >= CALLS + 1); /* others may lose some, too */
	munmap(map_code("/bin/true", 0), 4096);
	assert_int_equal(-ECANCELED, procwatch_drain(w, refuse, &calls));
	assert_int_equal(1, calls);
	procwatch_free(w);
	assert_int_equal(0, sched_setaffinity(0, sizeof(old), &old));
}

/*
 * On overlayfs, maps and records of older kernels disagree on the inode; the object is
 * one all the same, whichever is seen first.
 */
static void overlay_child(int out, int in)
{
	const char *dir = "/tmp";
	void *p;
	char c;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("none", dir, "tmpfs", 0, NULL) || mkdir("/tmp/l", 0755) ||
	    mkdir("/tmp/u", 0755) || mkdir("/tmp/w", 0755) || mkdir("/tmp/m", 0755) ||
	    system("cp /bin/true /tmp/l/overlaid") ||
	    mount("overlay", "/tmp/m", "overlay", 0,
		  "lowerdir=/tmp/l,upperdir=/tmp/u,workdir=/tmp/w"))
		_exit(1);
	p = map_code("/tmp/m/overlaid", 0);
	if (p == MAP_FAILED || write(out, &p, sizeof(p)) != sizeof(p))
		_exit(1);
	(void)!read(in, &c, 1);
	_exit(0);
}

static void test_overlay(void **state)
{
	struct object *by_event, *by_maps;
	int out[2], in[2];
	struct objects *o;
	struct seen s = {};
	const struct mapping *m, *e;
	struct procwatch *w;
	struct maps maps;
	pid_t pid;
	void *p;

	(void)state;
	if (no_watch(&w))
		skip();
	o = objects_new();
	assert_int_equal(0, pipe2(out, O_CLOEXEC) | pipe2(in, O_CLOEXEC));
	pid = s.only = fork();
	if (!pid)
		overlay_child(out[1], in[0]);
	close(out[1]);
	if (read(out[0], &p, sizeof(p)) != sizeof(p)) {
		waitpid(pid, NULL, 0);
		objects_free(o);
		procwatch_free(w);
		print_message("skipped: no overlayfs here\n");
		skip();
	}
	while (!find_path(&s, pid, "/overlaid"))
		drain_next(w, &s);
	e = &find_path(&s, pid, "/overlaid")->mapping;
	assert_int_equal(0, maps_read(pid, &maps));
	m = maps_find(&maps, (uint64_t)(uintptr_t)p);
	print_message("overlayfs: maps %u:%u %lu, record %u:%u %lu\n", m->dev_major, m->dev_minor,
		      m->inode, e->dev_major, e->dev_minor, e->inode);
	assert_int_equal(0, objects_get(o, pid, e, &by_event));
	assert_int_equal(0, objects_get(o, pid, m, &by_maps));
	assert_ptr_equal(by_event, by_maps);
	assert_int_equal(0, objects_get(o, pid, e, &by_event));
	assert_int_equal(1, objects_count(o));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	close(out[0]);
	close(in[0]);
	close(in[1]);
	maps_deinit(&maps);
	seen_deinit(&s);
	objects_free(o);
	procwatch_free(w);
}

/* The path is the one that the process sees; the object is found all the same. */
static void test_chroot(void **state)
{
	struct objects *o;
	const struct mapping *e = NULL;
	struct object *by_event, *by_path;
	struct seen s = {};
	struct procwatch *w;
	pid_t pid;

	(void)state;
	if (no_watch(&w))
		skip();
	o = objects_new();
	pid = s.only = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (chroot("/usr/bin") || map_code("/true", 0) == MAP_FAILED)
			_exit(1);
		pause();
	}
	while (!find_path(&s, pid, "true"))
		drain_next(w, &s);
	e = &find_path(&s, pid, "true")->mapping;
	assert_string_equal("/true", e->path);
	assert_int_equal(0, objects_get(o, pid, e, &by_event));
	assert_int_equal(0, objects_get_path(o, "/usr/bin/true", &by_path));
	assert_ptr_equal(by_event, by_path);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	seen_deinit(&s);
	objects_free(o);
	procwatch_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_life),
		cmocka_unit_test(test_mapping),
		cmocka_unit_test(test_deleted_and_names),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_lost),
		cmocka_unit_test(test_overlay),
		cmocka_unit_test(test_chroot),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

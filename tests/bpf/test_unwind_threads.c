/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_unwind_threads.c - every thread of a stopped process, wherever it stands: our
 * tables and steps, on its registers and its memory, must give what eu-stack
 * gives, from the first frame to the last, and call it complete where eu-stack does. The
 * one place where neither can: glibc's clone3() ends its FDE before the system call, as
 * registers differ in the child; a thread in there has no unwind information. Only the
 * test stops its own victim.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>

#include "eu_stack.h"
#include "trace/finisher.h"
#include "trace/unwind_objects.h"
#include "trace/unwinder.h"
#include "walk_record.h"

#include "unwind.skel.h"

#define MAX_THREADS 16

struct victim {
	char **argv;
	unsigned int threads; /* it has when it is ready; 0: they come and go */
	unsigned int rounds;
	unsigned int min_frames; /* the deepest stack has as many */

	pid_t pid;
	struct maps maps;
	struct objects *objects;
	struct unwinder *unwinder;
	struct unwind_test_bpf *skel;
	unsigned int equal, cut, probed, compared, frames, deepest;
};

static char victims[PATH_MAX];
static struct victim *running; /* for the teardown, as an assertion leaves by a jump */

static void wait_ms(unsigned int ms)
{
	const struct timespec t = {.tv_nsec = (long)ms * 1000000};

	nanosleep(&t, NULL);
}

static size_t list_threads(pid_t pid, pid_t *ret)
{
	struct dirent *e;
	char path[64];
	size_t n = 0;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	d = opendir(path);
	assert_non_null(d);
	while ((e = readdir(d)) && n < MAX_THREADS)
		if (e->d_name[0] != '.')
			ret[n++] = (pid_t)strtol(e->d_name, NULL, 10);
	closedir(d);
	return n;
}

/*
 * Until all of them stand; an exiting one vanishes from the list, and one that the last
 * running thread made may not be in it yet.
 */
static size_t wait_stopped(pid_t pid, pid_t *ret)
{
	pid_t again[MAX_THREADS];

	for (unsigned int i = 0; i < 10000; i++) {
		size_t n = list_threads(pid, ret), k = 0;

		while (k < n && is_stopped(pid, ret[k]))
			k++;
		if (n && k == n && list_threads(pid, again) == n)
			return n;
		wait_ms(1);
	}
	fail_msg("the victim does not stop");
	return 0;
}

static void start(struct victim *v)
{
	pid_t tids[MAX_THREADS];
	int ready[2];
	char c;

	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	v->pid = fork();
	assert_true(v->pid >= 0);
	if (!v->pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(ready[1], STDOUT_FILENO);
		execv(v->argv[0], v->argv);
		_exit(127);
	}
	running = v;
	close(ready[1]);
	/* Python says so, with all its modules loaded; the others when they have their threads. */
	if (v->argv[1][0] == '-')
		assert_int_equal(read(ready[0], &c, 1), 1);
	while (list_threads(v->pid, tids) < MAX(v->threads, 2u)) {
		assert_int_equal(waitpid(v->pid, NULL, WNOHANG), 0);
		wait_ms(1);
	}
	close(ready[0]);
}

/* As test harness.c does, without anything attached. */
static void load_tables(struct victim *v)
{
	v->skel = unwind_test_bpf__open();
	v->objects = objects_new();
	v->unwinder = unwinder_new(v->objects);
	assert_true(v->skel && v->objects && v->unwinder);
	v->skel->rodata->unwind_cfg.mode = UNWIND_DWARF;
	unwind_configure(&v->skel->rodata->unwind_cfg);
	assert_int_equal(maps_read(v->pid, &v->maps), 0);
	assert_int_equal(unwinder_prepare(v->unwinder, v->pid, &v->maps), 0);
	assert_int_equal(unwinder_size_maps(v->unwinder, v->skel->obj, 0), 0);
	assert_int_equal(unwind_test_bpf__load(v->skel), 0);
	assert_int_equal(unwinder_publish(v->unwinder, v->skel->obj), 0);
}

static void read_regs(pid_t tid, struct user_regs_struct *ret)
{
	struct iovec iov = {ret, sizeof(*ret)};
	int status;

	assert_int_equal(ptrace(PTRACE_SEIZE, tid, NULL, NULL), 0);
	assert_int_equal(ptrace(PTRACE_INTERRUPT, tid, NULL, NULL), 0);
	assert_int_equal(waitpid(tid, &status, __WALL), tid);
	assert_true(WIFSTOPPED(status));
	assert_int_equal(ptrace(PTRACE_GETREGSET, tid, NT_PRSTATUS, &iov), 0);
	assert_int_equal(ptrace(PTRACE_DETACH, tid, NULL, NULL), 0);
}

static bool find_table(const struct victim *v, uint64_t pc, struct unwind_mapping *ret)
{
	const struct mapping *m = maps_find(&v->maps, pc);

	return m && !unwinder_map(v->unwinder, v->pid, m, ret);
}

/*
 * The steps as plain C. Not finisher_run(), whose copy begins at sp: behind the pops of an
 * epilogue gcc's tables still find the registers where they were saved, below sp.
 */
static struct {
	const struct victim *v;
	struct finisher_tables tables;
	int mem;
} at;

static struct unwind_cfg unwind_cfg = {.max_frames = UNWIND_MAX_FRAMES, .mode = UNWIND_DWARF};

static int read_mem(void *dst, size_t len, uint64_t addr)
{
	return pread(at.mem, dst, len, (off_t)addr) == (ssize_t)len ? 0 : -EFAULT;
}

struct walk;
static int find_vma(struct walk *w, uint64_t pc);

#define walk_read(dst, len, addr) read_mem(dst, len, addr)
#define walk_mapping(k)		  ((void)(k), (const struct unwind_mapping *)NULL)
#define walk_block(k)		  ((k) < at.tables.n_blocks ? &at.tables.blocks[k] : NULL)
#define walk_row(k)		  ((k) < at.tables.n_rows ? &at.tables.rows[k] : NULL)
#define walk_rule(k)		  ((k) < at.tables.n_rules ? &at.tables.rules[k] : NULL)
#define walk_untramp(w)		  0
#define walk_find_vma(w, pc)	  find_vma(w, pc)
#define WALK_STEP		  static
#ifdef __aarch64__
#define WALK_AARCH64 1
#else
#define WALK_AARCH64 0
#endif
#include "../../bpf/unwind_step.bpf.h"

static int find_vma(struct walk *w, uint64_t pc)
{
	struct unwind_mapping m;

	if (!find_table(at.v, pc, &m))
		return 0;
	w->m_start = m.start;
	w->m_len = m.end - m.start;
	w->m_base = m.base;
	w->m_block = m.block;
	w->m_n_blocks = m.n_blocks;
	w->m_unknown = 0;
	return 1;
}

static void set_regs(struct walk_regs *ret, const struct user_regs_struct *regs)
{
#ifdef __aarch64__
	ret->pc = regs->pc;
	ret->sp = regs->sp;
	ret->fp = regs->regs[29];
	ret->aux = regs->regs[30];
#else
	ret->pc = regs->rip;
	ret->sp = regs->rsp;
	ret->fp = regs->rbp;
	ret->aux = regs->rbx;
	ret->r10 = regs->r10;
#endif
}

static void walk(const struct victim *v, pid_t tid, struct stack_event *ret)
{
	struct user_regs_struct user;
	struct walk_regs regs = {0};
	char path[64];
	struct walk w;

	snprintf(path, sizeof(path), "/proc/%d/mem", v->pid);
	at.v = v;
	at.mem = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(at.mem >= 0);
	read_regs(tid, &user);
	set_regs(&regs, &user);
	unwinder_tables(v->unwinder, &at.tables);
	walk_init(&w, &regs, NULL);
	walk_go_on(&w, ret->pcs);
	close(at.mem);
	ret->n = (uint16_t)w.n;
	ret->status = (uint8_t)w.status;
	ret->flags = (uint8_t)w.flags;
}

/*
 * Another tracer of the machine has a uprobe in our victim, and the thread steps over it in
 * the kernel's own page, or returns there: only the kernel knows the real address.
 */
static bool is_probed(const struct victim *v, const struct stack_event *s)
{
	for (size_t i = 0; i < s->n; i++) {
		const struct mapping *m = maps_find(&v->maps, s->pcs[i]);

		if (m && !strcmp(m->path, "[uprobes]"))
			return true;
	}
	return false;
}

static void compare(struct victim *v, const struct stack_event *ours,
		    const struct eu_thread *theirs)
{
	if (is_probed(v, ours)) {
		v->probed++;
		return;
	}
	v->compared++;
	if (theirs && ours->n == theirs->n && (ours->status != WALK_COMPLETE) == theirs->cut &&
	    !memcmp(ours->pcs, theirs->pcs, ours->n * sizeof(ours->pcs[0]))) {
		v->equal++;
		v->cut += theirs->cut;
		v->frames += ours->n;
		if (!theirs->cut)
			v->deepest = MAX(v->deepest, ours->n);
		return;
	}
	printf("  thread %u of %d: status %u flags %u\n", ours->ev.tid, v->pid, ours->status,
	       ours->flags);
	print_pcs("walk", (const uint64_t *)ours->pcs, ours->n);
	if (theirs)
		print_pcs("eu-stack", theirs->pcs, theirs->n);
}

static void compare_threads(struct victim *v)
{
	static struct stack_event ours[MAX_THREADS];
	static struct eu_thread theirs[MAX_THREADS];
	pid_t tids[MAX_THREADS];
	size_t n, n_theirs;

	kill(v->pid, SIGSTOP);
	n = wait_stopped(v->pid, tids);
	maps_deinit(&v->maps);
	assert_int_equal(maps_read(v->pid, &v->maps), 0);
	for (size_t i = 0; i < n; i++) {
		walk(v, tids[i], &ours[i]);
		ours[i].ev.tid = (uint32_t)tids[i];
	}
	assert_int_equal(wait_stopped(v->pid, tids), n);
	n_theirs = eu_stack(v->pid, theirs, MAX_THREADS);
	assert_int_equal(n_theirs, n);
	if (v->threads)
		assert_int_equal(n, v->threads);
	for (size_t i = 0; i < n; i++)
		compare(v, &ours[i], eu_stack_find(theirs, n_theirs, (pid_t)ours[i].ev.tid));
	kill(v->pid, SIGCONT);
}

static int teardown(void **state)
{
	struct victim *v = running;

	(void)state;
	running = NULL;
	if (!v)
		return 0;
	kill(v->pid, SIGKILL);
	waitpid(v->pid, NULL, 0);
	unwinder_free(v->unwinder);
	objects_free(v->objects);
	unwind_test_bpf__destroy(v->skel);
	maps_deinit(&v->maps);
	return 0;
}

static void check(struct victim *v)
{
	eu_stack_need();
	start(v);
	load_tables(v);
	for (unsigned int i = 0; i < v->rounds; i++) {
		compare_threads(v);
		wait_ms(i % 7); /* lets it run on: each round finds it somewhere else */
	}
	printf("%s: %u of %u threads equal to eu-stack's, %u of them cut for both; "
	       "%u frames, %u in the deepest\n",
	       v->argv[0], v->equal, v->compared, v->cut, v->frames, v->deepest);
	if (v->probed)
		printf("  %u more not compared: probed by another tracer\n", v->probed);
	assert_true(v->compared + v->probed >= v->rounds * MAX(v->threads, 1u));
	assert_int_equal(v->equal, v->compared);
	assert_true(v->equal - v->cut >= v->rounds / 3);
	assert_true(v->deepest >= v->min_frames);
	teardown(NULL);
}

/* Four in loops around malloc(), 5 to 86 calls deep, and one that waits for them. */
static void test_c(void **state)
{
	static char path[PATH_MAX + 32];
	static char *argv[] = {path, "4", "1000000000000", "5", "27", NULL};
	static struct victim v = {.argv = argv, .threads = 5, .rounds = 15, .min_frames = 86};

	(void)state;
	snprintf(path, sizeof(path), "%s/unwind_threads", victims);
	check(&v);
}

/* Exceptions, containers, threads that start and end. */
static void test_cxx(void **state)
{
	static char path[PATH_MAX + 32];
	static char *argv[] = {path, "100000000", NULL};
	static struct victim v = {.argv = argv, .rounds = 30, .min_frames = 10};

	(void)state;
	snprintf(path, sizeof(path), "%s/unwind_cxx", victims);
	check(&v);
}

/* In a lock, in a sleep below sorted(), in select(), in a loop; the main one joins. */
static void test_python(void **state)
{
	static char *argv[] = {
		"/usr/bin/python3", "-c",
		"import os, re, select, threading, time\n"
		"lock = threading.Lock()\n"
		"lock.acquire()\n"
		"def deep(n):\n"
		"    return sorted([1], key=lambda _: deep(n - 1)) if n else time.sleep(1000)\n"
		"def loop():\n"
		"    while True:\n"
		"        sorted([str(i) for i in range(300)], key=lambda s: re.sub('1', s, s))\n"
		"work = [lock.acquire, lambda: deep(4), loop,\n"
		"        lambda: select.select([os.pipe()[0]], [], [])]\n"
		"threads = [threading.Thread(target=w, daemon=True) for w in work]\n"
		"[t.start() for t in threads]\n"
		"os.write(1, b'r')\n"
		"threads[0].join()\n",
		NULL};
	static struct victim v = {.argv = argv, .threads = 5, .rounds = 15, .min_frames = 25};

	(void)state;
	if (access(argv[0], X_OK)) {
		print_message("skipped: no %s\n", argv[0]);
		skip();
	}
	check(&v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_c, teardown),
		cmocka_unit_test_teardown(test_cxx, teardown),
		cmocka_unit_test_teardown(test_python, teardown),
	};
	char self[PATH_MAX] = "";

	if (readlink("/proc/self/exe", self, sizeof(self) - 1) < 0)
		return 1;
	snprintf(victims, sizeof(victims), "%s/unwind", dirname(dirname(self)));
	return cmocka_run_group_tests(tests, NULL, NULL);
}

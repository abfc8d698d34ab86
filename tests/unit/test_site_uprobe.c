/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Attaching for real: links of each kind, their filters and their errors. */
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/wait.h>

#include "uprobe_count.h"

#define SELF "/proc/self/exe"

static struct uprobe_features features;

__attribute__((noinline)) static void first(void)
{
	__asm__ volatile("nop" ::: "memory");
}

__attribute__((noinline)) static void second(void)
{
	__asm__ volatile("nop\n nop" ::: "memory");
}

#ifdef __x86_64__
/* Begins like glibc's free: test rdi,rdi (3 bytes); je */
__attribute__((naked, noinline)) static long free_like(void *p)
{
	(void)p;
	__asm__("test %rdi, %rdi\n je 1f\n mov $7, %eax\n ret\n 1: mov $9, %eax\n ret");
}
#endif

static uint64_t offset_of(void (*function)(void))
{
	uint64_t offset;

	assert_int_equal(uprobe_self_offset((const void *)(uintptr_t)function, &offset), 0);
	return offset;
}

static void *call_first(void *arg)
{
	first();
	return arg;
}

static void on_thread(void)
{
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, call_first, NULL), 0);
	pthread_join(thread, NULL);
}

static void in_child(void (*function)(void))
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (!pid) {
		function();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void features_are_tried(void **state)
{
	struct uprobe_features again;

	(void)state;
	print_message("perf %d, cookies %d, multi %d, whole process %d, session %d\n",
		      features.perf, features.perf_cookie, features.multi, features.multi_process,
		      features.session);
	assert_true(features.perf || features.multi);
	assert_true(features.multi || !features.multi_process);
	assert_int_equal(uprobe_features_probe(&again), 0);
	assert_memory_equal(&again, &features, sizeof(again));
}

static void multi_counts_each_offset(void **state)
{
	const uint64_t offsets[] = {offset_of(first), offset_of(second)};
	const uint64_t cookies[] = {1, 1000};
	struct uprobe_multi m = {.path = SELF, .offsets = offsets, .cookies = cookies, .n = 2};
	int kinds[] = {UPROBE_ENTRY, UPROBE_RETURN, UPROBE_SESSION};
	size_t i;

	(void)state;
	SKIP_UNLESS(features.multi, "this kernel has no multi links");
	for (i = 0; i < ARRAY_SIZE(kinds); i++) {
		uint64_t per_call = kinds[i] == UPROBE_SESSION ? 2 : 1;
		_cleanup_close_ int map = counter_map();
		int prog, link;

		if (kinds[i] == UPROBE_SESSION && !features.session)
			continue;
		prog = counter_prog(map, kinds[i]);
		m.kind = (enum uprobe_kind)kinds[i];
		m.pid = getpid();
		link = uprobe_multi_attach(prog, &m);
		assert_true(link >= 0);
		first();
		second();
		second();
		assert_true(counted(map).hits == 3 * per_call);
		assert_true(counted(map).cookies == 2001 * per_call);
		in_child(first); /* another process */
		assert_true(counted(map).hits == 3 * per_call);
		on_thread();
		assert_true(counted(map).hits == (features.multi_process ? 4 : 3) * per_call);
		close(link);
		first();
		assert_true(counted(map).hits == (features.multi_process ? 4 : 3) * per_call);
		close(prog);
	}
}

/* Entry, return and session probes behind the entry, where rsp has not moved. */
static void return_probe_behind_entry(void **state)
{
#ifdef __x86_64__
	const uint64_t offset = offset_of((void (*)(void))(uintptr_t)free_like) + 3;
	struct uprobe_multi m = {.path = SELF, .offsets = &offset, .n = 1, .pid = getpid()};
	int kind;

	(void)state;
	SKIP_UNLESS(features.multi, "this kernel has no multi links");
	for (kind = UPROBE_ENTRY; kind <= (features.session ? UPROBE_SESSION : UPROBE_RETURN);
	     kind++) {
		_cleanup_close_ int map = counter_map();
		_cleanup_close_ int prog = counter_prog(map, kind);
		_cleanup_close_ int link = -1;

		m.kind = (enum uprobe_kind)kind;
		link = uprobe_multi_attach(prog, &m);
		assert_true(link >= 0);
		assert_int_equal(free_like(NULL), 9);
		assert_int_equal(free_like(&kind), 7);
		assert_true(counted(map).hits == (kind == UPROBE_SESSION ? 4 : 2));
	}
#else
	(void)state;
	print_message("skip: sites are chosen on x86-64 only\n");
	skip();
#endif
}

static void multi_of_all_processes(void **state)
{
	const uint64_t offset = offset_of(first);
	const struct uprobe_multi m = {.path = SELF, .offsets = &offset, .n = 1};
	_cleanup_close_ int map = counter_map();
	_cleanup_close_ int prog = -1, link = -1;

	(void)state;
	SKIP_UNLESS(features.multi, "this kernel has no multi links");
	prog = counter_prog(map, UPROBE_ENTRY);
	link = uprobe_multi_attach(prog, &m);
	assert_true(link >= 0);
	first();
	in_child(first);
	assert_true(counted(map).hits == 2 && counted(map).cookies == 0);
}

static void multi_errors(void **state)
{
	const uint64_t offset = offset_of(first);
	struct uprobe_multi m = {.path = "/nowhere/at/all", .offsets = &offset, .n = 1};
	_cleanup_close_ int map = counter_map();
	_cleanup_close_ int prog = -1;

	(void)state;
	SKIP_UNLESS(features.multi, "this kernel has no multi links");
	prog = counter_prog(map, UPROBE_ENTRY);
	assert_int_equal(uprobe_multi_attach(prog, &m), -ENOENT);
	m.path = SELF;
	m.n = 0;
	assert_int_equal(uprobe_multi_attach(prog, &m), -EINVAL);
	m.n = 1;
	m.pid = INT32_MAX;
	assert_int_equal(uprobe_multi_attach(prog, &m), -ESRCH);
	assert_int_equal(uprobe_multi_attach(-1, &m), -EBADF);
}

static void perf_counts(void **state)
{
	struct uprobe_perf p = {.path = SELF, .offset = offset_of(first), .pid = getpid()};
	uint64_t cookie = features.perf_cookie ? 77 : 0;
	_cleanup_close_ int map = counter_map();
	_cleanup_close_ int prog = -1;
	struct uprobe_perf_link entry, ret, bad;

	(void)state;
	SKIP_UNLESS(features.perf, "this kernel has no uprobe PMU");
	prog = counter_prog(map, -1);
	p.cookie = cookie;
	assert_int_equal(uprobe_perf_attach(prog, &p, &entry), 0);
	p.is_return = true;
	assert_int_equal(uprobe_perf_attach(prog, &p, &ret), 0);
	first();
	assert_true(counted(map).hits == 2 && counted(map).cookies == 2 * cookie);
	in_child(first);
	assert_true(counted(map).hits == 2);
	on_thread();
	assert_true(counted(map).hits == 4);
	uprobe_perf_detach(&ret);
	uprobe_perf_detach(&entry);
	first();
	assert_true(counted(map).hits == 4);
	p.path = "/nowhere/at/all";
	assert_int_equal(uprobe_perf_attach(prog, &p, &bad), -ENOENT);
}

/* As a new program: argv[1] is CALL. */
#define CALL "--call-first"

static void perf_on_exec(void **state)
{
	struct uprobe_perf p = {.path = SELF, .offset = offset_of(first), .on_exec = true};
	_cleanup_close_ int map = counter_map();
	_cleanup_close_ int prog = -1;
	struct uprobe_perf_link link;
	int gate[2];
	char go = 1;

	(void)state;
	SKIP_UNLESS(features.perf, "this kernel has no uprobe PMU");
	prog = counter_prog(map, -1);
	assert_int_equal(pipe2(gate, O_CLOEXEC), 0);
	p.pid = fork();
	assert_true(p.pid >= 0);
	if (!p.pid) {
		if (read(gate[0], &go, 1) != 1)
			_exit(1);
		first(); /* not yet */
		execl(SELF, "test", CALL, (char *)NULL);
		_exit(1);
	}
	assert_int_equal(uprobe_perf_attach(prog, &p, &link), 0);
	assert_int_equal(write(gate[1], &go, 1), 1);
	assert_int_equal(waitpid(p.pid, NULL, 0), p.pid);
	close(gate[0]);
	close(gate[1]);
	assert_true(counted(map).hits == 1);
	uprobe_perf_detach(&link);
}

static void close_later_closes(void **state)
{
	char byte;
	int p[2];

	(void)state;
	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	uprobe_close_later((const int[]){-1, p[1]}, 2);
	assert_int_equal(read(p[0], &byte, 1), 0); /* end of file once it is closed */
	close(p[0]);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(features_are_tried),
		cmocka_unit_test(multi_counts_each_offset),
		cmocka_unit_test(return_probe_behind_entry),
		cmocka_unit_test(multi_of_all_processes),
		cmocka_unit_test(multi_errors),
		cmocka_unit_test(perf_counts),
		cmocka_unit_test(perf_on_exec),
		cmocka_unit_test(close_later_closes),
	};

	if (argc == 2 && !strcmp(argv[1], CALL)) {
		first();
		return 0;
	}
	if (uprobe_test_setup(&features))
		return 0;
	return cmocka_run_group_tests(tests, NULL, NULL);
}

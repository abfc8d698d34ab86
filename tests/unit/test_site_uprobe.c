/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Attaching for real: links of each kind, files without a name, other mount namespaces. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <linux/bpf.h>

#include <cmocka.h>

#include <bpf/bpf.h>

#include "lib/lib.h"
#include "trace/uprobe.h"

#define SELF "/proc/self/exe"

struct counter {
	uint64_t hits, cookies; /* cookies: the sum of all hits' */
};

static struct uprobe_features features;

__attribute__((noinline, noclone)) static void first(void)
{
	__asm__ volatile("nop" ::: "memory");
}

__attribute__((noinline, noclone)) static void second(void)
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

static int counter_map(void)
{
	int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "mt_test", 4, sizeof(struct counter), 1, NULL);

	assert_true(fd >= 0);
	return fd;
}

/* hits += 1; cookies += bpf_get_attach_cookie(ctx) */
static int counter_prog(int map_fd, int kind)
{
	const struct bpf_insn insns[] = {
		{.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_get_attach_cookie},
		{.code = BPF_LD | BPF_DW | BPF_IMM,
		 .dst_reg = 1,
		 .src_reg = BPF_PSEUDO_MAP_VALUE,
		 .imm = map_fd},
		{0},
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 2, .imm = 1},
		{.code = BPF_STX | BPF_ATOMIC | BPF_DW, .dst_reg = 1, .src_reg = 2, .imm = BPF_ADD},
		{.code = BPF_STX | BPF_ATOMIC | BPF_DW,
		 .dst_reg = 1,
		 .src_reg = 0,
		 .off = 8,
		 .imm = BPF_ADD},
		{.code = BPF_ALU64 | BPF_MOV | BPF_K},
		{.code = BPF_JMP | BPF_EXIT},
	};
	int fd = uprobe_prog_load(insns, ARRAY_SIZE(insns), kind);

	assert_true(fd >= 0);
	return fd;
}

static struct counter counted(int map_fd)
{
	struct counter c;
	uint32_t zero = 0;

	assert_int_equal(bpf_map_lookup_elem(map_fd, &zero, &c), 0);
	return c;
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

#define SKIP_UNLESS(what, why)                            \
	do {                                              \
		if (!(what)) {                            \
			print_message("skip: %s\n", why); \
			skip();                           \
		}                                         \
	} while (0)

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

/* push rbp; pop rbp; ret: a page of code in a file */
static void write_code(int fd)
{
	char page[4096] = "\x55\x5d\xc3";

	assert_int_equal(write(fd, page, sizeof(page)), sizeof(page));
}

static void call_code(int fd)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);

	assert_true(p != MAP_FAILED);
	((void (*)(void))(uintptr_t)p)();
	munmap(p, 4096);
}

/* Attaches to offset 0 of the open file by its descriptor, both ways. */
static void attach_by_fd(int file, int map, int *ret_multi, struct uprobe_perf_link *ret_perf)
{
	_cleanup_close_ int multi_prog = -1, perf_prog = counter_prog(map, -1);
	const uint64_t offset = 0;
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
	*ret_multi = -1;
	if (features.multi) {
		const struct uprobe_multi m = {.path = path, .offsets = &offset, .n = 1};

		multi_prog = counter_prog(map, UPROBE_ENTRY);
		*ret_multi = uprobe_multi_attach(multi_prog, &m);
		assert_true(*ret_multi >= 0);
	}
	if (features.perf)
		assert_int_equal(uprobe_perf_attach(perf_prog,
						    &(struct uprobe_perf){.path = path, .pid = -1},
						    ret_perf),
				 0);
}

static void check_by_fd(int file, void (*run)(int), int run_fd)
{
	struct uprobe_perf_link perf = {-1, -1};
	_cleanup_close_ int map = counter_map();
	int multi;

	attach_by_fd(file, map, &multi, &perf);
	run(run_fd);
	assert_int_equal(counted(map).hits, features.multi + features.perf);
	if (multi >= 0)
		close(multi);
	uprobe_perf_detach(&perf);
}

static void deleted_file(void **state)
{
	char name[] = "/tmp/memtally-uprobe-XXXXXX";
	_cleanup_close_ int fd = mkostemp(name, O_CLOEXEC);

	(void)state;
	assert_true(fd >= 0);
	write_code(fd);
	check_by_fd(fd, call_code, fd);
	assert_int_equal(unlink(name), 0);
	check_by_fd(fd, call_code, fd);
}

static void anonymous_file(void **state)
{
	_cleanup_close_ int fd = memfd_create("memtally-test", MFD_CLOEXEC);

	(void)state;
	assert_true(fd >= 0);
	write_code(fd);
	check_by_fd(fd, call_code, fd);
}

static char other_root[] = "/tmp/memtally-mnt-XXXXXX";

/* In its own mount namespace: a file system that nobody else sees. */
static void other_namespace(int ready, int go)
{
	char path[96], byte = 1;
	int fd;

	snprintf(path, sizeof(path), "%s/code", other_root);
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("none", other_root, "tmpfs", 0, NULL))
		_exit(2);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0700);
	if (fd < 0)
		_exit(3);
	write_code(fd);
	if (write(ready, &byte, 1) != 1 || read(go, &byte, 1) != 1)
		_exit(4);
	call_code(fd);
	_exit(0);
}

static int go_fd;
static pid_t go_pid;

static void let_child_run(int unused)
{
	char byte = 1;
	int status;

	(void)unused;
	assert_int_equal(write(go_fd, &byte, 1), 1);
	assert_int_equal(waitpid(go_pid, &status, 0), go_pid);
	assert_int_equal(status, 0);
}

static void other_mount_namespace(void **state)
{
	int ready[2], go[2], status;
	char path[128], byte;
	int fd;

	(void)state;
	assert_non_null(mkdtemp(other_root));
	assert_int_equal(pipe2(ready, O_CLOEXEC) | pipe2(go, O_CLOEXEC), 0);
	go_pid = fork();
	assert_true(go_pid >= 0);
	if (!go_pid)
		other_namespace(ready[1], go[0]);
	close(ready[1]);
	close(go[0]);
	if (read(ready[0], &byte, 1) != 1) {
		waitpid(go_pid, &status, 0);
		rmdir(other_root);
		print_message("skip: cannot make a mount namespace here (step %d)\n",
			      WEXITSTATUS(status));
		skip();
	}
	snprintf(path, sizeof(path), "%s/code", other_root);
	assert_true(access(path, F_OK) != 0); /* really not visible here */
	snprintf(path, sizeof(path), "/proc/%d/root%s/code", (int)go_pid, other_root);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	go_fd = go[1];
	check_by_fd(fd, let_child_run, 0);
	close(fd);
	close(ready[0]);
	close(go[1]);
	rmdir(other_root);
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
		cmocka_unit_test(deleted_file),
		cmocka_unit_test(anonymous_file),
		cmocka_unit_test(other_mount_namespace),
		cmocka_unit_test(close_later_closes),
	};
	int err;

	if (argc == 2 && !strcmp(argv[1], CALL)) {
		first();
		return 0;
	}
	if (geteuid()) {
		print_message("skip: attaching uprobes needs root\n");
		return 0;
	}
	err = uprobe_features_probe(&features);
	if (err) {
		print_message("skip: no uprobes may be attached here: %s\n", errno_name(err));
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}

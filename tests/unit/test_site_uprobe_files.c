/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Attaching by descriptor: files without a name, files of another mount namespace. */
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "uprobe_count.h"

static struct uprobe_features features;

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(deleted_file),
		cmocka_unit_test(anonymous_file),
		cmocka_unit_test(other_mount_namespace),
	};

	if (uprobe_test_setup(&features))
		return 0;
	return cmocka_run_group_tests(tests, NULL, NULL);
}

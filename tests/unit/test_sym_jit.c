/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Names of JIT code: the map of a process in its own mount namespace, its growth, and
 * which maps are not believed.
 */
#include "sym_files.h"

#include <sched.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

static void write_perf_map(const char *path, const char *mode, uint64_t start, const char *name)
{
	FILE *f = fopen(path, mode);

	assert_non_null(f);
	fprintf(f, "%llx 40 %s\n", (unsigned long long)start, name);
	assert_int_equal(fclose(f), 0);
}

/* Waits for the next look at the file; the test's own limit is alarm(). */
static void wait_for_name(struct live *l, uint64_t address, const char *want)
{
	const struct frame *f;

	do {
		sched_yield();
		f = live_at(l, address);
	} while (!f->function || strcmp(f->function, want) != 0);
}

static void test_jit(void **state)
{
	struct symbolizer_stats stats;
	const struct frame *f;
	uint64_t code;
	struct live l;
	char path[64];
	void *p;

	(void)state;
	p = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(p != MAP_FAILED);
	code = (uint64_t)(uintptr_t)p;
	snprintf(path, sizeof(path), "/tmp/perf-%d.map", (int)getpid());
	unlink(path);
	live_open(&l, NULL);
	f = live_at(&l, code + 0x110);
	assert_function(f, NULL);
	assert_string_equal(f->object, "[jit]");
	assert_int_equal(f->object_offset, 0x110);

	alarm(20);
	write_perf_map(path, "we", code + 0x100, "js:first function");
	wait_for_name(&l, code + 0x110, "js:first function");
	f = live_at(&l, code + 0x110);
	assert_string_equal(f->object, "[jit]");
	assert_int_equal(f->offset, 0x10);
	write_perf_map(path, "ae", code + 0x200, "js:second");
	wait_for_name(&l, code + 0x200, "js:second");
	alarm(0);
	symbolizer_stats(l.s, &stats);
	assert_int_equal(stats.perf_map_refused, 0);
	symbolizer_forget(l.s, getpid());
	symbolizer_forget(l.s, 1);
	live_close(&l);

	/* a map by somebody else is not believed */
	if (geteuid()) {
		print_message("owner part left out: not root\n");
	} else {
		assert_int_equal(chown(path, 12345, 12345), 0);
		live_open(&l, NULL);
		assert_function(live_at(&l, code + 0x110), NULL);
		symbolizer_stats(l.s, &stats);
		assert_int_equal(stats.perf_map_refused, 1);
		live_close(&l);
	}
	/* neither is a pipe, and it does not stop us */
	unlink(path);
	assert_int_equal(mkfifo(path, 0600), 0);
	alarm(20);
	live_open(&l, NULL);
	assert_function(live_at(&l, code + 0x110), NULL);
	symbolizer_stats(l.s, &stats);
	assert_int_equal(stats.perf_map_refused, 1);
	live_close(&l);
	alarm(0);
	unlink(path);
	munmap(p, 4096);
}

/* In a container the map is below its root, and so is what a link in it points to. */
static void test_jit_other_root(void **state)
{
	struct sym_stack stack = {.n = 1};
	char root[] = "/tmp/test_sym_root.XXXXXX", path[128], link[128];
	struct frame *frames;
	int ready[2], done[2];
	uint64_t address;
	struct live l;
	pid_t child;
	size_t n;
	void *p;
	char c;

	(void)state;
	if (geteuid()) {
		print_message("not root: no chroot\n");
		skip();
	}
	p = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(p != MAP_FAILED);
	assert_non_null(mkdtemp(root));
	snprintf(path, sizeof(path), "%s/tmp", root);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(pipe(ready) | pipe(done), 0);
	child = fork();
	if (!child) {
		close(done[1]);
		if (chroot(root) || write(ready[1], "", 1) != 1)
			_exit(1);
		_exit(read(done[0], &c, 1) == 1);
	}
	assert_true(child > 0);
	close(ready[1]);
	assert_int_equal(read(ready[0], &c, 1), 1);
	snprintf(path, sizeof(path), "%s/tmp/real.map", root);
	snprintf(link, sizeof(link), "%s/tmp/perf-%d.map", root, (int)child);
	address = (uint64_t)(uintptr_t)p + 8;
	write_perf_map(path, "we", address - 8, "inside");
	assert_int_equal(symlink("/tmp/real.map", link), 0);
	live_open(&l, NULL);
	stack.pid = child;
	stack.maps = &l.maps;
	stack.addresses = &address;
	assert_int_equal(symbolizer_stack(l.s, &stack, &frames, &n), 0);
	assert_function(&frames[0], "inside");
	free(frames);
	live_close(&l);
	close(ready[0]);
	close(done[0]);
	close(done[1]);
	assert_int_equal(waitpid(child, NULL, 0), child);
	munmap(p, 4096);
	snprintf(path, sizeof(path), "rm -r '%s'", root);
	assert_int_equal(system(path), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_jit),
		cmocka_unit_test(test_jit_other_root),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

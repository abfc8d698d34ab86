/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Names in a running process, this one: real mappings, libraries of the system, vdso,
 * signal trampoline, kernel.
 */
#include "sym_files.h"

#include <errno.h>
#include <signal.h>
#include <sys/auxv.h>
#include <sys/wait.h>

/* Not through malloc's address in here: the sanitizer has its own. */
static void test_well_known(void **state)
{
	static const struct {
		const char *file, *symbol, *want;
	} cases[] = {
		{"/lib/x86_64-linux-gnu/libc.so.6", "malloc", "malloc"},
		{"/lib/x86_64-linux-gnu/libc.so.6", "free", "free"},
		{"/lib/x86_64-linux-gnu/libc.so.6", "realloc", "realloc"},
		{"/lib/x86_64-linux-gnu/libc.so.6", "puts", "puts"},
		{"/lib/x86_64-linux-gnu/libc.so.6", "mmap", "mmap"},
		{"/usr/lib/x86_64-linux-gnu/libstdc++.so.6", "_Znwm",
		 "operator new(unsigned long)"},
		{"/usr/lib/x86_64-linux-gnu/libstdc++.so.6", "_ZdaPv", "operator delete[](void*)"},
	};
	const struct symbolizer_opts opts = {.no_lines = true};
	char command[256], word[256];
	struct lab l;
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		if (access(cases[i].file, R_OK)) {
			print_message("left out: no %s\n", cases[i].file);
			continue;
		}
		snprintf(command, sizeof(command),
			 "nm -D %s | sed 's/@.*//' | awk '$3 == \"%s\" { print $1 }'",
			 cases[i].file, cases[i].symbol);
		read_word("/", command, word);
		assert_true(*word);
		lab_open(&l, cases[i].file, &opts);
		assert_function(lab_at(&l, strtoull(word, NULL, 16) + 1, false), cases[i].want);
		assert_non_null(l.frames[0].build_id);
		lab_close(&l);
	}
}

static uint64_t trampoline;

static void on_signal(int sig)
{
	(void)sig;
	trampoline = (uint64_t)(uintptr_t)__builtin_return_address(0);
}

static void test_signal_frame(void **state)
{
	uint64_t here = (uint64_t)(uintptr_t)test_well_known, addresses[3];
	struct sigaction sa = {.sa_handler = on_signal};
	const struct frame *f;
	struct live l;

	(void)state;
	assert_int_equal(sigaction(SIGUSR1, &sa, NULL), 0);
	raise(SIGUSR1);
	assert_true(trampoline);
	/* The interrupted address is the first of a function: one lower is another one. */
	addresses[0] = (uint64_t)(uintptr_t)on_signal + 4;
	addresses[1] = trampoline;
	addresses[2] = here;
	live_open(&l, &(struct symbolizer_opts){.no_lines = true});
	live_stack(&l, addresses, 3);
	assert_int_equal(l.n, 3);
	f = l.frames;
	assert_function(&f[0], "on_signal");
	assert_function(&f[1], "__restore_rt");
	assert_int_equal(f[1].offset, 0);
	assert_function(&f[2], "test_well_known");
	assert_int_equal(f[2].offset, 0);
	live_close(&l);
}

static void test_vdso(void **state)
{
	uint64_t base = getauxval(AT_SYSINFO_EHDR), at;
	const struct mapping *m;
	size_t named = 0;
	struct live l;

	(void)state;
	if (!base) {
		print_message("no vdso\n");
		skip();
	}
	live_open(&l, NULL);
	m = maps_find(&l.maps, base);
	assert_non_null(m);
	for (at = base; at < m->end; at += 16) {
		const struct frame *f = live_at(&l, at);

		assert_string_equal(f->object, "[vdso]");
		assert_int_equal(f->object_offset, at - base);
		named += f->function && strstr(f->function, "clock_gettime");
	}
	assert_true(named > 0);
	live_close(&l);
}

static void test_nowhere(void **state)
{
	uint64_t addresses[] = {0, 8, UINT64_MAX};
	uint64_t on_stack = (uint64_t)(uintptr_t)addresses;
	struct live l;
	size_t i;

	(void)state;
	live_open(&l, NULL);
	live_stack(&l, addresses, 3);
	assert_int_equal(l.n, 3);
	for (i = 0; i < 3; i++) {
		assert_int_equal(l.frames[i].address, addresses[i]);
		assert_null(l.frames[i].function);
		if (i < 2)
			assert_null(l.frames[i].object);
	}
	assert_string_equal(live_at(&l, on_stack)->object, "[stack]");
	live_stack(&l, NULL, 0);
	assert_int_equal(l.n, 0);
	live_close(&l);
}

/* A process that has exited keeps its names: mappings are ours, files are open. */
static void test_exited(void **state)
{
	struct sym_stack stack = {.n = 1};
	const struct mapping *m;
	struct frame *frames;
	uint64_t address;
	struct object *o;
	struct live l;
	int pipe_fd[2];
	pid_t child;
	size_t n;
	char c;

	(void)state;
	assert_int_equal(pipe(pipe_fd), 0);
	child = fork();
	if (!child) {
		close(pipe_fd[1]);
		_exit(read(pipe_fd[0], &c, 1) == 1);
	}
	assert_true(child > 0);
	live_open(&l, NULL);
	maps_deinit(&l.maps);
	assert_int_equal(maps_read(child, &l.maps), 0);
	address = (uint64_t)(uintptr_t)test_exited;
	m = maps_find(&l.maps, address);
	assert_int_equal(objects_get(l.objects, child, m, &o), 0);
	close(pipe_fd[0]);
	close(pipe_fd[1]);
	assert_int_equal(waitpid(child, NULL, 0), child);
	stack.pid = child;
	stack.maps = &l.maps;
	stack.addresses = &address;
	assert_int_equal(symbolizer_stack(l.s, &stack, &frames, &n), 0);
	assert_function(&frames[n - 1], "test_exited");
	assert_non_null(strstr(frames[n - 1].file, "test_sym_live.c"));
	free(frames);
	live_close(&l);
}

static void test_kernel(void **state)
{
	struct sym_stack stack = {.n = 3};
	uint64_t addresses[3], start;
	struct frame *frames;
	struct symbolizer *s;
	char word[256];
	size_t n;
	int err;

	(void)state;
	s = symbolizer_new(NULL, NULL);
	err = symbolizer_kernel_status(s);
	symbolizer_free(s);
	if (err) {
		assert_int_equal(err, -EACCES);
		print_message("kernel addresses are not shown to us\n");
		skip();
	}
	read_word("/", "awk '$3 == \"vfs_read\" { print $1 }' /proc/kallsyms", word);
	start = strtoull(word, NULL, 16);
	assert_true(start);
	addresses[0] = start;
	addresses[1] = start + 9;
	addresses[2] = 0x1000;
	stack.addresses = addresses;
	s = symbolizer_new(NULL, NULL);
	assert_int_equal(symbolizer_kernel(s, &stack, &frames, &n), 0);
	assert_int_equal(n, 3);
	assert_function(&frames[0], "vfs_read");
	assert_int_equal(frames[0].offset, 0);
	assert_function(&frames[1], "vfs_read");
	assert_int_equal(frames[1].offset, 9);
	assert_string_equal(frames[1].object, "[kernel]");
	assert_function(&frames[2], NULL);
	free(frames);
	symbolizer_free(s);

	s = symbolizer_new(NULL, &(struct symbolizer_opts){.no_kernel = true});
	assert_int_equal(symbolizer_kernel_status(s), -ECANCELED);
	assert_int_equal(symbolizer_kernel(s, &stack, &frames, &n), 0);
	assert_function(&frames[0], NULL);
	assert_string_equal(frames[0].object, "[kernel]");
	free(frames);
	symbolizer_free(s);
	symbolizer_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_well_known), cmocka_unit_test(test_signal_frame),
		cmocka_unit_test(test_vdso),	   cmocka_unit_test(test_nowhere),
		cmocka_unit_test(test_exited),	   cmocka_unit_test(test_kernel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

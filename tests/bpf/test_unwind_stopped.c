/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_unwind_stopped.c - the process stops itself behind every Nth walk, so that
 * eu-stack sees the very same stack: equal frame by frame, but for the first, which may
 * have moved on. Only the test stops its own victim; memtally never stops a process.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include "eu_stack.h"
#include "harness.h"

#define MAX_THREADS 16

static char victims[PATH_MAX];
static char preload[PATH_MAX + 32];

struct comparison {
	pid_t *pid;
	unsigned int wanted, equal, different;
};

static int compare(void *arg, const struct walk_record *rec)
{
	static const struct timespec ms = {.tv_nsec = 1000000};
	const uint64_t *ours = (const uint64_t *)rec->pcs;
	struct comparison *c = arg;
	struct eu_thread threads[MAX_THREADS];
	const struct eu_thread *theirs;
	size_t n;

	if (!rec->head.stopped)
		return 0;
	while (!is_stopped((pid_t)rec->head.pid, (pid_t)rec->head.tid)) {
		if (kill(*c->pid, 0))
			return 0;
		nanosleep(&ms, NULL);
	}
	if (c->equal + c->different == c->wanted) {
		kill(*c->pid, SIGKILL);
		return 0;
	}
	n = eu_stack((pid_t)rec->head.pid, threads, MAX_THREADS);
	theirs = eu_stack_find(threads, n, (pid_t)rec->head.tid);
	n = theirs ? theirs->n : 0;
	if (n == rec->head.n && n > 1 &&
	    !memcmp(ours + 1, theirs->pcs + 1, (n - 1) * sizeof(*ours))) {
		c->equal++;
	} else if (!c->different++) {
		printf("  status %u flags %u\n", rec->head.status, rec->head.flags);
		print_pcs("walk", ours, rec->head.n);
		if (theirs)
			print_pcs("eu-stack", theirs->pcs, n);
	}
	kill(*c->pid, SIGCONT);
	return 0;
}

static void check(char **argv, unsigned int every, unsigned int wanted)
{
	struct harness h = {
		.argv = argv,
		.preload = preload,
		.object = preload,
		.function = "gt_probe",
		.program = "every_enter",
		.mode = UNWIND_DWARF,
		.stop_every = every,
		.on_record = compare,
	};
	struct comparison c = {.pid = &h.pid, .wanted = wanted};

	eu_stack_need();
	h.arg = &c;
	assert_int_equal(harness_start(&h), 0);
	assert_int_equal(harness_run(&h), 0);
	printf("%s: %u stacks equal to eu-stack's, %u different\n", argv[0], c.equal, c.different);
	assert_int_equal(c.different, 0);
	assert_true(c.equal >= wanted);
	harness_stop(&h);
}

static void test_threads_of_c(void **state)
{
	char path[PATH_MAX + 32];
	char *argv[] = {path, "3", NULL};

	(void)state;
	snprintf(path, sizeof(path), "%s/unwind_cxx", victims);
	check(argv, 97, 30);
}

static void test_python(void **state)
{
	char *argv[] = {
		"/usr/bin/python3",
		"-S",
		"-c",
		"for i in range(1000):\n"
		"    [str(k) * 300 for k in range(200)]\n",
		NULL,
	};

	(void)state;
	if (access(argv[0], X_OK)) {
		print_message("skipped: no %s\n", argv[0]);
		skip();
	}
	check(argv, 211, 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_threads_of_c),
		cmocka_unit_test(test_python),
	};
	char self[PATH_MAX] = "";

	if (readlink("/proc/self/exe", self, sizeof(self) - 1) < 0)
		return 1;
	snprintf(victims, sizeof(victims), "%s/unwind", dirname(dirname(self)));
	snprintf(preload, sizeof(preload), "%s/gt_preload.so", victims);
	setenv("GT_MAX", "1000000", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

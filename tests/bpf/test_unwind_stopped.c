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

#include "harness.h"

#define MAX_FRAMES 300

static char victims[PATH_MAX];
static char preload[PATH_MAX + 32];

struct comparison {
	pid_t *pid;
	unsigned int wanted, equal, different;
};

static bool is_stopped(pid_t pid, pid_t tid)
{
	_cleanup_free_ char *text = NULL;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/task/%d/stat", pid, tid);
	return !read_file(path, &text, NULL) && strrchr(text, ')') && strrchr(text, ')')[2] == 'T';
}

/* Frames of one thread from eu-stack's "TID 12:\n#0  0x00007f... name\n...". */
static size_t eu_stack(pid_t pid, pid_t tid, uint64_t *pcs)
{
	char command[64], line[1024];
	bool ours = false;
	size_t n = 0;
	FILE *f;

	snprintf(command, sizeof(command), "eu-stack -n %d -p %d 2>/dev/null", MAX_FRAMES, pid);
	f = popen(command, "r");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		const char *hex = strstr(line, "0x");

		if (!strncmp(line, "TID ", 4))
			ours = strtol(line + 4, NULL, 10) == tid;
		else if (ours && line[0] == '#' && hex && n < MAX_FRAMES)
			pcs[n++] = strtoull(hex, NULL, 16);
	}
	pclose(f);
	return n;
}

static void print_pcs(const char *who, const uint64_t *pcs, size_t n)
{
	printf("  %s:", who);
	for (size_t i = 0; i < n; i++)
		printf(" %lx", pcs[i]);
	printf("\n");
}

static int compare(void *arg, const struct walk_record *rec)
{
	static const struct timespec ms = {.tv_nsec = 1000000};
	const uint64_t *ours = (const uint64_t *)rec->pcs;
	struct comparison *c = arg;
	uint64_t theirs[MAX_FRAMES];
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
	n = eu_stack((pid_t)rec->head.pid, (pid_t)rec->head.tid, theirs);
	if (n == rec->head.n && n > 1 && !memcmp(ours + 1, theirs + 1, (n - 1) * sizeof(*ours))) {
		c->equal++;
	} else if (!c->different++) {
		printf("  status %u flags %u\n", rec->head.status, rec->head.flags);
		print_pcs("walk", ours, rec->head.n);
		print_pcs("eu-stack", theirs, n);
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

	if (access("/usr/bin/eu-stack", X_OK)) {
		print_message("skipped: no eu-stack\n");
		skip();
	}
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

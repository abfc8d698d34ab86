/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <sys/wait.h>

#include "trace/spawn.h"

static int status_of(char *script)
{
	char *const argv[] = {(char *)"/bin/sh", (char *)"-c", script, NULL};
	const struct rlimit memlock = {.rlim_cur = 7 << 10, .rlim_max = 7 << 10};
	struct spawn s;
	int status;

	assert_int_equal(0, spawn_hold(argv, &memlock, &s));
	assert_int_equal(0, spawn_release(&s));
	assert_int_equal(s.pid, waitpid(s.pid, &status, 0));
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void test_memlock_is_the_given(void **state)
{
	struct rlimit before, after;

	(void)state;
	assert_int_equal(0, getrlimit(RLIMIT_MEMLOCK, &before));
	assert_int_equal(7, status_of((char *)"exit $(ulimit -l)"));
	assert_int_equal(0, getrlimit(RLIMIT_MEMLOCK, &after));
	assert_memory_equal(&before, &after, sizeof(before));
}

static struct spawn hold(const char *path)
{
	char *const argv[] = {(char *)path, NULL};
	struct rlimit memlock;
	struct spawn s;

	assert_int_equal(0, getrlimit(RLIMIT_MEMLOCK, &memlock));
	assert_int_equal(0, spawn_hold(argv, &memlock, &s));
	return s;
}

static void test_exec_failure_is_told(void **state)
{
	struct spawn s = hold("/nonexistent");

	(void)state;
	assert_int_equal(-ENOENT, spawn_release(&s));
	assert_int_equal(0, s.pid);
}

static void test_never_released(void **state)
{
	struct spawn s = hold("/bin/true");

	(void)state;
	spawn_deinit(&s);
	assert_int_equal(-1, waitpid(-1, NULL, WNOHANG));
	assert_int_equal(ECHILD, errno);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_memlock_is_the_given),
		cmocka_unit_test(test_exec_failure_is_told),
		cmocka_unit_test(test_never_released),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/types.h>

#include "trace/loop.h"

struct seen {
	struct loop *l;
	int fds[2], hits, signo;
	bool from_user;
};

static int on_timer(void *arg, int fd)
{
	struct seen *s = arg;

	(void)fd;
	if (++s->hits == 3)
		loop_stop(s->l);
	return 0;
}

static void test_timer_repeats(void **state)
{
	struct seen s = {.l = loop_new()};

	(void)state;
	assert_int_equal(loop_add_timer(s.l, &(struct loop_timer){1000000, 1000000}, on_timer, &s),
			 0);
	assert_int_equal(loop_run(s.l), 0);
	assert_int_equal(s.hits, 3);
	loop_free(s.l);
}

static int on_signal(void *arg, int signo, bool from_user)
{
	struct seen *s = arg;

	s->signo = signo;
	s->from_user = from_user;
	loop_stop(s->l);
	return 0;
}

static void test_signal(void **state)
{
	struct seen s = {.l = loop_new()};
	sigset_t set, old;

	(void)state;
	sigemptyset(&set);
	sigprocmask(SIG_BLOCK, &set, &old);
	assert_int_equal(loop_add_signals(s.l, on_signal, &s), 0);
	kill(getpid(), SIGTERM);
	assert_int_equal(loop_run(s.l), 0);
	assert_int_equal(s.signo, SIGTERM);
	assert_true(s.from_user);
	loop_free(s.l);
	sigprocmask(SIG_SETMASK, &old, NULL);
}

/* Both fds are ready in one batch; the first callback takes the other one out. */
static int on_ready(void *arg, int fd)
{
	struct seen *s = arg;

	s->hits++;
	loop_remove(s->l, s->fds[0]);
	loop_remove(s->l, s->fds[1]);
	loop_stop(s->l);
	(void)fd;
	return 0;
}

static void test_removed_in_the_same_batch(void **state)
{
	struct seen s = {.l = loop_new()};

	(void)state;
	for (int i = 0; i < 2; i++) {
		s.fds[i] = eventfd(1, EFD_CLOEXEC);
		assert_int_equal(loop_add(s.l, s.fds[i], on_ready, &s), 0);
	}
	assert_int_equal(loop_run(s.l), 0);
	assert_int_equal(s.hits, 1);
	loop_free(s.l);
	close(s.fds[0]);
	close(s.fds[1]);
}

static int on_error(void *arg, int fd)
{
	(void)arg;
	(void)fd;
	return -ENOSPC;
}

static void test_error_ends_the_loop(void **state)
{
	struct loop *l = loop_new();
	int fd = eventfd(1, EFD_CLOEXEC);

	(void)state;
	assert_int_equal(loop_add(l, fd, on_error, NULL), 0);
	assert_int_equal(loop_run(l), -ENOSPC);
	loop_free(l);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_timer_repeats),
		cmocka_unit_test(test_signal),
		cmocka_unit_test(test_removed_in_the_same_batch),
		cmocka_unit_test(test_error_ends_the_loop),
	};

	return cmocka_run_group_tests_name("loop", tests, NULL, NULL);
}

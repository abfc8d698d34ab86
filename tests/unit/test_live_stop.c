/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The live table in a terminal of its own, and the signal of Ctrl-Z. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "view/live.h"
#include "view/view.h"

/* Stdin and stdout become a new terminal, which nobody reads: what is drawn fits its buffer. */
static bool take_terminal(void)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY), slave;

	if (master < 0 || grantpt(master) || unlockpt(master))
		return false;
	slave = open(ptsname(master), O_RDWR | O_NOCTTY);
	return slave >= 0 && dup2(slave, STDIN_FILENO) >= 0 && dup2(slave, STDOUT_FILENO) >= 0 &&
	       !setenv("TERM", "xterm", 1);
}

static void (*stop_action(void))(int)
{
	struct sigaction now;

	return sigaction(SIGTSTP, NULL, &now) ? SIG_ERR : now.sa_handler;
}

/* A signal comes before each of two reports: is it still there, to be read, after both? */
static int survives_reports(void)
{
	struct live *l = NULL;
	sigset_t pending;
	bool there = true;

	if (!take_terminal() || !live_possible() ||
	    live_new(&(struct live_config){.command = "test"}, &l) || live_open(l))
		return 2;
	for (int i = 0; i < 2; i++) {
		raise(SIGTSTP);
		there = !live_report(l, &(struct view_report){.time_ns = 1}) && there;
		there = !sigpending(&pending) && sigismember(&pending, SIGTSTP) == 1 && there;
	}
	signal(SIGTSTP, SIG_IGN); /* nobody lets us go on */
	live_free(l);
	return there ? 0 : 1;
}

/* What SIGTSTP does is ours only while the table is open. */
static int leaves_action(void)
{
	struct live *l = NULL;
	bool ours;

	if (!take_terminal() || live_new(&(struct live_config){.command = "test"}, &l))
		return 2;
	signal(SIGTSTP, SIG_IGN);
	if (live_open(l))
		return 2;
	ours = stop_action() != SIG_IGN && stop_action() != SIG_DFL;
	live_free(l);
	return ours && stop_action() == SIG_IGN ? 0 : 1;
}

/* In a process of its own: the table takes stdin and stdout. */
static void run(int (*body)(void))
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(body());
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_a_report_loses_no_signal(void **state)
{
	(void)state;
	run(survives_reports);
}

static void test_the_action_is_as_before(void **state)
{
	(void)state;
	run(leaves_action);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_report_loses_no_signal),
		cmocka_unit_test(test_the_action_is_as_before),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Children that share our address space until they execute: posix_spawn() and vfork(),
 * --children N of each (20), of /bin/true or --program FILE. Their allocations before the exec
 * happen in our memory; afterwards they are no business of ours.
 */
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "victim.h"

static char *const no_args[] = {(char *)"true", NULL};

NOINLINE static void before_leaf(long n)
{
	for (long i = 0; i < n; i++) {
		void *p = malloc(64);

		OPAQUE(p);
	}
	NO_TAIL_CALL();
}
VICTIM_CHAIN(before)

NOINLINE static void between_leaf(long n)
{
	for (long i = 0; i < n; i++) {
		void *p = malloc(80);

		OPAQUE(p);
	}
	NO_TAIL_CALL();
}
VICTIM_CHAIN(between)

static void wait_for(pid_t pid)
{
	int status;

	if (pid < 0 || waitpid(pid, &status, 0) != pid || status)
		abort();
}

int main(int argc, char **argv)
{
	const char *program;
	long children;

	victim_init(argc, argv);
	children = victim_option("children", 20);
	program = victim_text("program") ? victim_text("program") : "/bin/true";
	victim_go();
	before_top(100);
	for (long i = 0; i < children; i++) {
		pid_t pid;

		if (posix_spawn(&pid, program, NULL, NULL, no_args, environ))
			abort();
		wait_for(pid);
		between_top(5);
		pid = vfork();
		if (!pid) {
			execve(program, no_args, environ);
			_exit(1);
		}
		wait_for(pid);
	}
	victim_chain("before", "malloc", 6400, 100);
	victim_chain("between", "malloc", children * 5 * 80, children * 5);
	return victim_ready();
}

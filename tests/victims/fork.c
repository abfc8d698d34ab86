/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A parent with 100 blocks forks; the child frees half of what it inherited and leaks
 * 1000 blocks of its own. The parent still has its 100, then 100 grow to 150. The child
 * prints no line; it waits until the parent's pipe closes.
 */
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "victim.h"

static void *blocks[100];

NOINLINE static void parent_leaf(long n)
{
	for (long i = 0; i < n; i++)
		blocks[i] = malloc(16);
	NO_TAIL_CALL();
}
VICTIM_CHAIN(parent)

NOINLINE static void child_leaf(long n)
{
	for (long i = 0; i < n; i++) {
		void *p = malloc(32);

		OPAQUE(p);
	}
	NO_TAIL_CALL();
}
VICTIM_CHAIN(child)

NOINLINE static void after_leaf(long n)
{
	for (long i = 0; i < n; i++) {
		void *p = malloc(48);

		OPAQUE(p);
	}
	NO_TAIL_CALL();
}
VICTIM_CHAIN(after)

int main(int argc, char **argv)
{
	int done[2], hold[2];
	pid_t child;
	char c;

	victim_init(argc, argv);
	if (pipe(done) || pipe(hold))
		abort();
	victim_go();
	parent_top(100);
	child = fork();
	if (!child) {
		close(hold[1]);
		close(done[0]);
		for (int i = 0; i < 50; i++)
			free(blocks[i]);
		child_top(1000);
		if (write(done[1], "d", 1) != 1)
			_exit(1);
		_exit(read(hold[0], &c, 1) != 0);
	}
	close(hold[0]);
	close(done[1]);
	if (child < 0 || read(done[0], &c, 1) != 1)
		abort();
	after_top(50);
	victim_note("child", child);
	victim_chain("parent", "malloc", 1600, 100);
	victim_chain("after", "malloc", 2400, 50);
	victim_chain("child", "malloc", 32000, 1000);
	victim_ready();
	close(hold[1]);
	waitpid(child, NULL, 0);
	return victim_option("status", 0);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Holds kernel objects: --KIND N (eventfd, pipe, timerfd, tcp, unix, inotify) makes N of
 * that kind. States: start, held, closed, ready.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "victim.h"

#define MOST 20000

static int fds[MOST];
static int n_fds;

static void keep(int fd)
{
	if (fd < 0 || n_fds >= MOST) {
		perror("kernel_objects");
		_exit(1);
	}
	fds[n_fds++] = fd;
}

NOINLINE static void make_pipe(void)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC))
		ends[0] = ends[1] = -1;
	keep(ends[0]);
	keep(ends[1]);
}

NOINLINE static void make_pipes(long n)
{
	for (long i = 0; i < n; i++)
		make_pipe();
}

/* One watch per file below the directory, which the test makes and fills. */
static void make_marks(const char *dir, long n)
{
	int inotify = inotify_init1(IN_CLOEXEC);
	char path[4096];

	keep(inotify);
	for (long i = 0; i < n; i++) {
		snprintf(path, sizeof(path), "%s/%ld", dir, i);
		if (inotify_add_watch(inotify, path, IN_MODIFY) < 0)
			keep(-1);
	}
}

static void make_all(void)
{
	long n;

	n = victim_option("eventfd", 0);
	for (long i = 0; i < n; i++)
		keep(eventfd(0, EFD_CLOEXEC));
	make_pipes(victim_option("pipe", 0));
	n = victim_option("timerfd", 0);
	for (long i = 0; i < n; i++)
		keep(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC));
	n = victim_option("tcp", 0);
	for (long i = 0; i < n; i++)
		keep(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
	n = victim_option("unix", 0);
	for (long i = 0; i < n; i++)
		keep(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
	n = victim_option("inotify", 0);
	if (n)
		make_marks(victim_text("dir"), n);
}

int main(int argc, char **argv)
{
	struct rlimit r;

	victim_init(argc, argv);
	if (!getrlimit(RLIMIT_NOFILE, &r)) {
		r.rlim_cur = r.rlim_max;
		setrlimit(RLIMIT_NOFILE, &r);
	}
	victim_go();
	make_all();
	victim_step("held");
	while (n_fds)
		close(fds[--n_fds]);
	victim_step("closed");
	return victim_ready();
}

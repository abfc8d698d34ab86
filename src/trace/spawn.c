/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "trace/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

static void child(char *const *argv, const struct rlimit *memlock, int go, int fail)
{
	char byte;
	ssize_t n;
	int err;

	do
		n = read(go, &byte, 1);
	while (n < 0 && errno == EINTR);
	if (n != 1) /* the tracer is gone: the program was never to run untraced */
		_exit(127);
	signal(SIGPIPE, SIG_DFL); /* memtally ignores it; its children should not */
	setrlimit(RLIMIT_MEMLOCK, memlock);
	execvp(argv[0], argv);
	err = errno;
	n = write(fail, &err, sizeof(err));
	_exit(n == sizeof(err) ? 127 : 126);
}

int spawn_hold(char *const *argv, const struct rlimit *memlock, struct spawn *ret)
{
	int go[2], fail[2], err;
	pid_t pid;

	if (pipe2(go, O_CLOEXEC))
		return -errno;
	if (pipe2(fail, O_CLOEXEC)) {
		err = -errno;
		close(go[0]);
		close(go[1]);
		return err;
	}
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		close(go[1]);
		child(argv, memlock, go[0], fail[1]);
	}
	err = -errno;
	close(go[0]);
	close(fail[1]);
	if (pid < 0) {
		close(go[1]);
		close(fail[0]);
		return err;
	}
	*ret = (struct spawn){.pid = pid, .go_fd = go[1], .fail_fd = fail[0]};
	return 0;
}

int spawn_release(struct spawn *s)
{
	ssize_t n = write(s->go_fd, "g", 1);
	int err = 0;

	if (n != 1)
		return -errno;
	do
		n = read(s->fail_fd, &err, sizeof(err));
	while (n < 0 && errno == EINTR);
	close(s->go_fd);
	close(s->fail_fd);
	s->go_fd = s->fail_fd = -1;
	if (n != sizeof(err))
		return 0;
	waitpid(s->pid, NULL, 0);
	s->pid = 0;
	return -err;
}

void spawn_deinit(struct spawn *s)
{
	if (s->pid <= 0 || s->go_fd < 0)
		return;
	close(s->go_fd); /* end of file: the child exits by itself */
	close(s->fail_fd);
	waitpid(s->pid, NULL, 0);
	s->pid = 0;
}

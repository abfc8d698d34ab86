/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Loops that live on the kernel's allocators. Prints "NAME microseconds of CPU time per
 * operation" for each; argument: seconds per loop.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "lib/lib.h"

#define CHUNK	  16384
#define FILES	  64
#define MAPS	  32
#define MAP_BYTES 65536

static char buffer[CHUNK];
static int failed; /* a call that did not do its part */

static void check(bool ok)
{
	failed |= !ok;
}

static void loop_open(void)
{
	int fd[FILES];

	for (int i = 0; i < FILES; i++)
		check((fd[i] = open("/etc/passwd", O_RDONLY | O_CLOEXEC)) >= 0);
	for (int i = 0; i < FILES; i++)
		close(fd[i]);
}

static void loop_unix(void)
{
	int s[2];

	check(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s));
	for (int i = 0; i < 8; i++) {
		check(write(s[0], buffer, 4096) == 4096);
		check(read(s[1], buffer, 4096) == 4096);
	}
	close(s[0]);
	close(s[1]);
}

static void transfer(int from, int to)
{
	ssize_t got = 0, n;

	check(write(from, buffer, CHUNK) == CHUNK);
	while (got < CHUNK && (n = read(to, buffer, (size_t)(CHUNK - got))) > 0)
		got += n;
	check(got == CHUNK);
}

static void loop_tcp(void)
{
	static const struct linger at_once = {1, 0};
	static struct sockaddr_in address = {.sin_family = AF_INET};
	static int listening = -1;
	socklen_t len = sizeof(address);
	int c, a;

	if (listening < 0) {
		address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		check(!bind(listening, (struct sockaddr *)&address, len));
		check(!listen(listening, 8));
		check(!getsockname(listening, (struct sockaddr *)&address, &len));
	}
	c = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	check(!connect(c, (struct sockaddr *)&address, sizeof(address)));
	a = accept4(listening, NULL, NULL, SOCK_CLOEXEC);
	for (int i = 0; i < 4; i++)
		transfer(c, a);
	setsockopt(c, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	close(c);
	close(a);
}

static void loop_fork(void)
{
	pid_t pid = fork();

	if (!pid)
		_exit(0);
	check(pid > 0 && waitpid(pid, NULL, 0) == pid);
}

static void loop_file(void)
{
	char name[64], other[64];
	int fd;

	snprintf(name, sizeof(name), "/tmp/kmem_loops.%d", getpid());
	snprintf(other, sizeof(other), "/tmp/kmem_loops.%d.b", getpid());
	fd = open(name, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	check(write(fd, buffer, sizeof(buffer)) == sizeof(buffer));
	close(fd);
	check(!rename(name, other) && !unlink(other));
}

static void loop_mmap(void)
{
	void *p[MAPS];

	for (int i = 0; i < MAPS; i++) {
		p[i] = mmap(NULL, MAP_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			    -1, 0);
		check(p[i] != MAP_FAILED);
		memset(p[i], 1, MAP_BYTES);
		check(!mprotect(p[i], 4096, PROT_READ));
	}
	for (int i = 0; i < MAPS; i++)
		munmap(p[i], MAP_BYTES);
}

static double cpu_of(int who)
{
	struct rusage r;

	getrusage(who, &r);
	return (double)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) +
	       (double)(r.ru_utime.tv_usec + r.ru_stime.tv_usec) / 1e6;
}

static const struct {
	const char *name;
	void (*run)(void);
} loops[] = {
	{"open", loop_open}, {"unix", loop_unix}, {"tcp", loop_tcp},
	{"fork", loop_fork}, {"file", loop_file}, {"mmap", loop_mmap},
};

int main(int argc, char **argv)
{
	uint64_t ns;

	if (argc != 2 || parse_seconds(argv[1], &ns))
		return 2;
	for (size_t i = 0; i < ARRAY_SIZE(loops); i++) {
		uint64_t end = clock_mono_ns() + ns, n = 0;
		double cpu = cpu_of(RUSAGE_SELF) + cpu_of(RUSAGE_CHILDREN);

		for (; clock_mono_ns() < end; n++)
			loops[i].run();
		cpu = cpu_of(RUSAGE_SELF) + cpu_of(RUSAGE_CHILDREN) - cpu;
		printf("%s %.3f\n", loops[i].name, cpu * 1e6 / (double)n);
	}
	return failed;
}

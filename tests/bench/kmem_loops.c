/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Loops that live on the kernel's allocators. Prints "NAME microseconds of CPU time per
 * operation" for each; arguments: seconds per loop, names of loops (all). With --held before
 * them it is a victim: it begins when told, runs each loop 300 times at the least, however slow
 * the machine, and stays until its input ends.
 *
 * Files are made in a directory of their own: in one with many names in it the loop is one
 * of searching.
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

static void loop_udp(void)
{
	static struct sockaddr_in address = {.sin_family = AF_INET};
	static int to = -1, from = -1;
	socklen_t len = sizeof(address);

	if (to < 0) {
		address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		to = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		from = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		check(!bind(to, (struct sockaddr *)&address, len));
		check(!getsockname(to, (struct sockaddr *)&address, &len));
		check(!connect(from, (struct sockaddr *)&address, len));
	}
	for (int i = 0; i < 16; i++)
		check(write(from, buffer, 512) == 512);
	for (int i = 0; i < 16; i++)
		check(read(to, buffer, sizeof(buffer)) == 512);
}

static void loop_file(void)
{
	int fd = open("a", O_CREAT | O_RDWR | O_CLOEXEC, 0600);

	check(write(fd, buffer, sizeof(buffer)) == sizeof(buffer));
	close(fd);
	check(!rename("a", "b") && !unlink("b"));
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

static const char source[] = "#include <stdio.h>\n"
			     "#include <stdlib.h>\n"
			     "#include <string.h>\n"
			     "#include <sys/socket.h>\n"
			     "int main(int argc, char **argv)\n"
			     "{\n"
			     "	char *s = strdup(argv[argc - 1]);\n"
			     "	for (size_t i = 0; i < strlen(s); i++)\n"
			     "		printf(\"%c %d\\n\", s[i], atoi(s + i));\n"
			     "	free(s);\n"
			     "	return socket(AF_UNIX, SOCK_STREAM, 0) < 0;\n"
			     "}\n";

/* What a machine does: processes, files, mappings, and work of their own. */
static void loop_compile(void)
{
	static char *const args[] = {"cc", "-O2", "-o", "c.out", "c.c", NULL};
	int fd = open("c.c", O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
	int status;
	pid_t pid;

	check(write(fd, source, sizeof(source) - 1) == sizeof(source) - 1);
	close(fd);
	pid = vfork();
	if (!pid) {
		execvp(args[0], args);
		_exit(127);
	}
	check(pid > 0 && waitpid(pid, &status, 0) == pid && status == 0);
}

static double cpu_of(int who)
{
	struct rusage r;

	getrusage(who, &r);
	return (double)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) +
	       (double)(r.ru_utime.tv_usec + r.ru_stime.tv_usec) / 1e6;
}

static const struct loop {
	const char *name;
	void (*run)(void);
} loops[] = {
	{"open", loop_open}, {"unix", loop_unix}, {"tcp", loop_tcp},   {"udp", loop_udp},
	{"fork", loop_fork}, {"file", loop_file}, {"mmap", loop_mmap}, {"compile", loop_compile},
};

static double cpu_now(void)
{
	return cpu_of(RUSAGE_SELF) + cpu_of(RUSAGE_CHILDREN);
}

static void run_loop(const struct loop *l, uint64_t ns, bool held)
{
	uint64_t end = clock_mono_ns() + ns, least = held ? 300 : 1, n = 0;
	double cpu = cpu_now();

	for (; n < least || clock_mono_ns() < end; n++)
		l->run();
	if (!held)
		printf("%s %.3f\n", l->name, (cpu_now() - cpu) * 1e6 / (double)n);
}

static bool is_asked(const struct loop *l, char **names)
{
	bool any = !*names;

	for (; *names && !any; names++)
		any = strcmp(*names, l->name) == 0;
	return any;
}

static void say(const char *state)
{
	printf("{\"state\": \"%s\"}\n", state);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	bool held = argc > 1 && strcmp(argv[1], "--held") == 0;
	char directory[] = "/tmp/kmem_loops.XXXXXX";
	uint64_t ns;

	argv += held;
	if (argc - held < 2 || parse_seconds(argv[1], &ns))
		return 2;
	if (held)
		say("start");
	check(!held || getchar() != EOF);
	check(mkdtemp(directory) && !chdir(directory));
	for (size_t i = 0; i < ARRAY_SIZE(loops) && !failed; i++)
		if (is_asked(&loops[i], argv + 2))
			run_loop(&loops[i], ns, held);
	unlink("c.c");
	unlink("c.out");
	rmdir(directory);
	if (held) {
		check(!close_range(3, ~0U, 0));
		say("done");
	}
	while (held && getchar() != EOF)
		;
	return failed;
}

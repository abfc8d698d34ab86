/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * BPF unit of the kernel stacks that are recognised: never another than a walk gives, and
 * most of those that come again and again.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "abi.h"
#include "kstack_input.h"
#include "kstack.skel.h"

#define ROUNDS 2000

/* Its softirqs make the other end's socket and find room for what was sent. */
static void work_in_softirqs(int listening, const struct sockaddr_in *to)
{
	static const struct linger at_once = {1, 0};
	int c = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), a;

	assert_int_equal(connect(c, (const struct sockaddr *)to, sizeof(*to)), 0);
	a = accept4(listening, NULL, NULL, SOCK_CLOEXEC);
	assert_true(a >= 0);
	setsockopt(c, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	close(c);
	close(a);
}

static int listen_anywhere(struct sockaddr_in *ret)
{
	socklen_t len = sizeof(*ret);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	*ret = (struct sockaddr_in){.sin_family = AF_INET,
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	assert_int_equal(bind(fd, (struct sockaddr *)ret, len), 0);
	assert_int_equal(listen(fd, 8), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)ret, &len), 0);
	return fd;
}

/* Allocations by some system calls, page faults and a process's end. */
static void work(void)
{
	int ends[2];
	void *p = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
	pid_t pid;

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	*(volatile char *)p = 1;
	pid = fork();
	if (!pid)
		_exit(0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	munmap(p, 65536);
	close(fd);
	close(ends[0]);
	close(ends[1]);
}

static void test_recognised_is_what_a_walk_gives(void **state)
{
	struct kstack_test_bpf *b = kstack_test_bpf__open_and_load();
	const struct kstack_totals *t;
	struct sockaddr_in address;
	int fd = listen_anywhere(&address);

	(void)state;
	assert_non_null(b);
	assert_int_equal(kstack_test_bpf__attach(b), 0);
	for (int i = 0; i < ROUNDS; i++) {
		work();
		work_in_softirqs(fd, &address);
	}
	kstack_test_bpf__detach(b);
	t = &b->bss->totals;
	print_message("%llu walked, %llu recognised, %llu of them in interrupts\n",
		      (unsigned long long)t->walked, (unsigned long long)t->recognised,
		      (unsigned long long)t->linked);
	assert_int_equal(t->wrong, 0);
	assert_true(t->recognised > 4 * t->walked);
#ifdef __x86_64__
	assert_true(t->linked > ROUNDS); /* one socket for each */
#endif
	close(fd);
	kstack_test_bpf__destroy(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_recognised_is_what_a_walk_gives),
	};

	return cmocka_run_group_tests_name("kstack (BPF)", tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * unwind_threads.c - threads with a known number of stacks, depths and hits:
 *
 *	unwind_threads THREADS COUNT DEPTH STEP
 *
 * Thread i calls probe_me() and malloc() COUNT times from DEPTH + i * STEP frames of
 * descend(); the main thread calls probe_me() once. Waits for $GT_DIR/go first.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define noinline __attribute__((noinline, noclone))

void probe_me(uint64_t value);

static uint64_t count;
static volatile uintptr_t sink;

noinline void probe_me(uint64_t value)
{
	__asm__ volatile("" : : "r"(value) : "memory");
}

noinline static void repeat(void)
{
	for (uint64_t i = 0; i < count; i++) {
		void *p = malloc(i % 100 + 1);

		probe_me(i);
		sink += (uintptr_t)p;
		free(p);
	}
}

noinline static uint64_t descend(uint64_t depth, uint64_t a, uint64_t b)
{
	uint64_t local[6] = {a, b, depth, a ^ b, a + b, a - b};

	__asm__ volatile("" : : "r"(local) : "memory");
	if (depth)
		local[0] += descend(depth - 1, b, local[3]);
	else
		repeat();
	return local[0] + local[5] + sink;
}

static void *in_thread(void *arg)
{
	return (void *)(uintptr_t)descend((uintptr_t)arg, 1, 2);
}

static void wait_for_go(void)
{
	const struct timespec ms = {.tv_nsec = 1000000};
	const char *dir = getenv("GT_DIR");
	char path[4096];
	int fd;

	if (!dir)
		return;
	snprintf(path, sizeof(path), "%s/ready", dir);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd >= 0)
		close(fd);
	snprintf(path, sizeof(path), "%s/go", dir);
	while (access(path, F_OK))
		nanosleep(&ms, NULL);
}

int main(int argc, char **argv)
{
	uintptr_t n, depth, step;
	pthread_t *threads;

	if (argc != 5)
		return 2;
	n = strtoull(argv[1], NULL, 10);
	count = strtoull(argv[2], NULL, 10);
	depth = strtoull(argv[3], NULL, 10);
	step = strtoull(argv[4], NULL, 10);
	threads = calloc(n, sizeof(*threads));
	if (!threads)
		return 1;
	wait_for_go();
	probe_me(0);
	for (uintptr_t i = 0; i < n; i++)
		if (pthread_create(&threads[i], NULL, in_thread, (void *)(depth + i * step)))
			return 1;
	for (uintptr_t i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
	free(threads);
	return 0;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * In the middle of everything when the tracer comes: --threads N (2) allocate, resize and
 * free from `go` to the next line, with all that glibc has for it. --idle N (0) children
 * that wait have the same files mapped, so that each probe takes its time. By the end
 * everything is freed.
 */
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "victim.h"

#define SLOTS	    64
#define MAX_THREADS 16

static atomic_bool over;

static void *make(unsigned long x)
{
	size_t size = 16 + x % 1000;
	void *p = NULL;

	switch (x >> 10 & 3) {
	case 0:
		return calloc(1, size);
	case 1:
		return posix_memalign(&p, 64, size) ? NULL : p;
	case 2:
		return aligned_alloc(64, size & ~63UL);
	default:
		return malloc(size);
	}
}

static void *churn(void *arg)
{
	unsigned long x = (unsigned long)arg;
	void *slots[SLOTS] = {NULL};

	while (!atomic_load_explicit(&over, memory_order_relaxed)) {
		void **slot = &slots[x >> 40 & (SLOTS - 1)];

		x = x * 6364136223846793005UL + 1442695040888963407UL;
		if (!*slot) {
			*slot = make(x >> 20);
		} else if (x >> 50 & 1) {
			*slot = realloc(*slot, 16 + (x >> 20) % 4000);
		} else {
			free(*slot);
			*slot = NULL;
		}
	}
	for (int i = 0; i < SLOTS; i++)
		free(slots[i]);
	return NULL;
}

static void idle_children(long n)
{
	while (n--) {
		if (fork())
			continue;
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		pause();
		_exit(0);
	}
}

int main(int argc, char **argv)
{
	pthread_t ids[MAX_THREADS];
	long threads;

	victim_init(argc, argv);
	threads = victim_option("threads", 2);
	idle_children(victim_option("idle", 0));
	victim_go();
	for (long i = 0; i < threads && i < MAX_THREADS; i++)
		if (pthread_create(&ids[i], NULL, churn, (void *)(i + 1)))
			abort();
	victim_step("running");
	atomic_store(&over, true);
	for (long i = 0; i < threads && i < MAX_THREADS; i++)
		pthread_join(ids[i], NULL);
	return victim_ready();
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * load.c - the work that tracers are measured with. Reads one command a line from stdin and
 * answers each with one line: the CPU time of the threads that did the work, and what they
 * did:
 *
 *	pair THREADS COUNT DEPTH	-> CPU_NS PAIRS
 *	    COUNT pairs of malloc(64) and free per thread, with DEPTH frames below malloc up
 *	    to and with the thread's start
 *	mix COUNT			-> CPU_NS PAIRS
 *	    four threads, COUNT allocations each, all freed in the end:
 *	    sizes     50 % 16 to 64, 30 % 65 to 256, 15 % 257 to 2048, 4 % up to 16 KiB,
 *		      1 % up to 64 KiB bytes, uniform within each
 *	    lifetime  60 % until 8, 30 % until 128, 10 % until 4096 further allocations
 *	    frees     one in eight is handed to the next thread, which frees it
 *	    stacks    eight depths, 2 to 16 frames of this program
 *	hold COUNT			-> CPU_NS COUNT
 *	    COUNT blocks of 48 bytes more, in 64 depths of stack, kept for ever
 *
 * Only the CPU time of the threads counts, from start to end of the loop: other programs
 * on the machine make it wait, not slower.
 */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define THREADS_MAX  16
#define MIX_THREADS  4
#define SLOTS	     4096 /* longest life, in allocations */
#define MAILBOX	     256
#define FIXED_FRAMES 3 /* work_pairs, start_thread and clone3, which every stack has */

#define noinline __attribute__((noinline, noclone, noipa))

struct work {
	pthread_t thread;
	unsigned int index;
	unsigned long count;
	unsigned int depth;
	uint64_t random, cpu_ns;
	void *slots[SLOTS];
	void *mail[MAILBOX]; /* blocks that the neighbour gave us to free */
	pthread_barrier_t *start;
	struct work *next;
};

static uint64_t thread_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

/* xorshift64: the same numbers in each run, whatever the libc. */
static uint64_t draw(struct work *w, uint64_t n)
{
	w->random ^= w->random << 13;
	w->random ^= w->random >> 7;
	w->random ^= w->random << 17;
	return (w->random >> 16) % n;
}

/* ---- frames ---- */

typedef void work_fn(struct work *w);

/* Calls fn below `depth` frames more; the barrier keeps it from becoming a loop. */
static noinline void descend(struct work *w, work_fn *fn, unsigned int depth)
{
	if (depth > 1)
		descend(w, fn, depth - 1);
	else
		fn(w);
	asm volatile("" ::: "memory");
}

/* ---- pairs ---- */

static noinline void loop_pairs(struct work *w)
{
	for (unsigned long i = 0; i < w->count; i++) {
		void *volatile block = malloc(64);

		free(block);
	}
}

/* malloc's stack: loop_pairs, descend times n, work_pairs, start_thread, clone3 */
static noinline void *work_pairs(void *arg)
{
	struct work *w = arg;
	uint64_t start;

	pthread_barrier_wait(w->start);
	start = thread_ns();
	descend(w, loop_pairs, w->depth > FIXED_FRAMES + 1 ? w->depth - FIXED_FRAMES - 1 : 1);
	w->cpu_ns = thread_ns() - start;
	return NULL;
}

/* ---- mix ---- */

static size_t draw_size(struct work *w)
{
	static const unsigned int up_to[] = {50, 80, 95, 99, 100};
	static const unsigned int edges[] = {16, 65, 257, 2049, 16385, 65537};
	uint64_t p = draw(w, 100);
	size_t i = 0;

	while (p >= up_to[i])
		i++;
	return edges[i] + draw(w, edges[i + 1] - edges[i]);
}

static uint64_t draw_life(struct work *w)
{
	uint64_t p = draw(w, 10);

	return 1 + draw(w, p < 6 ? 8 : p < 9 ? 128 : SLOTS - 1);
}

/* Blocks change hands without a lock: whoever swaps one out owns it. */
static void give_away(struct work *w, void *block)
{
	void **place = &w->next->mail[draw(w, MAILBOX)];

	free(__atomic_exchange_n(place, block, __ATOMIC_ACQ_REL));
}

static noinline void loop_mix(struct work *w)
{
	size_t size = draw_size(w);
	uint64_t slot = (w->count + draw_life(w)) % SLOTS;
	char *block = malloc(size);

	block[0] = 1;
	free(w->slots[w->count % SLOTS]);
	w->slots[w->count % SLOTS] = NULL;
	free(__atomic_exchange_n(&w->mail[w->count % MAILBOX], NULL, __ATOMIC_ACQ_REL));
	if (!w->slots[slot] && draw(w, 8))
		w->slots[slot] = block;
	else
		give_away(w, block);
}

static noinline void *work_mix(void *arg)
{
	struct work *w = arg;
	uint64_t start;

	pthread_barrier_wait(w->start);
	start = thread_ns();
	for (; w->count; w->count--)
		descend(w, loop_mix, 1 + 2 * (unsigned int)draw(w, 8));
	w->cpu_ns = thread_ns() - start;
	return NULL;
}

static void drop_rest(struct work *w)
{
	for (size_t i = 0; i < SLOTS; i++)
		free(w->slots[i]);
	for (size_t i = 0; i < MAILBOX; i++)
		free(w->mail[i]);
}

/* ---- commands ---- */

static int run_threads(void *(*fn)(void *), unsigned int n, unsigned long count, unsigned int depth)
{
	static struct work works[THREADS_MAX];
	pthread_barrier_t start;
	uint64_t cpu_ns = 0;

	if (!n || n > THREADS_MAX)
		return 1;
	pthread_barrier_init(&start, NULL, n);
	memset(works, 0, sizeof(works));
	for (unsigned int i = 0; i < n; i++) {
		works[i].index = i;
		works[i].count = count;
		works[i].depth = depth;
		works[i].random = 0x9E3779B97F4A7C15ULL + i;
		works[i].start = &start;
		works[i].next = &works[(i + 1) % n];
		if (pthread_create(&works[i].thread, NULL, fn, &works[i]))
			return 1;
	}
	for (unsigned int i = 0; i < n; i++) {
		pthread_join(works[i].thread, NULL);
		cpu_ns += works[i].cpu_ns;
	}
	for (unsigned int i = 0; i < n; i++)
		drop_rest(&works[i]);
	pthread_barrier_destroy(&start);
	printf("%llu %llu\n", (unsigned long long)cpu_ns, (unsigned long long)n * count);
	return 0;
}

static noinline void hold_one(struct work *w)
{
	void **block = malloc(48);

	if (!block)
		return;
	*block = w->slots[0];
	w->slots[0] = block;
}

static int hold(unsigned long count)
{
	static struct work w;
	uint64_t start = thread_ns();

	for (unsigned long i = 0; i < count; i++)
		descend(&w, hold_one, 1 + i % 64);
	printf("%llu %lu\n", (unsigned long long)(thread_ns() - start), count);
	return 0;
}

static int obey(const char *line)
{
	unsigned int threads, depth;
	unsigned long count;

	if (sscanf(line, "pair %u %lu %u", &threads, &count, &depth) == 3)
		return run_threads(work_pairs, threads, count, depth);
	if (sscanf(line, "mix %lu", &count) == 1)
		return run_threads(work_mix, MIX_THREADS, count, 0);
	if (sscanf(line, "hold %lu", &count) == 1)
		return hold(count);
	fprintf(stderr, "load: what is '%s'?\n", line);
	return 2;
}

int main(void)
{
	static char buf_in[256], buf_out[256];
	char line[128];
	int err = 0;

	/* stdio must not allocate in between. */
	setvbuf(stdin, buf_in, _IOLBF, sizeof(buf_in));
	setvbuf(stdout, buf_out, _IOLBF, sizeof(buf_out));
	while (!err && fgets(line, sizeof(line), stdin))
		err = obey(line);
	return err;
}

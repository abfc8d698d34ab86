/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bench_cache_io FILE ROUNDS - reads a warm file page by page, and makes system calls that
 * read nothing: the best of the rounds, "pread NS none NS".
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/lib.h"

#define PAGES 4096
#define BLOCK (1 << 20) /* written at once: large folios, where a read is cheapest */
#define CALLS 20000

static char page[4096], block[BLOCK];

static double read_pages(int fd)
{
	uint64_t start = clock_mono_ns();

	for (int i = 0; i < CALLS; i++)
		if (pread(fd, page, sizeof(page), (off_t)(i % PAGES) * 4096) != sizeof(page))
			return -1;
	return (double)(clock_mono_ns() - start) / CALLS;
}

static double call_only(void)
{
	uint64_t start = clock_mono_ns();

	for (int i = 0; i < CALLS; i++)
		syscall(SYS_getppid);
	return (double)(clock_mono_ns() - start) / CALLS;
}

int main(int argc, char **argv)
{
	int fd = argc > 1 ? open(argv[1], O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
	uint64_t rounds = 0;
	double best_read = 1e9, best_call = 1e9;

	if (argc < 3 || parse_u64(argv[2], 1, 1000, &rounds))
		return 2;
	for (int i = 0; i < PAGES * 4096 / BLOCK; i++)
		if (pwrite(fd, block, BLOCK, (off_t)i * BLOCK) != BLOCK)
			return 1;
	for (uint64_t i = 0; i < rounds; i++) {
		double r = read_pages(fd), c = call_only();

		if (r < 0)
			return 1;
		best_read = MIN(best_read, r);
		best_call = MIN(best_call, c);
	}
	printf("pread %.1f none %.1f\n", best_read, best_call);
	return 0;
}

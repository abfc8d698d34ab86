/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Anonymous pages by site, some given back: each site's truth is what is resident at the
 * end. Sites are functions that touch; "mmap" as kind, bytes and pages as count.
 */
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "victim.h"

#define PAGE 4096L
#define HUGE (2L << 20)

static char *map(long bytes)
{
	char *p = mmap(NULL, (size_t)bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		       0);

	if (p == MAP_FAILED)
		_exit(70);
	return p;
}

static char *map_small(long n)
{
	char *p = map(n * PAGE);

	madvise(p, (size_t)(n * PAGE), MADV_NOHUGEPAGE);
	return p;
}

#define TOUCHER(name)                                         \
	NOINLINE static void name(char *p, long n, long step) \
	{                                                     \
		for (long i = 0; i < n; i++)                  \
			((volatile char *)p)[i * step] = 1;   \
	}
TOUCHER(touch_kept)
TOUCHER(touch_unmapped)
TOUCHER(touch_partly)
TOUCHER(touch_moved)
TOUCHER(touch_huge)
TOUCHER(touch_first)
TOUCHER(touch_again)
TOUCHER(touch_last)

static void site(const char *name, const char *function, long bytes, long count)
{
	victim_site(&(struct victim_truth){name, function, "fault", "", bytes, count});
}

/* realloc by hand: pages move to other addresses without a fault. */
static void grow(void)
{
	char *p = map_small(256), *q;

	for (long n = 256; n <= 2048; n += 256) {
		touch_moved(p + (n - 256) * PAGE, 256, PAGE);
		if (n == 2048)
			break;
		map_small(1); /* in the way */
		q = mremap(p, (size_t)(n * PAGE), (size_t)((n + 256) * PAGE), MREMAP_MAYMOVE);
		if (q == MAP_FAILED)
			_exit(71);
		p = q;
	}
	site("moved", "touch_moved", 2048 * PAGE, 2048);
}

static void huge(void)
{
	char *p = map(5 * HUGE);
	char *q = (char *)(((uintptr_t)p + HUGE - 1) & ~(uintptr_t)(HUGE - 1));

	if (madvise(q, (size_t)(4 * HUGE), MADV_HUGEPAGE))
		_exit(72);
	touch_huge(q, 4, HUGE);
	site("huge", "touch_huge", 4 * HUGE, 4);
}

int main(int argc, char **argv)
{
	char *p;

	victim_init(argc, argv);
	victim_go();
	p = map_small(2048);
	touch_unmapped(p, 2048, PAGE);
	munmap(p, 2048 * PAGE);
	site("unmapped", "touch_unmapped", 0, 0);
	touch_kept(map_small(1536), 1536, PAGE);
	site("kept", "touch_kept", 1536 * PAGE, 1536);
	grow();
	if (victim_option("huge", 0))
		huge();
	p = map_small(2560);
	touch_partly(p, 2560, PAGE);
	madvise(p, 1280 * PAGE, MADV_DONTNEED);
	site("partly", "touch_partly", 1280 * PAGE, 1280);
	p = map_small(512);
	touch_first(p, 512, PAGE);
	madvise(p, 512 * PAGE, MADV_DONTNEED);
	touch_again(p, 512, PAGE);
	site("first", "touch_first", 0, 0);
	site("again", "touch_again", 512 * PAGE, 512);
	/* Pages given back may wait in the kernel's LRU batches: these push them out. */
	touch_last(map_small(512), 512, PAGE);
	site("last", "touch_last", 512 * PAGE, 512);
	p = mmap(NULL, 512 * PAGE, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	victim_note("populated", 512 * PAGE);
	return victim_ready();
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the rows of cachefiles.c do; included there, behind the state it shares with them. */
#ifndef CACHEFILES_ROWS_H
#define CACHEFILES_ROWS_H

/* ---- the rows ---- */

static const struct row *row;

static void seq_read(uint64_t from, uint64_t to, uint64_t block)
{
	check(lseek(fd, (off_t)from, SEEK_SET), "lseek");
	for (uint64_t at = from; at < to; at += block) {
		expect(at, block);
		check(read(fd, buffer, block), "read");
	}
}

static void do_pread(uint64_t at, uint64_t block)
{
	expect(at, block);
	check(pread(fd, buffer, block, (off_t)at), "pread");
}

static void run_seq(void)
{
	seq_read(0, file_size(), row->block);
}

static void run_bytes(void)
{
	seq_read(PAGE - 100, 5 * PAGE, 1);
}

static void run_random(void)
{
	for (int i = 0; i < 400; i++)
		do_pread((uint64_t)rand() % n_pages * PAGE, row->block);
}

static void run_unaligned(void)
{
	for (int i = 0; i < 400; i++)
		do_pread((uint64_t)rand() % file_size(), row->block);
}

static void advise(int advice)
{
	posix_fadvise(fd, 0, 0, advice);
}

static void run_half(void)
{
	advise(POSIX_FADV_RANDOM);
	seq_read(0, n_pages / 2 * PAGE, 131072);
	advise(POSIX_FADV_NORMAL);
	seq_read(0, file_size(), 131072);
}

static void run_checker(void)
{
	advise(POSIX_FADV_RANDOM);
	for (uint64_t p = 0; p < n_pages; p += 2)
		do_pread(p * PAGE, PAGE);
	advise(POSIX_FADV_NORMAL);
	seq_read(0, file_size(), 131072);
}

/*
 * Of each 64 pages these are absent: 4 to 7 and 16 to 31. A reader of 16 pages at a time misses
 * the first in the middle of its call, and has the others read ahead for its next one.
 */
static void read_but_gaps(void)
{
	advise(POSIX_FADV_RANDOM);
	for (uint64_t p = 0; p < n_pages; p++)
		if ((p % 64 < 4 || p % 64 > 7) && (p % 64 < 16 || p % 64 > 31))
			do_pread(p * PAGE, PAGE);
	advise(POSIX_FADV_NORMAL);
}

static void run_page(void)
{
	for (int i = 0; i < 1000; i++)
		do_pread(row->block * (uint64_t)PAGE, PAGE);
}

static void run_nested(void)
{
	for (int i = 0; i < 100; i++)
		for (uint64_t n = 8; n; n--)
			do_pread((8 - n) * PAGE, n * PAGE);
}

static void vectored(bool at_pos)
{
	struct iovec v[4];

	for (int i = 0; i < 4; i++)
		v[i] = (struct iovec){buffer + i * 16384, 16384};
	for (uint64_t at = 0; at < file_size(); at += 65536) {
		expect(at, 65536);
		check(at_pos ? preadv(fd, v, 4, (off_t)at) : readv(fd, v, 4), "readv");
	}
}

static void run_preadv(void)
{
	vectored(true);
}

static void run_readv(void)
{
	vectored(false);
}

static void run_readv_many(void)
{
	struct iovec v[1024];

	for (int i = 0; i < 1024; i++)
		v[i] = (struct iovec){buffer + i * 512, 512};
	for (uint64_t at = 0; at < file_size(); at += sizeof(v) / sizeof(v[0]) * 512) {
		expect(at, sizeof(v) / sizeof(v[0]) * 512);
		check(readv(fd, v, 1024), "readv");
	}
}

static void run_preadv2(void)
{
	struct iovec v = {buffer, 65536};

	for (uint64_t at = 0; at < file_size(); at += 65536) {
		expect(at, 65536);
		check(preadv2(fd, &v, 1, -1, 0), "preadv2");
	}
}

static void run_willneed(void)
{
	advise(POSIX_FADV_WILLNEED);
	seq_read(0, file_size(), 131072);
}

static void run_readahead(void)
{
	struct cachestat before, after;
	uint64_t used = n_pages / 4;

	check(readahead(fd, 0, n_pages / 2 * PAGE), "readahead");
	for (uint64_t at = 0; at < used * PAGE; at += 65536)
		do_pread(at, at + 65536 <= used * PAGE ? 65536 : used * PAGE - at);
	cache_stat(0, 0, &before);
	for (uint64_t p = 0; p < n_pages; p++)
		truth.unused += resident(p) && !touched[p];
	cold();
	cache_stat(0, 0, &after);
}

static void run_big_buffer(void)
{
	expect(0, 65536);
	check(pread(fd, buffer, 65536, 0), "pread");
	expect(0, MAX_BLOCK);
	check(pread(fd, buffer, MAX_BLOCK, 0), "pread");
}

/* The kernel moves a file through a pipe: pieces of 16 pages are the calls. */
static void run_sendfile(void)
{
	uint64_t size = file_size();
	int null = null_fd();

	for (uint64_t at = 0; at < size; at += PIPE_PAGES * PAGE) {
		off_t off = (off_t)at;

		expect(at, PIPE_PAGES * PAGE);
		check(sendfile(null, fd, &off, PIPE_PAGES * PAGE), "sendfile");
	}
	close(null);
}

/* What was evicted since, read ahead; the kernel does so for a part of a file only at a time. */
static void warm_again(void)
{
	for (uint64_t at = 0; at < file_size(); at += 32 * PAGE)
		posix_fadvise(fd, (off_t)at, 32 * PAGE, POSIX_FADV_WILLNEED);
}

/* In one call all of it: what is there and what not is known only if nothing is, or all. */
static void run_sendfile_whole(void)
{
	int null = null_fd();
	off_t off = 0;

	if (row->flags & WARM)
		warm_again();
	expect(0, file_size());
	check(sendfile(null, fd, &off, file_size()), "sendfile");
	close(null);
}

static void splice_all(bool at_pos)
{
	uint64_t size = file_size(), block = row->block ? row->block : PIPE_PAGES * PAGE;
	int p[2], null = null_fd();

	if (pipe2(p, O_CLOEXEC))
		die("pipe");
	check(lseek(fd, 0, SEEK_SET), "lseek");
	for (uint64_t at = 0; at < size; at += block) {
		off_t off = (off_t)at;
		ssize_t n;

		expect(at, block);
		n = splice(fd, at_pos ? &off : NULL, p[1], NULL, block, 0);
		check(n, "splice");
		while (n > 0)
			n -= splice(p[0], NULL, null, NULL, (size_t)n, 0);
	}
	close(p[0]);
	close(p[1]);
	close(null);
}

static void run_splice(void)
{
	splice_all(true);
}

static void run_splice_on(void)
{
	splice_all(false);
}

/*
 * As expect(), once none of the pages is being read: asynchronous readers that have to wait are
 * counted approximately. mincore knows a page when it has been read.
 */
static void expect_read(uint64_t at, uint64_t len)
{
	for (uint64_t p = at / PAGE; p * PAGE < at + len && p < n_pages; p++) {
		unsigned char in = 0;

		while (resident(p) && !mincore(mapping + p * PAGE, PAGE, &in) && !(in & 1))
			sched_yield();
	}
	expect(at, len);
}

static void run_aio(void)
{
	for (uint64_t at = 0; at < file_size(); at += row->block) {
		expect_read(at, row->block);
		check(aio_pread(fd, buffer, row->block, (off_t)at), "io_submit");
	}
}

static void run_uring(void)
{
	for (uint64_t at = 0; at < file_size(); at += row->block) {
		expect_read(at, row->block);
		check(ring_pread(fd, buffer, row->block, (off_t)at), "io_uring");
	}
}

/* Asynchronous reads of what is there: the kernel reads again where it had to wait. */
static void run_aio_warm(void)
{
	seq_read(0, file_size(), 1 << 20);
	run_aio();
}

static void run_uring_warm(void)
{
	seq_read(0, file_size(), 1 << 20);
	run_uring();
}

static void run_uring_random(void)
{
	seq_read(0, file_size(), 1 << 20);
	for (int i = 0; i < 400; i++) {
		uint64_t at = (uint64_t)rand() % n_pages * PAGE;

		expect_read(at, row->block);
		check(ring_pread(fd, buffer, row->block, (off_t)at), "io_uring");
	}
}

static void run_strided(void)
{
	for (uint64_t at = 0; at < file_size(); at += 5 * PAGE)
		do_pread(at, row->block);
}

/* Three readers of one cold file: accesses are known one by one, misses and ra together. */
static void run_concurrent(void)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	for (int i = 0; i < 3; i++) {
		if (fork())
			continue;
		fd = open(path, O_RDONLY | O_CLOEXEC);
		while (read(fd, buffer, 65536) > 0)
			;
		_exit(0);
	}
	while (wait(NULL) > 0 || errno == EINTR)
		;
	truth.misses = n_pages;
	truth.hits = 2 * n_pages;
	truth.no_split = true;
}

static void run_direct(void)
{
	int direct = reopen(O_RDONLY | O_DIRECT);
	ssize_t n;

	for (uint64_t at = 0; at < file_size(); at += row->block) {
		n = pread(direct, buffer, row->block, (off_t)at);
		check(n, "pread");
		truth.direct_reads += (uint64_t)n;
	}
	close(direct);
}

static void run_direct_aio(void)
{
	int direct = reopen(O_RDONLY | O_DIRECT);

	for (uint64_t at = 0; at + row->block <= file_size(); at += row->block) {
		ssize_t n = row->flags & RANDOM_ADVICE
				    ? aio_pread(direct, buffer, row->block, (off_t)at)
				    : ring_pread(direct, buffer, row->block, (off_t)at);

		check(n, "pread");
		truth.direct_reads += (uint64_t)n;
	}
	close(direct);
}

static void run_direct_misaligned(void)
{
	int direct = reopen(O_RDONLY | O_DIRECT);
	ssize_t n = pread(direct, buffer + 1, 1000, 7);

	if (n > 0)
		truth.direct_reads += (uint64_t)n;
	close(direct);
}

static void run_direct_write(void)
{
	int direct = reopen(O_RDWR | O_DIRECT);
	uint64_t from = row->flags & NEW ? file_size() : 0;

	for (uint64_t at = from; at < from + (4 << 20); at += row->block) {
		ssize_t n = pwrite(direct, buffer, row->block, (off_t)at);

		check(n, "pwrite");
		truth.direct_writes += (uint64_t)n;
	}
	close(direct);
}

static void dirties_since(uint64_t before)
{
	struct cachestat cs = {0};

	truth.no_dirties = !cache_stat(0, 0, &cs);
	truth.dirties = cs.dirty + cs.writeback - before;
}

#define WRITTEN (8 << 20)

static void run_write(void)
{
	for (uint64_t p = 0; p < WRITTEN / PAGE; p++)
		truth.absent += !resident(p);
	for (uint64_t at = 0; at < WRITTEN; at += row->block)
		check(pwrite(fd, buffer, row->block, (off_t)at), "pwrite");
	dirties_since(0);
}

static void run_rewrite_dirty(void)
{
	run_write();
	for (uint64_t at = 0; at < WRITTEN; at += row->block)
		check(pwrite(fd, buffer, row->block, (off_t)at), "pwrite");
	dirties_since(0);
}

static void run_write_partial(void)
{
	for (int i = 0; i < 500; i++)
		check(pwrite(fd, buffer, 100, (off_t)((uint64_t)rand() % n_pages * PAGE + 50)),
		      "pwrite");
	dirties_since(0);
}

static long faults_now(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return u.ru_majflt + u.ru_minflt;
}

static void run_mmap(void)
{
	bool random = row->block & 1, write = row->block & 2;
	char *map = mmap(NULL, n_pages * PAGE, write ? PROT_READ | PROT_WRITE : PROT_READ,
			 MAP_SHARED, fd, 0);
	long before;
	char sum = 0;

	if (map == MAP_FAILED)
		die("mmap");
	if (row->flags & WARM)
		seq_read(0, file_size(), 1 << 20);
	madvise(map, n_pages * PAGE, random ? MADV_RANDOM : MADV_NORMAL);
	before = faults_now();
	for (uint64_t i = 0; i < (random ? 400 : n_pages); i++) {
		uint64_t p = random ? (uint64_t)rand() % n_pages : i;

		if (write)
			map[p * PAGE] = 1;
		else
			sum += ((volatile char *)map)[p * PAGE];
	}
	truth.faults = (uint64_t)(faults_now() - before);
	buffer[0] = sum;
	if (write)
		dirties_since(0);
	munmap(map, n_pages * PAGE);
}

/* One page, unmapped each time: its faults differ by nothing but their beginnings. */
static void run_mmap_again(void)
{
	volatile char *map = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
	long before = faults_now();

	if (map == MAP_FAILED)
		die("mmap");
	truth.absent = !resident(0);
	for (int i = 0; i < 100; i++) {
		buffer[0] = map[0];
		check(madvise((void *)map, PAGE, MADV_DONTNEED), "madvise");
	}
	truth.faults = (uint64_t)(faults_now() - before);
	munmap((void *)map, PAGE);
}

#endif

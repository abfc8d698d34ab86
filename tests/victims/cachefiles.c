/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reads and writes files in ways whose page cache accesses are known. Each row of the table
 * has a file of its own in the directory given, made and brought into its state (cold,
 * warm) before "start". After a line on stdin the rows run; before every call each page of
 * its range is looked up with cachestat(2) (or mincore): absent is a miss; present, but
 * neither used by this row nor there when it began, is read-ahead; else a hit. The truth of
 * all rows is one line: {"state": "ready", "rows": [...]}.
 *
 *	cachefiles DIR [PAGES [ROW...]]
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cachefiles_async.h"

#define PAGE	      4096
#define TAIL	      123
#define MAX_BLOCK     (64u << 20)
#define SYS_CACHESTAT 451
#define PIPE_PAGES    16

struct range {
	uint64_t off, len;
};

struct cachestat {
	uint64_t cache, dirty, writeback, evicted, recently;
};

struct truth {
	uint64_t hits, ra, misses, dirties, direct_reads, direct_writes;
	uint64_t faults, unused;
	bool no_split; /* concurrent: only sums are known */
};

struct row {
	const char *name;
	enum { READ, WARM = 1, RANDOM_ADVICE = 2, NEW = 4 } flags;
	void (*run)(void);
	uint32_t block;
};

static uint64_t n_pages = 4097;
static int fd;
static char *mapping; /* for mincore, never touched */
static uint8_t *touched, *at_start;
static char *buffer;
static struct truth truth;

static void die(const char *what)
{
	fprintf(stderr, "cachefiles: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t file_size(void)
{
	struct stat st;

	if (fstat(fd, &st))
		die("fstat");
	return (uint64_t)st.st_size;
}

static bool cache_stat(uint64_t off, uint64_t len, struct cachestat *ret)
{
	struct range r = {off, len};

	return !syscall(SYS_CACHESTAT, fd, &r, ret, 0);
}

static bool resident(uint64_t page)
{
	struct cachestat cs;
	unsigned char in;

	if (cache_stat(page * PAGE, PAGE, &cs))
		return cs.cache;
	if (mincore(mapping + page * PAGE, PAGE, &in))
		die("mincore");
	return in & 1;
}

/* What the call that comes next must find, by the definitions above. */
static void expect(uint64_t pos, uint64_t len)
{
	uint64_t size = file_size(), end = pos + len < size ? pos + len : size;

	if (end <= pos)
		return;
	for (uint64_t p = pos / PAGE; p <= (end - 1) / PAGE; p++) {
		if (!resident(p))
			truth.misses++;
		else if (touched[p] || at_start[p])
			truth.hits++;
		else
			truth.ra++;
		touched[p] = 1;
	}
}

static void check(ssize_t got, const char *what)
{
	if (got < 0)
		die(what);
}

static void cold(void)
{
	struct cachestat cs = {.cache = 1};

	for (int i = 0; i < 100 && cs.cache; i++) {
		fdatasync(fd);
		posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
		if (!cache_stat(0, 0, &cs))
			return;
		if (cs.cache)
			sync();
	}
	if (cs.cache)
		die("the file does not leave the cache");
}

static void warm(void)
{
	for (uint64_t at = 0; at < file_size(); at += 1 << 20)
		check(pread(fd, buffer, 1 << 20, (off_t)at), "pread");
}

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

static int null_fd(void)
{
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	if (null < 0)
		die("/dev/null");
	return null;
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

/* In one call all of it: what is there and what not is known only if nothing is, or all. */
static void run_sendfile_whole(void)
{
	int null = null_fd();
	off_t off = 0;

	expect(0, file_size());
	check(sendfile(null, fd, &off, file_size()), "sendfile");
	close(null);
}

static void run_splice(void)
{
	uint64_t size = file_size();
	int p[2], null = null_fd();

	if (pipe2(p, O_CLOEXEC))
		die("pipe");
	for (uint64_t at = 0; at < size; at += PIPE_PAGES * PAGE) {
		off_t off = (off_t)at;
		ssize_t n;

		expect(at, PIPE_PAGES * PAGE);
		n = splice(fd, &off, p[1], NULL, PIPE_PAGES * PAGE, 0);
		check(n, "splice");
		while (n > 0)
			n -= splice(p[0], NULL, null, NULL, (size_t)n, 0);
	}
	close(p[0]);
	close(p[1]);
	close(null);
}

static void run_aio(void)
{
	for (uint64_t at = 0; at < file_size(); at += row->block) {
		expect(at, row->block);
		check(aio_pread(fd, buffer, row->block, (off_t)at), "io_submit");
	}
}

static void run_uring(void)
{
	for (uint64_t at = 0; at < file_size(); at += row->block) {
		expect(at, row->block);
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

		expect(at, row->block);
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

static int reopen(int flags)
{
	char path[64];
	int other;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	other = open(path, flags | O_CLOEXEC);
	if (other < 0)
		die("open");
	return other;
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

	cache_stat(0, 0, &cs);
	truth.dirties = cs.dirty + cs.writeback - before;
}

static void run_write(void)
{
	for (uint64_t at = 0; at < 8 << 20; at += row->block)
		check(pwrite(fd, buffer, row->block, (off_t)at), "pwrite");
	dirties_since(0);
}

static void run_rewrite_dirty(void)
{
	run_write();
	for (uint64_t at = 0; at < 8 << 20; at += row->block)
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

static const struct row rows[] = {
	{"warm_1000", WARM, run_seq, 1000},
	{"warm_4k", WARM, run_seq, 4096},
	{"warm_16k", WARM, run_seq, 16384},
	{"warm_128k", WARM, run_seq, 131072},
	{"warm_1m", WARM, run_seq, 1 << 20},
	{"warm_32m", WARM, run_seq, 32 << 20},
	{"cold_1000", READ, run_seq, 1000},
	{"cold_4k", READ, run_seq, 4096},
	{"cold_16k", READ, run_seq, 16384},
	{"cold_128k", READ, run_seq, 131072},
	{"cold_1m", READ, run_seq, 1 << 20},
	{"cold_32m", READ, run_seq, 32 << 20},
	{"advice_random_4k", RANDOM_ADVICE, run_seq, 4096},
	{"advice_random_16k", RANDOM_ADVICE, run_seq, 16384},
	{"advice_random_128k", RANDOM_ADVICE, run_seq, 131072},
	{"advice_random_1m", RANDOM_ADVICE, run_seq, 1 << 20},
	{"advice_random_32m", RANDOM_ADVICE, run_seq, 32 << 20},
	{"random_4k", READ, run_random, 4096},
	{"random_16k", READ, run_random, 16384},
	{"random_128k", READ, run_random, 131072},
	{"random_1m", READ, run_random, 1 << 20},
	{"unaligned_4k", RANDOM_ADVICE, run_unaligned, 4096},
	{"unaligned_16k", RANDOM_ADVICE, run_unaligned, 16384},
	{"unaligned_128k", RANDOM_ADVICE, run_unaligned, 131072},
	{"unaligned_1m", RANDOM_ADVICE, run_unaligned, 1 << 20},
	{"half_warm", READ, run_half, 0},
	{"checkerboard", READ, run_checker, 0},
	{"page_2", READ, run_page, 2},
	{"page_0", READ, run_page, 0},
	{"nested_ends", WARM, run_nested, 0},
	{"preadv", READ, run_preadv, 0},
	{"willneed", READ, run_willneed, 0},
	{"readahead", READ, run_readahead, 0},
	{"sendfile_warm", WARM, run_sendfile_whole, 0},
	{"big_buffer", WARM, run_big_buffer, 0},
	/* beyond the 35 of the facts */
	{"bytes_1", READ, run_bytes, 0},
	{"readv", READ, run_readv, 0},
	{"readv_1024", READ, run_readv_many, 0},
	{"preadv2", READ, run_preadv2, 0},
	{"strided", READ, run_strided, 6000},
	{"sendfile_pieces", READ, run_sendfile, 0},
	{"sendfile_no_readahead", RANDOM_ADVICE, run_sendfile_whole, 0},
	{"splice", READ, run_splice, 0},
	{"splice_warm", WARM, run_splice, 0},
	{"aio_64k", READ, run_aio, 65536},
	{"aio_unaligned", READ, run_aio_warm, 5000},
	{"uring_64k", READ, run_uring, 65536},
	{"uring_unaligned", READ, run_uring_warm, 5000},
	{"uring_random", READ, run_uring_random, 65536},
	{"concurrent", READ, run_concurrent, 0},
	/* direct: the read counters stay 0 */
	{"direct_128k", READ, run_direct, 131072},
	{"direct_1m", READ, run_direct, 1 << 20},
	{"direct_uring", READ, run_direct_aio, 65536},
	{"direct_aio", RANDOM_ADVICE, run_direct_aio, 65536},
	{"direct_misaligned", READ, run_direct_misaligned, 0},
	{"direct_overwrite", READ, run_direct_write, 65536},
	{"direct_extend", NEW, run_direct_write, 65536},
	/* writes and mappings: as well */
	{"write_new_4k", NEW, run_write, 4096},
	{"write_new_16k", NEW, run_write, 16384},
	{"write_new_128k", NEW, run_write, 131072},
	{"write_new_1m", NEW, run_write, 1 << 20},
	{"overwrite_clean", WARM, run_write, 4096},
	{"overwrite_dirty", NEW, run_rewrite_dirty, 4096},
	{"write_partial", READ, run_write_partial, 0},
	{"mmap_random", READ, run_mmap, 1},
	{"mmap_cold", READ, run_mmap, 0},
	{"mmap_warm", WARM, run_mmap, 0},
	{"mmap_write", WARM, run_mmap, 2},
};

#define N_ROWS (sizeof(rows) / sizeof(rows[0]))

static int fds[N_ROWS];

static void create(const char *dir, size_t i)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/%s", dir, rows[i].name);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		die(path);
	fds[i] = fd;
	for (uint64_t n = 0; n < n_pages && !(rows[i].flags & NEW); n += 256)
		check(pwrite(fd, buffer,
			     n + 256 < n_pages ? 256 * PAGE : (n_pages - n - 1) * PAGE + TAIL,
			     (off_t)(n * PAGE)),
		      "pwrite");
	cold();
	if (rows[i].flags & WARM)
		warm();
}

static void run_row(size_t i)
{
	uint64_t size;

	row = &rows[i];
	fd = fds[i];
	size = file_size();
	truth = (struct truth){0};
	memset(touched, 0, n_pages);
	mapping = mmap(NULL, n_pages * PAGE, PROT_READ, MAP_SHARED, fd, 0);
	if (mapping == MAP_FAILED)
		die("mmap");
	for (uint64_t p = 0; p < n_pages; p++)
		at_start[p] = p * PAGE < size && resident(p);
	if (row->flags & RANDOM_ADVICE)
		advise(POSIX_FADV_RANDOM);
	srand(1);
	row->run();
	munmap(mapping, n_pages * PAGE);
}

static void print_row(size_t i, bool first)
{
	struct stat st;

	if (fstat(fds[i], &st))
		die("fstat");
	printf("%s{\"name\":\"%s\",\"inode\":%llu,\"device\":\"%u:%u\",\"hits\":%" PRIu64
	       ",\"ra\":%" PRIu64 ",\"misses\":%" PRIu64 ",\"dirties\":%" PRIu64
	       ",\"direct_reads\":%" PRIu64 ",\"direct_writes\":%" PRIu64 ",\"faults\":%" PRIu64
	       ",\"unused\":%" PRIu64 ",\"no_split\":%s}",
	       first ? "" : ",", rows[i].name, (unsigned long long)st.st_ino, major(st.st_dev),
	       minor(st.st_dev), truth.hits, truth.ra, truth.misses, truth.dirties,
	       truth.direct_reads, truth.direct_writes, truth.faults, truth.unused,
	       truth.no_split ? "true" : "false");
}

static bool wanted(size_t i, int argc, char **argv)
{
	for (int a = 3; a < argc; a++)
		if (strcmp(argv[a], rows[i].name) == 0)
			return true;
	return argc <= 3;
}

static bool await_line(void)
{
	char line[16];

	return fgets(line, sizeof(line), stdin);
}

int main(int argc, char **argv)
{
	bool first = true;

	if (argc < 2)
		return 2;
	if (argc > 2)
		n_pages = strtoull(argv[2], NULL, 0);
	touched = calloc(n_pages, 2);
	at_start = touched + n_pages;
	buffer = mmap(NULL, MAX_BLOCK, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (!touched || buffer == MAP_FAILED)
		die("memory");
	for (size_t i = 0; i < N_ROWS; i++)
		if (wanted(i, argc, argv))
			create(argv[1], i);
	printf("{\"state\":\"start\"}\n");
	fflush(stdout);
	if (!await_line())
		return 1;
	printf("{\"state\":\"ready\",\"rows\":[");
	for (size_t i = 0; i < N_ROWS; i++) {
		if (!wanted(i, argc, argv))
			continue;
		run_row(i);
		print_row(i, first);
		first = false;
	}
	printf("]}\n");
	fflush(stdout);
	await_line();
	return 0;
}

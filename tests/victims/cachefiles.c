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
#include <sched.h>
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
	uint64_t absent; /* pages that were not cached when the row began to write or to map them */
	bool no_split;	 /* concurrent: only sums are known */
	bool no_dirties; /* there is no cachestat(2) to tell */
};

struct row {
	const char *name;
	enum { READ, WARM = 1, RANDOM_ADVICE = 2, NEW = 4, HOLES = 8, GAPS = 16 } flags;
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

/* The kernel may evict pages at any time; what comes back has not been used since. */
static void forget_evicted(void)
{
	static unsigned char in[1 << 16];
	struct cachestat cs;

	if (cache_stat(0, 0, &cs) && !cs.evicted)
		return;
	if (n_pages > sizeof(in) || mincore(mapping, n_pages * PAGE, in))
		return;
	for (uint64_t p = 0; p < n_pages; p++)
		if (!(in[p] & 1))
			touched[p] = at_start[p] = 0;
}

/* mincore takes a page that is being read for absent: wait until the disk is done. */
static void await_disk(void)
{
	char path[64], line[64];
	struct cachestat cs;
	struct stat st;
	unsigned int reads = 1, writes;
	FILE *f;

	if (cache_stat(0, PAGE, &cs) || fstat(fd, &st))
		return;
	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/inflight", major(st.st_dev),
		 minor(st.st_dev));
	while (reads && (f = fopen(path, "re"))) {
		if (!fgets(line, sizeof(line), f) || sscanf(line, "%u %u", &reads, &writes) != 2)
			reads = 0;
		fclose(f);
	}
}

/* What the call that comes next must find, by the definitions above. */
static void expect(uint64_t pos, uint64_t len)
{
	uint64_t size = file_size(), end = pos + len < size ? pos + len : size;

	if (end <= pos)
		return;
	await_disk();
	forget_evicted();
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

/* Here and there 1 to 64 pages leave, as when the kernel takes what nobody used for a while. */
static void punch(void)
{
	for (int i = 0; i < 40; i++) {
		uint64_t n = 1 << rand() % 7, at = (uint64_t)rand() % n_pages / n * n;

		posix_fadvise(fd, (off_t)(at * PAGE), (off_t)(n * PAGE), POSIX_FADV_DONTNEED);
	}
}

static int null_fd(void)
{
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	if (null < 0)
		die("/dev/null");
	return null;
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

#include "cachefiles_rows.h"

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
	{"splice_unaligned", WARM, run_splice, 5000},
	{"splice_on", WARM, run_splice_on, 5000},
	{"holes_4k", WARM | HOLES, run_seq, 4096},
	{"holes_128k", WARM | HOLES, run_seq, 131072},
	{"holes_random", WARM | HOLES, run_unaligned, 65536},
	{"sendfile_holes", WARM | HOLES, run_sendfile, 0},
	{"splice_holes", WARM | HOLES, run_splice, 0},
	{"gaps", GAPS, run_seq, 65536},
	{"sendfile_gaps", GAPS, run_sendfile, 0},
	{"splice_gaps", GAPS, run_splice, 0},
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
	{"mmap_again", WARM, run_mmap_again, 0},
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
	srand(1);
	if (row->flags & HOLES)
		punch();
	for (uint64_t p = 0; p < n_pages; p++)
		at_start[p] = p * PAGE < size && resident(p);
	if (row->flags & RANDOM_ADVICE)
		advise(POSIX_FADV_RANDOM);
	if (row->flags & GAPS)
		read_but_gaps();
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
	       ",\"unused\":%" PRIu64 ",\"absent\":%" PRIu64
	       ",\"no_split\":%s,\"dirties_known\":%s}",
	       first ? "" : ",", rows[i].name, (unsigned long long)st.st_ino, major(st.st_dev),
	       minor(st.st_dev), truth.hits, truth.ra, truth.misses, truth.dirties,
	       truth.direct_reads, truth.direct_writes, truth.faults, truth.unused, truth.absent,
	       truth.no_split ? "true" : "false", truth.no_dirties ? "false" : "true");
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

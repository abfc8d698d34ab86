/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * faults_table --case NAME [--pages N] [--file PATH]: a known number of page faults of one
 * kind. The ready line has "pages" (how many), "first" (of them, of another kind, before),
 * and in "mapped" the address of the region.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "victim.h"

#define PAGE 4096L
#ifndef MADV_PAGEOUT /* v5.4 */
#define MADV_PAGEOUT 21
#endif
#define HUGE (2L << 20)

static long pages;
static int file = -1;

NOINLINE static void touch_write(char *p, long n)
{
	for (long i = 0; i < n; i++)
		((volatile char *)p)[i * PAGE] = 1;
}

NOINLINE static void touch_read(char *p, long n)
{
	for (long i = 0; i < n; i++)
		(void)((volatile char *)p)[i * PAGE];
}

static char *map(long bytes, int flags, int fd)
{
	char *p = mmap(NULL, (size_t)bytes, PROT_READ | PROT_WRITE, flags, fd, 0);

	if (p == MAP_FAILED)
		_exit(70);
	madvise(p, (size_t)bytes, MADV_NOHUGEPAGE);
	victim_note("mapped", (long)p);
	return p;
}

static char *anon(void)
{
	return map(pages * PAGE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
}

static void case_anon(void)
{
	touch_write(anon(), pages);
	NO_TAIL_CALL();
}

static void case_zero(void)
{
	char *p = anon();

	touch_read(p, pages);
	touch_write(p, pages);
}

static void case_heap(void)
{
	char *p = sbrk(pages * PAGE + PAGE);

	touch_write((char *)(((uintptr_t)p + PAGE - 1) & ~(uintptr_t)(PAGE - 1)), pages);
}

NOINLINE static void grow_stack(long n)
{
	char frame[PAGE];

	touch_write(frame, 1);
	if (n > 1)
		grow_stack(n - 1);
	touch_read(frame, 1);
}

static void case_stack(void)
{
	grow_stack(pages);
}

static void *thread_stack(void *arg)
{
	(void)arg;
	grow_stack(pages);
	return NULL;
}

static void case_thread_stack(void)
{
	pthread_attr_t attr;
	pthread_t t;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, (size_t)(pages + 64) * PAGE);
	pthread_create(&t, &attr, thread_stack, NULL);
	pthread_join(t, NULL);
}

/* Drops the cached pages of the file, then reads each page by a fault of its own. */
static void case_file_cold(void)
{
	char *p = map(pages * PAGE, MAP_SHARED, file);

	fsync(file);
	posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
	madvise(p, (size_t)(pages * PAGE), MADV_RANDOM);
	touch_read(p, pages);
}

static void case_file_warm(void)
{
	touch_read(map(pages * PAGE, MAP_SHARED, file), pages);
}

static void case_file_cow(void)
{
	touch_write(map(pages * PAGE, MAP_PRIVATE, file), pages);
}

static void case_mkwrite(void)
{
	char *p = map(pages * PAGE, MAP_SHARED, file);

	touch_read(p, pages);
	touch_write(p, pages);
}

/* The child copies what it shares; then it is all the parent's again, which keeps it. */
static void case_fork_cow(void)
{
	char *p = anon();
	pid_t child;

	touch_write(p, pages);
	child = fork();
	if (!child) {
		touch_write(p, pages);
		_exit(0);
	}
	waitpid(child, NULL, 0);
	touch_write(p, pages);
}

static void case_shm(void)
{
	int fd = memfd_create("victim", MFD_CLOEXEC);
	int id = shmget(IPC_PRIVATE, (size_t)(pages * PAGE), IPC_CREAT | 0600);
	char *p;

	if (ftruncate(fd, pages * PAGE) || id < 0)
		_exit(71);
	touch_write(map(pages * PAGE, MAP_SHARED | MAP_ANONYMOUS, -1), pages);
	touch_write(map(pages * PAGE, MAP_SHARED, fd), pages);
	touch_write(map(pages * PAGE, MAP_SHARED, fd), pages);
	p = shmat(id, NULL, 0);
	shmctl(id, IPC_RMID, NULL);
	touch_write(p, pages);
}

static void case_thp(void)
{
	char *p = map((pages + 1) * HUGE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	char *q = (char *)(((uintptr_t)p + HUGE - 1) & ~(uintptr_t)(HUGE - 1));

	if (madvise(q, (size_t)(pages * HUGE), MADV_HUGEPAGE))
		_exit(72);
	for (long i = 0; i < pages; i++)
		((volatile char *)q)[i * HUGE] = 1;
}

static void case_populate(void)
{
	char *p = map(pages * PAGE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1);

	p = anon();
	if (madvise(p, (size_t)(pages * PAGE), MADV_POPULATE_WRITE)) { /* since v5.14 */
		if (errno != EINVAL)
			_exit(73);
		map(pages * PAGE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1);
	}
	p = anon();
	if (mlock(p, (size_t)(pages * PAGE)))
		_exit(74);
}

static void case_process_vm(void)
{
	char *from = anon(), *to;
	struct iovec l, r;

	touch_write(from, pages);
	to = anon();
	l = (struct iovec){from, (size_t)(pages * PAGE)};
	r = (struct iovec){to, (size_t)(pages * PAGE)};
	if (process_vm_writev(getpid(), &l, 1, &r, 1, 0) != pages * PAGE)
		_exit(75);
}

/* Faults of the kernel on user addresses, in a system call. */
static void case_kernel_read(void)
{
	int fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	char *p = anon();

	if (read(fd, p, (size_t)(pages * PAGE)) != pages * PAGE)
		_exit(76);
}

static sigjmp_buf back;

static void on_signal(int sig)
{
	(void)sig;
	siglongjmp(back, 1);
}

NOINLINE static void bad_access(volatile char *p)
{
	*p = 1;
}

static void bad_try(char *p)
{
	for (volatile long i = 0; i < pages; i++)
		if (!sigsetjmp(back, 1))
			bad_access(p);
}

/* Each kind `pages` times: no mapping, permission, beyond the end of a file, EFAULT. */
static void case_bad(void)
{
	int null = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	char *hole = map(3 * PAGE, MAP_PRIVATE | MAP_ANONYMOUS, -1), *readonly, *beyond;

	signal(SIGSEGV, on_signal);
	signal(SIGBUS, on_signal);
	readonly = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	beyond = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file, pages * PAGE);
	munmap(hole + PAGE, PAGE); /* after the last mmap(), which might fill it */
	victim_note("hole", (long)(hole + PAGE));
	bad_try(hole + PAGE);
	bad_try(readonly);
	bad_try(beyond);
	for (long i = 0; i < pages; i++)
		if (read(null, hole + PAGE, 1) != -1 || errno != EFAULT)
			_exit(77);
	touch_write(hole, 1); /* the next fault shows that the last one had failed */
}

#define ROUNDS 20

static void *thread_rounds(void *arg)
{
	(void)arg;
	for (int i = 0; i < ROUNDS; i++) {
		char *p = mmap(NULL, (size_t)(pages * PAGE), PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		madvise(p, (size_t)(pages * PAGE), MADV_NOHUGEPAGE);
		touch_write(p, pages);
		munmap(p, (size_t)(pages * PAGE));
	}
	return NULL;
}

static void case_threads(void)
{
	pthread_t t[4];

	for (int i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, thread_rounds, NULL);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
}

/* N faults on few pages: given back after each round. */
static void case_storm(void)
{
	long left = pages, batch = 512;
	char *p = map(batch * PAGE, MAP_PRIVATE | MAP_ANONYMOUS, -1);

	for (; left > 0; left -= batch) {
		batch = left < 512 ? left : 512;
		touch_write(p, batch);
		madvise(p, (size_t)(batch * PAGE), MADV_DONTNEED);
	}
}

static void *uffd_serve(void *arg)
{
	static char source[PAGE] __attribute__((aligned(4096)));
	int fd = *(int *)arg;
	struct uffd_msg m;

	for (long i = 0; i < pages; i++) {
		struct uffdio_copy c = {.src = (uintptr_t)source, .len = PAGE};

		if (read(fd, &m, sizeof(m)) != sizeof(m))
			_exit(78);
		c.dst = m.arg.pagefault.address & ~(uint64_t)(PAGE - 1);
		if (ioctl(fd, UFFDIO_COPY, &c))
			_exit(79);
	}
	return NULL;
}

static void case_uffd(void)
{
	struct uffdio_api api = {.api = UFFD_API};
	struct uffdio_register reg = {.mode = UFFDIO_REGISTER_MODE_MISSING};
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
	char *p = anon();
	pthread_t t;

	reg.range.start = (uintptr_t)p;
	reg.range.len = (uint64_t)(pages * PAGE);
	if (fd < 0 || ioctl(fd, UFFDIO_API, &api) || ioctl(fd, UFFDIO_REGISTER, &reg))
		_exit(80);
	pthread_create(&t, NULL, uffd_serve, &fd);
	touch_write(p, pages);
	pthread_join(t, NULL);
}

static void case_hugetlb(void)
{
	char *p = mmap(NULL, (size_t)(pages * HUGE), PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);

	if (p == MAP_FAILED)
		_exit(81);
	for (long i = 0; i < pages; i++)
		((volatile char *)p)[i * HUGE] = 1;
}

/* Whoever takes the pages away for good does it at the step. */
static void case_swap(void)
{
	char *p = anon();

	touch_write(p, pages);
	if (madvise(p, (size_t)(pages * PAGE), MADV_PAGEOUT))
		_exit(84);
	victim_step("evict");
	touch_read(p, pages / 2);
	touch_write(p + pages / 2 * PAGE, pages - pages / 2);
}

enum with { WITH_FILE = 1, WITH_THP };

static const struct {
	const char *name;
	void (*run)(void);
	int with;
} cases[] = {
	{"anon", case_anon, 0},
	{"zero", case_zero, 0},
	{"heap", case_heap, 0},
	{"stack", case_stack, 0},
	{"thread-stack", case_thread_stack, 0},
	{"file-cold", case_file_cold, WITH_FILE},
	{"file-warm", case_file_warm, WITH_FILE},
	{"file-cow", case_file_cow, WITH_FILE},
	{"mkwrite", case_mkwrite, WITH_FILE},
	{"fork-cow", case_fork_cow, 0},
	{"shm", case_shm, 0},
	{"thp", case_thp, WITH_THP},
	{"populate", case_populate, 0},
	{"process-vm", case_process_vm, 0},
	{"kernel-read", case_kernel_read, 0},
	{"bad", case_bad, WITH_FILE},
	{"threads", case_threads, 0},
	{"storm", case_storm, 0},
	{"uffd", case_uffd, 0},
	{"hugetlb", case_hugetlb, 0},
	{"swap", case_swap, 0},
};

#define N_CASES (sizeof(cases) / sizeof(cases[0]))

/* A file of `pages` whole pages. */
static void make_file(const char *path)
{
	static char block[PAGE];

	file = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	memset(block, 'x', sizeof(block));
	for (long i = 0; i < pages; i++)
		if (write(file, block, PAGE) != PAGE)
			_exit(82);
	fsync(file);
}

static long cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return t.tv_sec * 1000000000L + t.tv_nsec;
}

int main(int argc, char **argv)
{
	const char *name;
	size_t i = 0;
	long start;

	victim_init(argc, argv);
	pages = victim_option("pages", 2000);
	name = victim_text("case");
	while (name && i < N_CASES && strcmp(cases[i].name, name))
		i++;
	if (!name || i == N_CASES)
		_exit(83);
	if (cases[i].with == WITH_FILE)
		make_file(victim_text("file"));
	/* Whatever the machine's default is, only one case gets huge pages. */
	if (cases[i].with != WITH_THP)
		prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
	victim_go();
	start = cpu_ns();
	cases[i].run();
	victim_note("cpu_ns", cpu_ns() - start);
	victim_note("pages", pages);
	return victim_ready();
}

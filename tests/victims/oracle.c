/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Counts from inside what a victim says about itself: an LD_PRELOAD library that keeps
 * its own books of outstanding blocks and pages per stack. Independent of the tracer,
 * so that the truth is checked before the tracer is checked against it.
 *
 * Between oracle_start() and oracle_stop(); then one line per stack into $ORACLE_FILE:
 * KIND BYTES COUNT OBJECT+OFFSET... (leaf first, offsets in the file's address space).
 */
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unwind.h>

#define EXPORT __attribute__((visibility("default")))
#define DEPTH  40
#define BLOCKS (1u << 22)
#define STACKS (1u << 15)
#define PAGE   4096ul

struct stack {
	uint64_t hash;
	uintptr_t frames[DEPTH];
	int n, kind;
	long bytes, count;
};

struct block {
	uintptr_t key; /* address, or address | 1 for a page; 2: deleted */
	size_t bytes;
	uint32_t stack;
};

EXPORT void oracle_start(void);
EXPORT void oracle_stop(void);

static struct stack stacks[STACKS];
static struct block blocks[BLOCKS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int running;
static __thread int inside;

struct walk {
	uintptr_t frames[DEPTH];
	int n, skip;
};

static _Unwind_Reason_Code step(struct _Unwind_Context *context, void *arg)
{
	struct walk *w = arg;

	if (w->skip) {
		w->skip--;
		return _URC_NO_REASON;
	}
	w->frames[w->n++] = _Unwind_GetIP(context);
	return w->n < DEPTH ? _URC_NO_REASON : _URC_END_OF_STACK;
}

/* Skips charge() and the wrapper: frame 0 is the caller of the allocator. */
__attribute__((always_inline)) static inline struct walk take_stack(void)
{
	struct walk w = {.skip = 2};

	_Unwind_Backtrace(step, &w);
	return w;
}

static uint32_t intern(const struct walk *w, int kind)
{
	uint64_t hash = 1469598103934665603ull ^ kind;
	uint32_t i;

	for (int k = 0; k < w->n; k++)
		hash = (hash ^ w->frames[k]) * 1099511628211ull;
	hash |= 1;
	for (i = hash >> 20 & (STACKS - 1); stacks[i].hash; i = (i + 1) & (STACKS - 1))
		if (stacks[i].hash == hash)
			return i;
	stacks[i].hash = hash;
	stacks[i].n = w->n;
	stacks[i].kind = kind;
	memcpy(stacks[i].frames, w->frames, sizeof(w->frames));
	return i;
}

static struct block *slot(uintptr_t key, int insert)
{
	uint32_t i = (key * 0x9e3779b97f4a7c15ull) >> 42;
	struct block *deleted = NULL;

	for (;; i = (i + 1) & (BLOCKS - 1)) {
		if (blocks[i].key == key)
			return &blocks[i];
		if (blocks[i].key == 2 && !deleted)
			deleted = &blocks[i];
		if (!blocks[i].key)
			return insert ? (deleted ? deleted : &blocks[i]) : NULL;
	}
}

static void drop(uintptr_t key)
{
	struct block *b = slot(key, 0);

	if (!b)
		return;
	stacks[b->stack].bytes -= b->bytes;
	stacks[b->stack].count--;
	b->key = 2;
}

static void put(uintptr_t key, size_t bytes, uint32_t stack)
{
	struct block *b;

	drop(key);
	b = slot(key, 1);
	*b = (struct block){key, bytes, stack};
	stacks[stack].bytes += bytes;
	stacks[stack].count++;
}

/* old leaves the books if it is set, p enters them unless NULL. */
__attribute__((noipa)) static void charge(void *old, void *p, size_t bytes)
{
	struct walk w;
	int saved = errno;

	if (!running || inside)
		return;
	inside = 1;
	w = take_stack();
	pthread_mutex_lock(&lock);
	if (old)
		drop((uintptr_t)old);
	if (p)
		put((uintptr_t)p, bytes, intern(&w, 0));
	pthread_mutex_unlock(&lock);
	inside = 0;
	errno = saved;
}

__attribute__((noipa)) static void charge_pages(uintptr_t old, size_t old_bytes, uintptr_t p,
						size_t bytes)
{
	struct walk w;
	int saved = errno;

	if (!running || inside)
		return;
	inside = 1;
	w = take_stack();
	pthread_mutex_lock(&lock);
	for (size_t i = 0; i < old_bytes; i += PAGE)
		drop((old + i) | 1);
	for (size_t i = 0; i < bytes; i += PAGE)
		put((p + i) | 1, PAGE, intern(&w, 1));
	pthread_mutex_unlock(&lock);
	inside = 0;
	errno = saved;
}

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);
extern void __libc_free(void *);

static void *next(const char *name)
{
	void *p;

	inside++;
	p = dlsym(RTLD_NEXT, name);
	inside--;
	return p;
}

#define DONE() __asm__ volatile("" ::: "memory")

EXPORT void *malloc(size_t n)
{
	void *p = __libc_malloc(n);

	charge(NULL, p, n);
	DONE();
	return p;
}

EXPORT void *calloc(size_t n, size_t size)
{
	void *p = __libc_calloc(n, size);

	charge(NULL, p, n * size);
	DONE();
	return p;
}

EXPORT void *realloc(void *old, size_t n)
{
	void *p = __libc_realloc(old, n);

	if (p || (old && !n))
		charge(old, p, n);
	DONE();
	return p;
}

EXPORT void *reallocarray(void *old, size_t n, size_t size)
{
	size_t bytes;
	void *p;

	if (__builtin_mul_overflow(n, size, &bytes)) {
		errno = ENOMEM;
		return NULL;
	}
	p = __libc_realloc(old, bytes);
	if (p || (old && !bytes))
		charge(old, p, bytes);
	DONE();
	return p;
}

EXPORT void *memalign(size_t align, size_t n)
{
	void *p = __libc_memalign(align, n);

	charge(NULL, p, n);
	DONE();
	return p;
}

EXPORT void *aligned_alloc(size_t align, size_t n)
{
	void *p = __libc_memalign(align, n);

	charge(NULL, p, n);
	DONE();
	return p;
}

EXPORT int posix_memalign(void **ret, size_t align, size_t n)
{
	void *p;

	if (align % sizeof(void *) || align & (align - 1) || !align)
		return EINVAL;
	p = __libc_memalign(align, n);
	if (!p)
		return ENOMEM;
	*ret = p;
	charge(NULL, p, n);
	DONE();
	return 0;
}

EXPORT void free(void *p)
{
	if (p)
		charge(p, NULL, 0);
	__libc_free(p);
}

EXPORT void *mmap(void *at, size_t n, int prot, int flags, int fd, off_t off)
{
	static void *(*real)(void *, size_t, int, int, int, off_t);
	void *p;

	if (!real)
		real = next("mmap");
	p = real(at, n, prot, flags, fd, off);
	if (p != MAP_FAILED)
		charge_pages((uintptr_t)p, n, (uintptr_t)p, flags & MAP_ANONYMOUS ? n : 0);
	DONE();
	return p;
}

EXPORT int munmap(void *p, size_t n)
{
	static int (*real)(void *, size_t);
	int ret;

	if (!real)
		real = next("munmap");
	ret = real(p, n);
	if (!ret)
		charge_pages((uintptr_t)p, n, 0, 0);
	DONE();
	return ret;
}

EXPORT void *mremap(void *old, size_t old_n, size_t n, int flags, ...)
{
	static void *(*real)(void *, size_t, size_t, int, ...);
	void *p;

	if (!real)
		real = next("mremap");
	p = real(old, old_n, n, flags);
	if (p != MAP_FAILED)
		charge_pages((uintptr_t)old, old_n, (uintptr_t)p, n);
	DONE();
	return p;
}

void oracle_start(void)
{
	running = 1;
}

static void print_stack(FILE *f, const struct stack *s)
{
	fprintf(f, "%s %ld %ld", s->kind ? "mmap" : "malloc", s->bytes, s->count);
	for (int k = 0; k < s->n; k++) {
		Dl_info info;

		if (dladdr((void *)s->frames[k], &info) && info.dli_fname)
			fprintf(f, " %s+%lx", info.dli_fname,
				s->frames[k] - (uintptr_t)info.dli_fbase);
		else
			fprintf(f, " ?+%lx", s->frames[k]);
	}
	fputc('\n', f);
}

void oracle_stop(void)
{
	const char *file = getenv("ORACLE_FILE");
	FILE *f;

	running = 0;
	f = file ? fopen(file, "w") : NULL;
	if (!f)
		abort();
	for (uint32_t i = 0; i < STACKS; i++)
		if (stacks[i].hash && (stacks[i].bytes || stacks[i].count))
			print_stack(f, &stacks[i]);
	fclose(f);
}

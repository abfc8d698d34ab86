/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * BPF units of the look-up of mappings: this process's own are looked up, and must be what
 * /proc/self/maps says of them, at their edges and in the gaps between them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/maps.h"
#include "vma_input.h"

#include "vma.skel.h" /* needs the types above */

#define PAGE 4096UL
#define MANY 3000 /* mappings: three levels of nodes */

static struct vma_test_bpf *bpf;
static const struct vma_output *out;

static int setup(void **state)
{
	(void)state;
	libbpf_set_print(NULL);
	bpf = vma_test_bpf__open();
	if (!bpf)
		return -1;
	((struct cfg *)&bpf->rodata->cfg)->task_storage = 1;
	if (vma_test_bpf__load(bpf))
		return -1;
	out = &bpf->bss->output;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	vma_test_bpf__destroy(bpf);
	return 0;
}

static bool look_up(struct bpf_program *p, uint64_t address)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts);

	bpf->bss->input.address = address;
	assert_int_equal(bpf_prog_test_run_opts(bpf_program__fd(p), &opts), 0);
	return out->found;
}

static bool find(uint64_t address)
{
	return look_up(bpf->progs.run_find, address);
}

static void assert_is(uint64_t address, uint64_t start, uint64_t end)
{
	assert_true(find(address));
	assert_int_equal(out->vma.start, start);
	assert_int_equal(out->vma.end, end);
}

/* Every second page of a region is mapped, so that none can be merged with another. */
static char *map_comb(size_t n)
{
	char *p = mmap(NULL, (2 * n + 1) * PAGE, PROT_NONE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	assert_ptr_not_equal(p, MAP_FAILED);
	assert_int_equal(munmap(p, (2 * n + 1) * PAGE), 0);
	for (size_t i = 0; i < n; i++)
		assert_ptr_equal(mmap(p + (2 * i + 1) * PAGE, PAGE, PROT_READ | PROT_WRITE,
				      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0),
				 p + (2 * i + 1) * PAGE);
	return p;
}

static void unmap_comb(char *p, size_t n)
{
	assert_int_equal(munmap(p, (2 * n + 1) * PAGE), 0);
}

static void test_every_mapping_of_many(void **state)
{
	char *p = map_comb(MANY);

	(void)state;
	for (size_t i = 0; i < MANY; i++) {
		uint64_t at = (uint64_t)(p + (2 * i + 1) * PAGE);

		assert_is(at, at, at + PAGE);
		assert_is(at + PAGE - 1, at, at + PAGE);
		assert_false(find(at - 1) && out->vma.start >= (uint64_t)p);
	}
	unmap_comb(p, MANY);
}

/* What is beside a gap is found from its bounds. */
static void test_gaps_have_bounds(void **state)
{
	char *p = map_comb(100);

	(void)state;
	for (size_t i = 1; i < 100; i++) {
		uint64_t gap = (uint64_t)(p + 2 * i * PAGE), low, high;

		assert_false(find(gap + 100));
		low = out->low;
		high = out->high;
		assert_int_equal(low, gap);
		assert_int_equal(high, gap + PAGE - 1);
	}
	assert_false(find(0));
	assert_false(find(PAGE * 3));
	assert_false(find(~0ULL));
	unmap_comb(p, 100);
}

static uint32_t kind_at(const void *p)
{
	assert_true(find((uint64_t)p));
	return out->vma.mapping;
}

static void test_kinds(void **state)
{
	char *anon = map_comb(1) + PAGE, *shared;
	int fd = memfd_create("vma", MFD_CLOEXEC);

	(void)state;
	assert_int_equal(ftruncate(fd, PAGE), 0);
	shared = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
	bpf->bss->input.sp = 0;
	assert_int_equal(kind_at(sbrk(PAGE)), FAULT_MAP_HEAP);
	assert_int_equal(kind_at(__builtin_frame_address(0)), FAULT_MAP_STACK);
	assert_int_equal(kind_at(anon), FAULT_MAP_ANON);
	assert_int_equal(kind_at(shared), FAULT_MAP_SHM);
	assert_int_equal(kind_at((void *)(uintptr_t)test_kinds), FAULT_MAP_FILE);
	close(fd);
	munmap(shared, PAGE);
	unmap_comb(anon - PAGE, 1);
}

#define STACK (64 * PAGE)

/* In the middle of a larger mapping, as if the kernel had merged it with its neighbours. */
static void *on_thread(void *arg)
{
	char *stack = arg, *here = __builtin_frame_address(0);

	bpf->bss->input.sp = (uint64_t)here;
	assert_int_equal(kind_at(here), FAULT_MAP_THREAD_STACK);
	assert_int_equal(kind_at(here - 4 * PAGE), FAULT_MAP_THREAD_STACK);
	assert_int_equal(kind_at(stack - 2 * PAGE), FAULT_MAP_ANON);
	assert_int_equal(kind_at(stack + STACK + 2 * PAGE), FAULT_MAP_ANON);
	bpf->bss->input.sp = 0;
	assert_int_equal(kind_at(here), FAULT_MAP_ANON);
	return NULL;
}

static void test_thread_stack_ends_where_it_ends(void **state)
{
	char *p = mmap(NULL, 3 * STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	pthread_attr_t attr;
	pthread_t t;

	(void)state;
	assert_ptr_not_equal(p, MAP_FAILED);
	pthread_attr_init(&attr);
	assert_int_equal(pthread_attr_setstack(&attr, p + STACK, STACK), 0);
	assert_int_equal(pthread_create(&t, &attr, on_thread, p + STACK), 0);
	pthread_join(t, NULL);
	pthread_attr_destroy(&attr);
	munmap(p, 3 * STACK);
}

static void test_as_proc_maps_has_them(void **state)
{
	struct maps m = {0};
	size_t seen = 0;

	(void)state;
	assert_int_equal(maps_read(getpid(), &m), 0);
	for (size_t i = 0; i < m.n; i++) {
		const struct mapping *v = &m.v[i];

		/* Reading them may have grown the heap; vsyscall is no mapping of the process. */
		if (!v->inode || !find(v->start))
			continue;
		assert_int_equal(out->vma.start, v->start);
		assert_int_equal(out->vma.end, v->end);
		assert_int_equal(out->vma.ino, v->inode);
		assert_int_equal(out->vma.mapping, FAULT_MAP_FILE);
		seen++;
	}
	assert_true(seen > 5);
	maps_deinit(&m);
}

/* What is remembered is not believed once it is gone or another. */
static void test_remembered_mapping_is_checked(void **state)
{
	char *p = map_comb(2);
	uint64_t first = (uint64_t)p + PAGE, second = (uint64_t)p + 3 * PAGE;

	(void)state;
	for (int round = 0; round < 2; round++) {
		assert_true(look_up(bpf->progs.run_find_cached, first));
		assert_int_equal(out->vma.start, first);
	}
	assert_true(look_up(bpf->progs.run_find_cached, second));
	assert_int_equal(out->vma.start, second);
	munmap((void *)second, PAGE);
	assert_false(look_up(bpf->progs.run_find_cached, second));
	/* Grown: its neighbour is joined to it. */
	assert_true(look_up(bpf->progs.run_find_cached, first));
	assert_ptr_equal(mmap((void *)(first + PAGE), PAGE, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0),
			 (void *)(first + PAGE));
	assert_true(look_up(bpf->progs.run_find_cached, first + PAGE));
	assert_int_equal(out->vma.end, first + 2 * PAGE);
	unmap_comb(p, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_mapping_of_many),
		cmocka_unit_test(test_gaps_have_bounds),
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_thread_stack_ends_where_it_ends),
		cmocka_unit_test(test_as_proc_maps_has_them),
		cmocka_unit_test(test_remembered_mapping_is_checked),
	};

	return cmocka_run_group_tests_name("mappings (BPF)", tests, setup, teardown);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Words and sums of `memtally kmem`. No room's objects, so they are compiled in here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "kmem_account.c"
#include "kmem_names.c"

static const char *kmalloc(uint64_t size, uint64_t gfp)
{
	static char name[64];

	kmem_kmalloc_name(size, gfp, name, sizeof(name));
	return name;
}

static void test_kmalloc_names(void **state)
{
	(void)state;
	assert_string_equal(kmalloc(64, 0xcc0), "kmalloc-64");
	assert_string_equal(kmalloc(192, 0x400cc0), "kmalloc-cg-192");
	assert_string_equal(kmalloc(1024, 0x400cc0), "kmalloc-cg-1k");
	assert_string_equal(kmalloc(8192, 0x10), "kmalloc-rcl-8k");
	assert_string_equal(kmalloc(128, 0x400010), "kmalloc-rcl-128");
	assert_string_equal(kmalloc(128, 0x400011), "dma-kmalloc-128");
	assert_string_equal(kmalloc(16384, 0), "kmalloc-large");
}

static void test_kmalloc_names_parse_back(void **state)
{
	static const uint64_t sizes[] = {8, 96, 192, 1024, 8192};
	static const uint64_t flags[] = {0xcc0, 0x400cc0, 0x10, 0x01};
	struct kmem_cache_filter c;

	(void)state;
	for (size_t s = 0; s < ARRAY_SIZE(sizes); s++) {
		for (size_t f = 0; f < ARRAY_SIZE(flags); f++) {
			c = (struct kmem_cache_filter){0};
			assert_true(kmem_kmalloc_parse(kmalloc(sizes[s], flags[f]), &c));
			assert_int_equal(c.kmalloc_size, sizes[s]);
			for (size_t g = 0; g < ARRAY_SIZE(flags); g++)
				assert_int_equal((flags[g] & c.kmalloc_gfp_mask) == c.kmalloc_gfp,
						 g == f);
		}
	}
	assert_false(kmem_kmalloc_parse("dentry", &c));
	assert_false(kmem_kmalloc_parse("kmalloc-", &c));
	assert_false(kmem_kmalloc_parse("kmalloc-x", &c));
	assert_false(kmem_kmalloc_parse("kmalloc-0", &c));
}

static void test_gfp(void **state)
{
	char text[256], tiny[8];

	(void)state;
	kmem_gfp_text(0xcc0, text, sizeof(text));
	assert_string_equal(text, "GFP_KERNEL");
	kmem_gfp_text(0x400dc0, text, sizeof(text));
	assert_string_equal(text, "GFP_KERNEL|__GFP_ZERO|__GFP_ACCOUNT");
	kmem_gfp_text(0, text, sizeof(text));
	assert_string_equal(text, "0");
	kmem_gfp_text(0x80000020, text, sizeof(text));
	assert_string_equal(text, "__GFP_HIGH|0x80000000");
	kmem_gfp_text(UINT64_MAX, tiny, sizeof(tiny));
	assert_string_equal(tiny, "GFP_USE");
}

#define FRAMES(...)                      \
	((struct frame[]){__VA_ARGS__}), \
		sizeof((struct frame[]){__VA_ARGS__}) / sizeof(struct frame)
#define F(name)                    \
	{                          \
		.function = (name) \
	}

static void test_tracing_frames_are_cut(void **state)
{
	(void)state;
	assert_int_equal(
		kmem_tracing_frames(FRAMES(F("bpf_prog_1234_x"), F("bpf_trace_run4"),
					   F("__traceiter_mm_page_alloc"), F("__alloc_pages"))),
		3);
	/* without the name of the program, without the second probe's frame */
	assert_int_equal(
		kmem_tracing_frames(FRAMES(F(NULL), F("bpf_trace_run4"), F("__alloc_pages"))), 2);
	assert_int_equal(kmem_tracing_frames(FRAMES(F("__alloc_pages"), F("vfs_write"))), 0);
	/* a program's own allocations, far from the leaf, stay */
	assert_int_equal(kmem_tracing_frames(FRAMES(F("a"), F("b"), F("c"), F("d"), F("e"), F("f"),
						    F("g"), F("h"), F("bpf_prog_1234_x"))),
			 0);
	assert_int_equal(kmem_tracing_frames(NULL, 0), 0);
}

static void test_allocator_frames(void **state)
{
	(void)state;
	assert_int_equal(kmem_allocator_frames(
				 FRAMES(F("alloc_vmap_area"), F("__get_vm_area_node"), F("jit"))),
			 2);
	assert_int_equal(kmem_allocator_frames(FRAMES(F("jit"), F("vmalloc"))), 0);
	/* nothing else known: better the allocator than nothing */
	assert_int_equal(kmem_allocator_frames(FRAMES(F("alloc_vmap_area"))), 0);
}

static void test_interrupts_are_known(void **state)
{
	(void)state;
	assert_true(kmem_in_interrupt(FRAMES(F("sk_alloc"), F("handle_softirqs"), F("bpf"))));
	assert_true(kmem_in_interrupt(FRAMES(F("x"), F("asm_sysvec_apic_timer_interrupt"))));
	assert_false(kmem_in_interrupt(FRAMES(F("x"), F(NULL), F("__sys_bpf"))));
}

static void test_accounted(void **state)
{
	(void)state;
	assert_true(kmem_is_accounted(FRAMES(F("a"), F("__vmalloc_node_range_noprof"))));
	assert_true(kmem_is_accounted(FRAMES(F("a"), F("pte_alloc_one"))));
	assert_false(kmem_is_accounted(FRAMES(F("alloc_pages_mpol"), F("anon_pipe_write"))));
}

static void test_site_range(void **state)
{
	uint64_t start, end, at;

	(void)state;
	assert_int_equal(kmem_site_parse("no_such_function", &start, &end), -ENOENT);
	assert_int_equal(kmem_site_parse("x+y", &start, &end), -EINVAL);
	if (kmem_site_parse("vfs_write", &start, &end)) {
		print_message("[  SKIPPED ] /proc/kallsyms shows no addresses here\n");
		skip();
	}
	assert_true(start < end && end - start < 1 << 20);
	assert_int_equal(kmem_site_parse("vfs_write+0x10", &at, &end), 0);
	assert_int_equal(at, start - 1 + 0x10);
	assert_int_equal(end, at + 1);
}

static const char meminfo[] = "MemTotal:       1000 kB\nMemFree:         500 kB\n"
			      "Cached:          200 kB\nSwapCached:        7 kB\n"
			      "KReclaimable:     30 kB\nSReclaimable:     20 kB\n"
			      "Slab:             50 kB\n";

static int64_t bytes_of(const struct kmem_account *a, const char *name)
{
	for (size_t i = 0; i < a->n; i++)
		if (strcmp(a->v[i].name, name) == 0)
			return a->v[i].bytes;
	fail_msg("no consumer %s", name);
	return 0;
}

static void test_account(void **state)
{
	struct kmem_account a;

	(void)state;
	assert_int_equal(kmem_account_parse(meminfo, " count: 10\n count: 5\n", 4096, &a), 0);
	assert_int_equal(bytes_of(&a, "MemFree"), 500 * 1024);
	assert_int_equal(bytes_of(&a, "Cached"), 200 * 1024); /* not SwapCached's line */
	assert_int_equal(bytes_of(&a, "SwapCached"), 7 * 1024);
	assert_int_equal(bytes_of(&a, "FreePerCpu"), 15 * 4096);
	assert_int_equal(bytes_of(&a, "KReclaimableOther"), 10 * 1024);
	assert_int_equal(bytes_of(&a, "Zswap"), 0);
	assert_int_equal(bytes_of(&a, "Unaccounted"), (1000 - 500 - 200 - 7 - 10 - 50 - 60) * 1024);
	assert_int_equal(a.sum, a.total);
	assert_string_equal(a.v[a.n - 1].name, "Unaccounted");
	kmem_account_deinit(&a);
	assert_int_equal(kmem_account_parse("", "", 4096, &a), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kmalloc_names),
		cmocka_unit_test(test_kmalloc_names_parse_back),
		cmocka_unit_test(test_gfp),
		cmocka_unit_test(test_tracing_frames_are_cut),
		cmocka_unit_test(test_allocator_frames),
		cmocka_unit_test(test_interrupts_are_known),
		cmocka_unit_test(test_accounted),
		cmocka_unit_test(test_site_range),
		cmocka_unit_test(test_account),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

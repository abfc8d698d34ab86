/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "sym/kallsyms.h"
#include "sym/perfmap.h"
#include "sym/table.h"

static const char *at(const struct sym_table *t, uint64_t address)
{
	const struct sym_entry *e = sym_table_find(t, address);

	return e ? e->name : "none";
}

static void test_table(void **state)
{
	static const struct sym_entry entries[] = {
		{.start = 200, .end = 300, .name = "outer", .rank = 1},
		{.start = 100, .end = 150, .name = "first", .rank = 1},
		{.start = 220, .end = 230, .name = "nested", .rank = 9},
		{.start = 250, .end = 900, .name = "label", .open = 1}, /* inside outer */
		{.start = 400, .end = 500, .name = "__alias", .rank = 5},
		{.start = 400, .end = 480, .name = "alias", .rank = 2},
		{.start = 600, .end = 1000, .name = "asm1", .open = 1},
		{.start = 640, .end = 1000, .name = "asm2", .open = 1},
		{.start = 2000, .end = 2100, .name = "__sized", .rank = 7},
		{.start = 2000, .end = 9000, .name = "sized", .rank = 1, .open = 1},
		{.start = 7000, .end = 7000, .name = "empty"},
		{.start = 8000, .end = 10, .name = "backwards"},
		{.start = UINT64_MAX - 10, .end = UINT64_MAX, .name = "top"},
	};
	struct sym_table t = {0};
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(entries); i++)
		assert_int_equal(sym_table_add(&t, &entries[i]), 0);
	sym_table_sort(&t);
	assert_string_equal(at(&t, 0), "none");
	assert_string_equal(at(&t, 99), "none");
	assert_string_equal(at(&t, 100), "first");
	assert_string_equal(at(&t, 149), "first");
	assert_string_equal(at(&t, 150), "none");
	assert_string_equal(at(&t, 219), "outer");
	assert_string_equal(at(&t, 220), "nested");
	assert_string_equal(at(&t, 230), "outer");
	assert_string_equal(at(&t, 260), "outer");
	assert_string_equal(at(&t, 300), "none");
	assert_string_equal(at(&t, 490), "alias"); /* ends are merged */
	assert_string_equal(at(&t, 500), "none");
	assert_string_equal(at(&t, 639), "asm1");
	assert_string_equal(at(&t, 640), "asm2");
	assert_string_equal(at(&t, 999), "asm2");
	assert_string_equal(at(&t, 1000), "none");
	assert_string_equal(at(&t, 2099), "sized");
	assert_string_equal(at(&t, 2100), "none"); /* the unsized alias adds no length */
	assert_string_equal(at(&t, 7000), "none");
	assert_string_equal(at(&t, UINT64_MAX - 1), "top");
	sym_table_deinit(&t);
	assert_null(sym_table_find(&t, 5));
}

static struct sym_perfmap *perfmap(const char *text)
{
	struct sym_perfmap *p = NULL;

	assert_int_equal(sym_perfmap_new(strdup(text), strlen(text), &p), 0);
	return p;
}

static void assert_jit(const struct sym_perfmap *p, uint64_t address, const char *want,
		       uint64_t want_start)
{
	const char *name = "untouched";
	uint64_t start = 1;

	if (!want) {
		assert_int_equal(sym_perfmap_find(p, address, &name, &start), -ENOENT);
		assert_string_equal(name, "untouched");
		return;
	}
	assert_int_equal(sym_perfmap_find(p, address, &name, &start), 0);
	assert_string_equal(name, want);
	assert_int_equal(start, want_start);
}

static void test_perfmap(void **state)
{
	struct sym_perfmap *p = perfmap("1000 10 LazyCompile:~main a.js:1:2\n"
					"2000 100 old big\n"
					"\n"
					"zz 10 no number\n"
					"3000\n"
					"3000 10\n"
					"3000 10 \n"
					"-3000 10 sign\n"
					"3000 -1 sign\n"
					" 3000 10 blank first\n"
					"11112222333344445 10 too long\n"
					"ffffffffffffff00 200 wraps\n"
					"2040 20 new small\n"
					"0x4000 0x10 with prefix\n"
					"5000 10 first\n"
					"5000 20 second\n"
					"6000 10 half writt");

	(void)state;
	assert_jit(p, 0x1000, "LazyCompile:~main a.js:1:2", 0x1000);
	assert_jit(p, 0x100f, "LazyCompile:~main a.js:1:2", 0x1000);
	assert_jit(p, 0x1010, NULL, 0);
	assert_jit(p, 0x203f, "old big", 0x2000);
	assert_jit(p, 0x2040, "new small", 0x2040);
	assert_jit(p, 0x2060, "old big", 0x2000);
	assert_jit(p, 0x3000, NULL, 0);
	assert_jit(p, 0x4008, "with prefix", 0x4000);
	assert_jit(p, 0x5018, "second", 0x5000);
	assert_jit(p, 0x6000, NULL, 0);
	assert_jit(p, 0xffffffffffffff10, NULL, 0);
	sym_perfmap_free(p);
	/* newer code over a part of older code that starts later */
	p = perfmap("1080 100 old\n1000 100 new\n");
	assert_jit(p, 0x1090, "new", 0x1000);
	assert_jit(p, 0x1110, "old", 0x1080);
	sym_perfmap_free(p);
	p = perfmap("");
	assert_jit(p, 0, NULL, 0);
	sym_perfmap_free(p);
	sym_perfmap_free(NULL);
}

static int kallsyms(const char *text, struct sym_kallsyms **ret)
{
	return sym_kallsyms_new(strdup(text), strlen(text), ret);
}

static void assert_kernel(const struct sym_kallsyms *k, uint64_t address, const char *want,
			  const char *want_module)
{
	struct sym_kernel_symbol s;

	if (!want) {
		assert_int_equal(sym_kallsyms_find(k, address, &s), -ENOENT);
		return;
	}
	assert_int_equal(sym_kallsyms_find(k, address, &s), 0);
	assert_string_equal(s.name, want);
	if (want_module)
		assert_string_equal(s.module, want_module);
	else
		assert_null(s.module);
}

static void test_kallsyms(void **state)
{
	struct sym_kallsyms *k = NULL;

	(void)state;
	assert_int_equal(kallsyms("0000000000000000 A fixed_percpu_data\n"
				  "ffffffff81000000 T _text\n"
				  "ffffffff81000000 T _stext\n"
				  "ffffffff81000000 t start_here\n"
				  "ffffffff81000100 T __kmalloc\n"
				  "ffffffff81000200 W weak_one\n"
				  "ffffffff81000300 D some_data\n"
				  "nonsense\n"
				  "ffffffff81000400\n"
				  "ffffffff81000400 T\n"
				  "ffffffff81000400 TT long_type\n"
				  "ffffffffffffffff81000400 T long_address\n"
				  "ffffffffc0001000 t ext4_a\t[ext4]\n"
				  "ffffffffc0001080 t ext4_b\t[ext4]\n"
				  "ffffffffc0003000 t bpf_prog_123_x\t[bpf]\n"
				  "ffffffffc0002000 t ext4_c\t[ext4]\n",
				  &k),
			 0);
	assert_kernel(k, 0xffffffff81000010, "_text", NULL);
	assert_kernel(k, 0xffffffff810001ff, "__kmalloc", NULL);
	assert_kernel(k, 0xffffffff81000200, "weak_one", NULL);
	assert_kernel(k, 0xffffffff81000300, NULL, NULL);
	assert_kernel(k, 0xffffffff81000400, NULL, NULL);
	assert_kernel(k, 0xffffffffc0001000, "ext4_a", "ext4");
	assert_kernel(k, 0xffffffffc0001090, "ext4_b", "ext4");
	assert_kernel(k, 0xffffffffc0002fff, "ext4_c", "ext4");
	assert_kernel(k, 0xffffffffc0003000, "bpf_prog_123_x", "bpf");
	assert_kernel(k, 0x1000, NULL, NULL);
	assert_kernel(k, UINT64_MAX, NULL, NULL); /* far behind the last one */
	sym_kallsyms_free(k);

	k = NULL;
	assert_int_equal(kallsyms("0000000000000000 T a\n0000000000000000 T b\n", &k), -EACCES);
	assert_int_equal(kallsyms("", &k), -ENODATA);
	assert_int_equal(kallsyms("no symbols here\n", &k), -ENODATA);
	assert_null(k);
	sym_kallsyms_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_perfmap),
		cmocka_unit_test(test_kallsyms),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <elf.h>
#include <string.h>

#include "sym/names.h"

static void check(struct sym_strings *t, const char *name, unsigned int flags, const char *want)
{
	assert_string_equal(sym_name_readable(t, name, flags), want);
}

static void test_readable(void **state)
{
	static const struct {
		const char *name, *want, *no_params;
	} cases[] = {
		{"malloc", "malloc", "malloc"},
		{"malloc@@GLIBC_2.2.5", "malloc", "malloc"},
		{"memcpy@GLIBC_2.2.5", "memcpy", "memcpy"},
		{"@odd", "@odd", "@odd"},
		{"", "", ""},
		{"_Znwm", "operator new(unsigned long)", "operator new"},
		{"_Znam@@GLIBCXX_3.4", "operator new[](unsigned long)", "operator new[]"},
		{"_ZdlPvm", "operator delete(void*, unsigned long)", "operator delete"},
		{"_ZNSt6vectorIiSaIiEE9push_backEOi",
		 "std::vector<int, std::allocator<int> >::push_back(int&&)",
		 "std::vector<int, std::allocator<int> >::push_back"},
		{"_ZNK3foo3barEv.cold", "foo::bar() const [clone .cold]", NULL},
		/* Rust, legacy: the hash goes */
		{"_ZN4core3fmt9Formatter3pad17h0123456789abcdefE", "core::fmt::Formatter::pad",
		 "core::fmt::Formatter::pad"},
		{"_ZN71_$LT$Test$u20$$u2b$$u20$$u27$static$u20$as$u20$foo..Bar$LT$Test$GT$$GT$"
		 "3bar17h930b740aa94f1d3aE",
		 "<Test + 'static as foo::Bar<Test>>::bar", NULL},
		/* Rust, v0 (RFC 2603) */
		{"_RNvNtCs1234_7mycrate3foo3bar", "mycrate::foo::bar", NULL},
		{"_RNvC6_123foo3bar", "123foo::bar", NULL},
		/* not mangled after all */
		{"_Zzz", "_Zzz", "_Zzz"},
		{"_Rubbish", "_Rubbish", "_Rubbish"},
		{"_Z", "_Z", "_Z"},
	};
	struct sym_strings *t = sym_strings_new();
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		check(t, cases[i].name, 0, cases[i].want);
		if (cases[i].no_params)
			check(t, cases[i].name, NAME_NO_PARAMS, cases[i].no_params);
	}
	check(t, "_Znwm", NAME_MANGLED, "_Znwm");
	sym_strings_free(t);
}

/* Nested template arguments that double at every level: 2^30 times if unbounded. */
static void test_expanding_name(void **state)
{
	struct sym_strings *t = sym_strings_new();
	char name[1024] = "_Z1f1AIiiE";
	size_t len = strlen(name);
	int i;

	(void)state;
	check(t, "_Z1f1AIiiES_IS0_S0_E", 0, "f(A<int, int>, A<A<int, int>, A<int, int> >)");
	/* S_ is A, S0_ A<int, int>, and each new A<x, x> is the next substitution. */
	for (i = 0; i < 30; i++)
		len += (size_t)snprintf(name + len, sizeof(name) - len, "S_IS%c_S%c_E",
					"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"[i],
					"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"[i]);
	check(t, name, 0, name);
	sym_strings_free(t);
}

static void test_deep_name(void **state)
{
	struct sym_strings *t = sym_strings_new();
	char name[8192] = "_Z1f";
	const char *got;

	(void)state;
	memset(name + 4, 'P', 900); /* libiberty prints down to 1,024 levels */
	name[904] = 'i';
	got = sym_name_readable(t, name, 0);
	assert_int_equal(strlen(got), strlen("f(int)") + 900);
	/* above the limits: as it is */
	memset(name + 4, 'P', 2000);
	name[2004] = 'i';
	check(t, name, 0, name);
	memset(name + 4, 'P', 6000);
	name[6004] = 'i';
	check(t, name, 0, name);
	sym_strings_free(t);
}

static void assert_better(const char *a, unsigned int a_bind, const char *b, unsigned int b_bind)
{
	uint32_t x = sym_name_rank(a, a_bind, STT_FUNC), y = sym_name_rank(b, b_bind, STT_FUNC);

	if (x >= y)
		fail_msg("'%s' (%#x) is not better than '%s' (%#x)", a, x, b, y);
}

static void test_rank(void **state)
{
	(void)state;
	assert_better("malloc", STB_GLOBAL, "__libc_malloc", STB_GLOBAL);
	assert_better("malloc", STB_GLOBAL, "__malloc", STB_LOCAL);
	assert_better("puts", STB_WEAK, "_IO_puts", STB_GLOBAL);
	assert_better("mmap", STB_WEAK, "mmap64", STB_WEAK);
	assert_better("mmap", STB_WEAK, "__mmap", STB_GLOBAL);
	assert_better("__memcpy_avx", STB_GLOBAL, "memcpy_local", STB_LOCAL);
	assert_better("_ZdlPv", STB_GLOBAL, "_my_free", STB_GLOBAL);
	assert_better("free", STB_GLOBAL, "cfree", STB_GLOBAL);
	assert_true(sym_name_rank("f", STB_GLOBAL, STT_FUNC) <
		    sym_name_rank("f", STB_GLOBAL, STT_NOTYPE));
}

static void test_strings(void **state)
{
	struct sym_strings *t = sym_strings_new();
	const char *first = sym_strings_keep(t, "abcd", 3);
	char *big = malloc(200000);
	char buf[32];
	int i;

	(void)state;
	assert_string_equal(first, "abc");
	assert_ptr_equal(sym_strings_keep(t, "abc", 3), first);
	assert_ptr_not_equal(sym_strings_keep(t, "ab", 2), first);
	memset(big, 'x', 200000);
	assert_int_equal(strlen(sym_strings_keep(t, big, 199999)), 199999);
	free(big);
	for (i = 0; i < 20000; i++)
		assert_non_null(
			sym_strings_keep(t, buf, (size_t)snprintf(buf, sizeof(buf), "s%d", i)));
	assert_ptr_equal(sym_strings_keep(t, "abc", 3), first);
	assert_ptr_equal(sym_strings_keep(t, "s77", 3), sym_strings_keep(t, "s77", 3));
	sym_strings_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_readable),  cmocka_unit_test(test_expanding_name),
		cmocka_unit_test(test_deep_name), cmocka_unit_test(test_rank),
		cmocka_unit_test(test_strings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* bpf/fault_abort.bpf.h: syndromes as a processor writes them. */
#include <linux/types.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../bpf/fault_abort.bpf.h"

#define ESR(class, iss) ((__u64)(class) << 26 | 1u << 25 | (iss))
#define CODE_USER	0x20
#define DATA_USER	0x24
#define DATA_KERNEL	0x25

static void test_errors(void **state)
{
	static const struct {
		__u32 iss;
		__u64 error;
	} rows[] = {
		{0x07, 0},			     /* read, no page, level 3 */
		{0x45, FAULT_WRITE},		     /* write, no table, level 1 */
		{0x4f, FAULT_PRESENT | FAULT_WRITE}, /* write, no right to */
		{0x0f, FAULT_PRESENT},		     /* read, no right to */
		{0x4b, FAULT_AGED | FAULT_WRITE},    /* write, not marked as used */
		{0x147, 0},			     /* a cache is cleaned: no write */
		{0x6b, FAULT_WRITE},		     /* write, level -1 */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_true(abort_is_fault(ESR(DATA_USER, rows[i].iss)));
		assert_int_equal(abort_error(ESR(DATA_USER, rows[i].iss)), rows[i].error);
	}
}

static void test_what_is_no_page_fault(void **state)
{
	/* Address size, external, tag check, memory error in a walk, alignment, TLB conflict. */
	static const __u32 others[] = {0x00, 0x10, 0x11, 0x1c, 0x21, 0x30};

	(void)state;
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		assert_false(abort_is_fault(ESR(DATA_USER, others[i])));
}

static void test_who(void **state)
{
	(void)state;
	assert_true(abort_from_user(ESR(DATA_USER, 0x47)));
	assert_true(abort_from_user(ESR(CODE_USER, 0x07)));
	assert_false(abort_from_user(ESR(DATA_KERNEL, 0x47)));
	/* Registers of 64 bits may have more above (ISS2). */
	assert_true(abort_from_user(ESR(DATA_USER, 0x47) | 1ULL << 35));
}

static void test_addresses(void **state)
{
	(void)state;
	assert_int_equal(abort_address(0x0000aaaadeadb000), 0x0000aaaadeadb000);
	assert_int_equal(abort_address(0x5a00aaaadeadb123), 0x0000aaaadeadb123);
	assert_int_equal(abort_address(0xffff800012345678), 0xffff800012345678);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_what_is_no_page_fault),
		cmocka_unit_test(test_who),
		cmocka_unit_test(test_addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

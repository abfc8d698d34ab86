/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <unistd.h>

#include "trace/process.h"

/* The image of one exec, long ago. */
static struct processes *one_image(struct process **ret)
{
	struct processes *p = processes_new();

	assert_non_null(p);
	assert_int_equal(0, processes_exec(p, getpid(), "then", ret));
	(*ret)->born_ns = 1;
	return p;
}

/* An image that came and went while we stood still: its key is still to come. */
static void test_images_without_a_key_are_kept(void **state)
{
	struct process *image;
	struct processes *p = one_image(&image);

	(void)state;
	image->ended = image->replaced = true;
	processes_drop_ended(p);
	assert_int_equal(1, processes_count(p));
	image->known_ns = 1; /* so is when we learned of it, but the ring was not read since */
	processes_drop_ended(p);
	processes_ring_read(p);
	processes_drop_ended(p);
	assert_int_equal(1, processes_count(p));
	assert_ptr_equal(image, processes_find_unnamed(p, getpid(), 2));
	processes_ring_read(p); /* and yet no key */
	processes_drop_ended(p);
	assert_int_equal(0, processes_count(p));
	processes_free(p);
}

static void test_what_a_report_wants_is_kept(void **state)
{
	struct process *image;
	struct processes *p = one_image(&image);

	(void)state;
	image->key = 7;
	image->ended = image->in_report = true;
	processes_drop_ended(p);
	assert_ptr_equal(image, processes_find_key(p, 7));
	image->in_report = false;
	processes_drop_ended(p);
	assert_null(processes_find_key(p, 7));
	processes_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_images_without_a_key_are_kept),
		cmocka_unit_test(test_what_a_report_wants_is_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * BPF units of events that have several programs, of which any may be skipped: exactly one that
 * is not does the work, whatever was skipped of the events before; and of programs that are not
 * preempted.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <unistd.h>

#include "abi.h"
#include "trace/collect.h"
#include "trace/features.h"
#include "turns_input.h"

#include "turns.skel.h"

enum { FIRST = 1, SECOND = 2, THIRD = 4, FOURTH = 8, ALL = 15 };

static struct turns_test_bpf *load(bool on)
{
	struct turns_test_bpf *t = turns_test_bpf__open();

	assert_non_null(t);
	t->rodata->cfg.hold = 1;
	bpf_program__set_autoload(t->progs.run_held, feature_has(FEATURE_PREEMPT_OFF));
	assert_int_equal(turns_test_bpf__load(t), 0);
	t->bss->cache_on = on;
	return t;
}

static long run(struct turns_test_bpf *t, const struct bpf_program *p)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts);

	assert_int_equal(bpf_prog_test_run_opts(bpf_program__fd(p), &opts), 0);
	return t->bss->result;
}

/* Which of its programs work, of those that are run. */
static long event(struct turns_test_bpf *t, uint64_t what, uint32_t programs)
{
	t->bss->input = (struct turns_input){.what = what, .programs = programs};
	return run(t, t->progs.run_cache);
}

static uint64_t saved(const struct turns_test_bpf *t)
{
	uint64_t stats[STAT_COUNT] = {0};

	assert_int_equal(collect_stats(bpf_map__fd(t->maps.stats), stats, STAT_COUNT), 0);
	return stats[STAT_EVENTS_SAVED];
}

static void test_the_first_that_runs_works(void **state)
{
	struct turns_test_bpf *t = load(true);

	(void)state;
	for (uint32_t programs = 1; programs <= ALL; programs++) {
		uint64_t before = saved(t);
		long first = programs & -programs;

		assert_int_equal(event(t, programs, programs), first);
		assert_int_equal(saved(t) - before, first != FIRST);
	}
	turns_test_bpf__destroy(t);
}

/* Whatever an event leaves behind: the next one, on another page, is seen. */
static void test_a_mark_left_is_of_its_page(void **state)
{
	struct turns_test_bpf *t = load(true);
	uint64_t page = 0;

	(void)state;
	for (uint32_t a = 0; a <= ALL; a++) {
		for (uint32_t b = 1; b <= ALL; b++) {
			event(t, page++, a);
			assert_int_equal(event(t, page++, b), b & -b);
		}
	}
	turns_test_bpf__destroy(t);
}

/* The kernel counts a read of this thread, and a write. */
static void call(void)
{
	int pipes[2];
	char c = 0;

	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(write(pipes[1], &c, 1), 1);
	assert_int_equal(read(pipes[0], &c, 1), 1);
	close(pipes[0]);
	close(pipes[1]);
}

/* The same page once more, but in another call: the kernel has counted a read meanwhile. */
static void test_a_mark_left_is_of_its_call(void **state)
{
	struct turns_test_bpf *t = load(true);

	(void)state;
	for (uint32_t a = 0; a <= ALL; a++) {
		for (uint32_t b = 1; b <= ALL; b++) {
			event(t, 1, a);
			call();
			assert_int_equal(event(t, 1, b), b & -b);
		}
	}
	turns_test_bpf__destroy(t);
}

static void test_nothing_before_all_are_attached(void **state)
{
	struct turns_test_bpf *t = load(false);

	(void)state;
	assert_int_equal(event(t, 1, ALL), 0);
	assert_int_equal(event(t, 1, SECOND), 0);
	t->bss->cache_on = 1;
	assert_int_equal(event(t, 1, SECOND | THIRD), SECOND);
	assert_int_equal(saved(t), 1);
	turns_test_bpf__destroy(t);
}

static long other(struct turns_test_bpf *t, uint32_t number, uint32_t programs)
{
	t->bss->input = (struct turns_input){.what = 7, .event = number, .programs = programs};
	return run(t, t->progs.run_other);
}

static void test_two_programs(void **state)
{
	struct turns_test_bpf *t = load(true);

	(void)state;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(other(t, 1, FIRST | SECOND), FIRST);
		assert_int_equal(other(t, 1, SECOND), SECOND);
		assert_int_equal(other(t, 1, FIRST), FIRST);
		assert_int_equal(other(t, 2, SECOND), SECOND);
		assert_int_equal(other(t, 1, FIRST | SECOND), FIRST);
	}
	assert_int_equal(saved(t), 6);
	assert_int_equal(other(t, 1, FIRST), FIRST); /* and a mark is left */
	call();
	assert_int_equal(other(t, 1, SECOND), SECOND);
	turns_test_bpf__destroy(t);
}

/* The kernel takes the program, and all it switches off is on again: it runs many times. */
static void test_held(void **state)
{
	struct turns_test_bpf *t = load(true);

	(void)state;
	if (!feature_has(FEATURE_PREEMPT_OFF))
		skip();
	for (int i = 0; i < 100; i++)
		assert_in_range(run(t, t->progs.run_held), 1, sysconf(_SC_NPROCESSORS_CONF));
	turns_test_bpf__destroy(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_first_that_runs_works),
		cmocka_unit_test(test_a_mark_left_is_of_its_page),
		cmocka_unit_test(test_a_mark_left_is_of_its_call),
		cmocka_unit_test(test_nothing_before_all_are_attached),
		cmocka_unit_test(test_two_programs),
		cmocka_unit_test(test_held),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

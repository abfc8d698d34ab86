/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * BPF units of the check at a report: objects of the running task live, those on a CPU's list
 * are free, another page is no slab, and without knowing where memory is nothing is said.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "abi.h"
#include "judge_input.h"
#include "kmem_abi.h"
#include "judge.skel.h"
#include "trace/judge.h"

#define TRIES 100 /* lists move while they are looked at */

static int run(struct bpf_program *p)
{
	return judge_run(bpf_program__fd(p));
}

static struct judge_test_bpf *load(void)
{
	struct judge_test_bpf *b = judge_test_bpf__open();

	assert_non_null(b);
	bpf_program__set_autoload(b->progs.kmem_judge_batch, true);
	bpf_program__set_autoload(b->progs.kmem_locate, true);
	bpf_program__set_autoload(b->progs.kmem_confirm, true);
	assert_int_equal(judge_test_bpf__load(b), 0);
	return b;
}

static struct judge_test_bpf *prepared(void)
{
	struct judge_test_bpf *b = load();

	assert_true(judge_prepare(&b->bss->kmem_judge, bpf_program__fd(b->progs.kmem_locate),
				  bpf_program__fd(b->progs.kmem_confirm)));
	assert_int_equal(run(b->progs.find_live), 0);
	return b;
}

static uint32_t verdict(struct judge_test_bpf *b, uint32_t kind, uint64_t address)
{
	struct kmem_judge *j = &b->bss->kmem_judge;

	j->n = 1;
	j->remove = 0;
	j->blocks[0] = (struct kmem_judged){.address = address, .kind = kind};
	assert_int_equal(run(b->progs.kmem_judge_batch), 0);
	return j->blocks[0].verdict;
}

static void test_live(void **state)
{
	struct judge_test_bpf *b = prepared();

	(void)state;
	for (int i = 0; i < JUDGE_LIVE; i++)
		assert_int_equal(verdict(b, KMEM_SLAB, b->bss->known.live[i]), KMEM_LIVE);
	judge_test_bpf__destroy(b);
}

/* A free object of some cache is found and called free, most times: others take it. */
static void test_listed_is_free(void **state)
{
	struct judge_test_bpf *b = prepared();
	int found = 0, freed = 0;

	(void)state;
	for (int i = 0; i < TRIES; i++) {
		b->bss->known.which = (uint64_t)i % JUDGE_LIVE;
		assert_int_equal(run(b->progs.find_free), 0);
		if (!b->bss->known.free)
			continue;
		found++;
		freed += verdict(b, KMEM_SLAB, b->bss->known.free) == KMEM_FREE;
	}
	assert_true(found > 0);
	assert_true(freed > found / 2);
	judge_test_bpf__destroy(b);
}

/* A page of the event ring: in use, and no slab object lies in it. */
static void test_other_page(void **state)
{
	struct judge_test_bpf *b = prepared();
	struct kmem_judge *j = &b->bss->kmem_judge;
	uint64_t page = b->bss->known.page;
	uint64_t frame = (page - j->vmemmap) / j->page_struct_bytes;

	(void)state;
	assert_int_equal(verdict(b, KMEM_PAGES, page), KMEM_LIVE);
	assert_int_equal(verdict(b, KMEM_SLAB, j->page_offset + frame * j->page_bytes),
			 KMEM_NOT_SLAB);
	judge_test_bpf__destroy(b);
}

static void test_slab_page_is_counted_elsewhere(void **state)
{
	struct judge_test_bpf *b = prepared();

	(void)state;
	assert_int_equal(verdict(b, KMEM_PAGES, b->bss->known.slab_page), KMEM_OTHER_KIND);
	judge_test_bpf__destroy(b);
}

static void test_unprepared_says_nothing(void **state)
{
	struct judge_test_bpf *b = prepared();

	(void)state;
	b->bss->kmem_judge.vmemmap = 0;
	assert_int_equal(verdict(b, KMEM_SLAB, b->bss->known.live[0]), KMEM_UNKNOWN);
	judge_test_bpf__destroy(b);
}

/* Bases that are wrong do not confirm: nobody is called dead by them. */
static void test_wrong_bases_do_not_confirm(void **state)
{
	struct judge_test_bpf *b = prepared();

	(void)state;
	b->bss->kmem_judge.page_offset += 1ULL << 30;
	assert_int_equal(run(b->progs.kmem_confirm), 0);
	assert_int_equal(b->bss->kmem_judge.matches, 0);
	judge_test_bpf__destroy(b);
}

static int setup(void **state)
{
	(void)state;
	libbpf_set_print(NULL);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_live),
		cmocka_unit_test(test_listed_is_free),
		cmocka_unit_test(test_other_page),
		cmocka_unit_test(test_slab_page_is_counted_elsewhere),
		cmocka_unit_test(test_unprepared_says_nothing),
		cmocka_unit_test(test_wrong_bases_do_not_confirm),
	};

	return cmocka_run_group_tests_name("judge (BPF)", tests, setup, NULL);
}

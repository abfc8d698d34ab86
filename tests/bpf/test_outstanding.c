/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * BPF units of the bookkeeping shared by leak and kmem: totals are the sums over the
 * block table whatever happens, and every failure has its counter.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>

#include "abi.h"
#include "outstanding_input.h"
#include "outstanding.skel.h"
#include "trace/collect.h"
#include "trace/ringbuf.h"
#include "trace/sampling.h"
#include "trace/slots.h"

#define PROC 0x500000001ULL

struct options {
	uint32_t blocks, sites, ring;
	uint32_t block_slots, site_slots; /* 0: hash tables alone */
	uint64_t sample_bytes;
	bool no_task_storage, sample_moves;
};

static int on_record(void *arg, const void *data, size_t len)
{
	const struct stack_event *ev = data;

	assert_int_equal(len, STACK_EVENT_HEADER + 2 * sizeof(ev->pcs[0]));
	assert_int_equal(ev->pcs[1], 0x2222);
	++*(int *)arg;
	return 0;
}

static struct outstanding_test_bpf *load(const struct options *o)
{
	struct outstanding_test_bpf *b = outstanding_test_bpf__open();
	uint64_t id = CATCH_ALL_SITE;
	struct site catch_all = {.sent = 1};

	assert_non_null(b);
	((struct cfg *)&b->rodata->cfg)->task_storage = !o->no_task_storage;
	((struct cfg *)&b->rodata->cfg)->sample_bytes = o->sample_bytes;
	((struct cfg *)&b->rodata->cfg)->sample_moves = o->sample_moves;
	((struct cfg *)&b->rodata->cfg)->block_slots = o->block_slots;
	((struct cfg *)&b->rodata->cfg)->site_slots = o->site_slots;
	bpf_map__set_max_entries(b->maps.block_slots, MAX(o->block_slots, 1u));
	bpf_map__set_max_entries(b->maps.site_slots, MAX(o->site_slots, 1u));
	sampling_fill(b->rodata->sample_weights, b->rodata->sample_logs);
	bpf_map__set_max_entries(b->maps.blocks, o->blocks ? o->blocks : 1000);
	bpf_map__set_max_entries(b->maps.sites, o->sites ? o->sites : 100);
	bpf_map__set_max_entries(b->maps.events, o->ring ? o->ring : 1 << 16);
	assert_int_equal(outstanding_test_bpf__load(b), 0);
	assert_int_equal(bpf_map_update_elem(bpf_map__fd(b->maps.sites), &id, &catch_all, BPF_ANY),
			 0);
	return b;
}

static long run(struct outstanding_test_bpf *b, struct bpf_program *p)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts);

	assert_int_equal(bpf_prog_test_run_opts(bpf_program__fd(p), &opts), 0);
	return b->bss->result;
}

static long add(struct outstanding_test_bpf *b, uint64_t address, uint64_t size, uint64_t site)
{
	b->bss->input = (struct test_input){address, PROC, size, site, 0};
	return run(b, b->progs.run_add);
}

static long del(struct outstanding_test_bpf *b, uint64_t address)
{
	b->bss->input.address = address;
	b->bss->input.proc_key = PROC;
	return run(b, b->progs.run_del);
}

static struct slots block_slots_of(struct outstanding_test_bpf *b)
{
	return (struct slots){.fd = bpf_map__fd(b->maps.block_slots),
			      .n = b->rodata->cfg.block_slots,
			      .element = sizeof(struct block_slot)};
}

static struct slots site_slots_of(struct outstanding_test_bpf *b)
{
	return (struct slots){.fd = bpf_map__fd(b->maps.site_slots),
			      .n = b->rodata->cfg.site_slots,
			      .element = sizeof(struct site_slot)};
}

struct wanted_site {
	uint64_t id;
	struct site site;
	int found; /* times */
};

static int find_site(const void *key, const void *value, void *arg)
{
	struct wanted_site *w = arg;

	if (*(const uint64_t *)key == w->id) {
		w->site = *(const struct site *)value;
		w->found++;
	}
	return 0;
}

static struct site site_of(struct outstanding_test_bpf *b, uint64_t id)
{
	struct collect_map hash = {bpf_map__fd(b->maps.sites), sizeof(uint64_t),
				   sizeof(struct site)};
	_cleanup_(slots_deinit) struct slots slots = site_slots_of(b);
	struct wanted_site w = {.id = id};

	assert_int_equal(slots_each_site(&slots, &hash, find_site, &w), 0);
	assert_int_equal(w.found, 1);
	return w.site;
}

static int64_t count_of(struct outstanding_test_bpf *b, uint64_t id)
{
	struct site s = site_of(b, id);

	return collect_count(&s);
}

static uint64_t stat_of(struct outstanding_test_bpf *b, uint32_t id)
{
	uint64_t stats[STAT_COUNT];

	assert_int_equal(collect_stats(bpf_map__fd(b->maps.stats), stats, STAT_COUNT), 0);
	return stats[id];
}

static void assert_no_losses(struct outstanding_test_bpf *b)
{
	for (uint32_t i = STAT_LOSS_FIRST; i < STAT_COUNT; i++)
		assert_int_equal(stat_of(b, i), 0);
}

static void test_add_and_del(void **state)
{
	struct outstanding_test_bpf *b = load(&(struct options){0});

	(void)state;
	for (uint64_t i = 0; i < 10; i++)
		add(b, 0x1000 + i * 64, 100, 7);
	for (uint64_t i = 0; i < 4; i++)
		assert_int_equal(del(b, 0x1000 + i * 64), 100);
	assert_int_equal(del(b, 0x1000), -1); /* double free */
	assert_int_equal(site_of(b, 7).bytes, 600);
	assert_int_equal(count_of(b, 7), 6);
	assert_int_equal(site_of(b, 7).allocs, 10);
	assert_int_equal(site_of(b, 7).frees, 4);
	assert_no_losses(b);
	outstanding_test_bpf__destroy(b);
}

static void test_reused_address_is_repaired(void **state)
{
	struct outstanding_test_bpf *b = load(&(struct options){0});

	(void)state;
	add(b, 0x1000, 100, 7);
	add(b, 0x1000, 30, 8);
	assert_int_equal(site_of(b, 7).bytes, 0);
	assert_int_equal(count_of(b, 7), 0);
	assert_int_equal(site_of(b, 8).bytes, 30);
	assert_int_equal(stat_of(b, STAT_FREES_MISSED), 1);
	outstanding_test_bpf__destroy(b);
}

/* Another process may have a block at the same address. */
static void test_processes_are_apart(void **state)
{
	struct outstanding_test_bpf *b = load(&(struct options){0});

	(void)state;
	add(b, 0x1000, 100, 7);
	b->bss->input = (struct test_input){0x1000, PROC + (1ULL << 32), 50, 8, 0};
	run(b, b->progs.run_add);
	assert_int_equal(del(b, 0x1000), 100);
	assert_int_equal(site_of(b, 8).bytes, 50);
	assert_no_losses(b);
	outstanding_test_bpf__destroy(b);
}

static void test_full_block_table_is_counted(void **state)
{
	struct outstanding_test_bpf *b = load(&(struct options){.blocks = 50});
	uint64_t full;

	(void)state;
	for (uint64_t i = 0; i < 200; i++)
		add(b, 0x1000 + i * 64, 10, 7);
	full = stat_of(b, STAT_BLOCKS_FULL);
	assert_true(full >= 150); /* the kernel keeps a few more elements than asked for */
	assert_int_equal(count_of(b, 7), 200 - full);
	assert_int_equal(site_of(b, 7).bytes, (200 - full) * 10);
	for (uint64_t i = 0; i < 200; i++)
		del(b, 0x1000 + i * 64);
	assert_int_equal(site_of(b, 7).bytes, 0); /* no phantom */
	assert_int_equal(count_of(b, 7), 0);
	outstanding_test_bpf__destroy(b);
}

static void test_full_site_table_keeps_amounts(void **state)
{
	struct outstanding_test_bpf *b = load(&(struct options){.sites = 10});
	uint64_t kept = 0;

	(void)state;
	for (uint64_t i = 0; i < 40; i++)
		kept += add(b, 0x1000 + i * 64, 10, 100 + i) != CATCH_ALL_SITE;
	assert_true(kept >= 9 && kept < 40);
	assert_int_equal(stat_of(b, STAT_SITES_FULL), 40 - kept);
	assert_int_equal(site_of(b, CATCH_ALL_SITE).bytes, (40 - kept) * 10);
	for (uint64_t i = 0; i < 40; i++)
		del(b, 0x1000 + i * 64);
	assert_int_equal(site_of(b, CATCH_ALL_SITE).bytes, 0);
	outstanding_test_bpf__destroy(b);
}

/* A stack that found the ring full is sent once there is room again. */
static void test_full_ring_is_retried(void **state)
{
	struct outstanding_test_bpf *b = load(&(struct options){.ring = 4096});
	struct ringbuf ring;
	int records = 0;

	(void)state;
	for (uint64_t i = 0; i < 90; i++)
		add(b, 0x1000 + i * 64, 10, 100 + i % 90);
	assert_true(stat_of(b, STAT_STACK_RETRY) > 0);
	assert_int_equal(ringbuf_open(bpf_map__fd(b->maps.events), 4096, &ring), 0);
	for (int round = 0; round < 3; round++) {
		assert_int_equal(ringbuf_consume(&ring, on_record, &records), 0);
		for (uint64_t i = 0; i < 90; i++)
			add(b, 0x100000 + (uint64_t)round * 0x10000 + i * 64, 10, 100 + i);
	}
	assert_int_equal(ringbuf_consume(&ring, on_record, &records), 0);
	for (uint64_t i = 0; i < 90; i++)
		assert_int_equal(site_of(b, 100 + i).sent, 1);
	assert_int_equal(records, 90);
	ringbuf_close(&ring);
	outstanding_test_bpf__destroy(b);
}

static void test_thread_state(void **state)
{
	for (int hash = 0; hash < 2; hash++) {
		struct outstanding_test_bpf *b = load(&(struct options){.no_task_storage = hash});

		(void)state;
		for (long i = 0; i < 3; i++)
			assert_int_equal(run(b, b->progs.run_thread), i);
		assert_no_losses(b);
		outstanding_test_bpf__destroy(b);
	}
}

/*
 * 200,000 draws of 100 bytes at a mean distance of 4096: 4,823 expected (p = 0.02412),
 * standard deviation 68.6; six of them allow for an error rate of 2e-9.
 */
static void test_sampling_rate(void **state)
{
	struct outstanding_test_bpf *b = load(&(struct options){.sample_bytes = 4096});
	LIBBPF_OPTS(bpf_test_run_opts, opts);
	long taken = 0;

	(void)state;
	b->bss->input.size = 100;
	for (int i = 0; i < 200000; i++)
		taken += run(b, b->progs.run_sample);
	assert_in_range(taken, 4823 - 412, 4823 + 412);
	outstanding_test_bpf__destroy(b);
}

/*
 * The step changes every 50 draws: 0 (all), 6 (2048 bytes), 9 (16384). What was taken,
 * weighed by the step it was taken with, must still add up to all: 40,000 at each step.
 * The sum's variance is that of the two coarse thirds, n (1 - p) / p with p = 0.04765 and
 * 0.006085: 800 thousand and 6.53 million; six standard deviations are 16,243.
 */
static void test_estimate_across_steps(void **state)
{
	static const uint32_t steps[] = {0, 6, 9};
	struct outstanding_test_bpf *b = load(&(struct options){.sample_moves = true});
	uint32_t taken[3] = {0};
	double estimate = 0;

	(void)state;
	b->bss->input.size = 100;
	for (int i = 0; i < 120000; i++) {
		int at = i / 50 % 3;

		b->bss->input.step = steps[at];
		if (!run(b, b->progs.run_sample))
			continue;
		taken[at]++;
		estimate += sample_weight_of(100, sample_interval_of(0, steps[at]),
					     b->rodata->sample_weights);
	}
	assert_int_equal(taken[0], 40000);
	assert_in_range(taken[1], 1906 - 256, 1906 + 256);
	assert_in_range(taken[2], 243 - 94, 243 + 94);
	assert_in_range((long)(estimate / SAMPLE_UNIT), 120000 - 16243, 120000 + 16243);
	outstanding_test_bpf__destroy(b);
}

/* A block leaves its site with the weight it came with, whatever the step is by then. */
static void test_blocks_keep_their_step(void **state)
{
	static const uint32_t steps[] = {0, 1, 7, 12, SAMPLE_STEPS - 1};
	struct outstanding_test_bpf *b = load(&(struct options){.sample_moves = true});
	double count = 0;

	(void)state;
	for (uint32_t i = 0; i < 5; i++) {
		b->bss->input = (struct test_input){0x1000 + i * 64, PROC, 100, 7, steps[i]};
		run(b, b->progs.run_add);
		count += sample_weight_of(100, sample_interval_of(0, steps[i]),
					  b->rodata->sample_weights);
		assert_true((double)count_of(b, 7) == count);
		assert_true((double)site_of(b, 7).bytes == 100 * count);
	}
	for (uint32_t i = 0; i < 5; i++) {
		b->bss->input.step = 3;
		assert_int_equal(del(b, 0x1000 + i * 64), 100);
	}
	assert_int_equal(count_of(b, 7), 0);
	assert_int_equal(site_of(b, 7).bytes, 0);
	assert_no_losses(b);
	outstanding_test_bpf__destroy(b);
}

/* ---- slots ---- */

#define OTHER_PROC (PROC + (1ULL << 32))

static void put(struct outstanding_test_bpf *b, uint64_t address, uint64_t proc, uint64_t site)
{
	b->bss->input = (struct test_input){address, proc, 100, site, 0};
	run(b, b->progs.run_add);
}

static uint32_t spilled_of(struct outstanding_test_bpf *b, uint32_t i)
{
	struct block_slot s;

	assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(b->maps.block_slots), &i, &s), 0);
	return s.spilled;
}

static int count_one(const void *key, const void *value, void *arg)
{
	(void)key;
	(void)value;
	++*(int *)arg;
	return 0;
}

static int in_slots(struct outstanding_test_bpf *b)
{
	_cleanup_(slots_deinit) struct slots slots = block_slots_of(b);
	int n = 0;

	assert_int_equal(slots_each_block(&slots, count_one, &n), 0);
	return n;
}

static int in_hash(struct outstanding_test_bpf *b)
{
	struct collect_map map = {bpf_map__fd(b->maps.blocks), sizeof(struct block_key),
				  sizeof(struct block_value)};
	int n = 0;

	assert_int_equal(collect_each(&map, count_one, &n), 0);
	return n;
}

static void assert_tables(struct outstanding_test_bpf *b, int slots, int hash)
{
	assert_int_equal(in_slots(b), slots);
	assert_int_equal(in_hash(b), hash);
	assert_int_equal(count_of(b, 7), slots + hash);
	assert_int_equal(site_of(b, 7).bytes, 100 * (slots + hash));
}

/* All keys have the same slot: the first one takes it, the others spill. */
static void test_slot_spills(void **state)
{
	struct outstanding_test_bpf *b = load(&(struct options){.block_slots = 1, .site_slots = 8});

	(void)state;
	for (uint64_t i = 0; i < 3; i++)
		add(b, 0x1000 + i * 64, 100, 7);
	assert_tables(b, 1, 2);
	assert_int_equal(spilled_of(b, 0), 2);
	assert_int_equal(del(b, 0x1040), 100); /* from the hash table */
	assert_tables(b, 1, 1);
	assert_int_equal(spilled_of(b, 0), 1);
	assert_int_equal(del(b, 0x1000), 100); /* from the slot */
	assert_int_equal(del(b, 0x1000), -1);
	assert_int_equal(spilled_of(b, 0), 1); /* what is not found has not spilled */
	add(b, 0x2000, 100, 7);
	assert_tables(b, 1, 1);
	assert_int_equal(del(b, 0x1080), 100);
	assert_int_equal(spilled_of(b, 0), 0);
	assert_int_equal(del(b, 0x1080), -1);
	assert_tables(b, 1, 0);
	assert_no_losses(b);
	outstanding_test_bpf__destroy(b);
}

static void test_slot_is_one_process_s(void **state)
{
	struct outstanding_test_bpf *b = load(&(struct options){.block_slots = 1});

	(void)state;
	put(b, 0x1000, PROC, 7);
	put(b, 0x1000, OTHER_PROC, 8);
	assert_int_equal(del(b, 0x1000), 100);
	assert_int_equal(del(b, 0x1000), -1);
	assert_int_equal(site_of(b, 8).bytes, 100);
	assert_int_equal(site_of(b, 7).bytes, 0);
	assert_no_losses(b);
	outstanding_test_bpf__destroy(b);
}

/* A free that was missed: of a block in its slot, in the hash table, and of one that spilled
 * when its slot is nobody's by now. Never are there two of a key. */
static void test_slot_is_repaired(void **state)
{
	struct outstanding_test_bpf *b = load(&(struct options){.block_slots = 1});

	(void)state;
	add(b, 0x1000, 100, 8);
	add(b, 0x1000, 100, 7);
	assert_int_equal(stat_of(b, STAT_FREES_MISSED), 1);
	assert_tables(b, 1, 0);
	add(b, 0x2000, 100, 8);
	add(b, 0x2000, 100, 7);
	assert_int_equal(stat_of(b, STAT_FREES_MISSED), 2);
	assert_tables(b, 1, 1);
	assert_int_equal(del(b, 0x1000), 100);
	add(b, 0x2000, 100, 7);
	assert_int_equal(stat_of(b, STAT_FREES_MISSED), 3);
	assert_tables(b, 1, 0);
	assert_int_equal(spilled_of(b, 0), 0);
	assert_int_equal(site_of(b, 8).bytes, 0);
	outstanding_test_bpf__destroy(b);
}

static void test_full_slots(void **state)
{
	struct outstanding_test_bpf *b = load(&(struct options){.blocks = 50, .block_slots = 16});
	uint32_t spilled = 0;
	int full;

	(void)state;
	for (uint64_t i = 0; i < 200; i++)
		add(b, 0x1000 + i * 64, 100, 7);
	full = (int)stat_of(b, STAT_BLOCKS_FULL);
	assert_in_range(full, 200 - 16 - 50 - 8, 200 - 50);
	assert_tables(b, in_slots(b), 200 - full - in_slots(b));
	for (uint32_t i = 0; i < 16; i++)
		spilled += spilled_of(b, i);
	assert_int_equal(spilled, in_hash(b)); /* what found no room is not counted */
	for (uint64_t i = 0; i < 200; i++)
		del(b, 0x1000 + i * 64);
	assert_tables(b, 0, 0);
	for (uint32_t i = 0; i < 16; i++)
		assert_int_equal(spilled_of(b, i), 0);
	outstanding_test_bpf__destroy(b);
}

/* What there is room for finds room, however the keys fall. */
static void test_slots_hold_what_was_promised(void **state)
{
	for (uint32_t keys = 500; keys <= 32000; keys *= 4) {
		struct outstanding_test_bpf *b = load(&(struct options){
			.blocks = slots_spill_room(keys), .block_slots = slots_count(keys)});

		(void)state;
		for (uint64_t i = 0; i < keys; i++)
			add(b, 0x55d5b8e8c2a0 + i * 112 + i % 7 * 16, 100, 7);
		assert_no_losses(b);
		outstanding_test_bpf__destroy(b);
	}
}

/* As tables_drop_blocks() does. */
static void test_dropped_by_user_space(void **state)
{
	struct outstanding_test_bpf *b = load(&(struct options){.block_slots = 1, .site_slots = 1});
	struct slots blocks = block_slots_of(b), sites = site_slots_of(b);
	struct block_key first = {0x1000, PROC}, second = {0x2000, PROC};

	(void)state;
	put(b, 0x1000, PROC, 7);
	put(b, 0x2000, PROC, 7);
	put(b, 0x3000, PROC, 8);				 /* its site spills */
	assert_int_equal(slots_drop_block(&blocks, &second), 0); /* not there */
	assert_int_equal(in_slots(b), 1);
	assert_int_equal(slots_drop_block(&blocks, &first), 0);
	assert_int_equal(in_slots(b), 0);
	assert_int_equal(bpf_map_delete_elem(bpf_map__fd(b->maps.blocks), &second), 0);
	assert_int_equal(slots_unspill(&blocks, &second), 0);
	assert_int_equal(spilled_of(b, 0), 1);
	assert_int_equal(site_of(b, 8).bytes, 100);
	assert_int_equal(slots_drop_site(&sites, 8), 0); /* not there */
	assert_int_equal(site_of(b, 7).bytes, 200);
	assert_int_equal(slots_drop_site(&sites, 7), 0);
	put(b, 0x4000, PROC, 9); /* finds the slot as if never used */
	assert_int_equal(site_of(b, 9).bytes, 100);
	assert_int_equal(site_of(b, 9).allocs, 1);
	put(b, 0x5000, PROC, 8); /* stays where it is */
	assert_int_equal(site_of(b, 8).bytes, 200);
	assert_no_losses(b);
	slots_deinit(&blocks);
	slots_deinit(&sites);
	outstanding_test_bpf__destroy(b);
}

/*
 * Two threads meet a site while its slot is given up by another one: the first saw the slot
 * taken, the second free, each before the other's change. What the second does is done here.
 */
static void test_site_in_both_tables(void **state)
{
	struct outstanding_test_bpf *b = load(&(struct options){.site_slots = 1});
	struct slots sites = site_slots_of(b);
	struct site_slot claimed = {.id = 8, .site = {.proc_key = PROC, .sent = 1}};
	uint32_t zero = 0;

	(void)state;
	put(b, 0x1000, PROC, 7);
	put(b, 0x2000, PROC, 8);
	put(b, 0x3000, PROC, 8);
	assert_int_equal(slots_drop_site(&sites, 7), 0);
	assert_int_equal(bpf_map_update_elem(sites.fd, &zero, &claimed, BPF_ANY), 0);
	put(b, 0x4000, PROC, 8);
	assert_int_equal(site_of(b, 8).bytes, 300);
	for (uint64_t i = 2; i <= 3; i++)
		assert_int_equal(del(b, i * 0x1000), 100);
	assert_int_equal(bpf_map_lookup_elem(sites.fd, &zero, &claimed), 0);
	assert_int_equal(claimed.site.bytes, -100); /* the sum alone is right */
	assert_int_equal(site_of(b, 8).bytes, 100);
	assert_int_equal(count_of(b, 8), 1);
	assert_int_equal(site_of(b, 8).allocs, 3);
	assert_int_equal(del(b, 0x4000), 100);
	assert_int_equal(count_of(b, 8), 0);
	assert_int_equal(site_of(b, 8).bytes, 0);
	assert_int_equal(site_of(b, 8).born_sum, 0);
	assert_no_losses(b);
	slots_deinit(&sites);
	outstanding_test_bpf__destroy(b);
}

/* Any order of calls leaves what a plain set of keys would hold. */
static void test_slots_against_a_set(void **state)
{
	struct outstanding_test_bpf *b =
		load(&(struct options){.block_slots = 13, .site_slots = 2});
	bool has[2][64] = {{false}};
	int live = 0, missed = 0;
	uint32_t x = 1;

	(void)state;
	for (int i = 0; i < 20000; i++) {
		x = x * 1664525 + 1013904223;
		uint32_t which = x >> 20 & 63, proc = x >> 26 & 1;
		uint64_t address = 0x7f0000001000 + which * 48;
		bool *h = &has[proc][which];

		b->bss->input = (struct test_input){address, proc ? OTHER_PROC : PROC, 100, 7, 0};
		if (x >> 27 & 1) {
			run(b, b->progs.run_add);
			missed += *h;
			live += !*h;
			*h = true;
		} else {
			assert_int_equal(run(b, b->progs.run_del), *h ? 100 : -1);
			live -= *h;
			*h = false;
		}
	}
	assert_true(missed > 1000 && in_slots(b) > 5 && in_hash(b) > 5);
	assert_int_equal(in_slots(b) + in_hash(b), live);
	assert_int_equal(count_of(b, 7), live);
	assert_int_equal(stat_of(b, STAT_FREES_MISSED), missed);
	outstanding_test_bpf__destroy(b);
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
		cmocka_unit_test(test_add_and_del),
		cmocka_unit_test(test_reused_address_is_repaired),
		cmocka_unit_test(test_processes_are_apart),
		cmocka_unit_test(test_full_block_table_is_counted),
		cmocka_unit_test(test_full_site_table_keeps_amounts),
		cmocka_unit_test(test_full_ring_is_retried),
		cmocka_unit_test(test_thread_state),
		cmocka_unit_test(test_sampling_rate),
		cmocka_unit_test(test_estimate_across_steps),
		cmocka_unit_test(test_blocks_keep_their_step),
		cmocka_unit_test(test_slot_spills),
		cmocka_unit_test(test_slot_is_one_process_s),
		cmocka_unit_test(test_slot_is_repaired),
		cmocka_unit_test(test_full_slots),
		cmocka_unit_test(test_slots_hold_what_was_promised),
		cmocka_unit_test(test_dropped_by_user_space),
		cmocka_unit_test(test_site_in_both_tables),
		cmocka_unit_test(test_slots_against_a_set),
	};

	return cmocka_run_group_tests_name("outstanding (BPF)", tests, setup, NULL);
}

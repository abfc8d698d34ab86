/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * BPF units of the page cache: the bitmap of pending pages, with atomic operations and without
 * them, against a plain one; reads and writes by their calls, against their definition.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "cache_abi.h"
#include "pages_input.h"
#include "trace/collect.h"

#include "pages.skel.h"
#include "pages_calls.skel.h"

#define PAGE	  4096
#define N_PAGES	  3000 /* of a file: six chunks */
#define SHIFT	  12
#define PER_CHUNK 512
#define LIMIT	  (64 * PER_CHUNK)

enum op { SET, TAKE, REMOVE };

/* Either object; what the test needs of it. */
struct unit {
	struct pages_test_bpf *events;
	struct pages_calls_test_bpf *calls;
	struct pages_input *input;
	long *result;
	uint32_t *hints;
	int pending, stats;
};

static struct unit open_events(void)
{
	struct unit u = {.events = pages_test_bpf__open_and_load()};

	assert_non_null(u.events);
	u.input = &u.events->bss->input;
	u.result = &u.events->bss->result;
	u.hints = u.events->bss->pending_hints;
	u.pending = bpf_map__fd(u.events->maps.pending);
	u.stats = bpf_map__fd(u.events->maps.cache_stats);
	return u;
}

static struct unit open_calls(void)
{
	struct unit u = {.calls = pages_calls_test_bpf__open()};
	struct cache_cfg *cfg;

	assert_non_null(u.calls);
	cfg = (struct cache_cfg *)&u.calls->rodata->cache_cfg;
	cfg->system = 1;
	cfg->page_shift = SHIFT;
	assert_int_equal(pages_calls_test_bpf__load(u.calls), 0);
	u.input = &u.calls->bss->input;
	u.result = &u.calls->bss->result;
	u.hints = u.calls->bss->pending_hints;
	u.pending = bpf_map__fd(u.calls->maps.pending);
	u.stats = bpf_map__fd(u.calls->maps.cache_stats);
	return u;
}

static void close_unit(struct unit *u)
{
	pages_test_bpf__destroy(u->events);
	pages_calls_test_bpf__destroy(u->calls);
}

static long run(const struct bpf_program *p, const struct unit *u)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts);

	assert_int_equal(bpf_prog_test_run_opts(bpf_program__fd(p), &opts), 0);
	return *u->result;
}

static long pending(struct unit *u, enum op op, uint64_t lo, uint64_t hi)
{
	u->input->ino = 7;
	u->input->op = op;
	u->input->lo = lo;
	u->input->hi = hi;
	return run(u->calls ? u->calls->progs.run_pending : u->events->progs.run_pending, u);
}

static uint64_t stat_of(const struct unit *u, uint32_t id)
{
	uint64_t stats[CACHE_STAT_COUNT];

	assert_int_equal(collect_stats(u->stats, stats, CACHE_STAT_COUNT), 0);
	return stats[id];
}

static int chunks(const struct unit *u)
{
	char key[16], next[16];
	int n = 0;

	while (!bpf_map_get_next_key(u->pending, n ? key : NULL, next)) {
		memcpy(key, next, sizeof(key));
		n++;
	}
	return n;
}

static uint64_t hinted(const struct unit *u)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < sizeof(u->events->bss->pending_hints) / sizeof(uint32_t); i++)
		sum += u->hints[i];
	return sum;
}

/* ---- the bitmap ---- */

static long model(uint8_t *bits, enum op op, uint64_t lo, uint64_t hi)
{
	long n = 0;

	for (uint64_t p = lo; p < hi; p++) {
		n += op != SET && bits[p];
		bits[p] = op == SET;
	}
	return n;
}

static void check_like_model(struct unit *u)
{
	uint8_t bits[N_PAGES] = {0};
	uint64_t left = 0;

	srand(1);
	for (int i = 0; i < 4000; i++) {
		enum op op = (enum op)(rand() % 3);
		uint64_t lo = (uint64_t)rand() % N_PAGES, hi = (uint64_t)rand() % N_PAGES + 1;

		if (rand() % 2) /* few pages more often than many */
			hi = lo + 1 + hi % 70 < N_PAGES ? lo + 1 + hi % 70 : N_PAGES;
		if (hi < lo)
			hi = lo;
		assert_int_equal(pending(u, op, lo, hi), model(bits, op, lo, hi));
	}
	for (size_t p = 0; p < N_PAGES; p++)
		left += bits[p];
	assert_int_equal(hinted(u), left);
	assert_int_equal(pending(u, REMOVE, 0, N_PAGES), left);
	assert_int_equal(hinted(u), 0);
	assert_int_equal(chunks(u), 0);
	for (uint32_t id = 0; id < CACHE_STAT_COUNT; id++)
		assert_int_equal(stat_of(u, id), 0);
	close_unit(u);
}

static void test_bitmap(void **state)
{
	struct unit u = open_events();

	(void)state;
	check_like_model(&u);
}

static void test_bitmap_without_atomics(void **state)
{
	struct unit u = open_calls();

	(void)state;
	check_like_model(&u);
}

/* Without bpf_loop there is a limit to one call: the rest is a loss that is counted. */
static void test_limit(void **state)
{
	struct unit u = open_calls();

	(void)state;
	assert_int_equal(pending(&u, SET, 0, LIMIT), 0);
	assert_int_equal(stat_of(&u, CACHE_STAT_PENDING_FULL), 0);
	assert_int_equal(pending(&u, SET, 0, LIMIT + 1), 0);
	assert_int_equal(stat_of(&u, CACHE_STAT_PENDING_FULL), 1);
	assert_int_equal(pending(&u, REMOVE, 0, LIMIT), LIMIT);
	close_unit(&u);
}

static void test_table_full(void **state)
{
	struct unit u = {.events = pages_test_bpf__open()};

	(void)state;
	bpf_map__set_max_entries(u.events->maps.pending, 4);
	assert_int_equal(pages_test_bpf__load(u.events), 0);
	u.input = &u.events->bss->input;
	u.result = &u.events->bss->result;
	u.stats = bpf_map__fd(u.events->maps.cache_stats);
	pending(&u, SET, 0, N_PAGES);
	assert_int_equal(stat_of(&u, CACHE_STAT_PENDING_FULL), 2);
	assert_int_equal(pending(&u, TAKE, 0, N_PAGES), 4 * PER_CHUNK);
	close_unit(&u);
}

/* ---- reads and writes by their calls ---- */

static void begin(struct unit *u, uint64_t pos, uint64_t bytes)
{
	u->input->ino = 7;
	u->input->pos = pos;
	u->input->bytes = bytes;
	run(u->calls->progs.run_begin, u);
}

static void add(struct unit *u, uint64_t lo, uint64_t hi)
{
	u->input->lo = lo;
	u->input->hi = hi;
	run(u->calls->progs.run_add, u);
}

static void end(struct unit *u, int64_t got)
{
	u->input->got = got;
	run(u->calls->progs.run_end, u);
}

static struct cache_counters total(const struct unit *u)
{
	int cpus = libbpf_num_possible_cpus();
	struct cache_row *rows = calloc((size_t)cpus, sizeof(*rows));
	struct cache_counters sum = {0};
	uint32_t zero = 0;

	assert_non_null(rows);
	assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(u->calls->maps.cache_total), &zero, rows),
			 0);
	for (int i = 0; i < cpus; i++) {
		sum.read_hits += rows[i].n.read_hits;
		sum.read_ra += rows[i].n.read_ra;
		sum.read_misses += rows[i].n.read_misses;
		sum.write_added += rows[i].n.write_added;
	}
	free(rows);
	return sum;
}

static void assert_reads(const struct unit *u, uint64_t hits, uint64_t ra, uint64_t misses)
{
	struct cache_counters n = total(u);

	assert_int_equal(n.read_hits, hits);
	assert_int_equal(n.read_ra, ra);
	assert_int_equal(n.read_misses, misses);
}

/* Four pages wanted; the read adds these and 28 more, which the next ones find. */
static void test_read_ahead(void **state)
{
	struct unit u = open_calls();

	(void)state;
	u.input->size = 100 * PAGE;
	begin(&u, 0, 4 * PAGE);
	add(&u, 0, 32);
	end(&u, 4 * PAGE);
	assert_reads(&u, 0, 0, 4);
	begin(&u, 4 * PAGE, 4 * PAGE);
	end(&u, 4 * PAGE);
	assert_reads(&u, 0, 4, 4);
	begin(&u, 0, 8 * PAGE);
	end(&u, 8 * PAGE);
	assert_reads(&u, 8, 4, 4);
	close_unit(&u);
}

/* Over page borders, to the end of the file, short, and not at all. */
static void test_ranges(void **state)
{
	struct unit u = open_calls();

	(void)state;
	u.input->size = 2 * PAGE + 5;
	begin(&u, PAGE - 1, 2);
	end(&u, 2);
	assert_reads(&u, 2, 0, 0);
	begin(&u, 0, 1 << 20);
	add(&u, 0, 3);
	end(&u, 2 * PAGE + 5);
	assert_reads(&u, 2, 0, 3);
	begin(&u, 0, 1 << 20);
	end(&u, 1);
	assert_reads(&u, 3, 0, 3);
	begin(&u, 0, 10);
	end(&u, -5);
	begin(&u, 3 * PAGE, 10);
	end(&u, 0);
	assert_reads(&u, 3, 0, 3);
	assert_int_equal(stat_of(&u, CACHE_STAT_CALLS_BROKEN), 0);
	close_unit(&u);
}

/* A return that its probe missed is seen at the next call. */
static void test_missed_return(void **state)
{
	struct unit u = open_calls();

	(void)state;
	u.input->size = 10 * PAGE;
	begin(&u, 0, PAGE);
	begin(&u, 0, PAGE);
	end(&u, PAGE);
	assert_reads(&u, 1, 0, 0);
	assert_int_equal(stat_of(&u, CACHE_STAT_CALLS_BROKEN), 1);
	end(&u, PAGE);
	assert_reads(&u, 1, 0, 0);
	close_unit(&u);
}

static void *read_four_pages(void *arg)
{
	begin(arg, 0, 4 * PAGE);
	end(arg, 4 * PAGE);
	return NULL;
}

/* io_uring's first try may not wait: what it had to add is a miss of the second one's thread. */
static void test_retry(void **state)
{
	struct unit u = open_calls();
	pthread_t worker;

	(void)state;
	u.input->size = 100 * PAGE;
	u.input->kiocb = 0x1000;
	begin(&u, 0, 4 * PAGE);
	add(&u, 0, 32);
	end(&u, -11);
	assert_int_equal(pthread_create(&worker, NULL, read_four_pages, &u), 0);
	assert_int_equal(pthread_join(worker, NULL), 0);
	assert_reads(&u, 0, 0, 4);
	begin(&u, 4 * PAGE, PAGE);
	end(&u, -11);
	begin(&u, 5 * PAGE, PAGE);
	end(&u, PAGE);
	assert_reads(&u, 0, 1, 4);
	close_unit(&u);
}

/* It got a page, and is tried again for the others; the kiocb's next read is another one. */
static void test_retry_of_the_rest(void **state)
{
	struct unit u = open_calls();

	(void)state;
	u.input->size = 100 * PAGE;
	u.input->kiocb = 0x1000;
	begin(&u, 0, 4 * PAGE);
	add(&u, 0, 4);
	end(&u, PAGE);
	assert_reads(&u, 0, 0, 1);
	begin(&u, PAGE, 3 * PAGE);
	end(&u, 3 * PAGE);
	assert_reads(&u, 0, 0, 4);
	begin(&u, PAGE, 3 * PAGE);
	end(&u, 3 * PAGE);
	assert_reads(&u, 3, 0, 4);
	close_unit(&u);
}

/* What a write adds is used: no later read takes it for read-ahead. */
static void test_write(void **state)
{
	struct unit u = open_calls();

	(void)state;
	u.input->size = 10 * PAGE;
	u.input->write = 1;
	begin(&u, 0, 0);
	add(&u, 0, 4);
	end(&u, 4 * PAGE);
	u.input->write = 0;
	begin(&u, 0, 4 * PAGE);
	end(&u, 4 * PAGE);
	assert_reads(&u, 4, 0, 0);
	assert_int_equal(total(&u).write_added, 4);
	close_unit(&u);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bitmap),	      cmocka_unit_test(test_bitmap_without_atomics),
		cmocka_unit_test(test_limit),	      cmocka_unit_test(test_table_full),
		cmocka_unit_test(test_read_ahead),    cmocka_unit_test(test_ranges),
		cmocka_unit_test(test_missed_return), cmocka_unit_test(test_write),
		cmocka_unit_test(test_retry),	      cmocka_unit_test(test_retry_of_the_rest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

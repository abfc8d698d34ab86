/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "test_view.h"

#include <signal.h>
#include <time.h>

static void test_report_golden(void **state)
{
	static const char golden[] = "[10:13:16] Top 10 stacks with outstanding allocations:\n"
				     "	4096 bytes in 2 allocations from stack [2.0 allocations/s, "
				     "0.5 frees/s; oldest 3.2 s]\n"
				     "		inner [victim] (victim.h:7) (inlined)\n"
				     "		make;leak(int)+0x1f [victim] (victim.c:12)\n"
				     "		/usr/lib/libx.so.1+0x5678 [3f2a]\n"
				     "		0x7fff00001111 [unknown]\n"
				     "	~1048576 bytes in ~1 allocations from stack [mmap]\n"
				     "		make;leak(int)+0x1f [victim] (victim.c:12)\n"
				     "		(stack incomplete: deeper than --max-frames)\n"
				     "	(and 1 more stacks with 70 bytes)\n"
				     "LOST 3: no room for a stack; cure: raise --max-stacks\n";
	struct view_report r = test_report(2);
	struct capture k;

	(void)state;
	capture_open(&k, (struct view_config){0});
	assert_int_equal(view_report(k.v, &r), 0);
	assert_string_equal(k.out, golden);
	capture_close(&k);
}

/* Blocks, processes with hostile names, and a stack that was lost. */
static void test_blocks_and_processes(void **state)
{
	static const char golden[] = "[10:13:16] Top 10 stacks with outstanding allocations:\n"
				     "	4096 bytes in 2 allocations from stack [pid 12 (redis); "
				     "2.0 allocations/s, 0.5 frees/s; oldest 3.2 s]\n"
				     "		addr = 0x55d0c8a2a0 size = 4000 age = 3.2 s\n"
				     "		addr = 0x55d0c8b000 size = 96 age = 15 ms\n"
				     "		inner [victim] (victim.h:7) (inlined)\n"
				     "		make;leak(int)+0x1f [victim] (victim.c:12)\n"
				     "		/usr/lib/libx.so.1+0x5678 [3f2a]\n"
				     "		0x7fff00001111 [unknown]\n"
				     "	~1048576 bytes in ~1 allocations from stack [mmap; pid 13 "
				     "(bad\xef\xbf\xbd\xef\xbf\xbd[31m)]\n"
				     "		make;leak(int)+0x1f [victim] (victim.c:12)\n"
				     "		(stack incomplete: deeper than --max-frames)\n"
				     "	70 bytes in 7 allocations from stack [pid 13 (x)]\n"
				     "		(stack lost)\n"
				     "LOST 3: no room for a stack; cure: raise --max-stacks\n";
	struct view_report r = test_report(3);
	struct capture k;

	(void)state;
	capture_open(&k, (struct view_config){.show_blocks = true, .show_process = true});
	assert_int_equal(view_report(k.v, &r), 0);
	assert_string_equal(k.out, golden);
	capture_close(&k);
}

static void test_totals(void **state)
{
	struct row rows[] = {
		{.pid = 12, .comm = "redis", .kind = "all", .bytes = 4096, .count = 2}};
	struct view_report r = {
		.time_ns = TEST_TIME, .rows = rows, .n_rows = 1, .n_top = 1, .top = 5};
	struct capture k;

	(void)state;
	capture_open(&k, (struct view_config){
				 .totals = true, .show_process = true, .noun = "processes"});
	assert_int_equal(view_report(k.v, &r), 0);
	assert_string_equal(k.out, "[10:13:16] Top 5 processes with outstanding allocations:\n"
				   "	4096 bytes in 2 allocations of pid 12 (redis)\n");
	capture_close(&k);
}

/* stdout is data: the start line goes to the notes. */
static void test_start(void **state)
{
	const char *found[] = {"glibc (11 functions)", "libstdc++ (4 functions)"};
	const char *skipped[] = {"musl: not mapped"};
	struct view_target targets[] = {{12, "redis", "/usr/bin/redis"}, {13, "a\nb", NULL}};
	struct view_start s = {.time_ns = TEST_TIME,
			       .targets = targets,
			       .n_targets = 2,
			       .found = found,
			       .n_found = 2,
			       .skipped = skipped,
			       .n_skipped = 1,
			       .map_bytes = 3 << 19};
	struct capture k;

	(void)state;
	capture_open(&k, (struct view_config){0});
	assert_int_equal(view_start(k.v, &s), 0);
	fflush(k.c.out);
	assert_string_equal(k.out, "");
	assert_string_equal(k.notes, "leak: tracing 12 (redis), 13 (a\xef\xbf\xbd"
				     "b); found "
				     "glibc (11 functions), libstdc++ (4 functions); skipped "
				     "musl: not mapped; tables take 1.5 MiB\n");
	capture_close(&k);
}

static void test_calls(void **state)
{
	struct view_call c = sample_call();
	struct capture k;

	(void)state;
	capture_open(&k, (struct view_config){0});
	assert_int_equal(view_call(k.v, &c), 0);
	c.function = "free";
	c.is_free = true;
	c.bytes = 0;
	c.n_frames = 0;
	assert_int_equal(view_call(k.v, &c), 0);
	assert_string_equal(k.out, "10:13:16.250000 redis[12/14] malloc(64) = 0xabc\n"
				   "		make;leak(int)+0x1f [victim] (victim.c:12)\n"
				   "10:13:16.250000 redis[12/14] free(0xabc)\n");
	capture_close(&k);
}

static void end_is(const struct view_end *e, const char *golden)
{
	struct capture k;

	capture_open(&k, (struct view_config){0});
	assert_int_equal(view_end(k.v, e), 0);
	assert_string_equal(k.out, golden);
	capture_close(&k);
}

static void test_end(void **state)
{
	struct view_end e = {.time_ns = TEST_TIME,
			     .ticks = 2,
			     .cost = {.duration_ns = 12340000000,
				      .events = 99,
				      .timed = true,
				      .run_ns = 99e6,
				      .trap_ns = 52782000}};

	(void)state;
	end_is(&e, "Traced for 12.3 s: 99 calls (8/s), 2 reports; tracing took 1.23 % of one CPU, "
		   "1533152 ns each\n");
	e.cost.timed = false;
	e.has_program = true;
	e.wait_status = 3 << 8;
	end_is(&e, "Traced for 12.3 s: 99 calls (8/s), 2 reports\nProgram exited with status 3\n");
	e.wait_status = SIGSEGV;
	end_is(&e, "Traced for 12.3 s: 99 calls (8/s), 2 reports\n"
		   "Program was killed by signal 11 (Segmentation fault)\n");
}

static void cost_is(const struct view_cost *cost, const char *golden)
{
	struct capture k;

	capture_open(&k, (struct view_config){0});
	assert_int_equal(view_cost(k.v, TEST_TIME, 0, cost), 0);
	assert_string_equal(k.out, golden);
	capture_close(&k);
}

static void test_cost(void **state)
{
	struct view_cost c = {.duration_ns = 2000000000, .events = 20000};

	(void)state;
	cost_is(&c, "Overhead: 10000 calls/s\n");
	c.timed = true;
	c.run_ns = 20e6;
	cost_is(&c, "Overhead: 10000 calls/s, 1000 ns each: 1.00 % of one CPU\n");
	c.trap_ns = 10e6;
	c.bound = 0.02;
	cost_is(&c, "Overhead: 10000 calls/s, 1500 ns each: 1.50 % of one CPU (0.50 % traps of the "
		    "probes)\n");
	c.sample_bytes = 4096;
	c.over = true;
	cost_is(&c, "Overhead: 10000 calls/s, 1500 ns each: 1.50 % of one CPU (0.50 % traps of the "
		    "probes)\n"
		    "Sampling: one allocation per 4096 bytes on average, for --max-overhead 2\n"
		    "Over --max-overhead 2 at this moment: sampling less\n");
	c = (struct view_cost){.bound = 0.02, .floor_over = true};
	cost_is(&c,
		"Overhead: 0 calls/s\n"
		"Over --max-overhead 2: recording less will not help, probing these calls costs "
		"more; cure: fewer targets (-p), a shorter time (--duration), or a higher "
		"bound\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_report_golden), cmocka_unit_test(test_blocks_and_processes),
		cmocka_unit_test(test_totals),	      cmocka_unit_test(test_start),
		cmocka_unit_test(test_calls),	      cmocka_unit_test(test_end),
		cmocka_unit_test(test_cost),
	};

	setenv("TZ", "UTC", 1);
	tzset();
	return cmocka_run_group_tests(tests, NULL, NULL);
}

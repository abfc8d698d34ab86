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
			     .duration_ns = 12340000000,
			     .events = 99,
			     .tracing_cpu_ratio = 0.0123};

	(void)state;
	end_is(&e, "Traced for 12.3 s: 99 calls, 2 reports; tracing took 1.23 % of one CPU\n");
	e.tracing_cpu_ratio = -1;
	e.has_program = true;
	e.wait_status = 3 << 8;
	end_is(&e, "Traced for 12.3 s: 99 calls, 2 reports\nProgram exited with status 3\n");
	e.wait_status = SIGSEGV;
	end_is(&e, "Traced for 12.3 s: 99 calls, 2 reports\n"
		   "Program was killed by signal 11 (Segmentation fault)\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_report_golden), cmocka_unit_test(test_blocks_and_processes),
		cmocka_unit_test(test_totals),	      cmocka_unit_test(test_start),
		cmocka_unit_test(test_calls),	      cmocka_unit_test(test_end),
	};

	setenv("TZ", "UTC", 1);
	tzset();
	return cmocka_run_group_tests(tests, NULL, NULL);
}

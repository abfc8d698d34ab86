/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "test_view.h"

#include <jansson.h>
#include <math.h>
#include <signal.h>

#define HEAD(type, tick) \
	"{\"type\":\"" type "\",\"command\":\"leak\",\"time\":1795255996.25,\"tick\":" #tick ","

#define FRAME_1                                                                          \
	"{\"address\":\"0x55d000001234\",\"function\":\"make;leak(int)\",\"offset\":31," \
	"\"object\":\"/opt/app/victim\",\"build_id\":\"aabb\",\"object_offset\":4660,"   \
	"\"file\":\"victim.c\",\"line\":12,\"inlined\":false}"

#define LOSSES HEAD("losses", 4) "\"stacks_full\":3,\"blocks_full\":0}\n"

static void test_report_golden(void **state)
{
	static const char golden[] = HEAD(
		"stack",
		4) "\"pid\":12,\"comm\":\"redis\",\"kind\":\"malloc\",\"bytes\":4096,\"count\":2,"
		   "\"estimated\":false,\"age_max_ms\":3200.0,\"age_p50_ms\":15.0,"
		   "\"age_mean_ms\":1607.5,\"alloc_rate\":2.0,\"free_rate\":0.5,"
		   "\"growth_bytes_per_s\":128.5,\"verdict\":null,\"stack_status\":\"complete\","
		   "\"stack_id\":\"0xdeadbeefcafef00d\",\"frames\":["
		   "{\"address\":\"0x55d000001234\",\"function\":\"inner\",\"offset\":0,"
		   "\"object\":\"/opt/app/victim\",\"build_id\":\"aabb\",\"object_offset\":4660,"
		   "\"file\":\"victim.h\",\"line\":7,\"inlined\":true}," FRAME_1 ","
		   "{\"address\":\"0x7f0000005678\",\"function\":null,\"offset\":0,"
		   "\"object\":\"/usr/lib/"
		   "libx.so.1\",\"build_id\":\"3f2a\",\"object_offset\":22136,"
		   "\"file\":null,\"line\":null,\"inlined\":false},"
		   "{\"address\":\"0x7fff00001111\",\"function\":null,\"offset\":0,\"object\":null,"
		   "\"build_id\":null,\"object_offset\":0,\"file\":null,\"line\":null,"
		   "\"inlined\":false}]}\n" HEAD(
			   "block", 4) "\"pid\":12,\"address\":\"0x55d0c8a2a0\",\"bytes\":4000,"
				       "\"age_ms\":3200.0,"
				       "\"stack\":0}\n" HEAD(
					       "block",
					       4) "\"pid\":12,\"address\":\"0x55d0c8b000\","
						  "\"bytes\":96,\"age_ms\":15.0,\"stack\":0}"
						  "\n" HEAD("stack",
							    4) "\"pid\":13,\"comm\":"
							       "\"bad\xef\xbf\xbd\\u001B[31m\","
							       "\"kind\":\"mmap\","
							       "\"bytes\":1048576,\"count\":1,"
							       "\"estimated\":true,\"age_max_ms\":"
							       "null,"
							       "\"age_p50_ms\":null,\"age_mean_"
							       "ms\":0.0,\"alloc_rate\":0.0,\"free_"
							       "rate\":0.0,"
							       "\"growth_bytes_per_s\":0.0,"
							       "\"verdict\":null,\"stack_status\":"
							       "\"depth\","
							       "\"stack_id\":\"0x2\",\"frames\":"
							       "[" FRAME_1 "]}\n" LOSSES;
	struct view_report r = test_report(2);
	struct capture k;

	(void)state;
	capture_open(&k, (struct view_config){.json = true, .show_blocks = true});
	assert_int_equal(view_report(k.v, &r), 0);
	assert_string_equal(k.out, golden);
	capture_close(&k);
}

/* Losses are said in every tick, zeros too, also when there is no row. */
static void test_empty_report(void **state)
{
	struct view_report r = test_report(0);
	struct capture k;

	(void)state;
	r.n_rows = 0;
	capture_open(&k, (struct view_config){.json = true});
	assert_int_equal(view_report(k.v, &r), 0);
	assert_string_equal(k.out, LOSSES);
	capture_close(&k);
}

static json_t *one_row(struct row *row)
{
	struct view_report r = {.time_ns = TEST_TIME, .rows = row, .n_rows = 1, .n_top = 1};
	struct capture k;
	json_t *j;

	capture_open(&k, (struct view_config){.json = true});
	assert_int_equal(view_report(k.v, &r), 0);
	j = json_loads(k.out, JSON_DISABLE_EOF_CHECK, NULL);
	assert_non_null(j);
	capture_close(&k);
	return j;
}

static void bytes_print_as(uint64_t bytes, json_int_t want)
{
	struct row row = {.bytes = bytes};
	json_t *j = one_row(&row);

	assert_true(json_is_integer(json_object_get(j, "bytes")));
	assert_true(json_integer_value(json_object_get(j, "bytes")) == want);
	json_decref(j);
}

static void test_integers(void **state)
{
	(void)state;
	bytes_print_as(0, 0);
	bytes_print_as((1ULL << 53) + 1, (1LL << 53) + 1);
	bytes_print_as(INT64_MAX, INT64_MAX);
	bytes_print_as(UINT64_MAX, INT64_MAX);
}

static void test_odd_numbers(void **state)
{
	struct row row = {.alloc_rate = NAN,
			  .free_rate = INFINITY,
			  .growth_rate = 0.1,
			  .has_ages = true,
			  .age_p50_ns = AGE_UNKNOWN,
			  .tid = 5};
	json_t *j = one_row(&row);

	(void)state;
	assert_true(json_real_value(json_object_get(j, "alloc_rate")) == 0);
	assert_true(json_real_value(json_object_get(j, "free_rate")) == 0);
	assert_true(json_real_value(json_object_get(j, "growth_bytes_per_s")) == 0.1);
	assert_true(json_is_real(json_object_get(j, "age_max_ms")));
	assert_true(json_is_null(json_object_get(j, "age_p50_ms")));
	assert_int_equal(json_integer_value(json_object_get(j, "tid")), 5);
	json_decref(j);
}

static void test_status_names(void **state)
{
	static const char *const names[] = {"complete",	   "depth", "no_mapping", "no_row",
					    "unsupported", "fault", "lost"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct row row = {.status = (enum stack_status)i};
		json_t *j = one_row(&row);

		assert_string_equal(json_string_value(json_object_get(j, "stack_status")),
				    names[i]);
		json_decref(j);
	}
}

struct test_cfg {
	bool flag;
	uint64_t older_ns, secs_ns, interval_ns, count;
	double percent;
	int key;
	char *path;
	struct opt_pids pids;
	struct opt_list list;
	char **program;
};

#define FIELD(name) offsetof(struct test_cfg, name)

/* Options appear typed, in the unit a user types. */
static void test_start(void **state)
{
	static const char *const keys[] = {"bytes", "count", NULL};
	static const struct opt rows[] = {
		OPT_ROW("flag", 0, OPT_FLAG, FIELD(flag), NULL, ""),
		OPT_ROW("older", 0, OPT_MS, FIELD(older_ns), "", ""),
		OPT_ROW("secs", 0, OPT_SECONDS, FIELD(secs_ns), "", ""),
		OPT_ROW("share", 0, OPT_PERCENT, FIELD(percent), "", ""),
		OPT_ROW("key", 0, OPT_ENUM, FIELD(key), "", "", .names = keys),
		OPT_ROW("path", 0, OPT_STRING, FIELD(path), "", ""),
		OPT_ROW("pid", 0, OPT_PIDS, FIELD(pids), "", ""),
		OPT_ROW("list", 0, OPT_LIST, FIELD(list), "", ""),
	};
	static const struct opt_group group = {"g", rows, ARRAY_SIZE(rows), 0};
	static const struct opt_group *const groups[] = {&group, NULL};
	static const struct opts_spec spec = {
		.groups = groups,
		.takes_interval = true,
		.interval_offset = FIELD(interval_ns),
		.count_offset = FIELD(count),
		.takes_program = true,
		.program_offset = FIELD(program),
	};
	int pids[] = {1, 2};
	char *words[] = {"a", "b\xc0", NULL};
	struct test_cfg cfg = {true, 20000000, 250000000, 5000000000, 3,    0.005,
			       1,    NULL,     {pids, 2}, {words, 1}, words};
	const char *found[] = {"glibc"}, *skipped[] = {"musl"};
	struct view_target target = {12,
				     "re\xff"
				     "dis",
				     NULL};
	struct view_start s = {.time_ns = TEST_TIME,
			       .version = "1",
			       .kernel = "6.18",
			       .method = "uprobe",
			       .spec = &spec,
			       .cfg = &cfg,
			       .targets = &target,
			       .n_targets = 1,
			       .found = found,
			       .n_found = 1,
			       .skipped = skipped,
			       .n_skipped = 1,
			       .map_bytes = 4096};
	struct capture k;

	(void)state;
	capture_open(&k, (struct view_config){.json = true});
	assert_int_equal(view_start(k.v, &s), 0);
	assert_string_equal(
		k.out,
		HEAD("start",
		     0) "\"version\":\"1\",\"kernel\":\"6.18\",\"method\":\"uprobe\",\"options\":{"
			"\"flag\":true,\"older\":20,\"secs\":0.25,\"share\":0.5,\"key\":\"count\","
			"\"path\":null,\"pid\":[1,2],\"list\":[\"a\"],\"interval\":5.0,\"count\":3,"
			"\"program\":[\"a\",\"b\xef\xbf\xbd\"]},"
			"\"targets\":[{\"pid\":12,\"comm\":\"re\xef\xbf\xbd"
			"dis\",\"exe\":null}],"
			"\"found\":[\"glibc\"],\"skipped\":[\"musl\"],\"map_bytes\":4096}\n");
	capture_close(&k);
}

static void test_call(void **state)
{
	struct view_call c = sample_call();
	struct capture k;

	(void)state;
	capture_open(&k, (struct view_config){.json = true});
	assert_int_equal(view_call(k.v, &c), 0);
	assert_string_equal(
		k.out,
		HEAD("call", 1) "\"pid\":12,\"tid\":14,\"comm\":\"redis\",\"function\":\"malloc\","
				"\"free\":false,\"address\":\"0xabc\",\"bytes\":64,"
				"\"stack_status\":\"complete\",\"frames\":[" FRAME_1 "]}\n");
	capture_close(&k);
}

static void end_is(const struct view_end *e, const char *golden)
{
	struct capture k;

	capture_open(&k, (struct view_config){.json = true});
	assert_int_equal(view_end(k.v, e), 0);
	assert_string_equal(k.out, golden);
	capture_close(&k);
}

static void test_end(void **state)
{
	struct view_end e = {.time_ns = TEST_TIME,
			     .ticks = 2,
			     .cost = {.duration_ns = 1500000000,
				      .events = 100,
				      .timed = true,
				      .run_ns = 225000000,
				      .trap_ns = 150000000}};

	(void)state;
	end_is(&e, HEAD("end", 1) "\"ticks\":2,\"program_status\":null,\"duration_s\":1.5,"
				  "\"tracing_cpu_ratio\":0.25,\"trap_cpu_ratio\":0.1,"
				  "\"events\":100,\"events_per_s\":66.66666666666667,"
				  "\"ns_per_event\":3750000.0,\"sample_bytes\":0,"
				  "\"max_overhead_ratio\":null,\"over_bound\":false,"
				  "\"floor_over_bound\":false}\n");
	e.has_program = true;
	e.wait_status = SIGKILL;
	e.cost = (struct view_cost){.duration_ns = 1500000000,
				    .events = 100,
				    .sample_bytes = 64,
				    .bound = 0.01,
				    .over = true};
	end_is(&e, HEAD("end", 1) "\"ticks\":2,\"program_status\":137,\"duration_s\":1.5,"
				  "\"tracing_cpu_ratio\":null,\"trap_cpu_ratio\":null,"
				  "\"events\":100,\"events_per_s\":66.66666666666667,"
				  "\"ns_per_event\":null,\"sample_bytes\":64,"
				  "\"max_overhead_ratio\":0.01,\"over_bound\":true,"
				  "\"floor_over_bound\":false}\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_report_golden), cmocka_unit_test(test_empty_report),
		cmocka_unit_test(test_integers),      cmocka_unit_test(test_odd_numbers),
		cmocka_unit_test(test_status_names),  cmocka_unit_test(test_start),
		cmocka_unit_test(test_call),	      cmocka_unit_test(test_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

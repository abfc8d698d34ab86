/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The parser over a table with one row of each type; the real tables: test_opts_leak.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "lib/opts.h"

struct inner {
	uint64_t number, size;
};

struct config {
	uint64_t interval_ns, count;
	char **program;
	bool flag;
	unsigned int loud;
	struct inner inner;
	uint64_t seconds_ns, ms_ns;
	double share;
	struct opt_pids pids;
	char *path;
	struct opt_list list;
	int key;
};

#define FIELD(name) offsetof(struct config, name)

static const char *const words[] = {"bytes", "count", NULL};
static const struct opt rows[] = {
	OPT_ROW("flag", 'f', OPT_FLAG, FIELD(flag), NULL, "A flag"),
	OPT_ROW("loud", 'v', OPT_COUNTER, FIELD(loud), NULL, "A counter"),
	OPT_ROW("seconds", 0, OPT_SECONDS, FIELD(seconds_ns), "S", "Seconds", .fallback = "1.5",
		.min = 1000000000, .max = 5000000000),
	OPT_ROW("older", 'o', OPT_MS, FIELD(ms_ns), "MS", "Milliseconds", .fallback = "500"),
	OPT_ROW("share", 0, OPT_PERCENT, FIELD(share), "PCT", "A share", .fallback = "2.5"),
	OPT_ROW("pid", 'p', OPT_PIDS, FIELD(pids), "PID", "Pids"),
	OPT_ROW("path", 0, OPT_STRING, FIELD(path), "FILE", "A file"),
	OPT_ROW("item", 0, OPT_LIST, FIELD(list), "X", "Items"),
	OPT_ROW("sort", 0, OPT_ENUM, FIELD(key), "KEY", "A key", .fallback = "count",
		.names = words),
};
static const struct opt inner_rows[] = {
	OPT_ROW("number", 'n', OPT_U64, offsetof(struct inner, number), "N", "A number",
		.fallback = "127", .min = 1, .max = 127),
	OPT_ROW("size", 'z', OPT_SIZE, offsetof(struct inner, size), "BYTES", "A size"),
};
static const struct opt_group group = {"Outer", rows, ARRAY_SIZE(rows), 0};
static const struct opt_group inner_group = {"Inner", inner_rows, ARRAY_SIZE(inner_rows),
					     FIELD(inner)};
static const struct opt_group *const groups[] = {&group, &inner_group, NULL};

static int check(const void *cfg, char **ret_msg)
{
	const struct config *c = cfg;

	if (c->flag && c->path)
		return opts_fail(-EINVAL, ret_msg, "--flag and --path exclude each other");
	return 0;
}

static const struct opts_spec spec = {
	.command = "test",
	.summary = "Tests the parser.",
	.groups = groups,
	.examples = "  memtally test -f\n",
	.config_size = sizeof(struct config),
	.takes_interval = true,
	.interval_offset = FIELD(interval_ns),
	.count_offset = FIELD(count),
	.takes_program = true,
	.program_offset = FIELD(program),
	.check = check,
};

enum { ARGS_MAX = 16 };

/* Splits at blanks; "''" is an empty word. *line is written to. */
static int parse(char *line, struct config *c, char **ret_msg)
{
	static char *argv[ARGS_MAX + 1];
	int argc = 0;
	char *word;

	memset(argv, 0, sizeof(argv));
	argv[argc++] = (char *)"test";
	while ((word = strsep(&line, " ")) && argc < ARGS_MAX)
		if (*word)
			argv[argc++] = strcmp(word, "''") == 0 ? (char *)"" : word;
	return opts_parse(&spec, argc, argv, c, ret_msg);
}

static void parse_ok(const char *text, struct config *c)
{
	static char line[256];
	char *msg = NULL;
	int err;

	snprintf(line, sizeof(line), "%s", text);
	err = parse(line, c, &msg);
	if (err)
		fail_msg("'%s': %d %s", text, err, msg ? msg : "");
	assert_null(msg);
}

static void test_defaults(void **state)
{
	struct config c;

	(void)state;
	parse_ok("", &c);
	assert_false(c.flag);
	assert_int_equal(c.loud, 0);
	assert_int_equal(c.seconds_ns, 1500000000);
	assert_int_equal(c.ms_ns, 500000000);
	assert_true(c.share == 0.025);
	assert_int_equal(c.pids.n, 0);
	assert_null(c.path);
	assert_int_equal(c.key, 1);
	assert_int_equal(c.inner.number, 127);
	assert_int_equal(c.inner.size, 0);
	assert_int_equal(c.interval_ns, 0);
	assert_int_equal(c.count, 0);
	assert_null(c.program);
	opts_deinit(&spec, &c);
}

static void test_values_kept(void **state)
{
	struct config c;

	(void)state;
	parse_ok("-vv --seconds=2.25 -o 20 --share 0.5 -p 1,2 --pid=3 --path a --path b", &c);
	assert_int_equal(c.loud, 2);
	assert_int_equal(c.seconds_ns, 2250000000);
	assert_int_equal(c.ms_ns, 20000000);
	assert_true(c.share == 0.005);
	assert_int_equal(c.pids.n, 3);
	assert_int_equal(c.pids.v[0], 1);
	assert_int_equal(c.pids.v[2], 3);
	assert_string_equal(c.path, "b");
	opts_deinit(&spec, &c);
	assert_null(c.path);
	opts_deinit(&spec, &c); /* twice is harmless */
	parse_ok("--item x --item=y --sort bytes -n 0x10 -z4K -f", &c);
	assert_int_equal(c.list.n, 2);
	assert_string_equal(c.list.v[0], "x");
	assert_string_equal(c.list.v[1], "y");
	assert_int_equal(c.key, 0);
	assert_int_equal(c.inner.number, 16);
	assert_int_equal(c.inner.size, 4096);
	assert_true(c.flag);
	opts_deinit(&spec, &c);
}

/* Operands may stand between options; behind "--" everything is the program's. */
static void test_operands(void **state)
{
	struct config c;

	(void)state;
	parse_ok("0.5 -v 7 -- ls -v --help --", &c);
	assert_int_equal(c.interval_ns, 500000000);
	assert_int_equal(c.count, 7);
	assert_int_equal(c.loud, 1);
	assert_string_equal(c.program[0], "ls");
	assert_string_equal(c.program[1], "-v");
	assert_string_equal(c.program[2], "--help");
	assert_string_equal(c.program[3], "--");
	assert_null(c.program[4]);
	opts_deinit(&spec, &c);
}

static void test_errors(void **state)
{
	static const struct {
		const char *line, *message;
	} cases[] = {
		{"--nope", "--nope: unknown option; see 'memtally test --help'"},
		{"-q", "-q: unknown option; see 'memtally test --help'"},
		{"-fq", "-fq: unknown option; see 'memtally test --help'"},
		{"--siz 4", "--siz: unknown option; see 'memtally test --help'"},
		{"-z", "-z: missing argument; see 'memtally test --help'"},
		{"--flag=1",
		 "--flag=1: option does not take an argument; see 'memtally test --help'"},
		{"-z 12x", "--size: '12x' is not a size"},
		{"-z -5", "--size: '-5' is not a size"},
		{"-z ''", "--size: the value is empty"},
		{"-z 1.5K", "--size: '1.5K' is not a size"},
		{"-z 99999999999999999999", "--size: '99999999999999999999' is too large"},
		{"-z 16777216T", "--size: '16777216T' is too large"},
		{"-n x", "--number: 'x' is not a number"},
		{"-n 0", "--number: '0' is out of range (1 to 127)"},
		{"-n 128", "--number: '128' is out of range (1 to 127)"},
		{"--seconds 0.5", "--seconds: '0.5' is out of range (1 to 5)"},
		{"--seconds 1e3", "--seconds: '1e3' is not a time in seconds"},
		{"-o 1.5", "--older: '1.5' is not a time in whole milliseconds"},
		{"-o 18446744073709551615", "--older: '18446744073709551615' is too large"},
		{"--share 100.5", "--share: '100.5' is out of range (0 to 100)"},
		{"--share x", "--share: 'x' is not a percentage"},
		{"-p 0", "--pid: '0' is not a list of process ids"},
		{"-p 1,", "--pid: '1,' is not a list of process ids"},
		{"-p 1,x", "--pid: '1,x' is not a list of process ids"},
		{"-p 4294967297", "--pid: '4294967297' is not a list of process ids"},
		{"--path ''", "--path: the value is empty"},
		{"--item a --item ''", "--item: the value is empty"},
		{"--sort size", "--sort: 'size' is not one of bytes, count"},
		{"x", "INTERVAL: 'x' is not a time in seconds"},
		{"0", "INTERVAL: '0' is out of range (0.01 to 31622400)"},
		{"1 0", "COUNT: '0' is out of range (at least 1)"},
		{"1 1.5", "COUNT: '1.5' is not a number"},
		{"1 1 ls", "unexpected argument 'ls'; a program goes behind '--'"},
		{"-p 1 --", "no program behind '--'"},
		{"-f --path x -p 1 --item y", "--flag and --path exclude each other"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *msg = NULL;
		char line[128];
		struct config c;
		int err;

		snprintf(line, sizeof(line), "%s", cases[i].line);
		err = parse(line, &c, &msg);
		if (err != -EINVAL || !msg || strcmp(msg, cases[i].message) != 0)
			fail_msg("'%s': %d '%s'", cases[i].line, err, msg ? msg : "");
	}
}

static void test_no_operands(void **state)
{
	struct opts_spec bare = spec;
	char *program[] = {(char *)"test", (char *)"--", (char *)"ls", NULL};
	char *operand[] = {(char *)"test", (char *)"3", NULL};
	struct config c;
	char *msg = NULL;

	(void)state;
	bare.takes_interval = bare.takes_program = false;
	assert_int_equal(opts_parse(&bare, 3, program, &c, &msg), -EINVAL);
	assert_string_equal(msg, "runs no program: nothing goes behind '--'");
	free(msg);
	assert_int_equal(opts_parse(&bare, 2, operand, &c, &msg), -EINVAL);
	assert_string_equal(msg, "unexpected argument '3'");
	free(msg);
}

static void test_help(void **state)
{
	static const char golden[] =
		"Usage: memtally test [OPTIONS] [INTERVAL [COUNT]] [-- PROGRAM ARG...]\n"
		"Tests the parser.\n"
		"\n"
		"Outer:\n"
		"  -f, --flag        A flag\n"
		"  -v, --loud        A counter\n"
		"      --seconds=S   Seconds (default: 1.5)\n"
		"  -o, --older=MS    Milliseconds (default: 500)\n"
		"      --share=PCT   A share (default: 2.5)\n"
		"  -p, --pid=PID     Pids\n"
		"      --path=FILE   A file\n"
		"      --item=X      Items\n"
		"      --sort=KEY    A key: bytes, count (default: count)\n"
		"\n"
		"Inner:\n"
		"  -n, --number=N    A number (default: 127)\n"
		"  -z, --size=BYTES  A size\n"
		"\n"
		"  -h, --help        Print this page\n"
		"\n"
		"EXAMPLES\n"
		"  memtally test -f\n";
	_cleanup_free_ char *text = NULL;
	_cleanup_free_ char *msg = NULL;
	char line[] = "-v --help --nope";
	struct config c;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	(void)state;
	assert_int_equal(parse(line, &c, &msg), OPTS_HELP);
	assert_int_equal(opts_help(&spec, f), 0);
	fclose(f);
	assert_string_equal(text, golden);
}

static void test_help_write_error(void **state)
{
	_cleanup_fclose_ FILE *full = fopen("/dev/full", "we");

	(void)state;
	assert_non_null(full);
	assert_int_equal(opts_help(&spec, full), -ENOSPC);
}

static int count_row(const struct opt *o, const void *field, void *arg)
{
	(void)field;
	++*(int *)arg;
	return strcmp(o->name, "number") == 0 ? 42 : 0;
}

static void test_each_stops(void **state)
{
	struct config c = {0};
	int n = 0;

	(void)state;
	assert_int_equal(opts_each(&spec, &c, count_row, &n), 42);
	assert_int_equal(n, (int)ARRAY_SIZE(rows) + 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),	 cmocka_unit_test(test_values_kept),
		cmocka_unit_test(test_operands),	 cmocka_unit_test(test_errors),
		cmocka_unit_test(test_no_operands),	 cmocka_unit_test(test_help),
		cmocka_unit_test(test_help_write_error), cmocka_unit_test(test_each_stops),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The tables of `memtally leak` against what is written about them: defaults, the
 * manual and the shell completion must not drift. The table is no room's object, so it
 * is compiled in here. Runs in the top directory.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <string.h>

#include "cmd_leak_opts.c"
#include "opts_manual.h"

#define MANUAL "docs/memtally.1"

static int parse(const char *a, const char *b, const char *c, struct leak_opts *o, char **msg)
{
	const char *argv[] = {"leak", a, b, c, NULL};
	int argc = 1;

	while (argv[argc])
		argc++;
	return opts_parse(&leak_spec, argc, (char **)argv, o, msg);
}

static void test_defaults(void **state)
{
	struct leak_opts o;
	char *msg = NULL;

	(void)state;
	assert_int_equal(parse("-p", "1", NULL, &o, &msg), 0);
	assert_int_equal(o.older_ns, 0);
	assert_int_equal(o.min_size, 0);
	assert_int_equal(o.max_size, 0);
	assert_int_equal(o.sample_bytes, 0);
	assert_int_equal(o.max_blocks, 0);
	assert_int_equal(o.max_stacks, 65536);
	assert_int_equal(o.common.top, 10);
	assert_int_equal(o.common.max_frames, 127);
	assert_int_equal(o.common.sort, LEAK_SORT_BYTES);
	assert_int_equal(o.common.by, LEAK_BY_STACK);
	assert_int_equal(o.common.unwind, UNWIND_OPT_AUTO);
	opts_deinit(&leak_spec, &o);
}

static void test_words_match_enums(void **state)
{
	struct leak_opts o;
	char *msg = NULL;

	(void)state;
	assert_int_equal(parse("-p1", "--sort=rate", "--by=process", &o, &msg), 0);
	assert_int_equal(o.common.sort, LEAK_SORT_RATE);
	assert_int_equal(o.common.by, LEAK_BY_PROCESS);
	opts_deinit(&leak_spec, &o);
	assert_int_equal(parse("-p1", "--sort=age", "--unwind=none", &o, &msg), 0);
	assert_int_equal(o.common.sort, LEAK_SORT_AGE);
	assert_int_equal(o.common.unwind, UNWIND_OPT_NONE);
	opts_deinit(&leak_spec, &o);
}

static void fails(const char *a, const char *b, const char *c, const char *want)
{
	struct leak_opts o;
	char *msg = NULL;

	assert_int_equal(parse(a, b, c, &o, &msg), -EINVAL);
	assert_string_equal(msg, want);
	free(msg);
}

static void test_rules(void **state)
{
	(void)state;
	fails(NULL, NULL, NULL, "no target: give -p PID, --cgroup PATH, --all or -- PROGRAM");
	fails("-p1", "--all", NULL, "more than one of -p, --cgroup, --all and -- PROGRAM");
	fails("-p1", "--", "ls", "more than one of -p, --cgroup, --all and -- PROGRAM");
	fails("-p1", "-z10", "-Z9", "--min-size is larger than --max-size");
	fails("-p1", "-a", "--by=process",
	      "--show-allocs lists the blocks of stacks: not with --by process");
	fails("-p1", "--folded=f", "--by=process", "--folded writes stacks: not with --by process");
	fails("-t", "--folded=-", "-p1", "--folded - prints nothing but stacks: not with --trace");
	fails("-p1", "--max-frames=128", NULL, "--max-frames: '128' is out of range (1 to 127)");
}

/* Names are unique, and every default passes its own limits (test_defaults parsed them). */
static int row_is_sound(const struct opt *o, const void *field, void *arg)
{
	char *letters = arg;

	(void)field;
	assert_true(o->name[0] >= 'a' && o->name[0] <= 'z');
	assert_non_null(o->help);
	assert_int_equal(!o->metavar, o->type == OPT_FLAG || o->type == OPT_COUNTER);
	assert_int_equal(!o->names, o->type != OPT_ENUM);
	if (o->short_name) {
		assert_null(strchr(letters, o->short_name));
		letters[strlen(letters)] = o->short_name;
	}
	return 0;
}

static void test_rows(void **state)
{
	struct leak_opts o = {0};
	char letters[128] = "h";

	(void)state;
	assert_int_equal(opts_each(&leak_spec, &o, row_is_sound, letters), 0);
}

static void test_manual(void **state)
{
	struct leak_opts o = {0};

	(void)state;
	assert_manual_is_true(&leak_spec, &o, MANUAL, false);
}

static void test_manual_lint(void **state)
{
	(void)state;
	if (system("command -v mandoc >/dev/null")) {
		print_message("mandoc is not installed\n");
		skip();
	}
	assert_int_equal(system("mandoc -T lint " MANUAL), 0);
}

static const struct opts_spec *const specs[] = {&leak_spec};

/* Asks bash what it would offer behind the words; the last one is being typed. */
static char *offered(const char *words, int n)
{
	char script[] = "/tmp/test_completion_XXXXXX";
	_cleanup_close_ int fd = mkostemp(script, O_CLOEXEC);
	_cleanup_fclose_ FILE *f = fopen(script, "we");
	char command[512], *text = calloc(1, 8192);
	FILE *p;

	assert_true(fd >= 0);
	assert_non_null(f);
	assert_non_null(text);
	assert_int_equal(opts_completion(specs, 1, f), 0);
	snprintf(command, sizeof(command),
		 "bash -c 'set -u; source %s; COMP_WORDS=(%s); COMP_CWORD=%d; _memtally; "
		 "echo \" ${COMPREPLY[*]-} \"'",
		 script, words, n);
	p = popen(command, "re");
	assert_non_null(p);
	assert_true(fread(text, 1, 8191, p) > 0);
	assert_int_equal(pclose(p), 0);
	unlink(script);
	return text;
}

static int row_offered(const struct opt *o, const void *field, void *arg)
{
	char word[64];

	(void)field;
	snprintf(word, sizeof(word), " --%s ", o->name);
	if (!strstr(arg, word))
		fail_msg("completion does not offer%s", word);
	return 0;
}

static void offers(const char *words, int n, const char *want)
{
	_cleanup_free_ char *text = offered(words, n);

	assert_string_equal(text, want);
}

static void test_completion(void **state)
{
	_cleanup_free_ char *all = offered("memtally leak --", 2);
	struct leak_opts o = {0};

	(void)state;
	opts_each(&leak_spec, &o, row_offered, all);
	offers("memtally l", 1, " leak \n");
	offers("memtally --v", 1, " --version \n");
	offers("memtally leak --sh", 2, " --show-allocs \n");
	offers("memtally leak --sort \"\"", 3, " bytes count age rate \n");
	offers("memtally leak --sort = r", 4, " rate \n");
	offers("memtally leak --by =", 3, " stack thread process \n");
	offers("memtally leak --top \"\"", 3, "  \n");
	offers("memtally nope \"\"", 2, "  \n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),   cmocka_unit_test(test_words_match_enums),
		cmocka_unit_test(test_rules),	   cmocka_unit_test(test_rows),
		cmocka_unit_test(test_manual),	   cmocka_unit_test(test_manual_lint),
		cmocka_unit_test(test_completion),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

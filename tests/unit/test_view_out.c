/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where the writer writes: folded files, write errors, size of the work. */
#include "test_view.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <time.h>

#include "lib/lib.h"

#define STACK "[unknown];libx.so.1+0x5678;make:leak(int);inner_[i]"

static void test_folded_golden(void **state)
{
	struct view_report r = test_report(1);
	struct capture k;

	(void)state;
	capture_open(&k, (struct view_config){.folded = "-"});
	assert_int_equal(view_report(k.v, &r), 0);
	assert_string_equal(k.out, STACK " 4096\n"
					 "[stack incomplete];make:leak(int) 1048576\n"
					 "[no stack] 70\n");
	assert_string_equal(k.notes, "LOST 3: no room for a stack; cure: raise --max-stacks\n");
	capture_close(&k);
}

static void test_folded_process(void **state)
{
	struct frame kernel = {.function = "vfs_read", .object = "[kernel]"};
	struct frame jit = {.function = "js", .object = "[jit]"};
	struct row rows[] = {
		{.pid = 12, .comm = "a;b", .bytes = 1, .frames = &kernel, .n_frames = 1},
		{.pid = 12, .tid = 15, .comm = "w", .bytes = 2, .frames = &jit, .n_frames = 1},
		{.pid = 12, .comm = "gone", .bytes = 0, .frames = &jit, .n_frames = 1},
	};
	struct view_report r = {.rows = rows, .n_rows = 3};
	struct capture k;

	(void)state;
	capture_open(&k, (struct view_config){.folded = "-", .show_process = true});
	assert_int_equal(view_report(k.v, &r), 0);
	assert_string_equal(k.out, "a:b-12;vfs_read_[k] 1\nw-15;js_[j] 2\n");
	capture_close(&k);
}

/* The file holds the last report, all rows, beside the normal output. */
static void test_folded_file(void **state)
{
	char path[] = "/tmp/test_view_XXXXXX";
	_cleanup_close_ int fd = mkstemp(path);
	_cleanup_free_ char *text = NULL;
	struct view_report r = test_report(1);
	struct capture k;

	(void)state;
	assert_true(fd >= 0);
	capture_open(&k, (struct view_config){.json = true, .folded = path});
	assert_int_equal(view_report(k.v, &r), 0);
	r.n_rows = 1;
	assert_int_equal(view_report(k.v, &r), 0);
	assert_int_equal(read_file(path, &text, NULL), 0);
	assert_string_equal(text, STACK " 4096\n");
	assert_true(k.out_len > 0);
	capture_close(&k);
	unlink(path);
}

static void test_folded_open_fails(void **state)
{
	struct view_config c = {
		.command = "leak", .out = stdout, .notes = stderr, .folded = "/nonexistent/file"};
	struct view *v = NULL;

	(void)state;
	assert_int_equal(view_new(&c, &v), -ENOENT);
	assert_null(v);
	view_free(NULL);
}

/* Every function reports the failed write, and goes on reporting it. */
static void writes_fail(FILE *out, bool json, int want)
{
	struct view_config c = {.command = "leak", .out = out, .notes = out, .json = json};
	struct view_report r = test_report(3);
	struct view_call call = sample_call();
	struct view_end e = {.ticks = 1};
	struct view_start s = {.time_ns = TEST_TIME};
	struct view *v;

	assert_non_null(out);
	for (int first = 0; first < 4; first++) {
		assert_int_equal(view_new(&c, &v), 0);
		if (first == 0)
			assert_int_equal(view_start(v, &s), json ? want : 0); /* text: a note */
		if (first <= 1)
			assert_int_equal(view_report(v, &r), want);
		if (first <= 2)
			assert_int_equal(view_call(v, &call), want);
		assert_int_equal(view_end(v, &e), want);
		view_free(v);
		clearerr(out);
	}
}

static void test_disk_full(void **state)
{
	(void)state;
	for (int json = 0; json < 2; json++) {
		_cleanup_fclose_ FILE *full = fopen("/dev/full", "we");

		writes_fail(full, json, -ENOSPC);
	}
}

static FILE *broken_pipe(void)
{
	int fds[2];

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	close(fds[0]);
	return fdopen(fds[1], "w");
}

static void test_reader_gone(void **state)
{
	(void)state;
	for (int json = 0; json < 2; json++) {
		_cleanup_fclose_ FILE *f = broken_pipe();

		writes_fail(f, json, -EPIPE);
	}
}

/* A folded file is finished although nobody reads the report any more. */
static void test_folded_survives(void **state)
{
	char path[] = "/tmp/test_view_XXXXXX";
	_cleanup_close_ int fd = mkstemp(path);
	_cleanup_fclose_ FILE *f = broken_pipe();
	_cleanup_free_ char *text = NULL;
	struct view_config c = {.command = "leak", .out = f, .notes = f, .folded = path};
	struct view_report r = test_report(3);
	struct view *v;

	(void)state;
	assert_int_equal(view_new(&c, &v), 0);
	assert_int_equal(view_report(v, &r), -EPIPE);
	r.n_rows = r.n_top = 1;
	assert_int_equal(view_report(v, &r), -EPIPE);
	assert_int_equal(read_file(path, &text, NULL), 0);
	assert_string_equal(text, STACK " 4096\n");
	view_free(v);
	unlink(path);
}

static double cpu_seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* CPU seconds for n rows of 127 frames in every form. */
static double cost_of(size_t n)
{
	_cleanup_free_ struct frame *frames = calloc(127, sizeof(*frames));
	_cleanup_free_ struct row *rows = calloc(n, sizeof(*rows));
	struct view_report r = {.rows = rows, .n_rows = n, .n_top = n};
	double begin = cpu_seconds();

	assert_non_null(frames);
	assert_non_null(rows);
	for (size_t i = 0; i < 127; i++)
		frames[i] = test_frames[i % 4];
	for (size_t i = 0; i < n; i++)
		rows[i] = (struct row){.bytes = 1, .frames = frames, .n_frames = 127};
	for (int form = 0; form < 3; form++) {
		_cleanup_fclose_ FILE *null = fopen("/dev/null", "we");
		struct view_config c = {.command = "leak",
					.out = null,
					.notes = null,
					.json = form == 1,
					.folded = form == 2 ? "-" : NULL};
		struct view *v;

		assert_int_equal(view_new(&c, &v), 0);
		assert_int_equal(view_report(v, &r), 0);
		view_free(v);
	}
	return cpu_seconds() - begin;
}

/* Eight times the rows cost about eight times the time; a square law would cost 64 times. */
static void test_linear(void **state)
{
	double one = cost_of(100), eight = cost_of(800);

	(void)state;
	print_message("100 rows %.3f s, 800 rows %.3f s\n", one, eight);
	assert_true(eight < 24 * one);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_folded_golden),	cmocka_unit_test(test_folded_process),
		cmocka_unit_test(test_folded_file),	cmocka_unit_test(test_folded_open_fails),
		cmocka_unit_test(test_disk_full),	cmocka_unit_test(test_reader_gone),
		cmocka_unit_test(test_folded_survives), cmocka_unit_test(test_linear),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_unwind.c - the walk against ground truth: every stack at malloc compared with
 * libgcc's in the same process, threads with a known number of stacks, return addresses
 * hidden by uretprobes, and the verifier's budget.
 *
 * unwind_cxx: 20290 stacks, 20290 exact (100.00 %), 0 different, 0 longer, 0 shorter, ...
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <bpf/libbpf.h>
#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/wait.h>

#include "ground_truth.h"
#include "unwind.skel.h"

#define MAX_VERIFIED 20000 /* instructions; 8406 with clang 14 on 6.18 */

static char victims[PATH_MAX];
static char preload[PATH_MAX + 32];

/* Runs argv below the preload library: no wrong frame, and so many per cent complete. */
static void check_truth(char **argv, bool one_cpu, double min_exact)
{
	struct harness h = {
		.argv = argv,
		.preload = preload,
		.object = preload,
		.function = "gt_probe",
		.program = "every_enter",
		.mode = UNWIND_DWARF,
		.follow_maps = true,
		.one_cpu = one_cpu,
	};
	struct gt_report r;

	assert_int_equal(gt_run(&h, &r), 0);
	gt_print(&h, &r);
	assert_true(WIFEXITED(h.exit_status) && WEXITSTATUS(h.exit_status) == 0);
	assert_true(r.counts[GT_EXACT] > 1000);
	assert_int_equal(r.counts[GT_DIFFERENT], 0);
	assert_int_equal(r.counts[GT_LONGER], 0);
	assert_int_equal(r.counts[GT_MISSING], 0);
	assert_true(r.exact >= min_exact);
	harness_stop(&h);
}

static void check_victim(const char *name, char *rounds)
{
	char path[PATH_MAX + 32];
	char *argv[] = {path, rounds, NULL};

	snprintf(path, sizeof(path), "%s/%s", victims, name);
	check_truth(argv, false, 99.9);
}

static void test_truth_c(void **state)
{
	(void)state;
	check_victim("unwind_chain", "20");
}

static void test_truth_cxx(void **state)
{
	(void)state;
	check_victim("unwind_cxx", "10");
}

static void skip_without(const char *path)
{
	if (!access(path, X_OK))
		return;
	print_message("skipped: no %s\n", path);
	skip();
}

/*
 * The imports bring shared objects while the probe is on, and the tables follow. On one
 * CPU the drain always runs before the program goes on; how many stacks are cut short
 * while both run is measured by tests/bench/bench_unwind.py.
 */
static void test_truth_python(void **state)
{
	char *argv[] = {
		"/usr/bin/python3",
		"-c",
		"import json, re, sqlite3, hashlib, decimal, xml.etree.ElementTree\n"
		"for i in range(1000):\n"
		"    s = json.dumps({str(k): [k] * (k % 30) for k in range(60)})\n"
		"    json.loads(s); re.compile('a(b|c)*%d' % i).match('abc' * 10)\n"
		"c = sqlite3.connect(':memory:'); c.execute('create table t(a,b)')\n"
		"c.executemany('insert into t values(?,?)', [(i, str(i)) for i in range(20000)])\n"
		"c.execute('select a,b from t order by b').fetchall()\n"
		"hashlib.sha256(b'x' * 100000).hexdigest()\n",
		NULL,
	};

	(void)state;
	skip_without(argv[0]);
	check_truth(argv, true, 99.9);
}

static void test_truth_perl(void **state)
{
	char *argv[] = {
		"/usr/bin/perl",
		"-e",
		"use POSIX; use Data::Dumper; use Socket; use List::Util;\n"
		"my %h; $h{$_} = [$_ x 3, {a => $_}] for 1..2000; Dumper(\\%h);\n",
		NULL,
	};

	(void)state;
	skip_without(argv[0]);
	check_truth(argv, true, 99.9);
}

static void test_truth_clang(void **state)
{
	char source[] = "/tmp/memtally-clang-XXXXXX";
	char *argv[] = {"/usr/lib/llvm-14/bin/clang",
			"-cc1",
			"-emit-obj",
			"-O2",
			"-o",
			"/dev/null",
			"-x",
			"c",
			source,
			NULL};
	static const char text[] =
		"int f(int a) { int s = 0; for (int i = 0; i < a; i++)\n"
		"s += i * a ^ s; return s; } int g(int b) { return f(b) + 1; }\n";
	int fd;

	(void)state;
	skip_without(argv[0]);
	fd = mkstemp(source);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, sizeof(text) - 1), sizeof(text) - 1);
	close(fd);
	check_truth(argv, false, 99);
	unlink(source);
}

static uint64_t set_hash;

static int add_to_set(void *arg, const struct walk_record *rec)
{
	(void)arg;
	set_hash += rec->head.hash * 0x9E3779B97F4A7C15ULL;
	return 0;
}

/* Eight threads of 15000 hits at depths 3 + 5 i, and one hit of main. */
static void count_threads(char *program, char *hide)
{
	char path[PATH_MAX + 32];
	char *argv[] = {path, "8", "15000", "3", "5", NULL};
	struct harness h = {
		.argv = argv,
		.object = path,
		.function = "probe_me",
		.program = program,
		.mode = UNWIND_DWARF,
		.hide = hide,
		.on_record = add_to_set,
	};
	const struct walk_totals *t;

	snprintf(path, sizeof(path), "%s/unwind_threads", victims);
	set_hash = 0;
	assert_int_equal(harness_start(&h), 0);
	assert_int_equal(harness_run(&h), 0);
	t = harness_totals(&h);
	assert_int_equal(t->hits, 120001);
	assert_int_equal(t->frames + (uint64_t)t->no_storage, 3060005);
	assert_int_equal(t->status[WALK_COMPLETE], 120001);
	assert_int_equal(t->dropped, 0);
	assert_int_equal(harness_stacks(&h), 9);
	harness_stop(&h);
}

/*
 * Per-CPU state or a private stack shared by preempted programs would give bogus stacks
 * (or an oops) here, with preempt=full or lazy.
 */
static void test_threads(void **state)
{
	(void)state;
	count_threads("count_enter", NULL);
}

static void test_uretprobes_hide_nothing(void **state)
{
	uint64_t plain;

	(void)state;
	personality(ADDR_NO_RANDOMIZE); /* so that the hashes of two runs agree */
	count_threads("count_enter", NULL);
	plain = set_hash;
	count_threads("count_enter", "descend");
	assert_int_equal(set_hash, plain);
	personality(0);
}

/* As between exec and the first slice: whole stacks, by inode; else a cut one, told why. */
static void check_without_slice(bool tables)
{
	char path[PATH_MAX + 32];
	char *argv[] = {path, "2", "1000", "3", "5", NULL};
	struct harness h = {
		.argv = argv,
		.object = path,
		.function = "probe_me",
		.program = "count_enter",
		.mode = UNWIND_DWARF,
		.no_slice = true,
		.no_tables = !tables,
	};
	const struct walk_totals *t;

	snprintf(path, sizeof(path), "%s/unwind_threads", victims);
	assert_int_equal(harness_start(&h), 0);
	assert_int_equal(harness_run(&h), 0);
	t = harness_totals(&h);
	assert_int_equal(t->hits, 2001);
	/* A thread that is being made holds mmap_lock: that look-up fails, and is counted. */
	print_message("mmap_lock was taken in %llu of 2001 walks\n", (unsigned long long)t->busy);
	assert_true(t->busy < 2001 / 2);
	assert_int_equal(t->new_file, tables ? 0 : 2001 - t->busy);
	assert_int_equal(t->status[WALK_COMPLETE], tables ? 2001 - t->busy : 0);
	assert_int_equal(t->status[WALK_NO_MAPPING], tables ? t->busy : 2001);
	if (tables && !t->busy)
		assert_int_equal(harness_stacks(&h), 3);
	harness_stop(&h);
}

static void test_without_slice(void **state)
{
	(void)state;
	check_without_slice(true);
	check_without_slice(false);
}

/* Frame by frame, with the kernel asked at every change of the mapping. */
static void check_truth_without_slice(bool read_vma)
{
	char path[PATH_MAX + 32];
	char *argv[] = {path, "5", NULL};
	struct harness h = {
		.argv = argv,
		.preload = preload,
		.object = preload,
		.function = "gt_probe",
		.program = "every_enter",
		.mode = UNWIND_DWARF,
		.no_slice = true,
		.read_vma = read_vma,
	};
	struct gt_report r;

	snprintf(path, sizeof(path), "%s/unwind_cxx", victims);
	assert_int_equal(gt_run(&h, &r), 0);
	gt_print(&h, &r);
	print_message("mmap_lock was taken in %llu walks\n",
		      (unsigned long long)harness_totals(&h)->busy);
	assert_true(r.counts[GT_EXACT] > 1000);
	assert_int_equal(r.counts[GT_DIFFERENT], 0);
	assert_int_equal(r.counts[GT_LONGER], 0);
	assert_int_equal(r.counts[GT_MISSING], 0);
	assert_true(r.exact >= 99);
	harness_stop(&h);
}

static void test_truth_without_slice(void **state)
{
	(void)state;
	check_truth_without_slice(false);
	check_truth_without_slice(true);
}

/* Modes other than dwarf load too, and take what they can. */
static void check_mode(enum unwind_mode mode, uint32_t max_frames, uint64_t frames,
		       enum walk_status status)
{
	char path[PATH_MAX + 32];
	char *argv[] = {path, "1", "100", "10", "0", NULL};
	struct harness h = {
		.argv = argv,
		.object = path,
		.function = "probe_me",
		.program = "count_enter",
		.mode = mode,
		.max_frames = max_frames,
	};
	const struct walk_totals *t;

	snprintf(path, sizeof(path), "%s/unwind_threads_fp", victims);
	assert_int_equal(harness_start(&h), 0);
	assert_int_equal(harness_run(&h), 0);
	t = harness_totals(&h);
	assert_int_equal(t->hits, 101);
	assert_int_equal(t->status[status], 101);
	assert_true(t->frames >= frames);
	harness_stop(&h);
}

static void test_modes(void **state)
{
	(void)state;
	check_mode(UNWIND_NONE, 0, 101, WALK_DEPTH);
	check_mode(UNWIND_DWARF, 3, 303, WALK_DEPTH);
	check_mode(UNWIND_DWARF, 0, 100 * 14, WALK_COMPLETE);
}

/* "processed 8406 insns (limit 1000000) ..." */
static unsigned long verified_insns(const char *log)
{
	const char *at = strstr(log, "processed ");

	return at ? strtoul(at + strlen("processed "), NULL, 10) : 0;
}

static void test_verifier_budget(void **state)
{
	static char logs[2][1 << 16];
	struct unwind_test_bpf *skel = unwind_test_bpf__open();
	struct bpf_program *progs[2];

	(void)state;
	assert_non_null(skel);
	unwind_configure(&skel->rodata->unwind_cfg);
	progs[0] = skel->progs.every_enter;
	progs[1] = skel->progs.fault_enter;
	for (size_t i = 0; i < ARRAY_SIZE(progs); i++) {
		bpf_program__set_log_buf(progs[i], logs[i], sizeof(logs[i]));
		bpf_program__set_log_level(progs[i], 4);
	}
	assert_int_equal(unwind_test_bpf__load(skel), 0);
	for (size_t i = 0; i < ARRAY_SIZE(progs); i++) {
		unsigned long n = verified_insns(logs[i]);

		print_message("%s: %zu instructions, %lu verified\n", bpf_program__name(progs[i]),
			      bpf_program__insn_cnt(progs[i]), n);
		assert_in_range(n, 1, MAX_VERIFIED);
	}
	unwind_test_bpf__destroy(skel);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_verifier_budget),
		cmocka_unit_test(test_truth_c),
		cmocka_unit_test(test_truth_cxx),
		cmocka_unit_test(test_truth_python),
		cmocka_unit_test(test_truth_perl),
		cmocka_unit_test(test_truth_clang),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_uretprobes_hide_nothing),
		cmocka_unit_test(test_without_slice),
		cmocka_unit_test(test_truth_without_slice),
		cmocka_unit_test(test_modes),
	};
	char self[PATH_MAX] = "";

	if (readlink("/proc/self/exe", self, sizeof(self) - 1) < 0)
		return 1;
	snprintf(victims, sizeof(victims), "%s/unwind", dirname(dirname(self)));
	snprintf(preload, sizeof(preload), "%s/gt_preload.so", victims);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

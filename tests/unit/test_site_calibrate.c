/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which classes the kernel emulates: the judgement, the file of the boot, and for real. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "lib/lib.h"
#include "trace/calibrate.h"

#define BIT(class) (1ULL << INSN_##class)

static void judgement(void **state)
{
	uint32_t ns[INSN_CLASSES] = {0};

	(void)state;
	assert_true(calibrate_judge(ns) == 0);
	ns[INSN_OTHER] = 14000;
	ns[INSN_NOP] = 800;
	ns[INSN_PUSH] = 950;
	ns[INSN_CALL] = 2400; /* three times nop */
	ns[INSN_JMP] = 2401;
	ns[INSN_TEST_REG] = 13000;
	assert_true(calibrate_judge(ns) == (BIT(NOP) | BIT(PUSH) | BIT(CALL)));
	/* A small gap, as without virtualisation: the middle by ratio is 1131. */
	ns[INSN_OTHER] = 1600;
	ns[INSN_CALL] = 1131;
	ns[INSN_JMP] = 1132;
	assert_true(calibrate_judge(ns) == (BIT(NOP) | BIT(PUSH) | BIT(CALL)));
	/* No gap: nothing is believed. */
	ns[INSN_OTHER] = 1599;
	assert_true(calibrate_judge(ns) == 0);
	ns[INSN_OTHER] = 100;
	assert_true(calibrate_judge(ns) == 0);
}

struct dir {
	char path[64];
	char file[512]; /* the calibration in it */
};

static void find_file(struct dir *d)
{
	DIR *dir = opendir(d->path);
	struct dirent *e;
	int n = 0;

	assert_non_null(dir);
	while ((e = readdir(dir))) {
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		n++;
		snprintf(d->file, sizeof(d->file), "%s/%s", d->path, e->d_name);
	}
	closedir(dir);
	assert_int_equal(n, 1); /* no temporary file stays behind */
	assert_non_null(strstr(d->file, "/calibration-"));
}

static void make_dir(struct dir *d)
{
	snprintf(d->path, sizeof(d->path), "/tmp/memtally-cal-XXXXXX");
	assert_non_null(mkdtemp(d->path));
}

static void drop_dir(struct dir *d)
{
	unlink(d->file);
	rmdir(d->path);
}

static bool cannot_measure(void)
{
	struct calibration c;
	int err = geteuid() ? -EPERM : calibrate_measure(&c);

	if (err)
		print_message("skip: cannot attach uprobes: %s\n", errno_name(err));
	return err != 0;
}

static void measured(void **state)
{
	struct calibration c = {0};
	uint64_t start;
	int i;

	(void)state;
	if (cannot_measure())
		skip();
	start = clock_mono_ns();
	assert_int_equal(calibrate_measure(&c), 0);
	print_message("%.1f ms\n", (double)(clock_mono_ns() - start) / 1e6);
	for (i = 0; i < INSN_CLASSES; i++)
		if (c.ns[i])
			print_message("  %-8s %6u ns%s\n", insn_class_name((enum insn_class)i),
				      c.ns[i], c.emulated >> i & 1 ? " emulated" : "");
	print_message("  uretprobe %u ns\n", c.return_ns);
	assert_false(c.cached);
	assert_true(c.return_ns > 1 && c.return_ns < 100000);
	assert_true(c.emulated == calibrate_judge(c.ns));
	assert_true(c.emulated & BIT(NOP)); /* else this machine shows no gap at all */
	assert_false(c.emulated & BIT(OTHER));
	/* Emulated since v3.16, arch/x86/kernel/uprobes.c branch_setup_xol_ops(). */
	assert_true((c.emulated & (BIT(JMP) | BIT(JCC) | BIT(CALL))) ==
		    (BIT(JMP) | BIT(JCC) | BIT(CALL)));
	/* Measured at all: what sites depend on most. */
	assert_true(c.ns[INSN_PUSH] && c.ns[INSN_TEST_REG] && c.ns[INSN_ENDBR] && c.ns[INSN_RET]);
}

static void cached(void **state)
{
	struct calibration a, b;
	struct stat st;
	struct dir d = {.file = ""};

	(void)state;
	if (cannot_measure())
		skip();
	make_dir(&d);
	assert_int_equal(calibrate_load(d.path, &a), 0);
	assert_false(a.cached);
	find_file(&d);
	assert_int_equal(stat(d.file, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0644);
	assert_int_equal(calibrate_load(d.path, &b), 0);
	assert_true(b.cached);
	assert_memory_equal(a.ns, b.ns, sizeof(a.ns));
	assert_true(a.emulated == b.emulated);
	drop_dir(&d);
}

static void write_text(const char *path, const char *text, size_t len)
{
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, len), (ssize_t)len);
}

/* Every file that must not be believed is measured anew and replaced. */
static void bad_files(void **state)
{
	static const char *const texts[] = {
		"",
		"memtally-calibration 2\n",
		"memtally-calibration 2\nuretprobe 400\nnop 500\nother 9000\n", /* cut: no end */
		"memtally-calibration 1\nuretprobe 400\nnop 500\nother 9000\nend\n",
		"memtally-calibration 2\nnop 500\nother 9000\nend\n", /* no uretprobe */
		"memtally-calibration 2\nuretprobe 0\nnop 500\nother 9000\nend\n",
		"memtally-calibration 2\nuretprobe 400\nnop 500\nother 9000\nend\nmore\n",
		"memtally-calibration 2\nuretprobe 400\nnop 500\nnop 500\nother 9000\nend\n",
		"memtally-calibration 2\nuretprobe 400\nnop 5\nother 9000\nend\n", /* too fast to be
										      true */
		"memtally-calibration 2\nuretprobe 400\nnop 500\nother 90000000\nend\n", /* 90 ms */
		"memtally-calibration 2\nuretprobe 400\nnop 500\nother 99999999999999999999\nend\n",
		"memtally-calibration 2\nuretprobe 400\nnop -500\nother 9000\nend\n",
		"memtally-calibration 2\nuretprobe 400\nnop 500\nother 600\nend\n", /* no gap */
		"memtally-calibration 2\nuretprobe 400\npush 500\nother 9000\nend\n",
		"memtally-calibration 2\nuretprobe 400\nnop 500\nfrob 500\nother 9000\nend\n",
		"memtally-calibration 2\nuretprobe 400\nnop\nother 9000\nend\n",
	};
	static const char good[] =
		"memtally-calibration 2\nuretprobe 400\nother 9000\nnop 555\nend\n";
	static const char nul[] =
		"memtally-calibration 2\nuretprobe 400\nother 9000\nnop 555\nend\n\0x";
	char big[8192];
	struct calibration c;
	struct dir d = {.file = ""};
	size_t i;

	(void)state;
	if (cannot_measure())
		skip();
	make_dir(&d);
	assert_int_equal(calibrate_load(d.path, &c), 0);
	find_file(&d);
	write_text(d.file, good, strlen(good));
	assert_int_equal(calibrate_load(d.path, &c), 0);
	assert_true(c.cached && c.ns[INSN_NOP] == 555 && c.return_ns == 400 &&
		    c.emulated == BIT(NOP));
	for (i = 0; i < ARRAY_SIZE(texts); i++) {
		write_text(d.file, texts[i], strlen(texts[i]));
		assert_int_equal(calibrate_load(d.path, &c), 0);
		assert_false(c.cached);
		assert_int_equal(calibrate_load(d.path, &c), 0);
		assert_true(c.cached);
	}
	write_text(d.file, nul, sizeof(nul) - 1);
	assert_int_equal(calibrate_load(d.path, &c), 0);
	assert_false(c.cached);
	memset(big, '\n', sizeof(big));
	memcpy(big, good, strlen(good));
	write_text(d.file, big, sizeof(big));
	assert_int_equal(calibrate_load(d.path, &c), 0);
	assert_false(c.cached);
	drop_dir(&d);
}

static void not_ours(void **state)
{
	static const char good[] =
		"memtally-calibration 2\nuretprobe 400\nother 9000\nnop 555\nend\n";
	struct calibration c;
	struct dir d = {.file = ""};
	char aside[96];

	(void)state;
	if (cannot_measure())
		skip();
	make_dir(&d);
	assert_int_equal(calibrate_load(d.path, &c), 0);
	find_file(&d);
	/* Anybody may write the file. */
	write_text(d.file, good, strlen(good));
	assert_int_equal(chmod(d.file, 0666), 0);
	assert_int_equal(calibrate_load(d.path, &c), 0);
	assert_false(c.cached);
	/* Another user's file. */
	write_text(d.file, good, strlen(good));
	assert_int_equal(chown(d.file, 12345, 0), 0);
	assert_int_equal(calibrate_load(d.path, &c), 0);
	assert_false(c.cached);
	/* A link elsewhere: neither read nor written through. */
	snprintf(aside, sizeof(aside), "%s-aside", d.path);
	write_text(aside, good, strlen(good));
	assert_int_equal(unlink(d.file) | symlink(aside, d.file), 0);
	assert_int_equal(calibrate_load(d.path, &c), 0);
	assert_false(c.cached);
	unlink(aside);
	/* A directory that others may write: not used at all. */
	write_text(d.file, good, strlen(good));
	assert_int_equal(chmod(d.path, 0777), 0);
	assert_int_equal(calibrate_load(d.path, &c), 0);
	assert_false(c.cached);
	drop_dir(&d);
	/* No directory, and none can be made. */
	assert_int_equal(calibrate_load("/proc/memtally-none", &c), 0);
	assert_false(c.cached);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(judgement), cmocka_unit_test(measured), cmocka_unit_test(cached),
		cmocka_unit_test(bad_files), cmocka_unit_test(not_ours),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

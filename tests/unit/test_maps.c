/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "lib/maps.h"

static int parse(const char *text, struct maps *ret)
{
	return maps_parse(text, strlen(text), ret);
}

/* "start-end:offset path" of every mapping, in hex, one per blank. */
static char *show(const struct maps *m)
{
	static char text[1024];
	size_t len = 0;

	text[0] = '\0';
	for (size_t i = 0; i < m->n; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%lx-%lx:%lx%s",
					i ? " " : "", m->v[i].start, m->v[i].end, m->v[i].offset,
					m->v[i].path);
	return text;
}

static void test_parse_fields(void **state)
{
	struct maps m;

	(void)state;
	assert_int_equal(
		0, parse("55d0c0a00000-55d0c0a02000 r-xp 00001000 fe:1a 1234    /usr/bin/cat\n"
			 "7f0000000000-7f0000001000 rw-s 00000000 00:05 77 /dev/zero (deleted)\n"
			 "7f0000001000-7f0000002000 ---p 00000000 00:00 0 \n"
			 "7ffe00000000-7ffe00002000 r-xp 00000000 00:00 0     [vdso]\n"
			 "ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0  [vsyscall]",
			 &m));
	assert_int_equal(5, m.n);
	assert_int_equal(0x55d0c0a00000, m.v[0].start);
	assert_int_equal(0x55d0c0a02000, m.v[0].end);
	assert_int_equal(0x1000, m.v[0].offset);
	assert_int_equal(0xfe, m.v[0].dev_major);
	assert_int_equal(0x1a, m.v[0].dev_minor);
	assert_int_equal(1234, m.v[0].inode);
	assert_int_equal(MAP_READ | MAP_EXEC, m.v[0].prot);
	assert_string_equal("/usr/bin/cat", m.v[0].path);
	assert_false(m.v[0].deleted);
	assert_int_equal(MAP_READ | MAP_WRITE | MAP_SHARED_VM, m.v[1].prot);
	assert_string_equal("/dev/zero", m.v[1].path);
	assert_true(m.v[1].deleted);
	assert_int_equal(0, m.v[2].prot);
	assert_string_equal("", m.v[2].path);
	assert_string_equal("[vdso]", m.v[3].path);
	assert_int_equal(0xffffffffff601000, m.v[4].end);
	maps_deinit(&m);
}

static void test_parse_paths(void **state)
{
	struct maps m;

	(void)state;
	assert_int_equal(0, parse("1000-2000 r--p 0 00:00 9 /tmp/a b \\012c\\\\x\\01\n"
				  "2000-3000 r--p 0 00:00 9 /tmp/\xff\xfe  \n"
				  "3000-4000 r--p 0 00:00 0 [anon: x (deleted)]\n"
				  "4000-5000 r--p 0 00:00 9 /memfd:j (deleted) (deleted)\n",
				  &m));
	assert_string_equal("/tmp/a b \nc\\\\x\\01", m.v[0].path);
	assert_string_equal("/tmp/\xff\xfe  ", m.v[1].path);
	assert_false(m.v[2].deleted);
	assert_string_equal("/memfd:j (deleted)", m.v[3].path);
	assert_true(m.v[3].deleted);
	maps_deinit(&m);
	assert_int_equal(0, parse("", &m));
	assert_int_equal(0, m.n);
	maps_deinit(&m);
}

static void test_parse_bad(void **state)
{
	static const char *const bad[] = {
		"x",
		"\n",
		"1000",
		"1000-",
		"1000-2000",
		"1000-2000 r-xp",
		"-2000 r-xp 0 0:0 0",
		"2000-1000 r-xp 0 00:00 0 ",
		"1000-1000 r-xp 0 00:00 0 ",
		"1000-2000 rqxp 0 00:00 0 ",
		"1000-2000 r-x- 0 00:00 0 ",
		"1000-2000 r-xp 0 00:00 0f ",
		"1000-2000 r-xp g 00:00 0 ",
		"1000-2000 r-xp 0 00.00 0 ",
		"1000-2000 r-xp 0 100000000:00 0 ",
		"1000-10000000000000000 r-xp 0 00:00 0 ",
		"1000-2000 r-xp 0 00:00 99999999999999999999 ",
		"1000-2000 r-xp 0 00:00 1/tmp",
		"1000-2000 r-xp 0 00:00 1 /a\n2000-3000 r-xp\n",
	};
	struct maps m = {.n = 99};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(-EBADMSG, parse(bad[i], &m));
		assert_int_equal(99, m.n);
	}
	assert_int_equal(-EBADMSG, maps_parse("1000-2000 r-xp 0 00:00 1 /a\0b\n", 30, &m));
}

/* Every prefix of a good text: parsed or refused, never read beyond its end. */
static void test_parse_truncated(void **state)
{
	static const char text[] = "1000-2000 r-xp 00000000 fe:00 12   /usr/lib/x\\012 (deleted)\n"
				   "2000-3000 rw-p 00000000 00:00 0 \n";

	(void)state;
	for (size_t len = 0; len < sizeof(text); len++) {
		char *copy = malloc(len ? len : 1);
		struct maps m = {};

		assert_non_null(copy);
		memcpy(copy, text, len);
		if (!maps_parse(copy, len, &m))
			maps_deinit(&m);
		free(copy);
	}
}

static void test_parse_torn(void **state)
{
	struct maps m;

	(void)state;
	/* A merge between two reads: the second piece starts with what came before. */
	assert_int_equal(0, parse("1000-2000 r--p 0 00:00 9 /a\n2000-3000 r--p 0 00:00 9 /b\n"
				  "1000-4000 r--p 0 00:00 9 /c\n5000-6000 r--p 0 00:00 9 /d\n",
				  &m));
	assert_string_equal("1000-4000:0/c 5000-6000:0/d", show(&m));
	maps_deinit(&m);
}

static void test_find(void **state)
{
	struct maps m;

	(void)state;
	assert_int_equal(0, parse("1000-2000 r--p 0 00:00 9 /a\n2000-3000 r--p 0 00:00 9 /b\n"
				  "5000-6000 r--p 0 00:00 9 /c\n",
				  &m));
	assert_null(maps_find(&m, 0xfff));
	assert_string_equal("/a", maps_find(&m, 0x1000)->path);
	assert_string_equal("/a", maps_find(&m, 0x1fff)->path);
	assert_string_equal("/b", maps_find(&m, 0x2000)->path);
	assert_null(maps_find(&m, 0x3000));
	assert_string_equal("/c", maps_find(&m, 0x5fff)->path);
	assert_null(maps_find(&m, 0x6000));
	assert_null(maps_find(&m, UINT64_MAX));
	maps_deinit(&m);
}

static void test_insert(void **state)
{
	static const struct {
		uint64_t start, end;
		const char *want;
	} cases[] = {
		{0x0800, 0x0900, "800-900:7/n 1000-3000:100/a 3000-4000:0/b 6000-7000:0[x]"},
		{0x4000, 0x5000, "1000-3000:100/a 3000-4000:0/b 4000-5000:7/n 6000-7000:0[x]"},
		{0x8000, 0x9000, "1000-3000:100/a 3000-4000:0/b 6000-7000:0[x] 8000-9000:7/n"},
		{0x1000, 0x3000, "1000-3000:7/n 3000-4000:0/b 6000-7000:0[x]"},
		{0x1800, 0x2000,
		 "1000-1800:100/a 1800-2000:7/n 2000-3000:1100/a 3000-4000:0/b "
		 "6000-7000:0[x]"},
		{0x2000, 0x3800, "1000-2000:100/a 2000-3800:7/n 3800-4000:800/b 6000-7000:0[x]"},
		{0x0000, 0x1800, "0-1800:7/n 1800-3000:900/a 3000-4000:0/b 6000-7000:0[x]"},
		{0x6400, 0x6800,
		 "1000-3000:100/a 3000-4000:0/b 6000-6400:0[x] 6400-6800:7/n "
		 "6800-7000:0[x]"},
		{0x0000, 0xf000, "0-f000:7/n"},
		{0x2fff, 0x6001, "1000-2fff:100/a 2fff-6001:7/n 6001-7000:0[x]"},
	};
	struct mapping add = {.offset = 7, .inode = 3, .path = (char *)"/n"};
	struct maps base, m;

	(void)state;
	assert_int_equal(0, parse("1000-3000 r--p 100 00:00 9 /a\n3000-4000 r--p 0 00:00 9 /b\n"
				  "6000-7000 r--p 0 00:00 0 [x]\n",
				  &base));
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(0, maps_copy(&base, &m));
		add.start = cases[i].start;
		add.end = cases[i].end;
		assert_int_equal(0, maps_insert(&m, &add));
		assert_string_equal(cases[i].want, show(&m));
		maps_deinit(&m);
	}
	add.end = add.start;
	assert_int_equal(-EINVAL, maps_insert(&base, &add));
	/* An element of the table itself, into an empty table, without a path. */
	assert_int_equal(0, maps_insert(&base, &base.v[1]));
	assert_int_equal(3, base.n);
	m = (struct maps){};
	assert_int_equal(0, maps_insert(&m, &(struct mapping){.start = 1, .end = 2}));
	assert_string_equal("", m.v[0].path);
	maps_deinit(&m);
	maps_deinit(&base);
}

/* 2000 random overlays against a plain array of owners. */
static void test_insert_model(void **state)
{
	enum { CELLS = 64 };
	uint64_t model[CELLS] = {}, seed = 1;
	struct maps m = {};

	(void)state;
	for (uint64_t step = 1; step <= 2000; step++) {
		struct mapping add = {.inode = step, .path = (char *)"/p"};

		seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
		add.start = (seed >> 33) % CELLS;
		add.end = add.start + 1 + (seed >> 40) % (CELLS - add.start);
		add.offset = add.start; /* so that offset == start holds for every piece */
		assert_int_equal(0, maps_insert(&m, &add));
		for (uint64_t i = add.start; i < add.end; i++)
			model[i] = step;
		for (uint64_t i = 0; i < CELLS; i++) {
			const struct mapping *f = maps_find(&m, i);

			assert_int_equal(model[i], f ? f->inode : 0);
			if (f)
				assert_int_equal(f->start, f->offset);
		}
		for (size_t i = 1; i < m.n; i++)
			assert_true(m.v[i - 1].end <= m.v[i].start);
	}
	maps_deinit(&m);
}

static void test_read(void **state)
{
	static const char name[] = "/tmp/memtally maps\n\\x.XXXXXX";
	char path[sizeof(name)];
	const struct mapping *f;
	struct maps m, copy;
	void *p;
	int fd;

	(void)state;
	memcpy(path, name, sizeof(name));
	fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(0, ftruncate(fd, 8192));
	p = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 4096);
	assert_ptr_not_equal(MAP_FAILED, p);
	close(fd);
	assert_int_equal(0, maps_read(getpid(), &m));
	f = maps_find(&m, (uint64_t)p);
	assert_non_null(f);
	assert_string_equal(path, f->path);
	assert_int_equal(4096, f->offset);
	assert_false(f->deleted);
	assert_int_equal(MAP_READ, f->prot);
	assert_int_equal(0, maps_copy(&m, &copy));
	maps_deinit(&m);
	assert_non_null(maps_find(&copy, (uint64_t)(uintptr_t)test_read));
	maps_deinit(&copy);
	assert_int_equal(0, unlink(path));
	assert_int_equal(0, maps_read(getpid(), &m));
	f = maps_find(&m, (uint64_t)p);
	assert_string_equal(path, f->path);
	assert_true(f->deleted);
	maps_deinit(&m);
	munmap(p, 4096);
}

static void test_read_gone(void **state)
{
	struct maps m = {.n = 99};
	pid_t pid = fork();

	(void)state;
	if (!pid)
		_exit(0);
	assert_int_equal(pid, waitpid(pid, NULL, 0));
	assert_int_equal(-ESRCH, maps_read(pid, &m));
	assert_int_equal(99, m.n);
	assert_int_equal(0, maps_read(2, &m)); /* kthreadd, or some process: no failure */
	maps_deinit(&m);
	maps_deinit(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse_fields), cmocka_unit_test(test_parse_paths),
		cmocka_unit_test(test_parse_bad),    cmocka_unit_test(test_parse_truncated),
		cmocka_unit_test(test_parse_torn),   cmocka_unit_test(test_find),
		cmocka_unit_test(test_insert),	     cmocka_unit_test(test_insert_model),
		cmocka_unit_test(test_read),	     cmocka_unit_test(test_read_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

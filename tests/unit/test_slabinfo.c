/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What /proc says of kernel memory, from texts of known content. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "trace/slabinfo.h"

#define HEAD "slabinfo - version: 2.1\n# name            <active_objs> <num_objs>\n"

static void test_slabinfo(void **state)
{
	char text[] = HEAD "zz 5 12 320 12 1 : tunables 0 0 0 : slabdata 1 1 0\n"
			   "dentry 140 210 192 21 2 : tunables 0 0 0 : slabdata 9 10 0\n"
			   "broken 1 2\n";
	struct slab_counters c;
	const struct slab_counter *d;

	(void)state;
	assert_int_equal(slabinfo_parse(text, 4096, &c), 0);
	assert_int_equal(c.n, 2);
	d = slab_counters_find(&c, "dentry");
	assert_non_null(d);
	assert_int_equal(d->objects, 140);
	assert_int_equal(d->object_bytes, 192);
	assert_int_equal(d->bytes, 10 * 2 * 4096);
	assert_null(slab_counters_find(&c, "dentr"));
	slab_counters_deinit(&c);
}

static void test_slabinfo_of_another_kind(void **state)
{
	char text[] = "slabinfo - version: 1.1\n", empty[] = "";
	struct slab_counters c = {.n = 7};

	(void)state;
	assert_int_equal(slabinfo_parse(text, 4096, &c), -EBADMSG);
	assert_int_equal(slabinfo_parse(empty, 4096, &c), -EBADMSG);
	assert_int_equal(c.n, 7); /* untouched */
}

static void test_names_of_any_length(void **state)
{
	char text[] = HEAD
		"a123456789012345678901234567890123456789012345678901234567890123456789 1 2 3 4 5 "
		": tunables 0 0 0 : slabdata 1 1 0\n";
	struct slab_counters c;

	(void)state;
	assert_int_equal(slabinfo_parse(text, 4096, &c), 0);
	assert_int_equal(c.n, 0); /* no kernel makes such a name */
	slab_counters_deinit(&c);
}

static void test_vmallocinfo_merges_callers(void **state)
{
	char text[] = "0x1-0x2   20480 f+0xca/0x100 pages=4 vmalloc N0=4\n"
		      "0x2-0x3    8192 acpi+0x1bc/0x1e0 phys=0x0a0000 ioremap\n"
		      "0x4-0x5   12288 f+0xca/0x100 pages=2 vmalloc N0=2\n"
		      "0x6-0x7    8192 g+0x1/0x2 pages=1 vmalloc\n"
		      "garbage pages=\n";
	struct slab_counters c;

	(void)state;
	assert_int_equal(vmallocinfo_parse(text, 4096, &c), 0);
	assert_int_equal(c.n, 2);
	assert_string_equal(c.v[0].name, "f+0xca");
	assert_int_equal(c.v[0].bytes, 6 * 4096);
	assert_int_equal(c.v[0].objects, 2);
	assert_string_equal(c.v[1].name, "g+0x1");
	slab_counters_deinit(&c);
}

static void test_zoneinfo(void **state)
{
	(void)state;
	assert_int_equal(zoneinfo_percpu_pages("Node 0, zone DMA\n  pagesets\n    cpu: 0\n"
					       "              count:    12\n"
					       "              high:     14\n"
					       "    cpu: 1\n              count: 30\n"),
			 42);
	assert_int_equal(zoneinfo_percpu_pages(""), 0);
	assert_int_equal(zoneinfo_percpu_pages(" count:"), 0);
}

static void link_in(const char *dir, const char *to, const char *name)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	assert_int_equal(symlink(to, path), 0);
}

static void test_aliases(void **state)
{
	char dir[] = "/tmp/test_slabinfo_XXXXXX", path[256], *names[] = {"a", "b", "c"};
	struct strlist l = {0};

	(void)state;
	assert_non_null(mkdtemp(dir));
	link_in(dir, ":0000064", "a");
	link_in(dir, ":0000064", "b");
	link_in(dir, ":0000128", "c");
	assert_int_equal(slab_aliases(dir, "a", &l), 0);
	assert_int_equal(l.n, 1);
	assert_string_equal(l.v[0], "b");
	assert_int_equal(slab_aliases(dir, "c", &l), 0);
	assert_int_equal(slab_aliases(dir, "own", &l), 0);
	assert_int_equal(l.n, 1);
	strlist_deinit(&l);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		unlink(path);
	}
	rmdir(dir);
	assert_int_equal(slab_aliases(dir, "a", &l), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_slabinfo),
		cmocka_unit_test(test_slabinfo_of_another_kind),
		cmocka_unit_test(test_names_of_any_length),
		cmocka_unit_test(test_vmallocinfo_merges_callers),
		cmocka_unit_test(test_zoneinfo),
		cmocka_unit_test(test_aliases),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

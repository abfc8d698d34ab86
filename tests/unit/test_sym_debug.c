/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Separate debug information: found by build id or link, refused if it is another's.
 */
#include "sym_files.h"

#include <sys/stat.h>

static void put_debug_file(const char *from, const char *id)
{
	run(dir,
	    "mkdir -p dbg/.build-id/%.2s && objcopy --only-keep-debug %s "
	    "dbg/.build-id/%.2s/%s.debug",
	    id, from, id, id + 2);
}

static void test_debug_by_build_id(void **state)
{
	struct symbolizer_opts opts = {0};
	struct symbolizer_stats stats;
	char debug_dir[256], id[256];
	struct lab l;

	(void)state;
	snprintf(debug_dir, sizeof(debug_dir), "%s/dbg", dir);
	opts.debug_dir = debug_dir;
	build_id_of("full.so", id);
	put_debug_file("full.so", id);
	lab_open(&l, path_of("stripped.so"), &opts);
	lab_at(&l, nm(dir, "full.so", "mark"), false);
	assert_chain(&l, nm(dir, "full.so", "outer"));
	assert_function(lab_at(&l, nm(dir, "full.so", "hidden"), false), "hidden");
	symbolizer_stats(l.s, &stats);
	assert_int_equal(stats.debug_refused, 0);
	lab_close(&l);

	/* the file of another build in its place */
	run(dir, "cc -g -O0 -fPIC -shared -Wl,--build-id -o other.so prog.c");
	put_debug_file("other.so", id);
	lab_open(&l, path_of("stripped.so"), &opts);
	assert_function(lab_at(&l, nm(dir, "full.so", "hidden"), false), NULL);
	assert_null(l.frames[0].file);
	symbolizer_stats(l.s, &stats);
	assert_true(stats.debug_refused > 0);
	lab_close(&l);
}

static void test_debug_by_link(void **state)
{
	struct lab l;

	(void)state;
	run(dir, "cc -g -O2 -fPIC -shared -Wl,--build-id=none -o noid.so prog.c && mkdir .debug && "
		 "objcopy --only-keep-debug noid.so .debug/linked.debug && "
		 "objcopy -S --add-gnu-debuglink=.debug/linked.debug noid.so linked.so");
	lab_open(&l, path_of("linked.so"), NULL);
	lab_at(&l, nm(dir, "noid.so", "mark"), false);
	assert_chain(&l, nm(dir, "noid.so", "outer"));
	assert_null(l.frames[0].build_id);
	lab_close(&l);

	/* the checksum must agree */
	run(dir, "echo >>.debug/linked.debug");
	lab_open(&l, path_of("linked.so"), NULL);
	assert_function(lab_at(&l, nm(dir, "noid.so", "hidden"), false), NULL);
	lab_close(&l);

	/* a pipe in its place must not stop us */
	run(dir, "rm .debug/linked.debug && mkfifo linked.debug .debug/linked.debug");
	alarm(20);
	lab_open(&l, path_of("linked.so"), NULL);
	assert_function(lab_at(&l, nm(dir, "noid.so", "hidden"), false), NULL);
	lab_close(&l);
	alarm(0);
	run(dir, "rm -r .debug linked.debug");
}

static void test_mini_debuginfo(void **state)
{
	struct lab l;

	(void)state;
	if (system("command -v xz >/dev/null")) {
		print_message("no xz\n");
		skip();
	}
	run(dir, "objcopy -S --keep-symbol=hidden full.so mini && rm -f mini.xz && xz mini && "
		 "objcopy --add-section .gnu_debugdata=mini.xz stripped.so mini.so");
	lab_open(&l, path_of("mini.so"), NULL);
	assert_function(lab_at(&l, nm(dir, "full.so", "hidden"), false), "hidden");
	assert_function(lab_at(&l, nm(dir, "full.so", "outer"), false), "outer");
	lab_close(&l);
}

/*
 * The common file of dwz. No dwz needed: any file with debug information and the right
 * build id will do, as nothing refers to it.
 */
static void test_dwz_link(void **state)
{
	struct symbolizer_stats stats;
	struct lab l;
	char id[256];

	(void)state;
	run(dir, "cc -g -O1 -fPIC -shared -Wl,--build-id -o alt.so prog.c");
	build_id_of("alt.so", id);
	run(dir,
	    "{ printf 'alt.so\\0'; printf %s | sed 's/../\\\\x&/g' | xargs -0 printf; } >link && "
	    "objcopy --add-section .gnu_debugaltlink=link full.so dwz.so",
	    id);
	lab_open(&l, path_of("dwz.so"), NULL);
	lab_at(&l, nm(dir, "full.so", "mark"), false);
	assert_chain(&l, nm(dir, "full.so", "outer"));
	symbolizer_stats(l.s, &stats);
	assert_int_equal(stats.debug_refused, 0);
	lab_close(&l);

	/* of another build: refused, the rest still works */
	run(dir, "rm alt.so && cp full.so alt.so");
	lab_open(&l, path_of("dwz.so"), NULL);
	lab_at(&l, nm(dir, "full.so", "mark"), false);
	assert_chain(&l, nm(dir, "full.so", "outer"));
	symbolizer_stats(l.s, &stats);
	assert_int_equal(stats.debug_refused, 1);
	lab_close(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_debug_by_build_id),
		cmocka_unit_test(test_debug_by_link),
		cmocka_unit_test(test_mini_debuginfo),
		cmocka_unit_test(test_dwz_link),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}

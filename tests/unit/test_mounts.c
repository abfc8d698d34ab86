/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Lines of mountinfo, and the names of cgroups by both ways; the sources are compiled in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <sys/stat.h>

#include "lib/cgroup.c"
#include "lib/mounts.c"

static void expect(const char *text, bool ok, const char *root, const char *at, const char *type)
{
	_cleanup_free_ char *line = strdup(text);
	struct mount m;

	assert_int_equal(parse(line, &m), ok);
	if (!ok)
		return;
	assert_string_equal(m.root, root);
	assert_string_equal(m.at, at);
	assert_string_equal(m.type, type);
	assert_int_equal(m.major, 254);
	assert_int_equal(m.minor, 12);
}

static void test_lines(void **state)
{
	(void)state;
	expect("22 1 254:12 / / rw,relatime shared:1 - ext4 /dev/vda rw\n", true, "/", "/", "ext4");
	expect("22 1 254:12 /a\\040b /m\\011\\134\\ rw - tmpfs none rw", true, "/a b", "/m\t\\\\",
	       "tmpfs");
	expect("22 1 254:12 / /x rw - cgroup2", true, "/", "/x", "cgroup2");
	expect("22 1 254:12 / /x rw\n", false, NULL, NULL, NULL);
	expect("22 1 254 / /x rw - ext4 x rw\n", false, NULL, NULL, NULL);
	expect("22 1 254:12 /\n", false, NULL, NULL, NULL);
	expect("\n", false, NULL, NULL, NULL);
}

static bool first_cgroup2(const struct mount *m, void *arg)
{
	char **at = arg;

	if (strcmp(m->type, "cgroup2") != 0)
		return false;
	*at = strdup(m->at);
	return true;
}

/* A cgroup of our own, by its handle and by walking; removed, it is gone. */
static void test_cgroup(void **state)
{
	_cleanup_free_ char *mount = NULL, *dir = NULL, *walked = NULL, *path = NULL;
	char name[64];
	struct stat st;

	(void)state;
	if (mounts_each(first_cgroup2, &mount) != 1) {
		print_message("no cgroup2 is mounted\n");
		skip();
	}
	snprintf(name, sizeof(name), "/memtally test %d", getpid());
	assert_true(asprintf(&dir, "%s%s", mount, name) > 0);
	if (mkdir(dir, 0755)) {
		print_message("cannot make a cgroup: %s\n", errno_name(errno));
		skip();
	}
	assert_int_equal(stat(dir, &st), 0);
	assert_int_equal(cgroup_path(st.st_ino, &path), 0);
	assert_string_equal(path, name);
	assert_int_equal(by_walk(mount, st.st_ino, &walked), 0);
	assert_string_equal(walked, name);
	assert_int_equal(rmdir(dir), 0);
	assert_int_equal(cgroup_path(st.st_ino, &path), -ENOENT);
	assert_int_equal(stat(mount, &st), 0);
	free(path);
	assert_int_equal(cgroup_path(st.st_ino, &path), 0);
	assert_string_equal(path, "/");
}

static void test_below(void **state)
{
	_cleanup_free_ char *root = below("/sys/fs/cgroup", "/sys/fs/cgroup");
	_cleanup_free_ char *sub = below("/sys/fs/cgroup", "/sys/fs/cgroup/a/b");

	(void)state;
	assert_string_equal(root, "/");
	assert_string_equal(sub, "/a/b");
	assert_null(below("/sys/fs/cgroup", "/sys/fs/cgroups/a"));
	assert_null(below("/sys/fs/cgroup", "/"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_cgroup),
		cmocka_unit_test(test_below),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

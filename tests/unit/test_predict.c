/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#include "trace/predict.h"

static char dir[] = "/tmp/memtally-predict.XXXXXX";

static const char *in_dir(const char *name)
{
	static char path[4][128];
	static int next;
	char *p = path[next++ % 4];

	snprintf(p, sizeof(path[0]), "%s/%s", dir, name);
	return p;
}

static const char *make(const char *name, const char *text, mode_t mode)
{
	const char *path = in_dir(name);
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(strlen(text), fwrite(text, 1, strlen(text), f));
	assert_int_equal(0, fclose(f));
	assert_int_equal(0, chmod(path, mode));
	return path;
}

static int predict(const char *name, char ***ret, size_t *n)
{
	char *const argv[] = {(char *)name, NULL};

	return predict_objects(argv, ret, n);
}

/* Counts paths with that end. */
static size_t ending(char **v, size_t n, const char *end)
{
	size_t count = 0;

	for (size_t i = 0; i < n; i++)
		count += strlen(v[i]) >= strlen(end) &&
			 !strcmp(v[i] + strlen(v[i]) - strlen(end), end);
	return count;
}

static void assert_dynamic(char **v, size_t n)
{
	char real[PATH_MAX];

	assert_true(n >= 3);
	assert_int_equal(1, ending(v, n, "/libc.so.6"));
	assert_non_null(strstr(v[1], "/ld"));
	for (size_t i = 0; i < n; i++) {
		assert_true(v[i][0] == '/');
		assert_non_null(realpath(v[i], real));
		for (size_t k = 0; k < i; k++)
			assert_string_not_equal(v[i], v[k]);
	}
}

static void test_dynamic(void **state)
{
	size_t n;
	char **v;

	(void)state;
	assert_int_equal(0, predict("/usr/bin/python3", &v, &n));
	assert_string_equal("/usr/bin/python3", v[0]);
	assert_dynamic(v, n);
	predict_free(v, n);
	assert_int_equal(0, predict("env", &v, &n)); /* by PATH */
	assert_int_equal(1, ending(v, 1, "/env"));
	predict_free(v, n);
}

static void test_preload(void **state)
{
	const char *lib = in_dir("own lib.so");
	char cmd[256];
	size_t n;
	char **v;

	(void)state;
	make("l.c", "int x;", 0644);
	snprintf(cmd, sizeof(cmd), "cc -shared -fPIC -o %s/own\\ lib.so %s/l.c 2>/dev/null", dir,
		 dir);
	if (system(cmd)) {
		print_message("skipped: no C compiler\n");
		skip();
	}
	/* LD_PRELOAD splits at blanks; a name without one. */
	assert_int_equal(0, symlink(lib, in_dir("own.so")));
	assert_int_equal(0, setenv("LD_PRELOAD", in_dir("own.so"), 1));
	assert_int_equal(0, predict("/usr/bin/env", &v, &n));
	unsetenv("LD_PRELOAD");
	assert_int_equal(1, ending(v, n, "/own.so"));
	assert_dynamic(v, n);
	predict_free(v, n);
}

static void test_static(void **state)
{
	const char *path = in_dir("static");
	char cmd[256];
	size_t n;
	char **v;

	(void)state;
	make("s.c", "int main(void) { return 3; }", 0644);
	snprintf(cmd, sizeof(cmd), "cc -static -o %s %s/s.c 2>/dev/null", path, dir);
	if (system(cmd)) {
		print_message("skipped: cannot link statically\n");
		skip();
	}
	assert_int_equal(0, predict(path, &v, &n));
	assert_int_equal(1, n);
	assert_string_equal(path, v[0]);
	predict_free(v, n);
}

static void test_musl(void **state)
{
	char cmd[256];
	size_t n;
	char **v;

	(void)state;
	make("m.c", "int main(void) { return 3; }", 0644);
	snprintf(cmd, sizeof(cmd), "musl-gcc -o %s %s/m.c 2>/dev/null", in_dir("musl"), dir);
	if (system(cmd)) {
		print_message("skipped: no musl-gcc\n");
		skip();
	}
	assert_int_equal(0, predict(in_dir("musl"), &v, &n));
	assert_int_equal(2, n); /* the loader is the libc */
	assert_non_null(strstr(v[1], "/ld-musl"));
	predict_free(v, n);
}

static void test_scripts(void **state)
{
	char text[256];
	size_t n;
	char **v;

	(void)state;
	make("one", "#! /usr/bin/env python3\nprint(1)\n", 0755);
	assert_int_equal(0, predict(in_dir("one"), &v, &n));
	assert_string_equal("/usr/bin/env", v[0]);
	assert_dynamic(v, n);
	predict_free(v, n);
	snprintf(text, sizeof(text), "#!%s -x\n", in_dir("one"));
	make("two", text, 0755);
	assert_int_equal(0, predict(in_dir("two"), &v, &n));
	assert_string_equal("/usr/bin/env", v[0]);
	predict_free(v, n);
	/* execvp() gives what the kernel refuses to the shell. */
	make("bare", "exit 3\n", 0755);
	assert_int_equal(0, predict(in_dir("bare"), &v, &n));
	assert_string_equal("/bin/sh", v[0]);
	predict_free(v, n);
	make("empty", "", 0755);
	assert_int_equal(0, predict(in_dir("empty"), &v, &n));
	predict_free(v, n);
	snprintf(text, sizeof(text), "#!%s\n", in_dir("loop"));
	make("loop", text, 0755);
	assert_int_equal(-ELOOP, predict(in_dir("loop"), &v, &n));
	make("lost", "#!/nonexistent/sh\n", 0755);
	assert_int_equal(-ENOENT, predict(in_dir("lost"), &v, &n));
}

static void test_refused(void **state)
{
	char *none[] = {NULL}, **v = (void *)1;
	size_t n = 7;

	(void)state;
	assert_int_equal(-ENOENT, predict("/nonexistent/x", &v, &n));
	assert_int_equal(-ENOENT, predict("no-such-command-here", &v, &n));
	assert_int_equal(-ENOENT, predict("", &v, &n));
	assert_int_equal(-ENOENT, predict_objects(none, &v, &n));
	assert_int_equal(-EACCES, predict("/usr", &v, &n));
	assert_int_equal(-EACCES, predict(dir, &v, &n));
	make("plain", "#!/bin/sh\n", 0644);
	assert_int_equal(-EACCES, predict(in_dir("plain"), &v, &n));
	make("broken", "\177ELFgarbage", 0755);
	assert_int_equal(-ENOEXEC, predict(in_dir("broken"), &v, &n));
	assert_true(v == (void *)1 && n == 7);
}

static void test_path(void **state)
{
	char *old = strdup(getenv("PATH") ?: ""), path[512], cwd[PATH_MAX];
	char **v;
	size_t n;

	(void)state;
	make("tool", "#!/bin/sh\n", 0644);
	snprintf(path, sizeof(path), "/nonexistent:%s:/usr/bin", dir);
	setenv("PATH", path, 1);
	assert_int_equal(-EACCES, predict("tool", &v, &n)); /* there, but not executable */
	chmod(in_dir("tool"), 0755);
	assert_int_equal(0, predict("tool", &v, &n));
	assert_string_equal("/bin/sh", v[0]);
	predict_free(v, n);
	setenv("PATH", "/nonexistent:", 1); /* ends with the current directory */
	assert_non_null(getcwd(cwd, sizeof(cwd)));
	assert_int_equal(0, chdir(dir));
	assert_int_equal(0, predict("tool", &v, &n));
	predict_free(v, n);
	assert_int_equal(0, chdir(cwd));
	assert_int_equal(-ENOENT, predict("tool", &v, &n));
	unsetenv("PATH");
	assert_int_equal(0, predict("true", &v, &n));
	predict_free(v, n);
	setenv("PATH", old, 1);
	free(old);
}

static int setup(void **state)
{
	(void)state;
	/* The caller's may hold directories that are closed to us, which is another error. */
	setenv("PATH", "/usr/bin:/bin", 1);
	return mkdtemp(dir) ? 0 : -1;
}

static int cleanup(void **state)
{
	char cmd[128];

	(void)state;
	snprintf(cmd, sizeof(cmd), "rm -r %s", dir);
	return system(cmd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_dynamic), cmocka_unit_test(test_preload),
		cmocka_unit_test(test_static),	cmocka_unit_test(test_musl),
		cmocka_unit_test(test_scripts), cmocka_unit_test(test_refused),
		cmocka_unit_test(test_path),
	};

	return cmocka_run_group_tests(tests, setup, cleanup);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <glob.h>
#include <string.h>
#include <sys/stat.h>

#include "trace/alloc_rows.h"
#include "trace/allocators.h"

/* ---- the cookie ---- */

static void test_cookie(void **state)
{
	const struct alloc_spec most = {
		.op = ALLOC_OP_MREMAP,
		.size_arg = 6,
		.count_arg = 5,
		.ptr_arg = 4,
		.out_arg = 3,
		.ok = ALLOC_OK_NOT_MINUS1,
		.kind = ALLOC_KIND_CUSTOM,
		.flags = ALLOC_FLAG_THROWS | ALLOC_FLAG_SLOW,
		.sp_moved = 255,
		.function = 0xffff,
	};
	struct alloc_spec s = alloc_spec_unpack(alloc_spec_pack(&most));

	(void)state;
	assert_memory_equal(&most, &s, sizeof(s));
	assert_true(alloc_rows_count + ALLOC_CUSTOM_MAX < 0xffff);
	for (size_t i = 0; i < alloc_rows_count; i++) {
		s = alloc_spec_unpack(alloc_spec_pack(&alloc_rows[i].spec));
		assert_memory_equal(&alloc_rows[i].spec, &s, sizeof(s));
	}
}

/* ---- the table ---- */

static void test_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < alloc_rows_count; i++) {
		const struct alloc_row *r = &alloc_rows[i];

		assert_true(strlen(r->name) < 48);
		for (size_t k = 0; k < i; k++)
			assert_string_not_equal(r->name, alloc_rows[k].name);
		switch (r->spec.op) {
		case ALLOC_OP_ALLOC:
		case ALLOC_OP_MMAP:
			assert_true(r->spec.size_arg && !r->spec.ptr_arg);
			break;
		case ALLOC_OP_FREE:
			assert_true(r->spec.ptr_arg && !r->spec.size_arg && !r->spec.flags);
			break;
		default:
			assert_true(r->spec.ptr_arg && r->spec.size_arg);
		}
		assert_true(!r->spec.out_arg || r->spec.ok == ALLOC_OK_ZERO);
	}
}

/* ---- objects ---- */

struct lookup {
	struct objects *objects;
	struct allocators *a;
	struct object *obj;
	struct alloc_found f;
};

/* False, with the reason printed, if no file matches. */
static bool look_custom(struct lookup *l, const char *pattern, const struct alloc_custom *c,
			size_t n)
{
	glob_t g;

	*l = (struct lookup){};
	if (glob(pattern, 0, NULL, &g)) {
		print_message("skipped: no %s on this machine\n", pattern);
		globfree(&g);
		return false;
	}
	l->objects = objects_new();
	l->a = allocators_new(c, n);
	assert_int_equal(0, objects_get_path(l->objects, g.gl_pathv[0], &l->obj));
	assert_int_equal(0, allocators_find(l->a, l->obj, &l->f));
	globfree(&g);
	return true;
}

static bool look(struct lookup *l, const char *pattern)
{
	return look_custom(l, pattern, NULL, 0);
}

static void done(struct lookup *l)
{
	alloc_found_deinit(&l->f);
	allocators_free(l->a);
	objects_free(l->objects);
}

static int match_name(const struct object_symbol *sym, void *arg)
{
	struct object_symbol *want = arg;

	if (strcmp(sym->name, want->name))
		return 0;
	want->offset = sym->offset;
	return 1;
}

/* The site where that name lives, whatever name it got. */
static const struct alloc_site *site_of(const struct lookup *l, const char *name)
{
	struct object_symbol want = {.name = name};

	if (object_each_function(l->obj, match_name, &want) != 1)
		return NULL;
	for (size_t i = 0; i < l->f.n; i++)
		if (l->f.sites[i].offset == want.offset)
			return &l->f.sites[i];
	return NULL;
}

static void assert_spec(const struct lookup *l, const char *name, struct alloc_spec want)
{
	const struct alloc_site *s = site_of(l, name);
	struct alloc_spec have;

	if (!s)
		fail_msg("%s not found in %s", name, l->obj->path);
	have = s->spec;
	assert_string_equal(s->name, allocators_name(l->a, have.function));
	have.function = 0;
	assert_int_equal(alloc_spec_pack(&want), alloc_spec_pack(&have));
}

#define SPEC(...)   ((struct alloc_spec){__VA_ARGS__})
#define NEW	    SPEC(.op = ALLOC_OP_ALLOC, .size_arg = 1, .flags = ALLOC_FLAG_THROWS)
#define NEW_NOTHROW SPEC(.op = ALLOC_OP_ALLOC, .size_arg = 1)
#define FREE(n)	    SPEC(.op = ALLOC_OP_FREE, .ptr_arg = n)

/* leaf: ALLOC_FLAG_LEAF where malloc and calloc are known to be leaves. */
static void assert_malloc_family(const struct lookup *l, uint8_t leaf)
{
	assert_spec(l, "malloc", SPEC(.op = ALLOC_OP_ALLOC, .size_arg = 1, .flags = leaf));
	assert_spec(l, "calloc",
		    SPEC(.op = ALLOC_OP_ALLOC, .count_arg = 1, .size_arg = 2, .flags = leaf));
	assert_spec(l, "realloc", SPEC(.op = ALLOC_OP_REALLOC, .ptr_arg = 1, .size_arg = 2));
	assert_spec(l, "free", FREE(1));
	assert_spec(l, "posix_memalign",
		    SPEC(.op = ALLOC_OP_ALLOC, .size_arg = 3, .out_arg = 1, .ok = ALLOC_OK_ZERO));
	assert_spec(l, "aligned_alloc", SPEC(.op = ALLOC_OP_ALLOC, .size_arg = 2));
	assert_spec(l, "memalign", SPEC(.op = ALLOC_OP_ALLOC, .size_arg = 2));
	assert_int_equal(ALLOC_FOUND, l->f.reason);
	assert_false(l->f.damaged);
}

static void assert_mmaps(const struct lookup *l)
{
	const struct alloc_spec mmap = {.op = ALLOC_OP_MMAP,
					.size_arg = 2,
					.ok = ALLOC_OK_NOT_MINUS1,
					.kind = ALLOC_KIND_MMAP};

	assert_spec(l, "mmap", mmap);
	assert_spec(l, "mmap64", mmap);
	assert_spec(l, "munmap",
		    SPEC(.op = ALLOC_OP_MUNMAP, .ptr_arg = 1, .size_arg = 2, .ok = ALLOC_OK_ZERO,
			 .kind = ALLOC_KIND_MMAP));
	assert_spec(l, "mremap",
		    SPEC(.op = ALLOC_OP_MREMAP, .ptr_arg = 1, .size_arg = 3,
			 .ok = ALLOC_OK_NOT_MINUS1, .kind = ALLOC_KIND_MMAP));
}

static void assert_cxx(const struct lookup *l)
{
	static const char *const throwing[] = {"_Znwm", "_Znam", "_ZnwmSt11align_val_t"};
	static const char *const frees[] = {"_ZdlPv", "_ZdaPv", "_ZdlPvm", "_ZdaPvm",
					    "_ZdlPvmSt11align_val_t"};

	for (size_t i = 0; i < ARRAY_SIZE(throwing); i++)
		assert_spec(l, throwing[i], NEW);
	for (size_t i = 0; i < ARRAY_SIZE(frees); i++)
		assert_spec(l, frees[i], FREE(1));
	assert_spec(l, "_ZnwmRKSt9nothrow_t", NEW_NOTHROW);
	assert_spec(l, "_ZnamSt11align_val_tRKSt9nothrow_t", NEW_NOTHROW);
}

static void assert_distinct(const struct lookup *l)
{
	for (size_t i = 1; i < l->f.n; i++)
		assert_true(l->f.sites[i - 1].offset < l->f.sites[i].offset);
}

static void test_glibc(void **state)
{
	struct lookup l;
	const struct alloc_site *s;

	(void)state;
	if (!look(&l, "/lib/*-linux-gnu/libc.so.6"))
		skip();
	assert_malloc_family(&l, ALLOC_FLAG_LEAF);
	assert_mmaps(&l);
	assert_distinct(&l);
	assert_spec(&l, "reallocarray",
		    SPEC(.op = ALLOC_OP_REALLOC, .ptr_arg = 1, .count_arg = 2, .size_arg = 3));
	assert_spec(&l, "valloc", SPEC(.op = ALLOC_OP_ALLOC, .size_arg = 1));
	assert_spec(&l, "pvalloc", SPEC(.op = ALLOC_OP_ALLOC, .size_arg = 1));
	/* Aliases are one site, under the name that people know. */
	s = site_of(&l, "__libc_malloc");
	assert_string_equal("malloc", s->name);
	assert_string_equal("mmap", site_of(&l, "mmap64")->name);
	assert_string_equal("free", site_of(&l, "free")->name);
	assert_true(s->size > 0);
	assert_true(l.f.n >= 12 && l.f.n <= 16);
	assert_true(l.f.is_libc);
	assert_false(l.f.is_allocator);
	assert_false(l.obj->program);
	done(&l);
}

static void test_musl(void **state)
{
	struct lookup l;

	(void)state;
	if (!look(&l, "/lib/ld-musl-*.so.1"))
		skip();
	assert_malloc_family(&l, 0);
	assert_mmaps(&l);
	assert_distinct(&l);
	assert_true(l.f.is_libc);
	assert_false(l.f.is_allocator);
	done(&l);
}

static void test_jemalloc(void **state)
{
	struct lookup l;

	(void)state;
	if (!look(&l, "/usr/lib/*-linux-gnu/libjemalloc.so.2"))
		skip();
	assert_malloc_family(&l, 0);
	assert_cxx(&l);
	assert_distinct(&l);
	assert_spec(&l, "_ZdlPvRKSt9nothrow_t", FREE(1));
	assert_spec(&l, "mallocx", SPEC(.op = ALLOC_OP_ALLOC, .size_arg = 1));
	assert_spec(&l, "rallocx", SPEC(.op = ALLOC_OP_REALLOC, .ptr_arg = 1, .size_arg = 2));
	assert_spec(&l, "xallocx", SPEC(.op = ALLOC_OP_RESIZE, .ptr_arg = 1, .size_arg = 2));
	assert_spec(&l, "sdallocx", FREE(1));
	assert_spec(&l, "dallocx", FREE(1));
	assert_true(l.f.is_allocator);
	assert_false(l.f.is_libc);
	done(&l);
}

static void test_tcmalloc(void **state)
{
	struct lookup l;

	(void)state;
	if (!look(&l, "/usr/lib/*-linux-gnu/libtcmalloc_minimal.so.4"))
		skip();
	assert_malloc_family(&l, 0);
	assert_cxx(&l);
	assert_distinct(&l);
	assert_spec(&l, "tc_new", NEW);
	assert_spec(&l, "tc_newarray_nothrow", NEW_NOTHROW);
	assert_spec(&l, "tc_deletearray_sized", FREE(1));
	assert_spec(&l, "tc_memalign", SPEC(.op = ALLOC_OP_ALLOC, .size_arg = 2));
	assert_true(l.f.is_allocator);
	done(&l);
}

static void test_mimalloc(void **state)
{
	struct lookup l;

	(void)state;
	if (!look(&l, "/usr/lib/*-linux-gnu/libmimalloc.so.2"))
		skip();
	assert_malloc_family(&l, 0);
	assert_cxx(&l);
	assert_distinct(&l);
	assert_spec(&l, "mi_heap_malloc", SPEC(.op = ALLOC_OP_ALLOC, .size_arg = 2));
	assert_spec(&l, "mi_heap_reallocn",
		    SPEC(.op = ALLOC_OP_REALLOC, .ptr_arg = 2, .count_arg = 3, .size_arg = 4));
	assert_spec(&l, "mi_free_size_aligned", FREE(1));
	assert_spec(&l, "mi_new_n",
		    SPEC(.op = ALLOC_OP_ALLOC, .count_arg = 1, .size_arg = 2,
			 .flags = ALLOC_FLAG_THROWS));
	assert_true(l.f.is_allocator);
	done(&l);
}

/* Their operator new calls malloc: probing both would only cost. */
static void test_cxx_libraries(void **state)
{
	static const char *const paths[] = {"/usr/lib/*-linux-gnu/libstdc++.so.6",
					    "/usr/lib/*-linux-gnu/libc++abi.so.1",
					    "/usr/lib/*-linux-gnu/libc++.so.1"};
	size_t seen = 0;
	struct lookup l;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		if (!look(&l, paths[i]))
			continue;
		assert_int_equal(0, l.f.n);
		assert_int_equal(ALLOC_NONE, l.f.reason);
		assert_false(l.f.is_allocator || l.f.is_libc);
		done(&l);
		seen++;
	}
	if (!seen)
		skip();
}

/* ---- programs built on the spot ---- */

static const char *build(const char *flags, const char *source)
{
	static char dir[] = "/tmp/memtally-alloc.XXXXXX", path[64];
	static bool made;
	char cmd[512];
	FILE *f;

	if (!made)
		assert_non_null(mkdtemp(dir));
	made = true;
	if (!flags) {
		snprintf(cmd, sizeof(cmd), "rm -r %s", dir);
		assert_int_equal(0, system(cmd));
		return NULL;
	}
	snprintf(path, sizeof(path), "%s/x.c", dir);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_true(fputs(source, f) > 0);
	assert_int_equal(0, fclose(f));
	snprintf(path, sizeof(path), "%s/x", dir);
	snprintf(cmd, sizeof(cmd), "cc -w -O1 -fno-builtin %s -o %s %s.c 2>%s.err", flags, path,
		 path, path);
	if (!system(cmd))
		return path;
	print_message("skipped: cannot build with cc %s\n", flags);
	return NULL;
}

static const char program[] = "#include <stdlib.h>\n#include <sys/mman.h>\n"
			      "int main(int c, char **v) { free(realloc(malloc(c), 9));\n"
			      "return mmap(0, c, 0, 0, 0, 0) == v; }\n";

static void test_static(void **state)
{
	const char *path = build("-static", program);
	struct lookup l;

	(void)state;
	if (!path)
		skip();
	assert_true(look(&l, path));
	assert_spec(&l, "malloc",
		    SPEC(.op = ALLOC_OP_ALLOC, .size_arg = 1, .flags = ALLOC_FLAG_LEAF));
	assert_mmaps(&l);
	assert_true(l.f.is_libc && l.obj->program);
	assert_false(l.f.is_allocator);
	done(&l);
}

static void test_stripped(void **state)
{
	static const char *const flags[] = {"-static -s", "-static-pie -s"};
	struct lookup l;
	const char *path;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
		path = build(flags[i], program);
		if (!path)
			continue;
		assert_true(look(&l, path));
		assert_int_equal(0, l.f.n);
		assert_true(l.obj->program);
		assert_int_equal(ALLOC_STRIPPED_STATIC, l.f.reason);
		done(&l);
	}
	path = build("-s", program);
	if (!path)
		skip();
	assert_true(look(&l, path));
	assert_int_equal(ALLOC_NONE, l.f.reason);
	assert_true(l.obj->program);
	done(&l);
}

/* An own malloc in the program, and operator new beside it; only .symtab tells. */
static void test_own_malloc(void **state)
{
	const char *path =
		build("", "static void *p; void *malloc(unsigned long n) { return p; }\n"
			  "void free(void *q) {} void *_Znwm(unsigned long n) { return p; }"
			  "void *_rjem_mallocx(unsigned long n, int f) { return 0; }\n"
			  "int main(void) { return 0; }\n");
	struct lookup l;

	(void)state;
	if (!path)
		skip();
	assert_true(look(&l, path));
	assert_int_equal(4, l.f.n);
	assert_spec(&l, "_Znwm", NEW);
	assert_spec(&l, "_rjem_mallocx", SPEC(.op = ALLOC_OP_ALLOC, .size_arg = 1));
	assert_false(l.f.is_allocator); /* its mmaps are the program's */
	done(&l);
	assert_non_null(build("",
			      "void *(*impl(void))(unsigned long) { return 0; }\n"
			      "void *malloc(unsigned long n) __attribute__((ifunc(\"impl\")));\n"
			      "int main(void) { return 0; }\n"));
	assert_true(look(&l, path));
	assert_int_equal(0, l.f.n); /* an IFUNC is no malloc */
	done(&l);
	assert_non_null(build("", "void *_Znwm(unsigned long n) { return (void *)n; }\n"
				  "int main(void) { return 0; }\n"));
	assert_true(look(&l, path));
	assert_int_equal(0, l.f.n);
	assert_int_equal(ALLOC_NONE, l.f.reason);
	done(&l);
}

static void test_32bit(void **state)
{
	const char *path = build("-m32 -nostdlib -shared -fPIC", "int f(void) { return 1; }\n");
	struct lookup l;

	(void)state;
	if (!path)
		skip();
	assert_true(look(&l, path));
	assert_int_equal(ALLOC_32BIT, l.f.reason);
	done(&l);
}

/* ---- --alloc and --free ---- */

static int parse(const char *alloc, const char *free_, struct alloc_custom **ret, size_t *n,
		 char **msg)
{
	char *a[] = {(char *)alloc}, *f[] = {(char *)free_};
	const struct opt_list al = {.v = a, .n = !!alloc}, fl = {.v = f, .n = !!free_};

	*msg = NULL;
	return alloc_custom_parse(&al, &fl, ret, n, msg);
}

static void test_custom_good(void **state)
{
	static const struct {
		const char *alloc, *free, *object, *function;
		struct alloc_spec want;
	} cases[] = {
		{"libcudart.so*:cudaMalloc:size=arg2,ptr=*arg1",
		 NULL,
		 "libcudart.so*",
		 "cudaMalloc",
		 {ALLOC_OP_ALLOC, 2, 0, 0, 1, ALLOC_OK_ZERO, 2, 0, 0, 0}},
		{":f:size=arg1", NULL, "", "f", {ALLOC_OP_ALLOC, 1, 0, 0, 0, 0, 2, 0, 0, 0}},
		{"exe:f:ptr=ret,size=arg6*arg5,ok=notminus1,throws=yes",
		 NULL,
		 "",
		 "f",
		 {ALLOC_OP_ALLOC, 6, 5, 0, 0, ALLOC_OK_NOT_MINUS1, 2, 1, 0, 0}},
		{"/a b/x:_ZN1a1bEv:old=arg2,size=arg3,throws=no",
		 NULL,
		 "/a b/x",
		 "_ZN1a1bEv",
		 {ALLOC_OP_REALLOC, 3, 0, 2, 0, 0, 2, 0, 0, 0}},
		{"x:f:size=arg2,ptr=*arg1,ok=nonnull",
		 NULL,
		 "x",
		 "f",
		 {ALLOC_OP_ALLOC, 2, 0, 0, 1, ALLOC_OK_NONNULL, 2, 0, 0, 0}},
		{NULL, "exe:put", "", "put", {ALLOC_OP_FREE, 0, 0, 1, 0, 0, 2, 0, 0, 0}},
		{NULL,
		 "lib*:put:ptr=arg3",
		 "lib*",
		 "put",
		 {ALLOC_OP_FREE, 0, 0, 3, 0, 0, 2, 0, 0, 0}},
	};
	struct alloc_custom *c;
	char *msg;
	size_t n;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(0, parse(cases[i].alloc, cases[i].free, &c, &n, &msg));
		assert_int_equal(1, n);
		assert_string_equal(cases[i].object, c->object);
		assert_string_equal(cases[i].function, c->function);
		assert_int_equal(alloc_spec_pack(&cases[i].want), alloc_spec_pack(&c->spec));
		assert_false(c->by_vaddr);
		alloc_custom_free(c, n);
	}
	assert_int_equal(0, parse("exe:0x1f40:size=arg1", "exe:0x20", &c, &n, &msg));
	assert_int_equal(2, n);
	assert_true(c[0].by_vaddr && c[1].by_vaddr);
	assert_int_equal(0x1f40, c[0].vaddr);
	alloc_custom_free(c, n);
	assert_int_equal(0, parse(NULL, NULL, &c, &n, &msg));
	assert_int_equal(0, n);
	alloc_custom_free(c, n);
}

static void test_custom_bad(void **state)
{
	static const struct {
		const char *alloc, *free, *want;
	} cases[] = {
		{"", NULL, "expected OBJECT:FUNCTION:size=ARG at character 1"},
		{"malloc", NULL, "expected OBJECT:FUNCTION:size=ARG at character 1"},
		{NULL, "free", "bad --free 'free': expected OBJECT:FUNCTION at character 1"},
		{"exe:", NULL, "expected a function at character 5"},
		{"exe::size=arg1", NULL, "expected a function at character 5"},
		{"a/b:f:size=arg1", NULL, "without '/' at character 1"},
		{"exe:f", NULL, "size=ARG is missing at character 6"},
		{"exe:f:", NULL,
		 "expected size=, ptr=, old=, ok= or throws= instead of '' at "
		 "character 7"},
		{"exe:f:size", NULL, "instead of 'size' at character 7"},
		{"exe:f:size=", NULL, "expected arg1 to arg6 instead of '' at character 12"},
		{"exe:f:size=arg9", NULL, "instead of 'arg9' at character 12"},
		{"exe:f:size=arg0", NULL, "instead of 'arg0' at character 12"},
		{"exe:f:size=arg12", NULL, "instead of 'arg12' at character 12"},
		{"exe:f:size=arg1*", NULL, "instead of '' at character 17"},
		{"exe:f:size=arg1*arg7", NULL, "instead of 'arg7' at character 17"},
		{"exe:f:size=arg1,", NULL, "instead of '' at character 17"},
		{"exe:f:size=arg1,size=arg2", NULL, "size stands twice at character 17"},
		{"exe:f:size=arg1 ,ok=zero", NULL, "instead of 'arg1 ' at character 12"},
		{"exe:f:size=arg1:ok=zero", NULL, "expected a comma instead of ':ok=zero'"},
		{"exe:f:size=arg1,ok=one", NULL, "notminus1 instead of 'one' at character 20"},
		{"exe:f:size=arg1,ptr=arg2", NULL,
		 "expected ret or *arg1 to *arg6 instead of 'arg2' "
		 "at character 21"},
		{"exe:f:ptr=ret", NULL, "size=ARG is missing at character 14"},
		{"exe:0xzz:size=arg1", NULL, "'0xzz' is no address at character 5"},
		{NULL, "exe:f:size=arg1", "expected ptr= instead of 'size' at character 7"},
		{NULL, "exe:f:ptr=*arg1", "expected arg1 to arg6"},
	};
	struct alloc_custom *c = (void *)1;
	size_t n = 7;
	char *msg;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(-EINVAL, parse(cases[i].alloc, cases[i].free, &c, &n, &msg));
		if (!strstr(msg, cases[i].want))
			fail_msg("'%s' lacks '%s'", msg, cases[i].want);
		free(msg);
		assert_true(c == (void *)1 && n == 7);
	}
}

static void test_custom_limit(void **state)
{
	char *v[ALLOC_CUSTOM_MAX + 1], *msg = NULL;
	struct opt_list all = {.v = v, .n = ALLOC_CUSTOM_MAX + 1}, none = {};
	struct alloc_custom *c;
	size_t n;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(v); i++)
		v[i] = (char *)"exe:f:size=arg1";
	assert_int_equal(-E2BIG, alloc_custom_parse(&all, &none, &c, &n, &msg));
	assert_non_null(msg);
	free(msg);
	all.n--;
	assert_int_equal(0, alloc_custom_parse(&all, &none, &c, &n, &msg));
	alloc_custom_free(c, n);
}

static void test_custom_found(void **state)
{
	const char *path = build("", "void *grab(unsigned long n) { return (void *)n; }\n"
				     "void drop(void *p) {} int main(void) { return 0; }\n");
	char *alloc[] = {(char *)"exe:grab:size=arg1", (char *)"x:malloc:size=arg1",
			 (char *)"y*:grab:size=arg2", NULL};
	char *frees[] = {(char *)"[w-y]:drop", (char *)"/nowhere:drop", NULL, NULL};
	struct opt_list al = {alloc, 3}, fl = {frees, 2};
	char at[64], own[128], *msg = NULL;
	struct alloc_custom *c;
	struct lookup l;
	uint64_t vaddr;
	size_t n;

	(void)state;
	if (!path)
		skip();
	assert_int_equal(0, alloc_custom_parse(&al, &fl, &c, &n, &msg));
	assert_true(look_custom(&l, path, c, n));
	assert_int_equal(2, l.f.n);
	assert_int_equal(ALLOC_FOUND, l.f.reason);
	assert_spec(&l, "grab",
		    SPEC(.op = ALLOC_OP_ALLOC, .size_arg = 1, .kind = ALLOC_KIND_CUSTOM));
	assert_spec(&l, "drop", SPEC(.op = ALLOC_OP_FREE, .ptr_arg = 1, .kind = ALLOC_KIND_CUSTOM));
	assert_true(allocators_matched(l.a, 0));
	assert_false(allocators_matched(l.a, 1));
	assert_false(allocators_matched(l.a, 2));
	assert_true(allocators_matched(l.a, 3));
	assert_false(allocators_matched(l.a, 4));
	assert_false(allocators_matched(l.a, 5));
	vaddr = site_of(&l, "grab")->vaddr;
	done(&l);
	alloc_custom_free(c, n);

	/* The same by address, of the stripped file, by absolute path. */
	snprintf(at, sizeof(at), "strip %s", path);
	assert_int_equal(0, system(at));
	snprintf(own, sizeof(own), "%s:0x%lx:size=arg1", path, vaddr);
	alloc[0] = own;
	al.n = 1;
	fl.n = 0;
	assert_int_equal(0, alloc_custom_parse(&al, &fl, &c, &n, &msg));
	assert_true(look_custom(&l, path, c, n));
	assert_int_equal(1, l.f.n);
	assert_int_equal(vaddr, l.f.sites[0].vaddr);
	assert_int_equal(0, strncmp(l.f.sites[0].name, "0x", 2));
	done(&l);
	alloc_custom_free(c, n);
}

/* An own spec replaces the built-in one at the same address. */
static void test_custom_wins(void **state)
{
	char *alloc[] = {(char *)"libc.so.6:malloc:size=arg1,throws=yes"};
	struct opt_list al = {alloc, 1}, fl = {};
	struct alloc_custom *c;
	char *msg = NULL;
	struct lookup l;
	size_t n;

	(void)state;
	assert_int_equal(0, alloc_custom_parse(&al, &fl, &c, &n, &msg));
	if (!look_custom(&l, "/lib/*-linux-gnu/libc.so.6", c, n)) {
		alloc_custom_free(c, n);
		skip();
	}
	assert_spec(&l, "malloc",
		    SPEC(.op = ALLOC_OP_ALLOC, .size_arg = 1, .kind = ALLOC_KIND_CUSTOM,
			 .flags = ALLOC_FLAG_THROWS));
	assert_spec(&l, "free", FREE(1));
	/* Nor is anything here known to be a leaf then. */
	assert_spec(&l, "calloc", SPEC(.op = ALLOC_OP_ALLOC, .count_arg = 1, .size_arg = 2));
	done(&l);
	alloc_custom_free(c, n);
}

static int cleanup(void **state)
{
	(void)state;
	build(NULL, NULL);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cookie),	     cmocka_unit_test(test_rows),
		cmocka_unit_test(test_glibc),	     cmocka_unit_test(test_musl),
		cmocka_unit_test(test_jemalloc),     cmocka_unit_test(test_tcmalloc),
		cmocka_unit_test(test_mimalloc),     cmocka_unit_test(test_cxx_libraries),
		cmocka_unit_test(test_static),	     cmocka_unit_test(test_stripped),
		cmocka_unit_test(test_own_malloc),   cmocka_unit_test(test_32bit),
		cmocka_unit_test(test_custom_good),  cmocka_unit_test(test_custom_bad),
		cmocka_unit_test(test_custom_limit), cmocka_unit_test(test_custom_found),
		cmocka_unit_test(test_custom_wins),
	};

	return cmocka_run_group_tests(tests, NULL, cleanup);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sym_files.h - for test_sym*.c: small ELF files made by the compiler at test time in a
 * directory of their own, and one address of them looked up as if it were mapped.
 */
#ifndef TESTS_SYM_FILES_H
#define TESTS_SYM_FILES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "sym/sym.h"

#define BASE 0x7f0000000000ULL

/* Runs a shell command in the test's directory; the test fails if it does. */
static inline void run(const char *dir, const char *fmt, ...) _printf_(2, 3);
static inline void run(const char *dir, const char *fmt, ...)
{
	char command[4096], in_dir[4200];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(command, sizeof(command), fmt, ap);
	va_end(ap);
	snprintf(in_dir, sizeof(in_dir), "cd '%s' && { %s; } >log 2>&1 || { cat log; exit 1; }",
		 dir, command);
	if (system(in_dir))
		fail_msg("failed: %s", command);
}

static inline void write_file(const char *dir, const char *name, const char *text)
{
	char path[512];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "we");
	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
}

/* First word of what a shell command prints; "" if nothing. */
static inline void read_word(const char *dir, const char *command, char word[256])
{
	char in_dir[4200];
	FILE *f;

	snprintf(in_dir, sizeof(in_dir), "cd '%s' && %s", dir, command);
	f = popen(in_dir, "re");
	assert_non_null(f);
	if (fscanf(f, "%255s", word) != 1)
		*word = '\0';
	pclose(f);
}

/* The value of a symbol, as nm says. */
static inline uint64_t nm(const char *dir, const char *file, const char *symbol)
{
	char command[512], word[256];

	snprintf(command, sizeof(command), "nm %s | awk '$3 == \"%s\" { print $1 }'", file, symbol);
	read_word(dir, command, word);
	if (!*word)
		fail_msg("no symbol '%s' in '%s'", symbol, file);
	return strtoull(word, NULL, 16);
}

/* One file "mapped" at BASE, and a symbolizer over it. */
struct lab {
	struct objects *objects;
	struct symbolizer *s;
	struct object *o;
	struct maps maps;
	struct frame *frames; /* of the last look-up */
	size_t n;
};

static inline void lab_open(struct lab *l, const char *path, const struct symbolizer_opts *opts)
{
	size_t i;

	memset(l, 0, sizeof(*l));
	l->objects = objects_new();
	l->s = symbolizer_new(l->objects, opts);
	assert_non_null(l->s);
	assert_int_equal(objects_get_path(l->objects, path, &l->o), 0);
	for (i = 0; i < l->o->n_segments; i++) {
		const struct segment *g = &l->o->segments[i];
		struct mapping m = {
			.start = BASE + (g->vaddr & ~0xfffULL),
			.end = BASE + ((g->vaddr + g->memsz + 0xfff) & ~0xfffULL),
			.offset = g->offset & ~0xfffULL,
			.inode = l->o->inode,
			.dev_major = l->o->dev_major,
			.dev_minor = l->o->dev_minor,
			.prot = MAP_READ | MAP_EXEC,
			.path = (char *)path,
		};

		if (g->flags & 1) /* PF_X */
			assert_int_equal(maps_insert(&l->maps, &m), 0);
	}
}

static inline void lab_close(struct lab *l)
{
	free(l->frames);
	symbolizer_free(l->s);
	maps_deinit(&l->maps);
	objects_free(l->objects);
}

/* Looks one vaddr up; the first frame. */
static inline const struct frame *lab_at(struct lab *l, uint64_t vaddr, bool is_return)
{
	uint64_t address = BASE + vaddr;
	struct sym_stack stack = {
		.pid = getpid(),
		.maps = &l->maps,
		.addresses = &address,
		.n = 1,
		.leaf_is_return = is_return,
	};

	free(l->frames);
	l->frames = NULL;
	assert_int_equal(symbolizer_stack(l->s, &stack, &l->frames, &l->n), 0);
	assert_true(l->n >= 1);
	assert_int_equal(l->frames[0].address, address);
	return &l->frames[0];
}

static inline void assert_function(const struct frame *f, const char *want)
{
	if (!want)
		assert_null(f->function);
	else
		assert_string_equal(f->function ? f->function : "(none)", want);
}

/* Line numbers are in the test: keep the lines. */
static const char prog_c[] =
	"#include <stdio.h>\n"						    /* 1 */
	"int sink;\n"							    /* 2 */
	"static inline __attribute__((always_inline)) void inner(int x)\n"  /* 3 */
	"{\n"								    /* 4 */
	"	__asm__ volatile(\".globl mark\\nmark: nop\\n\");\n"	    /* 5 */
	"	sink += x;\n"						    /* 6 */
	"}\n"								    /* 7 */
	"static inline __attribute__((always_inline)) void middle(int x)\n" /* 8 */
	"{\n"								    /* 9 */
	"	inner(x * 3);\n"					    /* 10 */
	"}\n"								    /* 11 */
	"__attribute__((noinline)) void outer(int x)\n"			    /* 12 */
	"{\n"								    /* 13 */
	"	middle(x + 1);\n"					    /* 14 */
	"	puts(\"outer\");\n"					    /* 15 */
	"}\n"								    /* 16 */
	"static __attribute__((noinline)) void hidden(int x)\n"		    /* 17 */
	"{\n"								    /* 18 */
	"	__asm__ volatile(\"nop\");\n"				    /* 19 */
	"	sink -= x;\n"						    /* 20 */
	"}\n"								    /* 21 */
	"void calls_hidden(void) { hidden(sink); outer(sink); puts(\"\"); }\n"
	"void __under(void) __attribute__((alias(\"outer\")));\n"
	"void _one_under(void) __attribute__((alias(\"calls_hidden\")));\n"
	"__asm__(\".text\\n.globl ends_in_call,follows\\n\"\n"
	"	\".type ends_in_call,@function\\nends_in_call: nop\\nnop\\n\"\n"
	"	\".size ends_in_call,.-ends_in_call\\n\"\n"
	"	\".type follows,@function\\nfollows: nop\\nnop\\nret\\n.size "
	"follows,.-follows\\n\");\n"
	"int main(void) { calls_hidden(); return 0; }\n";

static char dir[64];

static inline const char *path_of(const char *name)
{
	static char path[256];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static inline int setup(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/test_sym.XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	write_file(dir, "prog.c", prog_c);
	run(dir, "cc -g -O2 -fPIC -shared -Wl,--build-id -o full.so prog.c");
	run(dir, "strip -o stripped.so full.so");
	return 0;
}

static inline int teardown(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	return system(command);
}

/* What the inlined chain at `mark` must look like. */
static inline void assert_chain(const struct lab *l, uint64_t outer)
{
	static const struct {
		const char *function;
		int line;
	} want[] = {{"inner", 5}, {"middle", 10}, {"outer", 14}};
	char file[256];
	size_t i;

	snprintf(file, sizeof(file), "%s", path_of("prog.c"));
	assert_int_equal(l->n, 3);
	for (i = 0; i < 3; i++) {
		assert_function(&l->frames[i], want[i].function);
		assert_non_null(l->frames[i].file);
		assert_string_equal(l->frames[i].file, file);
		assert_int_equal(l->frames[i].line, want[i].line);
		assert_int_equal(l->frames[i].inlined, i < 2);
		assert_int_equal(l->frames[i].address, l->frames[0].address);
	}
	assert_int_equal(l->frames[0].offset, 0);
	assert_int_equal(BASE + outer + l->frames[2].offset, l->frames[2].address);
}

static inline void build_id_of(const char *file, char id[256])
{
	char command[256];

	snprintf(command, sizeof(command), "readelf -n %s | awk '/Build ID/ { print $3 }'", file);
	read_word(dir, command, id);
	assert_true(strlen(id) > 4);
}

/* This process. */
struct live {
	struct objects *objects;
	struct symbolizer *s;
	struct maps maps;
	struct frame *frames;
	size_t n;
};

static inline void live_open(struct live *l, const struct symbolizer_opts *opts)
{
	memset(l, 0, sizeof(*l));
	l->objects = objects_new();
	l->s = symbolizer_new(l->objects, opts);
	assert_non_null(l->s);
	assert_int_equal(maps_read(getpid(), &l->maps), 0);
}

static inline void live_close(struct live *l)
{
	free(l->frames);
	symbolizer_free(l->s);
	maps_deinit(&l->maps);
	objects_free(l->objects);
}

static inline void live_stack(struct live *l, const uint64_t *addresses, size_t n)
{
	struct sym_stack stack = {
		.pid = getpid(),
		.maps = &l->maps,
		.addresses = addresses,
		.n = n,
	};

	free(l->frames);
	l->frames = NULL;
	assert_int_equal(symbolizer_stack(l->s, &stack, &l->frames, &l->n), 0);
}

static inline const struct frame *live_at(struct live *l, uint64_t address)
{
	live_stack(l, &address, 1);
	return &l->frames[l->n - 1];
}

#endif

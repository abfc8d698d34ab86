/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Names out of ELF files: built here, known addresses by nm, every way to have or not
 * to have symbols and debug information.
 */
#include "sym_files.h"

#include <elf.h>
#include <fcntl.h>

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

static const char *path_of(const char *name)
{
	static char path[256];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static int setup(void **state)
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

static int teardown(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	return system(command);
}

/* What the inlined chain at `mark` must look like. */
static void assert_chain(const struct lab *l, uint64_t outer)
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

static void check_inlined(const char *file)
{
	struct lab l;

	lab_open(&l, path_of(file), NULL);
	lab_at(&l, nm(dir, file, "mark"), false);
	assert_chain(&l, nm(dir, file, "outer"));
	lab_close(&l);
}

static void test_inlined(void **state)
{
	(void)state;
	check_inlined("full.so");
	/* what clang leaves out */
	run(dir, "objcopy --remove-section .debug_aranges full.so noaranges.so");
	check_inlined("noaranges.so");
	run(dir, "cc -gdwarf-4 -O2 -fPIC -shared -o dwarf4.so prog.c");
	check_inlined("dwarf4.so");
	run(dir, "cc -g -gsplit-dwarf -O2 -fPIC -shared -o split.so prog.c");
	check_inlined("split.so");
	run(dir, "cc -g -gz=zlib -O2 -fPIC -shared -o compressed.so prog.c");
	check_inlined("compressed.so");
	run(dir, "cc -g -O2 -static -o static prog.c");
	check_inlined("static");
	run(dir, "cc -g -O2 -no-pie -o nopie prog.c");
	check_inlined("nopie");
	run(dir, "cc -g -O2 -fPIC -shared -Wl,-z,noseparate-code -Wl,-z,max-page-size=0x200000 -o "
		 "aligned.so prog.c");
	check_inlined("aligned.so");
	if (system("command -v clang >/dev/null")) {
		print_message("clang part left out: no clang\n");
		return;
	}
	run(dir, "clang -g -O2 -fPIC -shared -o clang.so prog.c");
	check_inlined("clang.so");
}

static void test_no_lines(void **state)
{
	const struct symbolizer_opts opts = {.no_lines = true};
	uint64_t mark = nm(dir, "full.so", "mark");
	const struct frame *f;
	struct lab l;

	(void)state;
	lab_open(&l, path_of("full.so"), &opts);
	f = lab_at(&l, mark, false);
	assert_int_equal(l.n, 1);
	assert_function(f, "outer"); /* not the label, not __under */
	assert_int_equal(f->offset, mark - nm(dir, "full.so", "outer"));
	assert_null(f->file);
	assert_int_equal(f->line, 0);
	assert_false(f->inlined);
	assert_string_equal(f->object, path_of("full.so"));
	assert_function(lab_at(&l, nm(dir, "full.so", "_one_under"), false), "calls_hidden");
	lab_close(&l);
}

static void test_return_address(void **state)
{
	uint64_t exact[1] = {1 << 1}, start = nm(dir, "full.so", "follows");
	uint64_t addresses[] = {BASE + start, BASE + start, BASE + start};
	struct sym_stack stack = {.pid = getpid(), .addresses = addresses, .n = 3};
	struct frame *frames;
	struct lab l;
	size_t n;

	(void)state;
	lab_open(&l, path_of("full.so"), NULL);
	stack.maps = &l.maps;
	assert_int_equal(symbolizer_stack(l.s, &stack, &frames, &n), 0);
	assert_int_equal(n, 3);
	assert_function(&frames[0], "follows");
	assert_int_equal(frames[0].offset, 0);
	assert_function(&frames[1], "ends_in_call");
	assert_int_equal(frames[1].offset, 2);
	assert_int_equal(frames[1].object_offset, frames[0].object_offset - 1);
	free(frames);

	stack.leaf_is_return = true;
	stack.exact = exact;
	assert_int_equal(symbolizer_stack(l.s, &stack, &frames, &n), 0);
	assert_function(&frames[0], "ends_in_call");
	assert_function(&frames[1], "follows");
	assert_function(&frames[2], "ends_in_call");
	free(frames);
	lab_close(&l);
}

static void build_id_of(const char *file, char id[256])
{
	char command[256];

	snprintf(command, sizeof(command), "readelf -n %s | awk '/Build ID/ { print $3 }'", file);
	read_word(dir, command, id);
	assert_true(strlen(id) > 4);
}

static void test_stripped(void **state)
{
	uint64_t hidden = nm(dir, "full.so", "hidden"), off;
	const struct frame *f;
	struct lab l;
	char id[256];

	(void)state;
	build_id_of("full.so", id);
	lab_open(&l, path_of("stripped.so"), NULL);
	assert_function(lab_at(&l, nm(dir, "full.so", "outer") + 4, false), "outer");
	f = lab_at(&l, hidden + 1, true);
	assert_function(f, NULL);
	assert_int_equal(object_vaddr_to_offset(l.o, hidden, &off), 0);
	assert_int_equal(f->object_offset, off);
	assert_string_equal(f->object, path_of("stripped.so"));
	assert_string_equal(f->build_id, id);
	lab_close(&l);

	run(dir, "cc -O2 -static -s -o static_stripped prog.c");
	lab_open(&l, path_of("static_stripped"), NULL);
	f = lab_at(&l, l.maps.v[0].start - BASE + 0x100, false);
	assert_function(f, NULL);
	assert_string_equal(f->object, path_of("static_stripped"));
	lab_close(&l);
}

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
	run(dir, "cc -g -O0 -fPIC -shared -Wl,--build-id -DX -o other.so prog.c");
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

/* Symbols of an exported, stripped library, and stubs, which have none. */
static void check_plt(const char *file)
{
	char command[256], word[256];
	uint64_t start, end, at;
	size_t found = 0;
	struct lab l;

	lab_open(&l, path_of(file), NULL);
	snprintf(command, sizeof(command), "readelf -SW %s | sed -n 's/.* \\.plt *PROGBITS *//p'",
		 file);
	read_word(dir, command, word);
	start = strtoull(word, NULL, 16);
	assert_true(start > 0);
	end = start + 0x100;
	for (at = start; at < end; at += 8) {
		const struct frame *f = lab_at(&l, at, false);

		if (f->function && !strcmp(f->function, "puts@plt"))
			found++;
	}
	if (found != 2) /* 16 bytes */
		fail_msg("puts@plt found %zu times in '%s'", found, file);
	lab_close(&l);
}

static void test_plt(void **state)
{
	(void)state;
	run(dir, "cc -O2 -s -fPIC -shared -fcf-protection=none -o plt.so prog.c");
	check_plt("plt.so");
	run(dir, "cc -O2 -s -fPIC -shared -fcf-protection=full -Wl,-z,ibtplt -o plt_ibt.so prog.c");
	check_plt("plt_ibt.so");
	run(dir, "cc -O2 -s -fPIC -shared -Wl,-z,lazy -o plt_lazy.so prog.c");
	check_plt("plt_lazy.so");
}

/* An upgrade while running: the file is gone, its names are not. */
static void test_deleted(void **state)
{
	uint64_t mark = nm(dir, "full.so", "mark"), outer = nm(dir, "full.so", "outer");
	struct lab l;

	(void)state;
	run(dir, "cp full.so deleted.so");
	lab_open(&l, path_of("deleted.so"), NULL);
	run(dir, "rm deleted.so && cp stripped.so deleted.so");
	lab_at(&l, mark, false);
	assert_chain(&l, outer);
	lab_close(&l);
}

/* Truncated in place under our hands: fewer names, no SIGBUS. */
static void test_truncated(void **state)
{
	struct lab l;

	(void)state;
	run(dir, "cp full.so cut.so");
	lab_open(&l, path_of("cut.so"), NULL);
	assert_int_equal(truncate(path_of("cut.so"), 5000), 0);
	lab_at(&l, nm(dir, "full.so", "mark"), false);
	lab_at(&l, nm(dir, "full.so", "hidden"), true);
	lab_close(&l);
}

/* Random bytes all over the debug sections: any answer, but an answer. */
static void test_corrupt(void **state)
{
	uint64_t mark = nm(dir, "full.so", "mark"), outer = nm(dir, "full.so", "outer"), at;
	uint32_t seed = 12345;
	struct lab l;
	int i, j, fd;

	(void)state;
	for (i = 0; i < 100; i++) {
		off_t size;

		run(dir, "cp full.so corrupt.so");
		fd = open(path_of("corrupt.so"), O_RDWR | O_CLOEXEC);
		assert_true(fd >= 0);
		size = lseek(fd, 0, SEEK_END);
		for (j = 0; j < 40; j++) {
			unsigned char byte;

			seed = seed * 1664525 + 1013904223;
			byte = (unsigned char)(seed >> 24);
			/* behind the code: .debug_*, symbols, section headers */
			assert_int_equal(pwrite(fd, &byte, 1, 0x3000 + seed % (size - 0x3000)), 1);
		}
		close(fd);
		alarm(20);
		lab_open(&l, path_of("corrupt.so"), NULL);
		for (at = outer; at < outer + 64; at += 3)
			lab_at(&l, at, true);
		lab_at(&l, mark, false);
		lab_close(&l);
		alarm(0);
	}
}

static void test_cache(void **state)
{
	struct symbolizer_stats stats;
	uint64_t mark = nm(dir, "full.so", "mark");
	struct lab l;
	int i;

	(void)state;
	lab_open(&l, path_of("full.so"), NULL);
	for (i = 0; i < 1000; i++)
		lab_at(&l, mark + (uint64_t)(i % 4), i % 2);
	symbolizer_stats(l.s, &stats);
	assert_int_equal(stats.addresses, 1000);
	assert_int_equal(stats.resolved, 4);
	assert_int_equal(stats.objects, 1);
	lab_close(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_inlined),		  cmocka_unit_test(test_no_lines),
		cmocka_unit_test(test_return_address),	  cmocka_unit_test(test_stripped),
		cmocka_unit_test(test_debug_by_build_id), cmocka_unit_test(test_debug_by_link),
		cmocka_unit_test(test_mini_debuginfo),	  cmocka_unit_test(test_plt),
		cmocka_unit_test(test_deleted),		  cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_corrupt),		  cmocka_unit_test(test_cache),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}

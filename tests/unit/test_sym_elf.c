/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Names out of ELF files: built here, known addresses by nm, every way to have or not
 * to have symbols and debug information.
 */
#include "sym_files.h"

#include <elf.h>
#include <fcntl.h>

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
		cmocka_unit_test(test_inlined),
		cmocka_unit_test(test_no_lines),
		cmocka_unit_test(test_return_address),
		cmocka_unit_test(test_stripped),
		cmocka_unit_test(test_plt),
		cmocka_unit_test(test_deleted),
		cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_corrupt),
		cmocka_unit_test(test_cache),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}

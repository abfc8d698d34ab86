/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Finding the unwind information of a whole ELF file: this test's own, and damaged ones. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <string.h>
#include <cmocka.h>

#include <elf.h>
#include <errno.h>

#include "cfi/cfi.h"

struct image {
	char *bytes;
	size_t len;
};

static struct image self;

static int read_image(void *arg, uint64_t off, void *buf, size_t len)
{
	const struct image *img = arg;

	if (off > img->len || len > img->len - off)
		return -EBADMSG;
	memcpy(buf, img->bytes + off, len);
	return 0;
}

static int compile(struct image *img, struct cfi_rules *rules, struct cfi_table *ret)
{
	struct cfi_file f = {.read = read_image, .arg = img};

	return cfi_compile_file(&f, rules, ret);
}

static int compile_and_drop(struct image *img)
{
	struct cfi_rules *rules = cfi_rules_new();
	struct cfi_table t;
	int err = compile(img, rules, &t);

	if (!err)
		cfi_table_deinit(&t);
	cfi_rules_free(rules);
	return err;
}

static struct image copy(void)
{
	struct image img = {.bytes = malloc(self.len), .len = self.len};

	assert_non_null(img.bytes);
	memcpy(img.bytes, self.bytes, self.len);
	return img;
}

static int setup(void **state)
{
	(void)state;
	return read_file("/proc/self/exe", &self.bytes, &self.len);
}

static int teardown(void **state)
{
	(void)state;
	free(self.bytes);
	return 0;
}

/* sstrip and some packers leave no section headers: the segments say the same. */
static void test_without_sections(void **state)
{
	struct image img = copy();
	struct cfi_rules *rules = cfi_rules_new();
	struct cfi_table a, b;
	Elf64_Ehdr *eh = (Elf64_Ehdr *)img.bytes;

	(void)state;
	assert_int_equal(compile(&img, rules, &a), 0);
	eh->e_shoff = 0;
	eh->e_shnum = eh->e_shstrndx = 0;
	assert_int_equal(compile(&img, rules, &b), 0);
	assert_true(a.n_rows > 100);
	assert_int_equal(a.n_rows, b.n_rows);
	assert_int_equal(a.base, b.base);
	assert_memory_equal(a.rows, b.rows, a.n_rows * sizeof(*a.rows));
	cfi_table_deinit(&a);
	cfi_table_deinit(&b);
	cfi_rules_free(rules);
	free(img.bytes);
}

static void test_what_is_no_elf(void **state)
{
	struct image empty = {"", 0}, text = {"#!/bin/sh\necho no ELF file, though long "
					      "enough to hold the header of one\n",
					      71};
	struct image img = copy();
	Elf64_Ehdr *eh = (Elf64_Ehdr *)img.bytes;

	(void)state;
	assert_int_equal(compile_and_drop(&empty), -ENOEXEC);
	assert_int_equal(compile_and_drop(&text), -ENOEXEC);
	eh->e_ident[EI_CLASS] = ELFCLASS32;
	assert_int_equal(compile_and_drop(&img), -ENOEXEC);
	eh->e_ident[EI_CLASS] = ELFCLASS64;
	eh->e_ident[EI_DATA] = ELFDATA2MSB;
	assert_int_equal(compile_and_drop(&img), -ENOEXEC);
	eh->e_ident[EI_DATA] = ELFDATA2LSB;
	eh->e_machine = EM_RISCV;
	assert_int_equal(compile_and_drop(&img), -ENOEXEC);
	free(img.bytes);
}

/* A file that ends early, as while it is being replaced: an error, nothing else. */
static void test_truncated(void **state)
{
	struct image img = copy();

	(void)state;
	for (size_t len = 0; len < self.len; len += len < 4096 ? 7 : 4099) {
		img.len = len;
		compile_and_drop(&img);
	}
	img.len = sizeof(Elf64_Ehdr);
	assert_int_not_equal(compile_and_drop(&img), 0);
	free(img.bytes);
}

static void test_damaged_headers(void **state)
{
	const Elf64_Ehdr *eh = (const Elf64_Ehdr *)self.bytes;
	size_t ph_end = eh->e_phoff + eh->e_phnum * sizeof(Elf64_Phdr);
	size_t sh_end = eh->e_shoff + eh->e_shnum * sizeof(Elf64_Shdr);
	struct image img = copy();

	(void)state;
	for (size_t at = 0; at < sh_end; at++) {
		if (at == ph_end)
			at = eh->e_shoff;
		for (int k = 0; k < 2; k++) {
			img.bytes[at] = (char)(self.bytes[at] ^ (k ? 0xff : 0x10));
			compile_and_drop(&img);
		}
		img.bytes[at] = self.bytes[at];
	}
	assert_int_equal(compile_and_drop(&img), 0);
	free(img.bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_without_sections),
		cmocka_unit_test(test_what_is_no_elf),
		cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_damaged_headers),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}

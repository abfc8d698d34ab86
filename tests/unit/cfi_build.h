/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cfi_build.h - hand-made .eh_frame and .debug_frame sections for the tests of src/cfi. */
#ifndef MEMTALLY_TESTS_CFI_BUILD_H
#define MEMTALLY_TESTS_CFI_BUILD_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <string.h>
#include <cmocka.h>

#include "cfi/cfi.h"

#define BUILD_VADDR 0x400000 /* of the section */
#define BUILD_TEXT  0x1000   /* of the first function */

struct build {
	uint8_t bytes[65536];
	size_t n;
	size_t length_at; /* of the open record */
	bool wide;	  /* 64-bit lengths */
	bool debug_frame;
};

static inline void build_uint(struct build *b, uint64_t v, size_t n)
{
	assert_true(b->n + n <= sizeof(b->bytes));
	memcpy(b->bytes + b->n, &v, n);
	b->n += n;
}

static inline void build_bytes(struct build *b, const void *p, size_t n)
{
	assert_true(b->n + n <= sizeof(b->bytes));
	memcpy(b->bytes + b->n, p, n);
	b->n += n;
}

static inline void build_open(struct build *b)
{
	if (b->wide)
		build_uint(b, UINT32_MAX, 4);
	b->length_at = b->n;
	build_uint(b, 0, b->wide ? 8 : 4);
}

static inline void build_close(struct build *b)
{
	size_t width = b->wide ? 8 : 4;
	uint64_t len = b->n - b->length_at - width;

	memcpy(b->bytes + b->length_at, &len, width);
}

/* A CIE as gcc writes it, letters "zR" or more; returns its offset. */
static inline size_t build_cie_with(struct build *b, const char *letters, const void *ops,
				    size_t n_ops)
{
	size_t off = b->n;

	build_open(b);
	build_uint(b, 0, 4);
	build_uint(b, 1, 1);
	build_bytes(b, letters, strlen(letters) + 1);
	build_uint(b, 1, 1);	/* code alignment */
	build_uint(b, 0x78, 1); /* data alignment -8 */
	build_uint(b, 16, 1);	/* return address column */
	build_uint(b, 1, 1);	/* augmentation: 'R' */
	build_uint(b, 0x1b, 1); /* relative to itself, 32 bits */
	build_bytes(b, ops, n_ops);
	build_close(b);
	return off;
}

/* CFA = rsp + 8, return address at CFA - 8. */
static inline size_t build_cie(struct build *b)
{
	static const uint8_t ops[] = {0x0c, 7, 8, 0x90, 1};

	return build_cie_with(b, "zR", ops, sizeof(ops));
}

static inline void build_fde(struct build *b, size_t cie, uint64_t pc, uint64_t len,
			     const void *ops, size_t n_ops)
{
	build_open(b);
	build_uint(b, b->n - cie, 4);
	build_uint(b, pc - (BUILD_VADDR + b->n), 4);
	build_uint(b, len, 4);
	build_uint(b, 0, 1); /* augmentation data */
	build_bytes(b, ops, n_ops);
	build_close(b);
}

#define BUILD_FDE(b, cie, pc, len, ...)                         \
	do {                                                    \
		static const uint8_t ops_[] = {__VA_ARGS__};    \
		build_fde(b, cie, pc, len, ops_, sizeof(ops_)); \
	} while (0)

static inline struct cfi_section build_section(const struct build *b)
{
	return (struct cfi_section){
		.data = b->bytes,
		.len = b->n,
		.vaddr = BUILD_VADDR,
		.debug_frame = b->debug_frame,
	};
}

/* Compiled section; the rule at an address. */
struct built {
	struct cfi_rules *rules;
	struct cfi_table table;
};

static inline struct built build_compile(const struct build *b)
{
	struct cfi_section s = build_section(b);
	struct built out = {.rules = cfi_rules_new()};

	assert_non_null(out.rules);
	assert_int_equal(cfi_compile(&s, out.rules, &out.table), 0);
	return out;
}

static inline struct unwind_rule built_rule(const struct built *b, uint64_t pc)
{
	return *cfi_rules_at(b->rules, cfi_table_rule(&b->table, pc));
}

static inline void built_deinit(struct built *b)
{
	cfi_table_deinit(&b->table);
	cfi_rules_free(b->rules);
}

static inline void assert_sp(const struct built *b, uint64_t pc, int off)
{
	struct unwind_rule r = built_rule(b, pc);

	assert_int_equal(r.kind, UNWIND_SP);
	assert_int_equal(r.cfa_off, off);
}

static inline void assert_kind(const struct built *b, uint64_t pc, int kind)
{
	assert_int_equal(built_rule(b, pc).kind, kind);
}

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cfi.h - compiles call frame information (.eh_frame, .debug_frame) into the rows and
 * rules of include/unwind.h. Pure: bytes in, tables out; no kernel, no libelf, and no
 * trust in the bytes. What is damaged or cannot be expressed becomes a rule that ends
 * the walk with a status, never a guess.
 *
 * Sources: DWARF 5 section 6.4, LSB 5.0 Core "Exception Frames" (.eh_frame), "DWARF for
 * the Arm 64-bit Architecture" (ARM IHI 0057) for negate_ra_state.
 */
#ifndef MEMTALLY_CFI_H
#define MEMTALLY_CFI_H

#include "lib/lib.h"
#include "unwind.h"

enum cfi_arch { CFI_X86_64, CFI_AARCH64 };

/* Limits on what a file may make us allocate; the largest seen: 5 MB, 95 k, 1 M. */
#define CFI_MAX_BYTES (128U << 20)
#define CFI_MAX_FDES  (2U << 20)
#define CFI_MAX_CIES  (64U << 10)
#define CFI_MAX_ROWS  (16U << 20)

struct cfi_section {
	const void *data;
	size_t len;
	uint64_t vaddr; /* of data: pointers are relative to themselves */
	enum cfi_arch arch;
	bool debug_frame;	 /* format of .debug_frame, else of .eh_frame */
	bool stop_at_zero;	 /* true length unknown: a zero record ends the section */
	uint64_t text, text_end; /* code lies within; text_end 0: unknown */
};

struct cfi_stats {
	uint64_t bytes, cies, fdes, rows;
	uint64_t bad_cies, bad_fdes; /* not understood, their code has no rows */
	uint64_t bad_ops;	     /* functions cut short at an unknown instruction */
	uint64_t clipped;	     /* FDEs overlapping another */
	uint64_t outside;	     /* FDEs for addresses that hold no code */
	uint64_t unsupported;	     /* rows that end a walk as unsupported */
	uint64_t ns;		     /* spent compiling */
};

/* Rules of all objects, each once. Rule 0 is UNWIND_GAP, rule 1 UNWIND_UNSUP. */
struct cfi_rules;
#define CFI_RULE_GAP   0
#define CFI_RULE_UNSUP 1

struct cfi_rules *cfi_rules_new(void);
void cfi_rules_free(struct cfi_rules *rules);
/*
 * Index of *rule, added if new. Where UNWIND_MAX_RULES are reached or memory is out, the
 * answer is CFI_RULE_UNSUP and cfi_rules_refused() grows.
 */
uint32_t cfi_rules_intern(struct cfi_rules *rules, const struct unwind_rule *rule);
size_t cfi_rules_count(const struct cfi_rules *rules);
const struct unwind_rule *cfi_rules_at(const struct cfi_rules *rules, uint32_t index);
uint64_t cfi_rules_refused(const struct cfi_rules *rules);

/* Rows of one object, sorted by pc, the last one a gap. */
struct cfi_table {
	uint64_t base; /* vaddr of pc 0 */
	struct unwind_row *rows;
	size_t n_rows, cap;
	struct cfi_stats stats;
};

/*
 * Compiles one section. 0, -ENODATA where it describes no code, -EFBIG beyond the limits
 * above, -ENOMEM. *ret is the caller's: cfi_table_deinit().
 */
int cfi_compile(const struct cfi_section *s, struct cfi_rules *rules, struct cfi_table *ret);
void cfi_table_deinit(struct cfi_table *t);
/* Entries of the table's block index. */
size_t cfi_table_blocks(const struct cfi_table *t);
/* Writes the index; first_row: where the table's rows start in the array of all rows. */
void cfi_table_index(const struct cfi_table *t, uint32_t first_row, struct unwind_block *blocks);
/* The rule index in force at a vaddr, as the walk finds it; CFI_RULE_GAP outside. */
uint32_t cfi_table_rule(const struct cfi_table *t, uint64_t vaddr);

/*
 * Finds and compiles the section of a whole ELF file, read through a callback that
 * returns 0 only if all len bytes at off came. .eh_frame by section or, without section
 * headers, by PT_GNU_EH_FRAME; else .debug_frame. -ENOEXEC for what is no little-endian
 * 64-bit ELF of a known machine, -ENODATA without any unwind information, what read
 * returned, else as cfi_compile().
 */
struct cfi_file {
	int (*read)(void *arg, uint64_t off, void *buf, size_t len);
	void *arg;
};

int cfi_compile_file(const struct cfi_file *f, struct cfi_rules *rules, struct cfi_table *ret);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* internal.h - between the files of src/cfi only. */
#ifndef MEMTALLY_CFI_INTERNAL_H
#define MEMTALLY_CFI_INTERNAL_H

#include "cfi/cfi.h"
#include "lib/cursor.h"

#define CFI_REMEMBER_MAX 16 /* nested remember_state; 2 are usual */

enum cfi_column { COL_FP, COL_AUX, COL_RA, COL_SP, COLUMNS };

/* Where the caller's value of a register is. */
enum cfi_place {
	PLACE_SAME,
	PLACE_CFA,   /* saved at CFA + off */
	PLACE_FP,    /* saved at frame pointer + off */
	PLACE_UNDEF, /* gone */
	PLACE_OTHER, /* anything else */
};

struct cfi_column_rule {
	enum cfi_place place;
	int64_t off;
};

/* State of the virtual unwinder at one location. */
struct cfi_state {
	bool cfa_is_expr;
	uint64_t cfa_reg; /* ~0: none yet */
	int64_t cfa_off;
	const uint8_t *expr;
	size_t expr_len;
	struct cfi_column_rule columns[COLUMNS];
	bool ra_signed;
};

struct cfi_arch_regs { /* DWARF register numbers */
	uint64_t sp, fp, aux, ra, scratch;
};

struct cfi_cie {
	uint64_t off; /* of its record in the section */
	uint64_t code_align;
	int64_t data_align;
	uint8_t encoding; /* of addresses */
	bool augmented;	  /* has augmentation data, so have its FDEs */
	bool signal;
	bool ok;
	size_t program, program_end; /* offsets in the section */
	struct cfi_state initial;
};

struct cfi_fde {
	uint64_t pc, end;
	uint32_t program, program_len;
	uint32_t cie; /* index */
	uint32_t pad;
};

/* One compilation. */
struct cfi_compiler {
	const struct cfi_section *section;
	const struct cfi_arch_regs *regs;
	struct cfi_rules *rules;
	struct cfi_table *table;
	struct cfi_cie *cies;
	size_t n_cies, cap_cies;
	struct cfi_fde *fdes;
	size_t n_fdes, cap_fdes;
	int err; /* -ENOMEM or -EFBIG from deep inside */
};

/* section.c: records, CIEs, FDEs. Fills cies and fdes; damaged ones are counted. */
int cfi_section_scan(struct cfi_compiler *c);
/* An address in encoding enc (DW_EH_PE_*); sets cur->err for what is not understood. */
uint64_t cfi_read_address(const struct cfi_compiler *c, struct cursor *cur, uint8_t enc);
/* cursor over [from, to) of the section whose cursor_pos() is the section offset. */
struct cursor cfi_section_cursor(const struct cfi_compiler *c, size_t from, size_t to);

/* program.c: the call frame instructions. */
void cfi_state_init(const struct cfi_compiler *c, struct cfi_state *s);
/* Runs a CIE's program into its initial state: 0 or -EBADMSG. */
int cfi_run_cie(const struct cfi_compiler *c, struct cfi_cie *cie);
/* Runs an FDE's program, pushing its rows: 0, or -EBADMSG if it was cut short. */
int cfi_run_fde(struct cfi_compiler *c, const struct cfi_fde *fde);

/* rule.c: rules from states. */
uint32_t cfi_rule_of(struct cfi_compiler *c, const struct cfi_cie *cie, const struct cfi_state *s);

/* cfi.c: `rule` is in force from vaddr pc on. */
void cfi_push(struct cfi_compiler *c, uint64_t pc, uint32_t rule);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * step_shim.h - compiles the BPF walk as plain C over a synthetic stack and tables.
 * WALK_AARCH64 is set by the includer.
 */
#ifndef MEMTALLY_TESTS_STEP_SHIM_H
#define MEMTALLY_TESTS_STEP_SHIM_H

#include <stdint.h>
#include <string.h>

#include "unwind.h"

#define SHIM_STACK	0x7ffd00000000ULL
#define SHIM_STACK_SIZE (1U << 16)
#define SHIM_TRAMP	0x7ffe0000f000ULL

struct shim {
	uint8_t stack[SHIM_STACK_SIZE];
	const struct unwind_mapping *mappings;
	const struct unwind_block *blocks;
	const struct unwind_row *rows;
	const struct unwind_rule *rules;
	uint32_t n_mappings, n_blocks, n_rows, n_rules;
	const struct unwind_mapping *vmas; /* what the kernel knows beyond the slice */
	uint32_t n_vmas, vma_lookups;
	uint64_t hidden, hidden_slot; /* a pending uretprobe */
	unsigned int reads;
};

static struct shim shim;
static struct unwind_cfg unwind_cfg = {.max_frames = UNWIND_MAX_FRAMES, .mode = UNWIND_DWARF};

static inline int shim_read(void *dst, uint64_t len, uint64_t addr)
{
	uint64_t off = addr - SHIM_STACK;

	shim.reads++;
	if (off >= SHIM_STACK_SIZE || len > SHIM_STACK_SIZE - off) {
		memset(dst, 0, len); /* as bpf_probe_read_user() does */
		return -14;
	}
	memcpy(dst, shim.stack + off, len);
	return 0;
}

static inline void shim_write(uint64_t addr, uint64_t value)
{
	memcpy(shim.stack + (addr - SHIM_STACK), &value, sizeof(value));
}

static inline uint64_t shim_untramp(__u64 *tramp, uint64_t pc, uint64_t slot)
{
	*tramp = SHIM_TRAMP;
	return pc == SHIM_TRAMP && slot == shim.hidden_slot ? shim.hidden : 0;
}

#define walk_read(dst, len, addr) shim_read(dst, len, addr)
#define walk_mapping(k)		  ((k) < shim.n_mappings ? &shim.mappings[k] : NULL)
#define walk_block(k)		  ((k) < shim.n_blocks ? &shim.blocks[k] : NULL)
#define walk_row(k)		  ((k) < shim.n_rows ? &shim.rows[k] : NULL)
#define walk_rule(k)		  ((k) < shim.n_rules ? &shim.rules[k] : NULL)
#define walk_untramp(w)		  shim_untramp(&(w)->tramp, (w)->pc, (w)->slot)
#define walk_find_vma(w, pc)	  shim_find_vma(w, pc)
#define WALK_STEP		  static

struct walk;
static int shim_find_vma(struct walk *w, uint64_t pc);

#include "../../bpf/unwind_step.bpf.h"

/* The kernel's list: shim.vmas. One without blocks is a mapping without a table. */
static int shim_find_vma(struct walk *w, uint64_t pc)
{
	for (uint32_t i = 0; i < shim.n_vmas; i++) {
		const struct unwind_mapping *m = &shim.vmas[i];

		if (pc < m->start || pc >= m->end)
			continue;
		shim.vma_lookups++;
		w->m_start = m->start;
		w->m_len = m->end - m->start;
		w->m_base = m->base;
		w->m_block = m->block;
		w->m_n_blocks = m->n_blocks;
		w->m_unknown = !m->n_blocks;
		return m->n_blocks != 0;
	}
	if (w->flags & WALK_FLAG_ASK)
		w->flags |= WALK_FLAG_BUSY; /* it cannot tell now */
	return 0;
}

#endif

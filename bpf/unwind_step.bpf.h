/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * unwind_step.bpf.h - one step of the stack walk, from a frame to its caller.
 *
 * Compiles for BPF (unwind.bpf.h) and as plain C (unit tests, fuzzing): whoever
 * includes it defines before
 *
 *	unwind_cfg			struct unwind_cfg
 *	walk_read(dst, len, addr)	reads user memory, 0 if all of it came
 *	walk_mapping(k), walk_block(k), walk_row(k), walk_rule(k)
 *					element k of a table, or NULL
 *	walk_untramp(w)			what a pending uretprobe hides at w->pc, or 0
 *	WALK_AARCH64			0 or 1
 *	WALK_STEP			linkage of walk_step()
 *	WALK_WINDOW			bytes of stack read at once, a power of two; or nothing
 *
 * Ordinary frames cost one word of user memory. A read costs some 50 ns whatever its
 * length, so that a struct walk which does not live on the BPF stack may keep a window of
 * the user stack: then that is the price of several frames. The frame pointer and the auxiliary
 * register are lazy: a rule only moves the address where they are saved, which is read
 * when a CFA needs the value. The mapping of the last frame is kept, as neighbours on
 * the stack mostly lie in the same object.
 */
#ifndef MEMTALLY_UNWIND_STEP_BPF_H
#define MEMTALLY_UNWIND_STEP_BPF_H

#include "unwind.h"

#define WALK_MORE (-1) /* walk_step(): there is a caller */

#define WALK_ROW_STEPS	   9	     /* halvings of at most 257 rows of a block */
#define WALK_MAPPING_STEPS 12	     /* of at most UNWIND_MAX_MAPPINGS */
#define WALK_FP_REACH	   (1 << 20) /* a frame pointer this far above sp is not believed */
#define WALK_TRAMP_UNKNOWN (~0ULL)
#define WALK_LOST_FP	   1
#define WALK_LOST_AUX	   2

/* glibc's and the kernel's rt_sigframe, from sp in the signal trampoline. */
#if WALK_AARCH64
#define WALK_SIG_FP  544 /* siginfo 128, uc_mcontext at 176, regs[] at 8 */
#define WALK_SIG_AUX 552
#define WALK_SIG_SP  560
#define WALK_SIG_PC  568
#else
#define WALK_SIG_FP  120 /* gregs at 40: REG_RBP 10, REG_RBX 11, REG_RSP 15, REG_RIP 16 */
#define WALK_SIG_AUX 128
#define WALK_SIG_SP  160
#define WALK_SIG_PC  168
#endif

/* Registers to start from. aux: rbx on x86-64, x30 on aarch64. r10: x86-64 only. */
struct walk_regs {
	__u64 pc, sp, fp, aux, r10;
};

struct walk {
	/* The frame we stand in. fp_at, aux_at: if not 0, where the value is saved. */
	__u64 pc, sp, fp, aux, r10;
	__u64 fp_at, aux_at;
	__u64 slot; /* where pc was read from, as uretprobes name it; 0: a register */
	/* The mapping of the last frame; m_len 0: none. */
	__u64 m_start, m_len, m_base;
	__u32 m_block, m_n_blocks;
	struct unwind_slice slice;
	/* Pending uretprobes: trampoline address, next return_instance to look at. */
	__u64 tramp, tramp_next;
	/* Results: what to report for this frame, hash and number of all frames. */
	__u64 cur, hash;
	__u32 n, status, flags;
	__u8 is_ra; /* pc is a return address: the call lies before it */
	__u8 entry; /* pc is the first instruction of a function */
	__u8 lost;  /* WALK_LOST_*: the register's value is unknown */
	__u8 pad;
#ifdef WALK_WINDOW
	/* Words of the user stack from win_at on; at the end, as it is never cleared. */
	__u64 win_at;
	__u64 win[WALK_WINDOW / 8];
#endif
};

/*
 * Keeps clang from turning the masks of the searches back into branches, which would
 * double the verifier's paths at each halving.
 */
#define WALK_OPAQUE(x) asm volatile("" : "+r"(x))

#define WALK_TRY(status_expr)                \
	do {                                 \
		int status_ = (status_expr); \
		if (status_ != WALK_MORE)    \
			return status_;      \
	} while (0)

#ifdef WALK_WINDOW
#define WALK_WORDS	(WALK_WINDOW / 8)
#define WALK_WIN_BELOW	64 /* registers saved below a return address are wanted later */
#define WALK_WIN_EMPTY	1  /* not aligned: no address lies in it */
#define WALK_CLEAR_SIZE __builtin_offsetof(struct walk, win)

/* A word of the user stack. The window only moves up, as a walk does. */
static inline __attribute__((always_inline)) int walk_word(struct walk *w, __u64 *ret, __u64 addr)
{
	__u64 i = addr - w->win_at;

	if ((i & 7) || i >= WALK_WINDOW) {
		if ((addr & 7) || (w->win_at != WALK_WIN_EMPTY && addr < w->win_at))
			return walk_read(ret, sizeof(*ret), addr);
		w->win_at = addr - WALK_WIN_BELOW;
		if (walk_read(w->win, sizeof(w->win), w->win_at)) {
			w->win_at = WALK_WIN_EMPTY; /* near the end of the stack */
			return walk_read(ret, sizeof(*ret), addr);
		}
		i = WALK_WIN_BELOW;
	}
	WALK_OPAQUE(i); /* or clang drops the mask, which the verifier wants to see */
	*ret = w->win[(i >> 3) & (WALK_WORDS - 1)];
	return 0;
}
#else
#define WALK_CLEAR_SIZE		sizeof(struct walk)
#define walk_word(w, ret, addr) walk_read(ret, sizeof(*(ret)), addr)
#endif

static inline __attribute__((always_inline)) int walk_find_mapping(struct walk *w, __u64 pc)
{
	__u32 base = w->slice.lo, n = w->slice.n, k, half;
	const struct unwind_mapping *m;

	if (!n)
		return 0;
	for (int i = 0; i < WALK_MAPPING_STEPS && n > 1; i++) {
		__s64 below;

		half = n >> 1;
		k = base + half;
		m = walk_mapping(k);
		if (!m)
			return 0;
		below = (__s64)(pc - m->start) >> 63;
		WALK_OPAQUE(below);
		base += half & ~(__u32)below;
		n -= half;
		WALK_OPAQUE(base);
		WALK_OPAQUE(n);
	}
	m = walk_mapping(base);
	if (!m || pc < m->start || pc >= m->end)
		return 0;
	w->m_start = m->start;
	w->m_len = m->end - m->start;
	w->m_base = m->base;
	w->m_block = m->block;
	w->m_n_blocks = m->n_blocks;
	return 1;
}

static inline __attribute__((always_inline)) const struct unwind_rule *
walk_find_rule(const struct walk *w, __u64 pc)
{
	__u64 off = pc - w->m_base, b = off >> UNWIND_BLOCK_SHIFT;
	const struct unwind_block *block;
	const struct unwind_row *row;
	__u32 base, n, k, half;

	if (b >= w->m_n_blocks) /* below the first address off has wrapped */
		return 0;
	k = w->m_block + (__u32)b;
	block = walk_block(k);
	if (!block)
		return 0;
	base = block->first;
	n = block->n;
	for (int i = 0; i < WALK_ROW_STEPS && n > 1; i++) {
		__s64 below;

		half = n >> 1;
		k = base + half;
		row = walk_row(k);
		if (!row)
			return 0;
		below = (__s64)(off - row->pc) >> 63;
		WALK_OPAQUE(below);
		base += half & ~(__u32)below;
		n -= half;
		WALK_OPAQUE(base);
		WALK_OPAQUE(n);
	}
	row = walk_row(base);
	if (!row || row->pc > off)
		return 0;
	k = row->rule;
	return walk_rule(k);
}

static inline __attribute__((always_inline)) int walk_need_fp(struct walk *w)
{
	if (w->lost & WALK_LOST_FP)
		return WALK_UNSUPPORTED;
	if (w->fp_at && walk_word(w, &w->fp, w->fp_at))
		return WALK_FAULT;
	w->fp_at = 0;
	return WALK_MORE;
}

static inline __attribute__((always_inline)) int walk_need_aux(struct walk *w)
{
	if (w->lost & WALK_LOST_AUX)
		return WALK_UNSUPPORTED;
	if (w->aux_at && walk_word(w, &w->aux, w->aux_at))
		return WALK_FAULT;
	w->aux_at = 0;
	return WALK_MORE;
}

/* Enters the caller: its sp and the return address found at `slot`. */
static inline __attribute__((always_inline)) int walk_return(struct walk *w, __u64 sp, __u64 ra)
{
	if (WALK_AARCH64)
		ra &= (1ULL << 48) - 1; /* signature of pointer authentication, top-byte tags */
	w->sp = sp;
	w->pc = ra;
	w->slot = WALK_AARCH64 ? sp : sp - 8;
	w->is_ra = 1;
	return ra ? WALK_MORE : WALK_COMPLETE;
}

/*
 * First instruction of a function: nothing is pushed yet, so that no table is needed
 * and code without any unwind information is fine too.
 */
static inline __attribute__((always_inline)) int walk_leave_entry(struct walk *w)
{
	__u64 ra = w->aux;

	w->entry = 0;
	if (!WALK_AARCH64 && walk_word(w, &ra, w->sp))
		return WALK_FAULT;
	return walk_return(w, WALK_AARCH64 ? w->sp : w->sp + 8, ra);
}

/* Frame {fp, return address} at fp. `cause` is why no table was used. */
static inline __attribute__((always_inline)) int walk_leave_by_fp(struct walk *w, int cause)
{
	__u64 frame[2], fp;

	if (w->lost & WALK_LOST_FP)
		return cause;
	WALK_TRY(walk_need_fp(w));
	fp = w->fp;
	if (!fp && unwind_cfg.mode == UNWIND_FP)
		return WALK_COMPLETE; /* _start clears it to mark the end */
	if (fp < w->sp || fp - w->sp > WALK_FP_REACH || (fp & 7))
		return cause;
	if (walk_word(w, &frame[0], fp) || walk_word(w, &frame[1], fp + 8))
		return WALK_FAULT;
	w->fp = frame[0];
	w->lost |= WALK_LOST_AUX;
	w->flags |= WALK_FLAG_FP;
	return walk_return(w, fp + 16, frame[1]);
}

/* The interrupted code goes on where it was, with its registers, at any instruction. */
static inline __attribute__((always_inline)) int walk_leave_signal(struct walk *w)
{
	__u64 sp = w->sp;

	if (walk_read(&w->fp, sizeof(w->fp), sp + WALK_SIG_FP) ||
	    walk_read(&w->aux, sizeof(w->aux), sp + WALK_SIG_AUX) ||
	    walk_read(&w->sp, sizeof(w->sp), sp + WALK_SIG_SP) ||
	    walk_read(&w->pc, sizeof(w->pc), sp + WALK_SIG_PC))
		return WALK_FAULT;
	w->fp_at = w->aux_at = w->slot = 0;
	w->is_ra = w->lost = 0;
	w->flags |= WALK_FLAG_SIGNAL;
	return WALK_MORE;
}

static inline __attribute__((always_inline)) int
walk_cfa(struct walk *w, const struct unwind_rule *r, __u64 pc, __u64 *ret)
{
	__u64 cfa;

	switch (r->kind) {
	case UNWIND_SP:
		cfa = w->sp + (__s64)r->cfa_off;
		break;
	case UNWIND_BP:
	case UNWIND_DBP:
		WALK_TRY(walk_need_fp(w));
		cfa = w->fp + (__s64)r->cfa_off;
		break;
	case UNWIND_BX:
		WALK_TRY(walk_need_aux(w));
		cfa = w->aux + (__s64)r->cfa_off;
		break;
	case UNWIND_DSP:
		cfa = w->sp + (__s64)r->cfa_off;
		break;
	case UNWIND_PLT:
		cfa = w->sp + 8 + ((pc & 15) >= (__u32)r->cfa_off ? 8 : 0);
		break;
	case UNWIND_R10:
		if (w->n) /* not preserved across calls */
			return WALK_UNSUPPORTED;
		cfa = w->r10 + (__s64)r->cfa_off;
		break;
	default:
		return WALK_UNSUPPORTED;
	}
	if (r->kind == UNWIND_DSP || r->kind == UNWIND_DBP) {
		if (walk_read(&cfa, sizeof(cfa), cfa))
			return WALK_FAULT;
		cfa += (__s64)r->off2;
	}
	*ret = cfa;
	return WALK_MORE;
}

/* The caller's fp and aux; both rules may use this frame's fp, so that aux goes first. */
static inline __attribute__((always_inline)) int
walk_registers(struct walk *w, const struct unwind_rule *r, __u64 cfa)
{
	if (r->aux == UNWIND_BPREL || r->fp == UNWIND_BPREL)
		WALK_TRY(walk_need_fp(w));
	if (r->aux == UNWIND_LOST) {
		w->lost |= WALK_LOST_AUX;
	} else if (r->aux != UNWIND_SAME) {
		w->aux_at = (r->aux == UNWIND_CFA ? cfa : w->fp) + (__s64)r->aux_off;
		w->lost &= ~WALK_LOST_AUX;
	}
	if (r->fp == UNWIND_LOST) {
		w->lost |= WALK_LOST_FP;
	} else if (r->fp != UNWIND_SAME) {
		w->fp_at = (r->fp == UNWIND_CFA ? cfa : w->fp) + (__s64)r->fp_off;
		w->lost &= ~WALK_LOST_FP;
	}
	return WALK_MORE;
}

static inline __attribute__((always_inline)) int
walk_leave_by_rule(struct walk *w, const struct unwind_rule *r, __u64 pc)
{
	__u64 cfa, ra = 0;

	WALK_TRY(walk_cfa(w, r, pc, &cfa));
	if (WALK_AARCH64 && r->aux == UNWIND_SAME) { /* still in x30: only where pc is exact */
		if (w->is_ra || cfa < w->sp)
			return w->is_ra ? WALK_UNSUPPORTED : WALK_FAULT;
		WALK_TRY(walk_need_aux(w));
		ra = w->aux;
	} else {
		if (cfa <= w->sp)
			return WALK_FAULT;
		if (WALK_AARCH64 && r->aux != UNWIND_CFA)
			return WALK_UNSUPPORTED;
		if (walk_word(w, &ra, cfa + (WALK_AARCH64 ? (__s64)r->aux_off : -8)))
			return WALK_FAULT;
	}
	WALK_TRY(walk_registers(w, r, cfa));
	return walk_return(w, cfa, ra);
}

/*
 * From the frame in *w to its caller: WALK_MORE, or the final enum walk_status. w->cur
 * becomes the address to report for this frame, also with a final status. Global in
 * BPF, that is verified once, on its own (for any argument, hence the test); inlined
 * into the loop it exceeds the verifier's million instructions.
 */
WALK_STEP int walk_step(struct walk *w)
{
	const struct unwind_rule *r;
	__u64 pc, hidden;

	if (!w)
		return WALK_FAULT;
	pc = w->pc - w->is_ra;
	w->cur = w->pc;
	if (w->entry)
		return walk_leave_entry(w);
	if (unwind_cfg.mode == UNWIND_FP || pc - w->m_start >= w->m_len) {
		if (unwind_cfg.mode == UNWIND_FP || !walk_find_mapping(w, pc)) {
			hidden = w->slot ? walk_untramp(w) : 0;
			if (hidden) {
				w->pc = w->cur = hidden;
				w->flags |= WALK_FLAG_TRAMP;
				pc = hidden - 1;
			}
			if (unwind_cfg.mode == UNWIND_FP)
				return walk_leave_by_fp(w, WALK_NO_ROW);
			if (!hidden || !walk_find_mapping(w, pc)) {
				w->m_len = 0;
				return walk_leave_by_fp(w, WALK_NO_MAPPING);
			}
		}
	}
	r = walk_find_rule(w, pc);
	if (!r || r->kind == UNWIND_GAP)
		return walk_leave_by_fp(w, WALK_NO_ROW);
	if (r->kind == UNWIND_STOP)
		return WALK_COMPLETE;
	if (r->kind == UNWIND_SIGFRAME)
		return walk_leave_signal(w);
	return walk_leave_by_rule(w, r, pc);
}

/* 64 bits over the resolved addresses; at a million stacks two collide with 3e-8. */
static inline __attribute__((always_inline)) void walk_mix(struct walk *w)
{
	__u64 h = (w->hash ^ w->cur) * 0x9E3779B97F4A7C15ULL;

	w->hash = h ^ (h >> 32);
}

static inline __attribute__((always_inline)) void
walk_init(struct walk *w, const struct walk_regs *regs, const struct unwind_slice *slice)
{
	__builtin_memset(w, 0, WALK_CLEAR_SIZE);
#ifdef WALK_WINDOW
	w->win_at = WALK_WIN_EMPTY;
#endif
	w->pc = regs->pc;
	w->sp = regs->sp;
	w->fp = regs->fp;
	w->aux = regs->aux;
	w->r10 = regs->r10;
	w->tramp = WALK_TRAMP_UNKNOWN;
	if (slice)
		w->slice = *slice;
}

/*
 * Walks to the end. pcs: room for UNWIND_MAX_FRAMES, leaf first; NULL computes the
 * hash only. Return addresses are given raw, the first frame too if is_return.
 */
static inline __attribute__((always_inline)) void walk_run(struct walk *w, __u64 *pcs)
{
	w->status = WALK_DEPTH;
	for (__u32 i = 0; i < UNWIND_MAX_FRAMES; i++) {
		int status;

		if (i >= unwind_cfg.max_frames)
			break;
		w->cur = w->pc;
		status = unwind_cfg.mode == UNWIND_NONE ? WALK_DEPTH : walk_step(w);
		if (pcs)
			pcs[i] = w->cur;
		walk_mix(w);
		w->n = i + 1;
		if (status != WALK_MORE) {
			w->status = status;
			break;
		}
	}
}

#endif

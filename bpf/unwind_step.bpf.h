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
 *	walk_find_vma(w, pc)		1 and the mapping cache filled, from what the kernel
 *					knows at this moment; 0 if that is no known object
 *	WALK_AARCH64			0 or 1
 *	WALK_STEP			linkage of walk_step()
 *	WALK_WINDOW			only for walks off the BPF stack, see walk_peek()
 *	WALK_MEMOS			likewise, with a window: see unwind_memo.bpf.h
 *
 * Ordinary frames cost one word of user memory. The frame pointer and the auxiliary
 * register are lazy: a rule only moves the address where they are saved, which is read
 * when a CFA needs the value. The mapping of the last frame is kept, as neighbours on
 * the stack mostly lie in the same object.
 */
#ifndef MEMTALLY_UNWIND_STEP_BPF_H
#define MEMTALLY_UNWIND_STEP_BPF_H

#include "unwind_walk.bpf.h"

#define WALK_MORE (-1) /* walk_step(): there is a caller */
#define WALK_ASK  (-2) /* no table for this frame, nothing was done: WALK_FLAG_ASK */

#define WALK_FP_REACH (1 << 20) /* a frame pointer this far above sp is not believed */

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

#define WALK_TRY(status_expr)                \
	do {                                 \
		int status_ = (status_expr); \
		if (status_ != WALK_MORE)    \
			return status_;      \
	} while (0)

static inline __attribute__((always_inline)) int walk_need_fp(struct walk *w)
{
	if (w->lost & WALK_LOST_FP)
		return WALK_UNSUPPORTED;
	walk_use(w, WALK_LOST_FP, w->fp_at);
	if (w->fp_at && walk_word(w, &w->fp, w->fp_at))
		return WALK_FAULT;
	w->fp_at = 0;
	return WALK_MORE;
}

static inline __attribute__((always_inline)) int walk_need_aux(struct walk *w)
{
	if (w->lost & WALK_LOST_AUX)
		return WALK_UNSUPPORTED;
	walk_use(w, WALK_LOST_AUX, w->aux_at);
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
	walk_use(w, WALK_AARCH64 ? WALK_LOST_AUX : 0, 0);
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
	__u64 cfa, slot;

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
		walk_use(w, WALK_USED_R10, 0);
		cfa = w->r10 + (__s64)r->cfa_off;
		break;
	default:
		return WALK_UNSUPPORTED;
	}
	if (r->kind == UNWIND_DSP || r->kind == UNWIND_DBP) {
		slot = cfa;
		if (walk_read(&cfa, sizeof(cfa), slot))
			return WALK_FAULT;
		walk_note(w, slot, cfa);
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
 * Fills the mapping cache for *pc, where it does not hold it yet: from the slice, else
 * from the kernel. A trampoline's *pc becomes what it hides.
 */
static inline __attribute__((always_inline)) int walk_locate(struct walk *w, __u64 *pc)
{
	int tables = unwind_cfg.mode != UNWIND_FP;
	__u64 hidden;

	if (tables && walk_find_mapping(w, *pc))
		return 1;
	w->m_len = 0;
	hidden = w->slot ? walk_untramp(w) : 0;
	if (hidden) {
		w->pc = w->cur = hidden;
		w->flags |= WALK_FLAG_TRAMP;
		*pc = hidden - 1;
		if (tables && walk_find_mapping(w, *pc))
			return 1;
	}
	return tables && walk_find_vma(w, *pc);
}

/*
 * From the frame in *w to its caller: WALK_MORE, or the final enum walk_status. w->cur
 * becomes the address to report for this frame, also with a final status.
 */
static inline __attribute__((always_inline)) int walk_step_any(struct walk *w)
{
	__u64 pc = w->pc - w->is_ra;
	const struct unwind_rule *r;

	w->cur = w->pc;
	if (w->entry)
		return walk_leave_entry(w);
	if (pc - w->m_start >= w->m_len && !walk_locate(w, &pc)) {
		if ((w->flags & WALK_FLAG_ASK) && (w->flags & (WALK_FLAG_NEW | WALK_FLAG_BUSY)))
			return WALK_ASK;
		return walk_leave_by_fp(w, unwind_cfg.mode == UNWIND_FP ? WALK_NO_ROW
									: WALK_NO_MAPPING);
	}
	r = walk_find_rule(w, pc);
	if (!r || r->kind == UNWIND_GAP)
		return walk_leave_by_fp(w, w->m_unknown ? WALK_NO_MAPPING : WALK_NO_ROW);
	if (r->kind == UNWIND_STOP)
		return WALK_COMPLETE;
	if (r->kind == UNWIND_SIGFRAME)
		return walk_leave_signal(w);
	return walk_leave_by_rule(w, r, pc);
}

/*
 * The same as a function. Global in BPF, that is verified once, on its own (for any
 * argument, hence the test); inlined into the loop it exceeds the verifier's million
 * instructions. Where such functions take no pointer the state has one place.
 */
#ifdef WALK_OF_CPU
WALK_STEP int walk_step_of_cpu(void)
{
	struct walk *w = WALK_OF_CPU();

	return w ? walk_step_any(w) : WALK_FAULT;
}
#define walk_step(w) walk_step_of_cpu()
#else
WALK_STEP int walk_step(struct walk *w)
{
	return w ? walk_step_any(w) : WALK_FAULT;
}
#endif

static inline __attribute__((always_inline)) void
walk_init(struct walk *w, const struct walk_regs *regs, const struct unwind_slice *slice)
{
	walk_clear(w);
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
 * Walks on to the end. pcs: room for UNWIND_MAX_FRAMES, leaf first; NULL computes the hash
 * only. Return addresses are given raw, the first frame too if is_return. With
 * WALK_FLAG_ASK it may stop before a frame: 1, and without the flag it can be called again.
 */
static inline __attribute__((always_inline)) int walk_go_on(struct walk *w, __u64 *pcs)
{
	w->status = WALK_DEPTH;
	for (__u32 i = 0; i < UNWIND_MAX_FRAMES; i++) {
		__u64 n = w->n;
		int status;

		WALK_OPAQUE(n); /* no pointer into pcs instead, of unknown bounds */
		if (n >= UNWIND_MAX_FRAMES || n >= unwind_cfg.max_frames)
			break;
		w->cur = w->pc;
		status = unwind_cfg.mode == UNWIND_NONE ? WALK_DEPTH : walk_step(w);
		if (status == WALK_ASK)
			return 1;
		if (pcs)
			pcs[n] = w->cur;
		w->hash = walk_hash(w->hash, w->cur);
		w->n = (__u32)n + 1;
		if (status != WALK_MORE) {
			w->status = status;
			break;
		}
	}
	return 0;
}

#include "unwind_plain.bpf.h"
#ifdef WALK_MEMOS
#include "unwind_memo.bpf.h"
#endif

/* The same in one go: i is known to the verifier in each round. */
static inline __attribute__((always_inline)) void walk_run(struct walk *w, __u64 *pcs)
{
	if (unwind_cfg.mode == UNWIND_FP && !walk_learns(w)) {
		walk_run_fp(w, pcs);
		return;
	}
	w->status = WALK_DEPTH;
	for (__u32 i = 0; i < UNWIND_MAX_FRAMES; i++) {
		int status;

		if (i >= unwind_cfg.max_frames)
			break;
		w->cur = w->pc;
		status = unwind_cfg.mode == UNWIND_NONE ? WALK_DEPTH : walk_step(w);
		if (pcs)
			pcs[i] = w->cur;
		w->hash = walk_hash(w->hash, w->cur);
		w->n = i + 1;
		if (status != WALK_MORE) {
			w->status = status;
			break;
		}
	}
}

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * unwind_plain.bpf.h - frames by frame pointer in the plain case, without the fields of
 * struct walk: these live in a map, where each access is a load or store that the next one
 * waits for. Part of unwind_step.bpf.h.
 */
#ifndef MEMTALLY_UNWIND_PLAIN_BPF_H
#define MEMTALLY_UNWIND_PLAIN_BPF_H

/* What changes from one plain frame to the next, for the compiler to keep in registers. */
struct walk_plain {
	__u64 pc, sp, fp;
	__u64 stop; /* pc that is not plain: the trampoline's */
	__u32 moved;
};

static inline __attribute__((always_inline)) struct walk_plain
walk_plain_begin(const struct walk *w)
{
	return (struct walk_plain){
		.pc = w->pc,
		.sp = w->sp,
		.fp = w->fp,
		.stop = w->entry || w->tramp == WALK_TRAMP_UNKNOWN ? w->pc : w->tramp,
	};
}

static inline __attribute__((always_inline)) void walk_plain_end(struct walk *w,
								 const struct walk_plain *f)
{
	if (!f->moved)
		return;
	w->pc = f->pc;
	w->sp = f->sp;
	w->fp = f->fp;
	w->slot = f->sp - 8;
	w->is_ra = 1;
	w->lost |= WALK_LOST_AUX;
	w->flags |= WALK_FLAG_FP;
}

/*
 * A frame by frame pointer that needs nothing but two words of the window: 1, and *f is the
 * caller. Frames below the last one, null pointers and all other ends are not plain.
 */
static inline __attribute__((always_inline)) int walk_plain_frame(const struct walk *w,
								  struct walk_plain *f)
{
#ifdef WALK_WINDOW
	__u64 at = f->fp - w->win_at, fp, ra;

	if (f->pc == f->stop || f->fp - f->sp > WALK_FP_REACH || (at & 7) || at >= WALK_WINDOW - 8)
		return 0;
	at >>= 3;
	WALK_OPAQUE(at);
	fp = w->win[at & (WALK_WINDOW / 8 - 1)];
	ra = w->win[(at + 1) & (WALK_WINDOW / 8 - 1)];
	if (WALK_AARCH64 || !ra) /* aarch64: may be signed */
		return 0;
	f->sp = f->fp + 16;
	f->fp = fp;
	f->pc = ra;
	f->moved = 1;
	return 1;
#else
	(void)w;
	(void)f;
	return 0;
#endif
}

/* walk_run() by frame pointers alone; plain frames are done in registers. */
static inline __attribute__((always_inline)) void walk_run_fp(struct walk *w, __u64 *pcs)
{
	struct walk_plain f = walk_plain_begin(w);
	__u64 hash = w->hash;
	int status = WALK_MORE;
	__u32 i;

	for (i = 0; i < UNWIND_MAX_FRAMES && i < unwind_cfg.max_frames && status == WALK_MORE;
	     i++) {
		__u64 pc = f.pc;

		if (!walk_plain_frame(w, &f)) {
			walk_plain_end(w, &f);
			w->cur = pc;
			status = walk_step(w);
			f = walk_plain_begin(w);
			pc = w->cur;
		}
		if (pcs)
			pcs[i] = pc;
		hash = walk_hash(hash, pc);
	}
	walk_plain_end(w, &f);
	w->n = i;
	w->hash = hash;
	w->status = status == WALK_MORE ? WALK_DEPTH : status;
}

#endif

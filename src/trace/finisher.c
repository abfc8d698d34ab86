/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "trace/finisher.h"

#include <errno.h>
#include <string.h>

/*
 * The step code knows no argument for its surroundings, as BPF has them in global maps;
 * so here they are global for the time of one finisher_run().
 */
static struct {
	const struct finisher *f;
	const struct raw_event *raw;
	const char *stack; /* its copy of the stack */
	size_t stack_len;
	struct unwind_mapping mapping; /* of the pc at hand */
} at;

static struct unwind_cfg unwind_cfg = {.mode = UNWIND_DWARF};

static int read_copy(void *dst, size_t len, uint64_t addr)
{
	uint64_t off = addr - at.raw->sp;

	if (off >= at.stack_len || len > at.stack_len - off)
		return -EFAULT;
	memcpy(dst, at.stack + off, len);
	return 0;
}

#define walk_read(dst, len, addr) read_copy(dst, len, addr)
#define walk_mapping(k)		  ((k) ? NULL : &at.mapping)
#define walk_block(k)		  ((k) < at.f->tables.n_blocks ? &at.f->tables.blocks[k] : NULL)
#define walk_row(k)		  ((k) < at.f->tables.n_rows ? &at.f->tables.rows[k] : NULL)
#define walk_rule(k)		  ((k) < at.f->tables.n_rules ? &at.f->tables.rules[k] : NULL)
#define walk_untramp(w)		  0 /* only the kernel knows */
#define walk_find_vma(w, pc)	  0
#define WALK_STEP		  static
#ifdef __aarch64__
#define WALK_AARCH64 1
#else
#define WALK_AARCH64 0
#endif
#include "../bpf/unwind_step.bpf.h"

static void resume(struct walk *w, const struct raw_event *raw)
{
	walk_clear(w);
	w->pc = raw->pc;
	w->sp = raw->sp;
	w->fp = raw->fp;
	w->aux = raw->aux;
	w->r10 = raw->r10;
	w->hash = raw->hash;
	w->n = MIN(MIN(raw->n, (uint32_t)raw->room), at.f->max_frames);
	w->flags = raw->flags;
	w->is_ra = raw->is_ra != 0;
	w->entry = raw->entry != 0;
	w->lost = raw->lost;
}

/* One mapping at a time, looked up by address before each frame that leaves the last one. */
static void find_mapping(struct walk *w)
{
	uint64_t pc = w->pc - w->is_ra;

	w->slice.n = 0;
	if (pc - w->m_start >= w->m_len && !w->entry)
		w->slice.n = at.f->find(at.f->arg, pc, &at.mapping);
}

static void walk_finish(struct walk *w, struct stack_event *ret)
{
	int status = WALK_MORE;

	w->status = WALK_DEPTH;
	while (w->n < at.f->max_frames && status == WALK_MORE) {
		w->cur = w->pc;
		find_mapping(w);
		status = walk_step(w);
		ret->pcs[w->n++] = w->cur;
		w->hash = walk_hash(w->hash, w->cur);
	}
	if (status != WALK_MORE)
		w->status = (uint32_t)status;
}

void finisher_run(const struct finisher *f, const struct raw_event *raw, size_t len,
		  struct stack_event *ret)
{
	struct finisher bounded = *f;
	struct walk w;

	bounded.max_frames = MIN(f->max_frames, UNWIND_MAX_FRAMES);
	at.f = &bounded;
	at.raw = raw;
	at.stack = (const char *)(raw->data + raw->room);
	at.stack_len = MIN((size_t)raw->stack_len, len - RAW_EVENT_SIZE(raw->room, 0));
	resume(&w, raw);
	*ret = (struct stack_event){.ev = raw->ev, .kind = raw->kind};
	memcpy(ret->pcs, raw->data, w.n * sizeof(ret->pcs[0]));
	walk_finish(&w, ret);
	ret->ev.type = EVENT_STACK;
	ret->site = site_id(w.hash, raw->ev.proc_key, raw->kind, raw->thread);
	ret->n = (uint16_t)w.n;
	ret->status = (uint8_t)w.status;
	ret->flags = (uint8_t)(w.flags | WALK_FLAG_RAW);
	at.f = NULL;
}

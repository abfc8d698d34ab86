/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * --bad: accesses that ended in SIGSEGV or SIGBUS, one row per stack and reason. The
 * program's own handler makes no difference: the signal was generated.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>

#include "faults.h"

#define MAX_BADS 65536
#define VMA_TEXT 512

struct bad {
	struct fault_bad_event e; /* the first one */
	uint64_t count, last_address;
};

struct faults_bads {
	struct bad *v;
	size_t n, cap;
	uint64_t dropped;
};

struct faults_bads *faults_bads_new(void)
{
	return calloc(1, sizeof(struct faults_bads));
}

void faults_bads_free(struct faults_bads *b)
{
	if (b)
		free(b->v);
	free(b);
}

static bool same(const struct fault_bad_event *a, const struct fault_bad_event *b)
{
	return a->stack == b->stack && a->signal == b->signal && a->code == b->code &&
	       a->at.start == b->at.start && a->below.end == b->below.end;
}

int faults_bads_add(struct faults *f, const struct fault_bad_event *e)
{
	const struct fault_vma *vmas[] = {&e->at, &e->below, &e->above};
	struct faults_bads *b = f->bads;
	int err = 0;

	for (size_t i = 0; i < b->n; i++) {
		if (!same(&b->v[i].e, e))
			continue;
		b->v[i].count++;
		b->v[i].last_address = e->address;
		return 0;
	}
	if (b->n == MAX_BADS) {
		b->dropped++;
		return 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(vmas) && !err; i++)
		err = faults_files_learn(f->files, faults_process(f, e->ev.proc_key), vmas[i]);
	if (!err)
		err = array_reserve(&b->v, &b->cap, b->n + 1, sizeof(*b->v));
	if (!err)
		b->v[b->n++] = (struct bad){*e, 1, e->address};
	return err;
}

void faults_bads_hold(struct faults *f)
{
	for (size_t i = 0; i < f->bads->n; i++) {
		struct process *p = faults_process(f, f->bads->v[i].e.ev.proc_key);

		if (p)
			p->in_report = true;
	}
}

uint64_t faults_bads_dropped(const struct faults_bads *b)
{
	return b->dropped;
}

static const char *reason(int sig, int code)
{
	static const struct {
		int sig, code;
		const char *what;
	} reasons[] = {
		{SIGSEGV, SEGV_MAPERR, "no mapping"},
		{SIGSEGV, SEGV_ACCERR, "permission"},
		{SIGSEGV, SI_KERNEL, "general protection"},
		{SIGSEGV, SEGV_PKUERR, "protection key"},
		{SIGBUS, BUS_ADRALN, "alignment"},
		{SIGBUS, BUS_ADRERR, "beyond end of file"},
		{SIGBUS, BUS_OBJERR, "input or output error"},
		{SIGBUS, BUS_MCEERR_AR, "memory failure"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(reasons); i++)
		if (reasons[i].sig == sig && reasons[i].code == code)
			return reasons[i].what;
	return "other";
}

/* "7f12a000-7f12b000 r-xp /usr/lib/libc.so.6", "-" for none. */
static void vma_text(const struct faults *f, const struct fault_vma *v, char buf[VMA_TEXT])
{
	const char *name = v->ino ? faults_files_name(f->files, v->dev, v->ino)
				  : fault_mapping_names[v->mapping % FAULT_MAPPINGS];
	size_t len = VMA_TEXT;

	if (!v->end)
		snprintf(buf, len, "-");
	else
		snprintf(buf, len, "%" PRIx64 "-%" PRIx64 " %c%c%c%c %s", (uint64_t)v->start,
			 (uint64_t)v->end, v->flags & 1 ? 'r' : '-', v->flags & 2 ? 'w' : '-',
			 v->flags & 4 ? 'x' : '-', v->flags & 8 ? 's' : 'p', name);
}

#define WORD(key_, word_, title_, width_)                                                       \
	(struct view_field)                                                                     \
	{                                                                                       \
		.key = key_, .kind = VIEW_WORD, .word = word_, .title = title_, .width = width_ \
	}
#define NUMBER(kind_, key_, n_, title_, width_)                                                   \
	(struct view_field)                                                                       \
	{                                                                                         \
		.key = key_, .kind = kind_, .n = (uint64_t)(n_), .title = title_, .width = width_ \
	}

static int print_bad(struct faults *f, const struct bad *b, bool first)
{
	const struct stack *st = stacks_find(f->stacks, b->e.stack);
	struct process *p = faults_process(f, b->e.ev.proc_key);
	enum view_kind address = b->e.has_address ? VIEW_HEX : VIEW_NULL;
	char at[VMA_TEXT], below[VMA_TEXT], above[VMA_TEXT];
	_cleanup_free_ struct frame *frames = NULL;
	size_t n_frames = 0;
	struct view_field v[] = {
		NUMBER(VIEW_COUNT, "pid", (uint32_t)b->e.ev.proc_key, "PID", 8),
		WORD("comm", p && p->comm[0] ? p->comm : b->e.comm, "COMM", 15),
		NUMBER(VIEW_COUNT, "tid", b->e.ev.tid, NULL, 0),
		NUMBER(VIEW_COUNT, "count", b->count, "COUNT", 7),
		WORD("signal", b->e.signal == SIGBUS ? "SIGBUS" : "SIGSEGV", "SIGNAL", 7),
		WORD("reason", reason(b->e.signal, b->e.code), "REASON", 18),
		NUMBER(VIEW_COUNT, "code", b->e.code, NULL, 0),
		NUMBER(address, "address", b->e.address, "ADDRESS", 18),
		NUMBER(address, "last_address", b->last_address, NULL, 0),
		NUMBER(VIEW_HEX, "ip", b->e.ip, NULL, 0),
		WORD("at", at, "AT", 40),
		WORD("below", below, "BELOW", 40),
		WORD("above", above, "ABOVE", 0),
	};
	int err = st ? faults_resolve(f, st, false, &frames, &n_frames) : 0;

	vma_text(f, &b->e.at, at);
	vma_text(f, &b->e.below, below);
	vma_text(f, &b->e.above, above);
	return err ? err
		   : view_record(f->view,
				 &(struct view_record){
					 .type = "bad",
					 .time_ns = f->now_ns,
					 .tick = f->ticks,
					 .fields = v,
					 .n_fields = ARRAY_SIZE(v),
					 .headline = first ? "Failed accesses" : NULL,
					 .has_stack = true,
					 .status = st ? (enum stack_status)st->status : STACK_NONE,
					 .stack_id = b->e.stack,
					 .frames = frames,
					 .n_frames = n_frames,
				 });
}

static int by_count(const void *a, const void *b)
{
	const struct bad *x = a, *y = b;

	if (x->count != y->count)
		return x->count > y->count ? -1 : 1;
	return x->e.stack < y->e.stack ? -1 : x->e.stack > y->e.stack;
}

int faults_print_bad(struct faults *f)
{
	struct faults_bads *b = f->bads;
	int err = 0;

	if (b->n)
		qsort(b->v, b->n, sizeof(*b->v), by_count);
	for (size_t i = 0; i < b->n && i < f->o->common.top && !err; i++)
		err = print_bad(f, &b->v[i], i == 0);
	return err;
}

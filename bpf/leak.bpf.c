/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * leak.bpf.c - user memory: the allocator's functions, by one program per direction; what
 * each function does comes in the probe's cookie (include/alloc_spec.h).
 *
 *   entry    free: take the block out. Everything else: note the call on the thread.
 *            realloc takes its old block out of the table (not out of the totals): once the
 *            allocator has given the address back, another thread may record it anew before
 *            we see the result. If realloc fails the block is put back.
 *   return   of the call that was noted, which its stack pointer tells (the cookie of the
 *            return's own probe says no more): decide by the result; take the stack; record.
 *
 * Where the kernel has session links one program is at both ends of a call, and its entry
 * says whether the return is wanted. It is not, and costs nothing, for calls of others, for
 * nested ones, and for those that are filtered or not sampled (leak_call.bpf.h).
 *
 * Mappings (mmap, munmap, mremap) are ranges that can be cut anywhere: user space keeps
 * them, fed by the ring in order. munmap and mremap are told before the kernel acts, for
 * the same reason as realloc, and undone if they fail.
 */
#define WALK_WINDOW 1024 /* of user stack read at once, into the thread's state */
#ifndef COMPAT_OLD
#define WALK_MEMOS 4 /* of each thread */
#endif
#define THREAD_SLOTS 128
#define OUTSTANDING_SLOTS
#include "outstanding.bpf.h"
#include "probe_name.bpf.h"
#include "alloc_spec.h"
#include "leak_call.bpf.h"
#include "leak_stack.bpf.h"
#include "leak_tasks.bpf.h"

#define MAP_ANONYMOUS 0x20

__u32 sample_step; /* for calls that begin; moved by user space if cfg.sample_moves */

static __always_inline void range_send(__u32 type, __u64 proc_key, const struct range_event *fill)
{
	struct range_event r = *fill;

	event_fill(&r.ev, type, proc_key);
	if (bpf_ringbuf_output(&events, &r, sizeof(r), 0))
		count(STAT_EVENTS_LOST);
}

/* ---- entry ---- */

static __always_inline void on_free(struct pt_regs *ctx, struct thread *t,
				    const struct alloc_spec *spec)
{
	struct block_key key = {
		.address = compat_arg(ctx, spec->ptr_arg),
		.proc_key = t->call.proc_key,
	};
	struct block_value b;

	if (!key.address || !outstanding_del(&key, &b) || !cfg.trace_calls)
		return;
	stack_take(ctx, t, key.proc_key,
		   &(struct taking){spec->kind, TAKE_AT_ENTRY, spec->sp_moved, 0});
	call_trace(&t->stack, key.proc_key, spec, &key, b.size);
}

/* A realloc whose end was not seen did not free its block as far as anyone knows. */
static __always_inline void call_drop(struct call *c, __u64 proc_key)
{
	struct block_key key = {.address = c->ptr, .proc_key = proc_key};
	struct alloc_spec spec = alloc_spec_unpack(c->cookie);

	if (!(spec.flags & ALLOC_FLAG_THROWS))
		count(STAT_CALLS_BROKEN);
	if (c->has_old)
		block_put(&key, &c->old);
	c->has_old = 0;
}

static __always_inline void call_take_old(struct call *c, __u64 proc_key)
{
	struct block_key key = {.address = c->ptr, .proc_key = proc_key};

	if (!c->has_old && c->ptr)
		c->has_old = block_take(&key, &c->old);
}

static __always_inline void call_decide(struct thread *t, struct call *c)
{
	c->step = cfg.sample_moves ? *(volatile __u32 *)&sample_step : 0;
	c->skip = c->size < cfg.min_size || c->size > cfg.max_size ||
		  !sample_take(t, c->size, c->step);
}

static __always_inline void call_announce_range(struct pt_regs *ctx, __u64 proc_key, __u8 op)
{
	struct range_event r = {
		.start = CTX_LOAD(PT_REGS_PARM1(ctx)),
		.length = CTX_LOAD(PT_REGS_PARM2(ctx)),
	};

	range_send(op == ALLOC_OP_MUNMAP ? EVENT_MUNMAP : EVENT_MREMAP, proc_key, &r);
}

/* 1: the return of this call need not be seen. */
static __always_inline int call_begin(struct pt_regs *ctx, struct thread *t, __u64 cookie)
{
	struct alloc_spec spec = alloc_spec_unpack(cookie);
	__u64 sp = compat_entry_sp(ctx, 0);
	struct call *c = &t->call;
	__u64 proc_key = c->proc_key;

	if (c->sp && sp < c->sp)
		return 1; /* nested: belongs to the outer call */
	if (c->sp && (sp > c->sp || c->cookie == cookie))
		call_drop(c, proc_key);
	/* Same stack pointer, other function: a tail call. Its result and its caller are the
	 * outer call's, so it takes the outer one's place. */
	c->sp = sp;
	c->cookie = cookie;
	call_note_args(ctx, c, &spec);
	c->skip = 0;
	if (spec.op == ALLOC_OP_REALLOC)
		call_take_old(c, proc_key);
	if (spec.op == ALLOC_OP_ALLOC || spec.op == ALLOC_OP_REALLOC)
		call_decide(t, c);
	else if (spec.op == ALLOC_OP_MUNMAP || spec.op == ALLOC_OP_MREMAP)
		call_announce_range(ctx, proc_key, spec.op);
	return cfg.skip_returns && call_unseen(ctx, c, &spec);
}

/*
 * The state of the running thread; NULL if it is not wanted. A thread that has called once
 * is not looked up again, as only an exec gives its process another key (leak_exec). A
 * state found by thread id may be that of an earlier thread.
 */
static __always_inline struct thread *thread_wanted(void)
{
	struct thread *t = cfg.task_storage ? thread_find() : NULL;
	__u64 proc_key;

	if (t && t->call.proc_key)
		return t;
	proc_key = task_wanted();
	t = proc_key ? thread_get() : NULL;
	if (t && t->call.proc_key != proc_key) {
		t->call.proc_key = proc_key;
		t->call.sp = 0;
		t->call.unseen_sp = 0;
		t->call.has_old = 0;
	}
	return t;
}

/* 1: the return of this call need not be seen. */
static __always_inline int enter(struct pt_regs *ctx)
{
	struct thread *t = thread_wanted();
	struct alloc_spec spec;
	__u64 cookie;

	if (!t)
		return 1;
	count(STAT_CALLS);
	cookie = probe_cookie(ctx);
	spec = alloc_spec_unpack(cookie);
	if (spec.flags & ALLOC_FLAG_SLOW)
		count(STAT_CALLS_SLOW);
	if (cfg.skip_returns && spec.op < ALLOC_OP_MMAP)
		t->call.unseen_sp = 0; /* a leaf does not call these: it is over */
	if (spec.op == ALLOC_OP_FREE)
		on_free(ctx, t, &spec);
	else if (cookie)
		return call_begin(ctx, t, cookie);
	return 1;
}

SEC("uprobe")
int leak_enter(struct pt_regs *ctx)
{
	enter(ctx);
	NO_PRIVATE_STACK(ctx);
	return 0;
}

/* ---- return ---- */

static __always_inline int result_ok(__u64 rc, __u8 ok)
{
	switch (ok) {
	case ALLOC_OK_NONNULL:
		return rc != 0;
	case ALLOC_OK_ZERO:
		return (__u32)rc == 0;
	default:
		return rc != ~0ULL;
	}
}

/* Address of the new memory, 0 if the call failed. */
static __always_inline __u64 result_address(struct call *c, const struct alloc_spec *spec, __u64 rc)
{
	__u64 address = 0;

	if (!result_ok(rc, spec->ok))
		return 0;
	if (!spec->out_arg)
		return rc;
	if (bpf_probe_read_user(&address, sizeof(address), (void *)c->out))
		count(STAT_RESULT_FAULT);
	return address;
}

/* Settles the block that a realloc took out: freed, or still there. */
static __always_inline void old_settle(struct call *c, __u64 proc_key, int freed)
{
	struct block_key key = {.address = c->ptr, .proc_key = proc_key};

	if (!c->has_old)
		return;
	c->has_old = 0;
	if (freed)
		site_sub(&c->old);
	else
		block_put(&key, &c->old);
}

static __always_inline void on_resized(struct call *c, __u64 proc_key, __u64 rc)
{
	struct block_key key = {.address = c->ptr, .proc_key = proc_key};
	struct block_value b;
	struct site *s;

	if (rc < c->size || !block_take(&key, &b))
		return;
	site_sub(&b);
	b.size = c->size;
	s = site_find(b.site);
	if (s && block_put(&key, &b))
		site_add(s, &b);
}

struct result {
	struct alloc_spec spec;
	__u64 proc_key;
	__u64 rc;
	__u8 where; /* enum take_where: uretprobe or `ret` instruction */
};

static __always_inline void on_allocated(struct pt_regs *ctx, struct thread *t, struct result *r)
{
	struct call *c = &t->call;
	struct block_key key = {
		.address = result_address(c, &r->spec, r->rc),
		.proc_key = r->proc_key,
	};
	struct taking how = {r->spec.kind, r->where, 0, stacks_recognised()};
	struct site *s;

	if (r->spec.op == ALLOC_OP_REALLOC)
		old_settle(c, r->proc_key, key.address || !c->size);
	if (!key.address || c->skip)
		return;
	s = site_of_call(ctx, t, r->proc_key, &how);
	if (s)
		outstanding_put(&key, (struct block_value){.size = c->size, .step = c->step},
				t->stack.site, s);
	if (cfg.trace_calls)
		call_trace(&t->stack, r->proc_key, &r->spec, &key, c->size);
}

static __always_inline void on_mapped(struct pt_regs *ctx, struct thread *t, struct result *r)
{
	struct range_event e = {.start = r->rc, .length = t->call.size};
	struct block_key key = {.address = r->rc, .proc_key = r->proc_key};
	struct site *s;

	if (!result_ok(r->rc, ALLOC_OK_NOT_MINUS1)) {
		if (r->spec.op == ALLOC_OP_MREMAP)
			range_send(EVENT_UNDO, r->proc_key, &e);
		return;
	}
	if (r->spec.op == ALLOC_OP_MMAP) {
		e.flags = t->call.ptr;
		e.fd = t->call.out;
	}
	stack_take(ctx, t, r->proc_key, &(struct taking){ALLOC_KIND_MMAP, r->where, 0, 0});
	if (cfg.skip_returns && call_unseen_maps(t))
		return;
	s = site_get(&t->stack, r->proc_key);
	if (s)
		__sync_fetch_and_add(&s->allocs, 1);
	e.site = t->stack.site;
	range_send(r->spec.op == ALLOC_OP_MMAP ? EVENT_MMAP : EVENT_REMAPPED, r->proc_key, &e);
	if (cfg.trace_calls)
		call_trace(&t->stack, r->proc_key, &r->spec, &key, t->call.size);
}

static __always_inline void call_end(struct pt_regs *ctx, struct thread *t, struct result *r)
{
	struct range_event none = {};

	switch (r->spec.op) {
	case ALLOC_OP_ALLOC:
	case ALLOC_OP_REALLOC:
		on_allocated(ctx, t, r);
		break;
	case ALLOC_OP_RESIZE:
		on_resized(&t->call, r->proc_key, r->rc);
		break;
	case ALLOC_OP_MMAP:
	case ALLOC_OP_MREMAP:
		on_mapped(ctx, t, r);
		break;
	case ALLOC_OP_MUNMAP:
		if (r->rc)
			range_send(EVENT_UNDO, r->proc_key, &none);
		break;
	}
}

static __always_inline void leave(struct pt_regs *ctx, __u8 where)
{
	struct thread *t = thread_find();
	struct result r = {.rc = CTX_LOAD(PT_REGS_RC(ctx)), .where = where};

	if (!t || t->call.sp != compat_entry_sp(ctx, where == TAKE_AT_RETURN))
		return; /* nested, or begun before we came */
	r.spec = alloc_spec_unpack(t->call.cookie);
	r.proc_key = t->call.proc_key;
	call_end(ctx, t, &r);
	t->call.sp = 0;
}

SEC("uretprobe")
int leak_return(struct pt_regs *ctx)
{
	leave(ctx, TAKE_AT_RETURN);
	NO_PRIVATE_STACK(ctx);
	return 0;
}

NO_PRIVATE_STACK_ARRAY(call_no_tail);

/* Session links: both ends of a call in one program; 1 at the entry skips the return. */
SEC("?uprobe")
int leak_call(struct pt_regs *ctx)
{
	int skip = 0;

	if (!compat_session_is_entry(ctx))
		leave(ctx, TAKE_AT_RETURN);
	else
		skip = enter(ctx);
	if (skip)
		count(STAT_CALLS_UNSEEN);
	NO_PRIVATE_STACK_BY(call_no_tail, ctx);
	return skip;
}

/* On the `ret` instructions of functions that may throw, instead of a uretprobe. */
SEC("uprobe")
int leak_ret_site(struct pt_regs *ctx)
{
	leave(ctx, TAKE_AT_RET_SITE);
	NO_PRIVATE_STACK(ctx);
	return 0;
}

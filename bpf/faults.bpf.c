/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * faults.bpf.c - page faults, from two software events of perf that every architecture has:
 *
 *	START	page-faults: at the entry, before anything is looked up
 *	END	minor-faults, major-faults: the fault succeeded and was accounted to the task
 *
 * Where the architecture has them (x86), the exceptions tracepoints are START instead: they
 * cost a third and tell the error code. arm64 has one function through which all of them come,
 * with the syndrome register. Interrupts are off in all of these programs. Raw tracepoints
 * lose nothing so; events of perf lose what comes while anyone who was preempted on the CPU is
 * in the middle of a bpf() call on a map: the kernel does not even count that
 * (bpf_overflow_handler()).
 *
 * A START without an END is a fault that failed, unless the task's counters say that it was
 * only its END that was lost. What the kernel faults in for a process
 * without its registers (MAP_POPULATE, mlock, process_vm_writev, the arguments of an exec)
 * has neither event.
 *
 * mm_page_alloc between START and END says that a page was allocated, and how large.
 * Aggregated here: no record per fault leaves.
 */
/* No look-up under mmap_lock here: stacks end at a mapping that is not known yet. */
#define UNWIND_NO_FIND_VMA
#define WALK_WINDOW 1024 /* of user stack read at once, into the CPU's scratch */
#define WALK_MEMOS  8
#include "common.bpf.h"
#include "fault_abort.bpf.h"
#include "fault_vma.bpf.h"
#include "fault_state.bpf.h"
#include "fault_regs.bpf.h"
#include "fault_cause.bpf.h"
#include "fault_stack.bpf.h"
#include "fault_cells.bpf.h"
#include "fault_rss.bpf.h"
#include "fault_counters.bpf.h"
#include "fault_pages.bpf.h"
#include "fault_tasks.bpf.h"

#define SIGBUS	7
#define SIGSEGV 11

struct kernel_siginfo___faults {
	int si_code;
} __attribute__((preserve_access_index));

/* ---- a late end ---- */

/* What is known of a fault from its START on. */
static __always_inline void begun_fill(struct fault *f, const struct fault_thread *t)
{
	f->begun = 1;
	f->has_error = t->has_error;
	f->error = t->error;
	f->pages = t->pages;
	f->order = t->order;
}

/*
 * The thread's last fault, whose END was skipped: another task of this CPU had been preempted
 * in a bpf() call on a map. It counts, without its time; not where its stack is wanted, which
 * has gone.
 */
static __noinline int end_late(struct fault_thread *t, struct fault_scratch *s, __u64 proc_key,
			       int major)
{
	struct fault f = {.major = major, .address = t->address};

	begun_fill(&f, t);
	s->regs.sp = 0;
	if (fault_cfg.classify)
		fault_classify(&f, s);
	if (!fault_cfg.by_stack && !fault_cfg.rss)
		fault_cell_add(&f, s, proc_key);
	return 0;
}

/* ---- the start ---- */

struct fault_begin {
	__u64 address, error;
	__u8 has_error;
};

static __always_inline int on_start(const struct fault_begin *b)
{
	struct fault_scratch *s = fault_scratch_get();
	struct fault_growth grown;
	struct fault_thread *t;
	__u64 proc_key;

	if (!s)
		return 0;
	proc_key = fault_wanted(s);
	if (!proc_key)
		return 0;
	t = fault_thread_get();
	if (!t)
		return 0;
	if (fault_cfg.both_ends) {
		grown = fault_between(t, proc_key);
		if (t->open)
			end_late(t, s, proc_key, grown.major);
	}
	t->has_error = b->has_error;
	t->error = b->error;
	t->address = b->address;
	t->pages = 0;
	t->order = 0;
	t->page = t->first_page = 0;
	t->open = 1;
	t->start_ns = bpf_ktime_get_ns();
	return 0;
}

SEC("?perf_event")
int fault_start(void *ctx)
{
	return on_start(&(struct fault_begin){.address = fault_address(ctx)});
}

SEC("?raw_tp/page_fault_user")
int fault_exception_user(struct bpf_raw_tracepoint_args *ctx)
{
	return on_start(&(struct fault_begin){ctx->args[0], ctx->args[2], 1});
}

/* Whether the running code reads user memory that may be missing, as tracers do. */
static __always_inline int faults_disabled(void)
{
	struct task_struct___faults *task;

	if (!cfg.task_storage) { /* the helper that reads disables them as well: once more */
		task = (void *)bpf_get_current_task();
		return BPF_CORE_READ(task, pagefault_disabled) > 1;
	}
	task = (void *)bpf_get_current_task_btf();
	return task->pagefault_disabled > 0;
}

/* Of the kernel's own faults those are the process's that are on a user address. */
SEC("?raw_tp/page_fault_kernel")
int fault_exception_kernel(struct bpf_raw_tracepoint_args *ctx)
{
	if ((__s64)ctx->args[0] < 0 || faults_disabled())
		return 0;
	return on_start(&(struct fault_begin){ctx->args[0], ctx->args[2], 1});
}

/* Of the kernel's own aborts, likewise. */
static __always_inline int abort_wanted(__u64 far, __u64 esr)
{
	if (!abort_is_fault(esr))
		return 0;
	return abort_from_user(esr) || ((__s64)abort_address(far) >= 0 && !faults_disabled());
}

/* do_mem_abort(far, esr, regs), arch/arm64/mm/fault.c; not for kprobes, which it serves. */
SEC("?fentry/do_mem_abort")
int fault_abort(__u64 *ctx)
{
	__u64 far = ctx[0], esr = ctx[1];

	if (!abort_wanted(far, esr))
		return 0;
	return on_start(&(struct fault_begin){abort_address(far), abort_error(esr), 1});
}

/* ---- the end ---- */

static __always_inline void end_fill(struct fault *f, struct fault_thread *t)
{
	if (!t || !t->open || t->address != f->address) {
		fault_count(FAULT_STAT_NO_START);
		if (t)
			t->open = 0;
		return;
	}
	begun_fill(f, t);
	f->timed = 1;
	f->ns = bpf_ktime_get_ns() - t->start_ns;
	t->open = 0;
}

static __always_inline int on_end(void *ctx, int major)
{
	struct fault f = {.major = major, .address = fault_address(ctx)};
	struct fault_scratch *s = fault_scratch_get();
	struct fault_growth grown;
	struct fault_thread *t = 0;
	__u64 proc_key;

	if (!s)
		return 0;
	proc_key = fault_wanted(s);
	if (!proc_key)
		return 0;
	if (fault_cfg.timed) {
		t = fault_thread_find();
		end_fill(&f, t);
		if (t && fault_cfg.both_ends) {
			grown = fault_growth(t);
			if (grown.minor || grown.major)
				fault_note_taken(proc_key, grown.minor - !major,
						 grown.major - major);
		}
	}
	if (fault_cfg.classify || fault_cfg.by_stack || fault_cfg.rss)
		fault_regs(ctx, &s->regs);
	if (fault_cfg.classify)
		fault_classify(&f, s);
	if (fault_cfg.rss)
		fault_rss_add(&f, t, s, proc_key);
	else
		fault_cell_add(&f, s, proc_key);
	return 0;
}

SEC("?perf_event")
int fault_minor(void *ctx)
{
	return on_end(ctx, 0);
}

SEC("?perf_event")
int fault_major(void *ctx)
{
	return on_end(ctx, 1);
}

/* ---- faults that fail ---- */

/*
 * Sent by the kernel (code > 0) to the thread that did it, which is the running one. With
 * interrupts off (sighand->siglock): nothing preempts this.
 */
SEC("?raw_tp/signal_generate")
int fault_signal(struct bpf_raw_tracepoint_args *ctx)
{
	struct fault_signal sig = {.sig = ctx->args[0]};
	struct kernel_siginfo___faults *info = (void *)ctx->args[1];
	struct fault_scratch *s = fault_scratch_get();
	struct fault_thread *t;
	__u64 proc_key;

	if (!s || (sig.sig != SIGSEGV && sig.sig != SIGBUS))
		return 0;
	sig.code = BPF_CORE_READ(info, si_code); /* 0 of those without */
	if (sig.code <= 0)
		return 0;
	proc_key = fault_wanted(s);
	if (!proc_key)
		return 0;
	t = fault_thread_get();
	if (!t)
		return 0;
	fault_bad(t, s, &sig, proc_key);
	t->open = 0;
	return 0;
}

/* ---- a sample of the pages ---- */

SEC("?raw_tp/mm_page_alloc")
int fault_sample_alloc(struct bpf_raw_tracepoint_args *ctx)
{
	struct fault_alloc a = {.page = ctx->args[0]};

	if (!sampled(a.page) || !a.page)
		return 0;
	a.order = ctx->args[1];
	a.gfp = ctx->args[2];
	fault_sample(&a);
	return 0;
}

SEC("?raw_tp/page_fault_kernel")
int fault_sample_kernel(struct bpf_raw_tracepoint_args *ctx)
{
	if ((__s64)ctx->args[0] >= 0 && !faults_disabled())
		fault_sample_call();
	return 0;
}

SEC("?fentry/do_mem_abort")
int fault_sample_abort(__u64 *ctx)
{
	__u64 far = ctx[0], esr = ctx[1];

	if (!abort_from_user(esr) && abort_wanted(far, esr))
		fault_sample_call();
	return 0;
}

struct bpf_iter__bpf_map_elem {
	void *meta;
	void *map;
	struct block_key *key;
	struct block_value *value;
} __attribute__((preserve_access_index));

/* Every recorded page, each time that user space reads. */
SEC("?iter/bpf_map_elem")
int fault_pages(struct bpf_iter__bpf_map_elem *ctx)
{
	struct block_key *key = ctx->key;

	if (key)
		fault_look(key->address);
	return 0;
}

/* ---- tasks ---- */

struct bpf_iter__task {
	void *meta;
	struct task_struct *task;
} __attribute__((preserve_access_index));

/* Every thread of the machine, each time that user space reads. */
SEC("?iter/task")
int fault_tasks(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;

	if (task)
		fault_counters_take(task, 0);
	return 0;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "trace/calibrate.h"

#include <errno.h>
#include <linux/bpf.h>
#include <string.h>
#include <time.h>

#include "lib/lib.h"
#include "trace/calibrate_forms.h"
#include "trace/uprobe.h"

#define FORMS_MAX 64

/*
 * The fastest of PASSES rounds of CALLS calls counts: interrupts and a hypervisor that
 * takes the CPU away only ever add time. Each pass visits every form, so that one such
 * moment spoils one round of a form, not all.
 */
#define PASSES 8
#define CALLS  4

/*
 * The two clusters must lie this far apart, or nothing is certain. What is nearer to nop
 * than to the single-stepped form (by ratio), and at most NEAR_TIMES nop, is emulated: the
 * emulated forms themselves differ by a third (a call or push writes to the stack),
 * a busy host shifts all by half.
 */
#define SEPARATE_PERCENT 200
#define NEAR_TIMES	 3

static uint64_t cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

/* Without the price of looking at the clock, which is that of a hit. */
static uint32_t time_calls(const struct form *form, uint64_t clock_ns)
{
	uint64_t start = cpu_ns(), ns;
	int i;

	for (i = 0; i < CALLS; i++)
		form->call();
	ns = cpu_ns() - start;
	ns = (ns - MIN(ns, clock_ns)) / CALLS;
	return (uint32_t)MIN(MAX(ns, (uint64_t)1), (uint64_t)UINT32_MAX);
}

static uint64_t time_clock(void)
{
	uint64_t best = UINT64_MAX, start;
	int pass;

	for (pass = 0; pass < PASSES; pass++) {
		start = cpu_ns();
		best = MIN(best, cpu_ns() - start);
	}
	return best;
}

static void time_forms(const struct form *forms, size_t n, uint32_t *best)
{
	uint64_t clock_ns = time_clock();
	size_t i;
	int pass;

	for (i = 0; i < n; i++) {
		best[i] = UINT32_MAX;
		forms[i].call(); /* page faults, and probes the kernel optimises at a hit */
	}
	for (pass = 0; pass < PASSES; pass++)
		for (i = 0; i < n; i++)
			best[i] = MIN(best[i], time_calls(&forms[i], clock_ns));
}

/* Probes on all forms at once, one link where the kernel can. */
struct attached {
	int prog_fd, link_fd;
	size_t n;
	struct uprobe_perf_link perf[FORMS_MAX];
};

static void attached_release(const struct attached *a)
{
	int fds[2 * FORMS_MAX + 1];
	size_t i, n = 0;

	fds[n++] = a->link_fd;
	for (i = 0; i < a->n; i++) {
		fds[n++] = a->perf[i].link_fd;
		fds[n++] = a->perf[i].perf_fd;
	}
	uprobe_close_later(fds, n);
	if (a->prog_fd >= 0)
		close(a->prog_fd);
}

/* return 0 */
static int load_empty(int kind)
{
	const struct bpf_insn insns[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K},
		{.code = BPF_JMP | BPF_EXIT},
	};

	return uprobe_prog_load(insns, ARRAY_SIZE(insns), kind);
}

static int attach_multi(struct attached *a, const uint64_t *offsets, size_t n, bool is_return)
{
	const struct uprobe_multi m = {.path = "/proc/self/exe",
				       .offsets = offsets,
				       .n = n,
				       .kind = is_return ? UPROBE_RETURN : UPROBE_ENTRY,
				       .pid = getpid()};

	a->prog_fd = load_empty(UPROBE_ENTRY);
	if (a->prog_fd < 0)
		return a->prog_fd;
	a->link_fd = uprobe_multi_attach(a->prog_fd, &m);
	if (a->link_fd >= 0)
		return 0;
	close(a->prog_fd);
	a->prog_fd = -1;
	return a->link_fd;
}

static int attach_perf(struct attached *a, const uint64_t *offsets, size_t n, bool is_return)
{
	struct uprobe_perf p = {.path = "/proc/self/exe", .pid = getpid(), .is_return = is_return};
	int err = 0;

	a->prog_fd = load_empty(-1);
	if (a->prog_fd < 0)
		return a->prog_fd;
	for (; !err && a->n < n; a->n += !err) {
		p.offset = offsets[a->n];
		err = uprobe_perf_attach(a->prog_fd, &p, &a->perf[a->n]);
	}
	return err;
}

static int attach_forms(struct attached *a, const struct form *forms, size_t n, bool is_return)
{
	uint64_t offsets[FORMS_MAX];
	size_t i;
	int err;

	for (i = 0; i < n; i++) {
		err = uprobe_self_offset((const void *)(uintptr_t)forms[i].call, &offsets[i]);
		if (err)
			return err;
	}
	return attach_multi(a, offsets, n, is_return) ? attach_perf(a, offsets, n, is_return) : 0;
}

uint64_t calibrate_judge(const uint32_t *ns)
{
	uint64_t nop = ns[INSN_NOP], stepped = ns[INSN_OTHER], mask = 0;
	int class;

	if (!nop || stepped < nop * SEPARATE_PERCENT / 100)
		return 0;
	for (class = INSN_NOP; class < INSN_CLASSES; class ++) {
		uint64_t t = ns[class];

		if (t && t <= nop * NEAR_TIMES && t * t < nop * stepped)
			mask |= 1ULL << class;
	}
	return mask;
}

/*
 * A hit by a return probe alone is an entry hit that plants the trampoline, and the
 * trampoline's own. On `nop`, while the entry probes are still there: one trap serves both.
 */
static int measure_return(const struct form *nop, uint32_t entry_ns, uint32_t *ret_ns)
{
	_cleanup_(attached_release) struct attached a = {.prog_fd = -1, .link_fd = -1};
	uint32_t best;
	int err = attach_forms(&a, nop, 1, true);

	if (err)
		return err;
	time_forms(nop, 1, &best);
	*ret_ns = best > entry_ns ? best - entry_ns : 1;
	return 0;
}

int calibrate_measure(struct calibration *ret)
{
	_cleanup_(attached_release) struct attached a = {.prog_fd = -1, .link_fd = -1};
	struct calibration c = {0};
	uint32_t best[FORMS_MAX];
	size_t i, n;
	const struct form *forms = calibrate_forms(&n);
	int err;

	if (!n)
		return -EOPNOTSUPP;
	if (n > FORMS_MAX)
		return -E2BIG;
	err = attach_forms(&a, forms, n, false);
	if (err)
		return err;
	time_forms(forms, n, best);
	err = measure_return(&forms[0], best[0], &c.return_ns);
	if (err)
		return err;
	for (i = 0; i < n; i++)
		c.ns[forms[i].class] = MAX(c.ns[forms[i].class], best[i]);
	c.emulated = calibrate_judge(c.ns);
	*ret = c;
	return 0;
}

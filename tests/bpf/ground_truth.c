/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ground_truth.h"

#include <errno.h>
#include <string.h>

struct stack {
	uint64_t seq;
	uint32_t n, status, flags;
	size_t at; /* in pcs */
};

struct stacks {
	struct stack *v;
	size_t n, cap;
	uint64_t *pcs;
	size_t n_pcs, cap_pcs;
	pid_t pid;
};

static const char *const result_names[] = {"exact",	"shorter", "depth",  "longer",
					   "different", "missing", "unknown"};
static const char *const status_names[] = {"complete", "depth",	      "no_mapping",
					   "no_row",   "unsupported", "fault"};

static int stacks_add(struct stacks *s, struct stack st, const uint64_t *pcs)
{
	int err = array_reserve(&s->v, &s->cap, s->n + 1, sizeof(*s->v));

	if (!err)
		err = array_reserve(&s->pcs, &s->cap_pcs, s->n_pcs + st.n, sizeof(*s->pcs));
	if (err)
		return err;
	st.at = s->n_pcs;
	memcpy(s->pcs + st.at, pcs, st.n * sizeof(*pcs));
	s->n_pcs += st.n;
	s->v[s->n++] = st;
	return 0;
}

static int on_record(void *arg, const struct walk_record *rec)
{
	struct stacks *s = arg;
	struct stack st = {
		.seq = rec->head.seq,
		.n = rec->head.n,
		.status = rec->head.status,
		.flags = rec->head.flags,
	};

	if ((pid_t)rec->head.pid != s->pid)
		return 0;
	return stacks_add(s, st, (const uint64_t *)rec->pcs);
}

static int compare_seq(const void *a, const void *b)
{
	const struct stack *x = a, *y = b;

	return x->seq < y->seq ? -1 : x->seq > y->seq;
}

static int read_truth(const struct harness *h, struct stacks *ret)
{
	_cleanup_free_ char *text = NULL;
	char path[128];
	size_t len, at = 0;
	int err;

	snprintf(path, sizeof(path), "%s/%d", h->dir, h->pid);
	err = read_file(path, &text, &len);
	while (!err && at + 16 <= len) {
		const uint64_t *w = (const uint64_t *)(text + at);
		struct stack st = {.seq = w[0], .n = (uint32_t)w[1]};

		at += 16 + st.n * sizeof(*w);
		if (at <= len)
			err = stacks_add(ret, st, w + 2);
	}
	return err;
}

/* ours: gt_probe, gt_note, callers; truth: gt_note, callers. */
static enum gt_result classify(const struct stacks *ours, const struct stack *o,
			       const struct stacks *truth, const struct stack *t)
{
	const uint64_t *a = ours->pcs + o->at + 2, *b = truth->pcs + t->at + 1;
	size_t n = o->n < 2 ? 0 : o->n - 2, m = t->n - 1;

	while (m && !b[m - 1])
		m--;
	while (n && !a[n - 1])
		n--;
	for (size_t i = 0; i < n && i < m; i++) {
		if (a[i] == b[i])
			continue;
		/* the trampoline is the first instruction of a page of its own */
		if (i == m - 1 && (o->flags & WALK_FLAG_TRAMP) && !(b[i] & 0xfff))
			return GT_UNKNOWN;
		return GT_DIFFERENT;
	}
	if (n == m)
		return GT_EXACT;
	if (n > m)
		return GT_LONGER;
	return o->status == WALK_DEPTH ? GT_DEPTH : GT_SHORTER;
}

static void print_stack(const char *name, const uint64_t *pcs, size_t n)
{
	printf("    %s:", name);
	for (size_t i = 0; i < n; i++)
		printf(" %lx", pcs[i]);
	printf("\n");
}

static void compare_all(struct stacks *ours, struct stacks *truth, uint64_t *counts)
{
	uint64_t by_status[GT_RESULTS][WALK_STATUSES] = {0};
	size_t i = 0;

	qsort(ours->v, ours->n, sizeof(*ours->v), compare_seq);
	qsort(truth->v, truth->n, sizeof(*truth->v), compare_seq);
	for (size_t k = 0; k < truth->n; k++) {
		const struct stack *t = &truth->v[k], *o;
		enum gt_result r;

		while (i < ours->n && ours->v[i].seq < t->seq)
			i++;
		if (i == ours->n || ours->v[i].seq != t->seq) {
			counts[GT_MISSING]++;
			continue;
		}
		o = &ours->v[i];
		r = classify(ours, o, truth, t);
		counts[r]++;
		if (o->status < WALK_STATUSES && !by_status[r][o->status]++ && r != GT_EXACT) {
			printf("  first %s with status %s, flags %u:\n", result_names[r],
			       status_names[o->status], o->flags);
			print_stack("walk ", ours->pcs + o->at + 1, o->n - 1);
			print_stack("truth", truth->pcs + t->at, t->n);
		}
	}
	for (int r = 0; r < GT_RESULTS; r++)
		for (int s = 0; s < WALK_STATUSES; s++)
			if (by_status[r][s])
				printf("  %-9s %-11s %lu\n", result_names[r], status_names[s],
				       by_status[r][s]);
}

int gt_run(struct harness *h, struct gt_report *ret)
{
	struct stacks ours = {0}, truth = {0};
	int err;

	memset(ret, 0, sizeof(*ret));
	h->on_record = on_record;
	h->arg = &ours;
	err = harness_start(h);
	ours.pid = h->pid;
	if (!err)
		err = harness_run(h);
	if (!err)
		err = read_truth(h, &truth);
	if (!err)
		compare_all(&ours, &truth, ret->counts);
	free(ours.v);
	free(ours.pcs);
	free(truth.v);
	free(truth.pcs);
	if (err)
		return err;
	ret->fit = ret->counts[GT_EXACT] + ret->counts[GT_SHORTER] + ret->counts[GT_LONGER] +
		   ret->counts[GT_DIFFERENT];
	if (ret->fit)
		ret->exact = 100.0 * (double)ret->counts[GT_EXACT] / (double)ret->fit;
	return 0;
}

void gt_print(const struct harness *h, const struct gt_report *r)
{
	const uint64_t *c = r->counts;
	struct unwinder_stats st;

	unwinder_stats(h->unwinder, &st);
	printf("%s: %lu stacks, %lu exact (%.2f %%), %lu different, %lu longer, %lu shorter, "
	       "%lu beyond the depth limit, %lu missing, %lu unknown\n",
	       h->argv[0], r->fit + c[GT_DEPTH] + c[GT_MISSING] + c[GT_UNKNOWN], c[GT_EXACT],
	       r->exact, c[GT_DIFFERENT], c[GT_LONGER], c[GT_SHORTER], c[GT_DEPTH], c[GT_MISSING],
	       c[GT_UNKNOWN]);
	printf("  tables: %lu objects, %lu rows, %lu blocks, %lu rules, %.1f MB, parsed in "
	       "%.1f ms; prepare %.1f ms, load %.1f ms\n",
	       st.objects, st.rows, st.blocks, st.rules, (double)st.bytes / 1e6,
	       (double)st.parse_ns / 1e6, (double)h->prepare_ns / 1e6, (double)h->load_ns / 1e6);
	if (h->updates > 1)
		printf("  %lu updates, mmap to table: mean %.2f ms, max %.2f ms\n", h->updates - 1,
		       (double)h->latency_ns / 1e6 / (double)(h->updates - 1),
		       (double)h->latency_max_ns / 1e6);
}

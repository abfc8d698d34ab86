/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * --rss: anonymous pages that were first touched while we looked and have not been freed,
 * by the stack that touched them. A page belongs to its first toucher; what malloc hands
 * out again does not fault again. Pages that the kernel populates (MAP_POPULATE, mlock) or
 * moves (migration, khugepaged) are not seen: the difference to Anonymous in smaps_rollup is
 * printed.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "faults.h"
#include "trace/collect.h"
#include "trace/lives.h"

struct rows {
	struct faults *f;
	struct row *v;
	size_t n, cap;
};

static int row_of_site(struct rows *r, uint64_t id, const struct site *s)
{
	const struct stack *st = stacks_find(r->f->stacks, id);
	struct process *p = faults_process(r->f, s->proc_key);
	int err;

	if (s->bytes <= 0 || (p && p->ended))
		return 0; /* given back, or gone with the process */
	err = array_reserve(&r->v, &r->cap, r->n + 1, sizeof(*r->v));
	if (err)
		return err;
	r->v[r->n++] = (struct row){
		.pid = (int)(uint32_t)s->proc_key,
		.comm = p ? p->comm : "",
		.kind = "fault",
		.bytes = (uint64_t)s->bytes * r->f->o->sample,
		.count = (uint64_t)MAX(collect_count(s), 0) * r->f->o->sample,
		.estimated = r->f->o->sample > 1,
		.allocs = s->allocs,
		.frees = s->frees,
		.stack_id = id,
		.status = st ? (enum stack_status)st->status : STACK_NONE,
		.addresses = st ? (uint64_t *)st->pcs : NULL,
		.n_addresses = st ? st->n : 0,
		.age_p50_ns = AGE_UNKNOWN,
	};
	return 0;
}

/* Anonymous memory of a process now, in bytes; 0 if it has gone. */
static uint64_t anonymous_bytes(pid_t pid)
{
	_cleanup_free_ char *text = NULL;
	char path[64];
	unsigned long long kib = 0;
	char *line;

	snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", pid);
	if (read_file(path, &text, NULL))
		return 0;
	line = strstr(text, "\nAnonymous:");
	if (!line || sscanf(line, "\nAnonymous: %llu", &kib) != 1)
		return 0;
	return kib * 1024;
}

/* What of the targets' anonymous memory the rows do not explain. */
static int print_rest(struct faults *f, const struct row *rows, size_t n)
{
	struct processes *all = tracer_processes(f->tracer);
	uint64_t anonymous = 0, traced = 0;
	char message[200];
	struct view_field v[4];

	for (size_t i = 0; i < n; i++)
		traced += rows[i].bytes;
	for (size_t i = 0; i < processes_count(all); i++)
		if (!processes_at(all, i)->ended)
			anonymous += anonymous_bytes(processes_at(all, i)->pid);
	if (!anonymous)
		return 0; /* they have gone */
	snprintf(message, sizeof(message),
		 "Anonymous memory: %" PRIu64 " bytes, %" PRIu64
		 " traced; the rest was there before or was populated or moved by the kernel",
		 anonymous, traced);
	v[0] = (struct view_field){.key = "anonymous_bytes", .kind = VIEW_COUNT, .n = anonymous};
	v[1] = (struct view_field){.key = "traced_bytes", .kind = VIEW_COUNT, .n = traced};
	v[2] = (struct view_field){.key = "estimated", .kind = VIEW_BOOL, .n = f->o->sample > 1};
	v[3] = (struct view_field){
		.key = "message", .kind = VIEW_WORD, .word = message, .title = ""};
	return view_record(f->view, &(struct view_record){.type = "resident",
							  .time_ns = f->now_ns,
							  .tick = f->ticks,
							  .fields = v,
							  .n_fields = ARRAY_SIZE(v)});
}

static int print_rows(struct faults *f, struct rows *r)
{
	_cleanup_(losses_deinit) struct losses losses = {0};
	struct view_report report = {.time_ns = f->now_ns, .tick = f->ticks};
	size_t n, top;
	int err = rank_tick(f->rank, r->v, r->n, clock_mono_ns(), &n);

	if (err)
		return err;
	top = MIN(n, (size_t)f->o->common.top);
	for (size_t i = 0; i < (f->o->common.folded ? n : top) && !err; i++) {
		const struct stack *st = stacks_find(f->stacks, r->v[i].stack_id);

		if (st)
			err = faults_resolve(f, st, false, &r->v[i].frames, &r->v[i].n_frames);
	}
	if (!err)
		err = faults_losses_read(f, &losses);
	if (!err)
		err = print_rest(f, r->v, n);
	report.rows = r->v;
	report.n_rows = n;
	report.n_top = top;
	report.top = f->o->common.top;
	report.losses = losses.v;
	report.n_losses = losses.n;
	return err ? err : view_report(f->view, &report);
}

int faults_print_rss(struct faults *f)
{
	struct collect_map map = {f->sites_fd, sizeof(uint64_t), sizeof(struct site)};
	struct site_list sites = {0};
	struct rows r = {.f = f};
	int err = faults_iter_read(f);

	if (!err)
		err = collect_each_gently(&map, collect_site, &sites);
	if (!err)
		err = faults_read_stacks(f);
	for (size_t i = 0; i < sites.n && !err; i++)
		err = row_of_site(&r, sites.v[i].id, &sites.v[i].site);
	if (!err)
		err = print_rows(f, &r);
	free(sites.v);
	rows_free(r.v, r.n);
	return err;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The report for people, in the shape memleak's users know:
 *
 *	[10:13:16] Top 10 stacks with outstanding allocations:
 *		4096 bytes in 1 allocations from stack
 *			addr = 0x55d0c8a2a0 size = 4096 age = 3.2 s
 *			make_leak+0x1f [victim] (victim.c:12)
 *			/usr/lib/libx.so.1+0x1234 [3f2a...]
 *		~1048576 bytes in ~2 allocations from stack [mmap; pid 12 (redis)]
 *			main+0x12 [victim]
 *			(stack incomplete: deeper than --max-frames)
 *		(and 5 more stacks with 1234 bytes)
 *	LOST 3: stack table full; cure: raise --max-stacks
 *	Overhead: 20134 calls/s, 3400 ns each: 6.85 % of one CPU (3.10 % traps of the probes)
 */
#include "view/backend.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include "view/utf8.h"

static const char *text_noun(const struct view_config *c)
{
	return c->noun ? c->noun : "stacks";
}

static void text_clock(uint64_t time_ns, FILE *out)
{
	time_t seconds = (time_t)(time_ns / 1000000000);
	struct tm tm;

	localtime_r(&seconds, &tm);
	fprintf(out, "%02d:%02d:%02d", tm.tm_hour, tm.tm_min, tm.tm_sec);
}

static void text_duration(uint64_t ns, FILE *out)
{
	double s = (double)ns / 1e9;

	if (s < 1)
		fprintf(out, "%.0f ms", s * 1e3);
	else if (s < 120)
		fprintf(out, "%.1f s", s);
	else if (s < 7200)
		fprintf(out, "%.1f min", s / 60);
	else if (s < 2 * 86400)
		fprintf(out, "%.1f h", s / 3600);
	else
		fprintf(out, "%.1f days", s / 86400);
}

static void text_names(const char *head, const char *const *names, size_t n, FILE *out)
{
	for (size_t i = 0; i < n; i++) {
		fputs(i ? ", " : head, out);
		utf8_write(out, names[i], UTF8_TEXT);
	}
}

static int text_start(const struct view_config *c, const struct view_start *s, FILE *out)
{
	fprintf(out, "%s: tracing ", c->command);
	for (size_t i = 0; i < s->n_targets; i++) {
		fprintf(out, "%s%d (", i ? ", " : "", s->targets[i].pid);
		utf8_write(out, s->targets[i].comm, UTF8_TEXT);
		fputc(')', out);
	}
	if (!s->n_targets)
		fputs("every process", out);
	text_names("; found ", s->found, s->n_found, out);
	text_names("; skipped ", s->skipped, s->n_skipped, out);
	fprintf(out, "; tables take %.1f MiB\n", (double)s->map_bytes / (1 << 20));
	return 0;
}

static int text_report_begin(const struct view_config *c, const struct view_report *r, FILE *out)
{
	fputc('[', out);
	text_clock(r->time_ns, out);
	fprintf(out, "] Top %" PRIu64 " %s with %s:\n", r->top, text_noun(c),
		c->held ? c->held : "outstanding allocations");
	return 0;
}

static void text_frame(const struct frame *f, FILE *out)
{
	fputs("\t\t", out);
	utf8_write(out, f->function ? f->function : f->object, UTF8_TEXT);
	if (!f->function && f->object)
		fprintf(out, "+0x%" PRIx64, f->object_offset);
	else if (!f->function)
		fprintf(out, "0x%" PRIx64 " [unknown]", f->address);
	else if (!f->inlined)
		fprintf(out, "+0x%" PRIx64, f->offset);
	if (f->object && (f->function || f->build_id)) {
		fputs(" [", out);
		utf8_write(out, f->function ? object_base(f->object) : f->build_id, UTF8_TEXT);
		fputc(']', out);
	}
	if (f->file) {
		fputs(" (", out);
		utf8_write(out, f->file, UTF8_TEXT);
		if (f->line)
			fprintf(out, ":%d", f->line);
		fputc(')', out);
	}
	fputs(f->inlined ? " (inlined)\n" : "\n", out);
}

static void text_stack(const struct frame *frames, size_t n, enum stack_status status, FILE *out)
{
	static const char *const why[] = {
		[STACK_DEPTH] = "incomplete: deeper than --max-frames",
		[STACK_NO_MAPPING] = "incomplete: an address is in no known mapping",
		[STACK_NO_ROW] = "incomplete: no unwind information for the last frame",
		[STACK_UNSUPPORTED] = "incomplete: unwind rule not supported",
		[STACK_FAULT] = "incomplete: stack memory could not be read",
		[STACK_NONE] = "lost",
	};

	for (size_t i = 0; i < n; i++)
		text_frame(&frames[i], out);
	if (status > STACK_COMPLETE && (size_t)status < ARRAY_SIZE(why))
		fprintf(out, "\t\t(stack %s)\n", why[status]);
}

static const char *item_lead(bool *first)
{
	const char *lead = *first ? " [" : "; ";

	*first = false;
	return lead;
}

static void text_process(const struct row *row, FILE *out)
{
	if (row->tid)
		fprintf(out, "thread %d of ", row->tid);
	fprintf(out, "pid %d (", row->pid);
	utf8_write(out, row->comm, UTF8_TEXT);
	fputc(')', out);
}

/* " [mmap; pid 12 (redis); 2.0 allocations/s, 1.0 frees/s; oldest 3.2 s]" or nothing. */
static void text_details(const struct view_config *c, const struct row *row, FILE *out)
{
	bool first = true;

	if (row->kind && strcmp(row->kind, "malloc") != 0 && strcmp(row->kind, "all") != 0)
		fprintf(out, "%s%s", item_lead(&first), row->kind);
	if (row->cache)
		fprintf(out, " %s", row->cache);
	if (row->gfp)
		fprintf(out, " order %d %s", row->order, row->gfp);
	if ((c->show_process || row->tid) && !c->totals) {
		fputs(item_lead(&first), out);
		text_process(row, out);
	}
	if (row->alloc_rate > 0 || row->free_rate > 0)
		fprintf(out, "%s%.1f allocations/s, %.1f frees/s", item_lead(&first),
			row->alloc_rate, row->free_rate);
	if (row->has_ages || row->age_mean_ns) {
		fprintf(out, "%s%s ", item_lead(&first), row->has_ages ? "oldest" : "mean age");
		text_duration(row->has_ages ? row->age_max_ns : row->age_mean_ns, out);
	}
	if (row->verdict)
		fprintf(out, "%s%s", item_lead(&first), row->verdict);
	fputs(first ? "\n" : "]\n", out);
}

static int text_row(const struct view_config *c, const struct view_report *r, size_t i, FILE *out)
{
	const struct row *row = &r->rows[i];
	const char *about = row->estimated ? "~" : "";

	fprintf(out, "\t%s%" PRIu64 " bytes in %s%" PRIu64 " %s ", about, row->bytes, about,
		row->count, c->unit ? c->unit : "allocations");
	fputs(c->totals ? "of " : c->from ? c->from : "from stack", out);
	if (c->totals)
		text_process(row, out);
	text_details(c, row, out);
	for (size_t b = 0; c->show_blocks && b < row->n_blocks; b++) {
		fprintf(out, "\t\taddr = 0x%" PRIx64 " size = %" PRIu64 " age = ",
			row->blocks[b].address, row->blocks[b].bytes);
		text_duration(row->blocks[b].age_ns, out);
		fputc('\n', out);
	}
	if (!c->totals)
		text_stack(row->frames, row->n_frames, row->status, out);
	return 0;
}

static int text_report_end(const struct view_config *c, const struct view_report *r, FILE *out)
{
	uint64_t bytes = 0;

	for (size_t i = r->n_top; i < r->n_rows; i++)
		bytes += r->rows[i].bytes;
	if (r->n_rows > r->n_top)
		fprintf(out, "\t(and %zu more %s with %" PRIu64 " bytes)\n", r->n_rows - r->n_top,
			text_noun(c), bytes);
	for (size_t i = 0; i < r->n_losses; i++) {
		const struct loss *l = &r->losses[i];

		if (l->count)
			fprintf(out, "LOST %" PRIu64 ": %s; cure: %s\n", l->count, l->what,
				l->cure);
	}
	return 0;
}

static void text_field(const struct view_field *f, FILE *out)
{
	char buf[32];
	const char *text = field_text(f, buf, sizeof(buf));

	if (!field_is_left(f)) {
		fprintf(out, " %*s", f->width, text);
		return;
	}
	fputc(' ', out);
	utf8_write(out, text, UTF8_TEXT);
	for (int n = (int)strlen(text); n < f->width; n++)
		fputc(' ', out);
}

static void text_titles(const struct view_record *r, FILE *out)
{
	fputc('[', out);
	text_clock(r->time_ns, out);
	fprintf(out, "] %s:\n", r->headline);
	for (size_t i = 0; i < r->n_fields; i++) {
		const struct view_field *f = &r->fields[i];

		if (f->title)
			fprintf(out, " %*s", field_is_left(f) ? -f->width : f->width, f->title);
	}
	fputc('\n', out);
}

static int text_record(const struct view_config *c, const struct view_record *r, FILE *out)
{
	(void)c;
	if (r->headline)
		text_titles(r, out);
	for (size_t i = 0; i < r->n_fields; i++)
		if (r->fields[i].title)
			text_field(&r->fields[i], out);
	fputc('\n', out);
	if (r->has_stack)
		text_stack(r->frames, r->n_frames, r->status, out);
	return 0;
}

/* 10:13:16.012345 redis[12/13] malloc(64) = 0x55d0c8a2a0 */
static int text_call(const struct view_config *c, const struct view_call *call, FILE *out)
{
	(void)c;
	text_clock(call->time_ns, out);
	fprintf(out, ".%06" PRIu64 " ", call->time_ns / 1000 % 1000000);
	utf8_write(out, call->comm, UTF8_TEXT);
	fprintf(out, "[%d/%d] ", call->pid, call->tid);
	utf8_write(out, call->function, UTF8_TEXT);
	if (call->is_free)
		fprintf(out, "(0x%" PRIx64 ")", call->address);
	else
		fprintf(out, "(%" PRIu64 ") = 0x%" PRIx64, call->bytes, call->address);
	if (call->is_free && call->bytes)
		fprintf(out, " %" PRIu64 " bytes", call->bytes);
	fputc('\n', out);
	text_stack(call->frames, call->n_frames, call->status, out);
	return 0;
}

static double percent(double ns, const struct view_cost *cost)
{
	return cost->duration_ns ? 100 * ns / (double)cost->duration_ns : 0;
}

/* What --max-overhead did, and what is left to the user where it was not enough. */
static void text_bound(const struct view_cost *cost, FILE *out)
{
	if (cost->bound <= 0)
		return;
	if (cost->sample_bytes)
		fprintf(out,
			"Sampling: one allocation per %" PRIu64
			" bytes on average, for --max-overhead %g\n",
			cost->sample_bytes, cost->bound * 100);
	if (cost->floor_over)
		fprintf(out,
			"Over --max-overhead %g: recording less will not help, probing these "
			"calls costs more; cure: fewer targets (-p), a shorter time "
			"(--duration), or a higher bound\n",
			cost->bound * 100);
	else if (cost->over)
		fprintf(out, "Over --max-overhead %g at this moment: sampling less\n",
			cost->bound * 100);
}

static int text_cost(const struct view_config *c, const struct view_costs *costs, FILE *out)
{
	const struct view_cost *cost = costs->cost;
	double ns = cost->run_ns + cost->trap_ns, s = (double)cost->duration_ns / 1e9;

	fprintf(out, "Overhead: %.0f %s/s", s > 0 ? (double)cost->events / s : 0,
		c->events ? c->events : "calls");
	if (cost->timed && cost->events)
		fprintf(out, ", %.0f ns each", ns / (double)cost->events);
	if (cost->timed)
		fprintf(out, ": %.2f %% of one CPU", percent(ns, cost));
	if (cost->timed && cost->trap_ns > 0)
		fprintf(out, " (%.2f %% traps of the probes)", percent(cost->trap_ns, cost));
	fputc('\n', out);
	text_bound(cost, out);
	return 0;
}

static int text_end(const struct view_config *c, const struct view_end *e, FILE *out)
{
	const struct view_cost *cost = &e->cost;
	double ns = cost->run_ns + cost->trap_ns, s = (double)cost->duration_ns / 1e9;

	fputs("Traced for ", out);
	text_duration(cost->duration_ns, out);
	fprintf(out, ": %" PRIu64 " %s (%.0f/s), %" PRIu64 " reports", cost->events,
		c->events ? c->events : "calls", s > 0 ? (double)cost->events / s : 0, e->ticks);
	if (cost->timed)
		fprintf(out, "; tracing took %.2f %% of one CPU", percent(ns, cost));
	if (cost->timed && cost->events)
		fprintf(out, ", %.0f ns each", ns / (double)cost->events);
	fputc('\n', out);
	text_bound(cost, out);
	if (!e->has_program)
		return 0;
	if (WIFSIGNALED(e->wait_status))
		fprintf(out, "Program was killed by signal %d (%s)\n", WTERMSIG(e->wait_status),
			strsignal(WTERMSIG(e->wait_status)));
	else
		fprintf(out, "Program exited with status %d\n", WEXITSTATUS(e->wait_status));
	return 0;
}

const struct view_backend view_text = {
	.start = text_start,
	.report_begin = text_report_begin,
	.row = text_row,
	.report_end = text_report_end,
	.record = text_record,
	.cost = text_cost,
	.call = text_call,
	.end = text_end,
};

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One JSON object a line, built and freed one by one, so memory does not grow with the
 * report. Integers are signed 64-bit; larger counts are capped at 2^63 - 1. `time` has
 * microseconds: 16 significant digits, which also prints 0.1 as 0.1.
 */
#include "view/backend.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <string.h>
#include <sys/wait.h>

#include "view/json_value.h"

/*
 * Puts a value in a line's object; a NULL value is memory that ran out, remembered by
 * leaving the object without "type": json_line() then fails. So no check per key.
 */
static void put(json_t *o, const char *key, json_t *value)
{
	if (json_object_set_new_nocheck(o, key, value))
		json_object_del(o, "type");
}

static json_t *json_head(const struct view_config *c, const char *type, uint64_t time_ns,
			 uint64_t tick)
{
	json_t *o = json_object();

	put(o, "type", json_string_nocheck(type));
	put(o, "command", json_text(c->command));
	put(o, "time", json_real((double)time_ns / 1e9));
	put(o, "tick", json_uint(tick));
	return o;
}

/* Takes o. Write errors stay in `out`. */
static int json_line(json_t *o, FILE *out)
{
	_cleanup_json_ json_t *owned = o;

	if (!json_object_get(owned, "type"))
		return -ENOMEM;
	if (!json_dumpf(owned, out, JSON_COMPACT | JSON_REAL_PRECISION(16)))
		fputc('\n', out);
	return 0;
}

static json_t *json_frame(const struct frame *f)
{
	return json_pack("{s:o, s:o, s:I, s:o, s:o, s:o, s:o, s:o, s:b}", "address",
			 json_hex(f->address), "function", json_text(f->function), "offset",
			 (json_int_t)f->offset, "object", json_text(f->object), "build_id",
			 json_text(f->build_id), "object_offset", json_uint(f->object_offset),
			 "file", json_text(f->file), "line",
			 f->line ? json_integer(f->line) : json_null(), "inlined", f->inlined);
}

static json_t *json_frames(const struct frame *v, size_t n)
{
	_cleanup_json_ json_t *a = json_array();

	for (size_t i = 0; i < n; i++)
		if (json_array_append_new(a, json_frame(&v[i])))
			return NULL;
	return take_ptr(a);
}

static const char *status_name(enum stack_status status)
{
	static const char *const names[] = {
		[STACK_COMPLETE] = "complete",
		[STACK_DEPTH] = "depth",
		[STACK_NO_MAPPING] = "no_mapping",
		[STACK_NO_ROW] = "no_row",
		[STACK_UNSUPPORTED] = "unsupported",
		[STACK_FAULT] = "fault",
		[STACK_NONE] = "lost",
	};

	return (size_t)status < ARRAY_SIZE(names) ? names[status] : "lost";
}

static json_t *json_pids(const struct opt_pids *pids)
{
	_cleanup_json_ json_t *a = json_array();

	for (size_t i = 0; i < pids->n; i++)
		if (json_array_append_new(a, json_integer(pids->v[i])))
			return NULL;
	return take_ptr(a);
}

/* In the unit a user types: seconds, milliseconds, percent. */
static json_t *option_value(const struct opt *o, const void *field)
{
	const struct opt_list *list = field;

	switch (o->type) {
	case OPT_FLAG:
		return json_boolean(*(const bool *)field);
	case OPT_COUNTER:
		return json_integer(*(const unsigned int *)field);
	case OPT_U64:
	case OPT_SIZE:
		return json_uint(*(const uint64_t *)field);
	case OPT_SECONDS:
		return json_number((double)*(const uint64_t *)field / 1e9);
	case OPT_MS:
		return json_uint(*(const uint64_t *)field / 1000000);
	case OPT_PERCENT:
		return json_number(*(const double *)field * 100);
	case OPT_PIDS:
		return json_pids(field);
	case OPT_STRING:
		return json_text(*(char *const *)field);
	case OPT_LIST:
		return json_texts((const char *const *)list->v, list->n);
	case OPT_ENUM:
		return json_text(o->names[*(const int *)field]);
	}
	return json_null();
}

/* The operands and the program, where the command takes them. */
static void options_operands(json_t *o, const struct opts_spec *s, const char *cfg)
{
	char **argv = s->takes_program ? *(char ***)(cfg + s->program_offset) : NULL;
	size_t n = 0;

	while (argv && argv[n])
		n++;
	if (s->word)
		put(o, s->word->name, option_value(s->word, cfg + s->word->offset));
	if (s->takes_interval) {
		put(o, "interval",
		    json_number((double)*(const uint64_t *)(cfg + s->interval_offset) / 1e9));
		put(o, "count", json_uint(*(const uint64_t *)(cfg + s->count_offset)));
	}
	if (s->takes_program)
		put(o, "program", argv ? json_texts((const char *const *)argv, n) : json_null());
}

static int option_put(const struct opt *o, const void *field, void *arg)
{
	return json_object_set_new(arg, o->name, option_value(o, field)) ? -ENOMEM : 0;
}

static json_t *json_options(const struct view_start *s)
{
	_cleanup_json_ json_t *o = json_object();

	if (!s->spec)
		return take_ptr(o);
	if (!o || opts_each(s->spec, s->cfg, option_put, o))
		return NULL;
	options_operands(o, s->spec, s->cfg);
	return take_ptr(o);
}

static json_t *json_targets(const struct view_start *s)
{
	_cleanup_json_ json_t *a = json_array();

	for (size_t i = 0; i < s->n_targets; i++) {
		const struct view_target *t = &s->targets[i];

		if (json_array_append_new(a,
					  json_pack("{s:i, s:o, s:o}", "pid", t->pid, "comm",
						    json_text(t->comm), "exe", json_text(t->exe))))
			return NULL;
	}
	return take_ptr(a);
}

static int start_print(const struct view_config *c, const struct view_start *s, FILE *out)
{
	json_t *o = json_head(c, "start", s->time_ns, 0);

	put(o, "version", json_text(s->version));
	put(o, "kernel", json_text(s->kernel));
	put(o, "method", json_text(s->method));
	put(o, "options", json_options(s));
	put(o, "targets", json_targets(s));
	put(o, "found", json_texts(s->found, s->n_found));
	put(o, "skipped", json_texts(s->skipped, s->n_skipped));
	put(o, "map_bytes", json_uint(s->map_bytes));
	return json_line(o, out);
}

static json_t *json_stack(const struct view_config *c, const struct view_report *r, size_t i)
{
	const struct row *row = &r->rows[i];
	bool p50 = row->has_ages && row->age_p50_ns != AGE_UNKNOWN;
	json_t *o = json_head(c, "stack", r->time_ns, r->tick);

	put(o, "pid", json_integer(row->pid));
	if (row->tid)
		put(o, "tid", json_integer(row->tid));
	put(o, "comm", json_text(row->comm));
	put(o, "kind", json_text(row->kind));
	if (row->cache)
		put(o, "cache", json_text(row->cache));
	if (row->gfp) {
		put(o, "gfp", json_text(row->gfp));
		put(o, "order", json_integer(row->order));
	}
	if (row->cgroup)
		put(o, "cgroup", json_text(row->cgroup));
	put(o, "bytes", json_uint(row->bytes));
	put(o, "count", json_uint(row->count));
	put(o, "estimated", json_boolean(row->estimated));
	put(o, "age_max_ms", row->has_ages ? json_ms(row->age_max_ns) : json_null());
	put(o, "age_p50_ms", p50 ? json_ms(row->age_p50_ns) : json_null());
	put(o, "age_mean_ms", json_ms(row->age_mean_ns));
	put(o, "alloc_rate", json_number(row->alloc_rate));
	put(o, "free_rate", json_number(row->free_rate));
	put(o, "growth_bytes_per_s", json_number(row->growth_rate));
	put(o, "verdict", json_text(row->verdict));
	put(o, "stack_status", json_text(status_name(row->status)));
	put(o, "stack_id", json_hex(row->stack_id));
	put(o, "frames", json_frames(row->frames, row->n_frames));
	return o;
}

static int block_print(const struct view_config *c, const struct view_report *r, size_t i,
		       const struct block *b, FILE *out)
{
	json_t *o = json_head(c, "block", r->time_ns, r->tick);

	put(o, "pid", json_integer(r->rows[i].pid));
	put(o, "address", json_hex(b->address));
	put(o, "bytes", json_uint(b->bytes));
	put(o, "age_ms", json_ms(b->age_ns));
	put(o, "stack", json_uint(i));
	return json_line(o, out);
}

static int row_print(const struct view_config *c, const struct view_report *r, size_t i, FILE *out)
{
	const struct row *row = &r->rows[i];
	int err = json_line(json_stack(c, r, i), out);

	for (size_t b = 0; c->show_blocks && b < row->n_blocks && !err && !ferror(out); b++)
		err = block_print(c, r, i, &row->blocks[b], out);
	return err;
}

static int losses_print(const struct view_config *c, const struct view_report *r, FILE *out)
{
	json_t *o = json_head(c, "losses", r->time_ns, r->tick);

	for (size_t i = 0; i < r->n_losses; i++)
		put(o, r->losses[i].name, json_uint(r->losses[i].count));
	return json_line(o, out);
}

static int call_print(const struct view_config *c, const struct view_call *call, FILE *out)
{
	json_t *o = json_head(c, "call", call->time_ns, call->tick);

	put(o, "pid", json_integer(call->pid));
	put(o, "tid", json_integer(call->tid));
	put(o, "comm", json_text(call->comm));
	put(o, "function", json_text(call->function));
	put(o, "free", json_boolean(call->is_free));
	put(o, "address", json_hex(call->address));
	put(o, "bytes", call->is_free && !call->bytes ? json_null() : json_uint(call->bytes));
	put(o, "stack_status", json_text(status_name(call->status)));
	put(o, "frames", json_frames(call->frames, call->n_frames));
	return json_line(o, out);
}

static json_t *json_fields(const struct view_field *f, size_t n);
static json_t *json_field(const struct view_field *f)
{
	switch (f->kind) {
	case VIEW_COUNT:
	case VIEW_BYTES:
		return json_uint(f->n);
	case VIEW_SIGNED:
		return json_integer((json_int_t)f->n);
	case VIEW_RATIO:
		return f->real < 0 ? json_null() : json_number(f->real);
	case VIEW_REAL:
		return json_number(f->real);
	case VIEW_WORD:
		return json_text(f->word);
	case VIEW_HEX:
		return json_hex(f->n);
	case VIEW_BOOL:
		return json_boolean(f->n);
	case VIEW_MAP:
		return json_fields(f->map, f->n);
	case VIEW_NULL:
		break;
	}
	return json_null();
}

/* Keys may be any bytes (paths). */
static json_t *json_fields(const struct view_field *f, size_t n)
{
	_cleanup_json_ json_t *o = json_object();

	for (size_t i = 0; i < n; i++) {
		_cleanup_free_ char *key = utf8_sanitize(f[i].key, strlen(f[i].key));

		if (!key || json_object_set_new_nocheck(o, key, json_field(&f[i])))
			return NULL;
	}
	return take_ptr(o);
}

static int record_print(const struct view_config *c, const struct view_record *r, FILE *out)
{
	json_t *o = json_head(c, r->type, r->time_ns, r->tick);

	for (size_t i = 0; i < r->n_fields; i++)
		put(o, r->fields[i].key, json_field(&r->fields[i]));
	if (r->has_stack) {
		put(o, "stack_status", json_text(status_name(r->status)));
		put(o, "stack_id", json_hex(r->stack_id));
		put(o, "frames", json_frames(r->frames, r->n_frames));
	}
	return json_line(o, out);
}

static void put_ratio(json_t *o, const char *key, double part, double whole)
{
	put(o, key, whole > 0 ? json_number(part / whole) : json_null());
}

static void put_cost(json_t *o, const struct view_cost *c)
{
	double ns = (double)c->duration_ns, timed = c->timed ? 1 : 0;

	put(o, "duration_s", json_number(ns / 1e9));
	put_ratio(o, "tracing_cpu_ratio", c->run_ns + c->trap_ns, timed * ns);
	put_ratio(o, "trap_cpu_ratio", c->trap_ns, timed * ns);
	put(o, "events", json_uint(c->events));
	put_ratio(o, "events_per_s", (double)c->events * 1e9, ns);
	put_ratio(o, "ns_per_event", c->run_ns + c->trap_ns, timed * (double)c->events);
	put(o, "sample_bytes", json_uint(c->sample_bytes));
	put(o, "max_overhead_ratio", c->bound > 0 ? json_number(c->bound) : json_null());
	put(o, "over_bound", json_boolean(c->over));
	put(o, "floor_over_bound", json_boolean(c->floor_over));
}

static int cost_print(const struct view_config *c, const struct view_costs *costs, FILE *out)
{
	json_t *o = json_head(c, "overhead", costs->time_ns, costs->tick);

	put_cost(o, costs->cost);
	return json_line(o, out);
}

/* As a shell has it: 128 + signal for a program that was killed. */
static json_t *json_status(const struct view_end *e)
{
	if (!e->has_program)
		return json_null();
	if (WIFSIGNALED(e->wait_status))
		return json_integer(128 + WTERMSIG(e->wait_status));
	return json_integer(WEXITSTATUS(e->wait_status));
}

static int end_print(const struct view_config *c, const struct view_end *e, FILE *out)
{
	json_t *o = json_head(c, "end", e->time_ns, e->ticks ? e->ticks - 1 : 0);

	put(o, "ticks", json_uint(e->ticks));
	put(o, "program_status", json_status(e));
	put_cost(o, &e->cost);
	return json_line(o, out);
}

const struct view_backend view_json = {
	.start = start_print,
	.row = row_print,
	.report_end = losses_print,
	.record = record_print,
	.cost = cost_print,
	.call = call_print,
	.end = end_print,
};

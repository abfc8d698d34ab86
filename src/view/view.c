/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The one writer: walks a report once and hands each row to the backend and to the
 * folded file. A failed write is remembered per stream, so that a closed pipe does not
 * keep the folded file from being finished.
 */
#include "view/backend.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "view/live.h"

struct view {
	struct view_config c;
	const struct view_backend *backend; /* NULL: folded lines instead */
	FILE *folded;			    /* owned unless it is c.out; or NULL */
	int out_err, folded_err;
};

const char *object_base(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash && slash[1] ? slash + 1 : path;
}

int view_new(const struct view_config *c, struct view **ret)
{
	bool instead = c->folded && strcmp(c->folded, "-") == 0;
	_cleanup_free_ struct view *v = calloc(1, sizeof(*v));

	if (!v)
		return -ENOMEM;
	v->c = *c;
	v->backend = instead ? NULL : c->json ? &view_json : &view_text;
	if (instead)
		v->folded = c->out;
	else if (c->folded)
		v->folded = fopen(c->folded, "we");
	if (c->folded && !v->folded)
		return -errno;
	*ret = take_ptr(v);
	return 0;
}

void view_free(struct view *v)
{
	if (v && v->folded && v->folded != v->c.out)
		fclose(v->folded); /* every report was flushed and checked */
	free(v);
}

/* Turns a stream's state into an errno; `err` is what the backend returned. */
static int stream_check(FILE *f, int err)
{
	if (err)
		return err;
	return ferror(f) ? (errno ? -errno : -EIO) : 0;
}

static int stream_flush(FILE *f, int err)
{
	err = stream_check(f, err);
	if (!err && fflush(f))
		err = -errno;
	return err;
}

/* Notes are for whoever watches; that nobody can see them must not end the run. */
static int notes_flush(FILE *notes, int err)
{
	if (fflush(notes) || ferror(notes))
		clearerr(notes);
	return err;
}

int view_start(struct view *v, const struct view_start *s)
{
	errno = 0;
	if (v->out_err)
		return v->out_err;
	if (v->backend != &view_json)
		return notes_flush(v->c.notes, view_text.start(&v->c, s, v->c.notes));
	return v->out_err = stream_flush(v->c.out, view_json.start(&v->c, s, v->c.out));
}

static int report_write(struct view *v, const struct view_report *r)
{
	const struct view_backend *b = v->backend;
	int err = 0;

	if (b->report_begin)
		err = stream_check(v->c.out, b->report_begin(&v->c, r, v->c.out));
	for (size_t i = 0; i < r->n_top && !err; i++)
		err = stream_check(v->c.out, b->row(&v->c, r, i, v->c.out));
	if (!err)
		err = b->report_end(&v->c, r, v->c.out);
	return stream_flush(v->c.out, err);
}

/* A file holds the last report only; pipes and terminals get one after the other. */
static int folded_rewind(FILE *f)
{
	struct stat st;

	if (fstat(fileno(f), &st) || !S_ISREG(st.st_mode))
		return 0;
	rewind(f);
	return ftruncate(fileno(f), 0) ? -errno : 0;
}

static int folded_write(struct view *v, const struct view_report *r)
{
	int err = v->folded == v->c.out ? 0 : folded_rewind(v->folded);

	for (size_t i = 0; i < r->n_rows && !err; i++) {
		folded_row(&v->c, &r->rows[i], v->folded);
		err = stream_check(v->folded, 0);
	}
	return stream_flush(v->folded, err);
}

/* With folded lines in place of the report, losses go to the notes. */
static int losses_note(struct view *v, const struct view_report *r)
{
	struct view_report losses = *r;

	losses.n_rows = losses.n_top = 0;
	return notes_flush(v->c.notes, view_text.report_end(&v->c, &losses, v->c.notes));
}

int view_report(struct view *v, const struct view_report *r)
{
	errno = 0;
	if (v->folded && !v->folded_err)
		v->folded_err = folded_write(v, r);
	errno = 0;
	if (!v->out_err)
		v->out_err = v->backend ? report_write(v, r) : losses_note(v, r);
	return v->out_err ? v->out_err : v->folded_err;
}

int view_record(struct view *v, const struct view_record *r)
{
	errno = 0;
	if (live_is_open(v->c.live))
		return live_record(v->c.live, r);
	if (v->out_err || !v->backend)
		return v->out_err;
	return v->out_err = stream_check(v->c.out, v->backend->record(&v->c, r, v->c.out));
}

int view_losses(struct view *v, const struct view_report *r)
{
	struct view_report losses = *r;

	errno = 0;
	if (live_is_open(v->c.live))
		return live_report(v->c.live, r);
	losses.n_rows = losses.n_top = 0;
	if (v->folded && !v->folded_err)
		v->folded_err = folded_write(v, r);
	if (!v->out_err && v->backend)
		v->out_err =
			stream_flush(v->c.out, v->backend->report_end(&v->c, &losses, v->c.out));
	else if (!v->out_err)
		v->out_err = losses_note(v, r);
	return v->out_err ? v->out_err : v->folded_err;
}

int view_cost(struct view *v, uint64_t time_ns, uint64_t tick, const struct view_cost *cost)
{
	struct view_costs costs = {time_ns, tick, cost};

	errno = 0;
	if (!v->backend)
		return notes_flush(v->c.notes, view_text.cost(&v->c, &costs, v->c.notes));
	if (v->out_err)
		return v->out_err;
	return v->out_err = stream_flush(v->c.out, v->backend->cost(&v->c, &costs, v->c.out));
}

int view_call(struct view *v, const struct view_call *call)
{
	errno = 0;
	if (v->out_err || !v->backend)
		return v->out_err;
	return v->out_err = stream_flush(v->c.out, v->backend->call(&v->c, call, v->c.out));
}

int view_end(struct view *v, const struct view_end *e)
{
	errno = 0;
	if (!v->backend)
		notes_flush(v->c.notes, view_text.end(&v->c, e, v->c.notes));
	else if (!v->out_err)
		v->out_err = stream_flush(v->c.out, v->backend->end(&v->c, e, v->c.out));
	return v->out_err ? v->out_err : v->folded_err;
}

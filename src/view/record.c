/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "view/record.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <string.h>

#include "view/utf8.h"

static json_t *text_value(const char *text)
{
	_cleanup_free_ char *clean = NULL;

	if (!text)
		return json_null();
	clean = utf8_sanitize(text, strlen(text));
	return clean ? json_string_nocheck(clean) : NULL;
}

static json_t *texts_value(const struct record_field *f)
{
	json_t *a = json_array();

	for (uint64_t i = 0; a && i < f->u; i++) {
		if (json_array_append_new(a, text_value(f->texts[i]))) {
			json_decref(a);
			return NULL;
		}
	}
	return a;
}

static json_t *field_value(const struct record_field *f)
{
	switch (f->type) {
	case RECORD_UINT:
		return json_integer((json_int_t)MIN(f->u, (uint64_t)INT64_MAX));
	case RECORD_INT:
		return json_integer(f->i);
	case RECORD_REAL:
		return json_real(isfinite(f->d) ? f->d : 0);
	case RECORD_TEXT:
		return text_value(f->text);
	case RECORD_TEXTS:
		return texts_value(f);
	}
	return NULL;
}

static int json_write(const struct record *r, FILE *out)
{
	json_t *o = json_pack("{s:s, s:s, s:f, s:I}", "type", r->type, "command", r->command,
			      "time", (double)r->time_ns / 1e9, "tick", (json_int_t)r->tick);
	int err = o ? 0 : -ENOMEM;

	for (size_t i = 0; i < r->n && !err; i++)
		err = json_object_set_new(o, r->fields[i].key, field_value(&r->fields[i])) ? -ENOMEM
											   : 0;
	if (!err && !json_dumpf(o, out, JSON_COMPACT | JSON_REAL_PRECISION(16)))
		fputc('\n', out);
	json_decref(o);
	return err;
}

int record_write(const struct record *r, bool json, FILE *out)
{
	int err = 0;

	errno = 0;
	if (json)
		err = json_write(r, out);
	else if (r->line) {
		utf8_write(out, r->line, UTF8_TEXT);
		fputc('\n', out);
	}
	if (!err && (fflush(out) || ferror(out)))
		err = errno ? -errno : -EIO;
	return err;
}

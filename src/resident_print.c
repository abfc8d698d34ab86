/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 *	      SIZE    PAGES   CACHED PERCENT    DIRTY WRITEBACK  EVICTED   RECENT FILE
 *	  16777339     4097     1024  24.99%        0         0        0        0 /data/x
 *		[#############oooo.....                                     ]
 */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "cmd_resident.h"
#include "view/utf8.h"

static double ratio(const struct resident_file *f)
{
	return f->pages ? (double)f->n.cached / (double)f->pages : 0;
}

/* ---- text ---- */

static void text_known(const struct resident_pages *n, uint64_t v, int width, FILE *out)
{
	if (n->method)
		fprintf(out, " %*s", width, "-");
	else
		fprintf(out, " %*" PRIu64, width, v);
}

/* Only where a part of the file has been asked about. */
static bool has_map(const struct resident_opts *o, const struct resident_file *f)
{
	return o->map && f->n.method < RESIDENT_ITERATOR;
}

static void text_map(const struct resident_file *f, FILE *out)
{
	fputs("\t[", out);
	for (size_t i = 0; i < RESIDENT_CELLS; i++)
		fputc(!f->map[i] ? '.' : f->map[i] < 50 ? '-' : f->map[i] < 100 ? 'o' : '#', out);
	fputs("]\n", out);
}

static void text_file(const struct resident_file *f, FILE *out)
{
	fprintf(out, "%12" PRIu64 " %9" PRIu64 " %9" PRIu64 " %6.2f%%", f->size, f->pages,
		f->n.cached, ratio(f) * 100);
	text_known(&f->n, f->n.dirty, 8, out);
	text_known(&f->n, f->n.writeback, 9, out);
	text_known(&f->n, f->n.evicted, 8, out);
	text_known(&f->n, f->n.recently_evicted, 8, out);
	fputc(' ', out);
	utf8_write(out, f->path, UTF8_TEXT);
	fputc('\n', out);
}

static struct resident_file sum_of(const struct resident_files *all)
{
	struct resident_file sum = {0};

	for (size_t i = 0; i < all->n; i++) {
		const struct resident_file *f = &all->v[i];

		sum.size += f->size;
		sum.pages += f->pages;
		sum.n.cached += f->n.cached;
		sum.n.dirty += f->n.dirty;
		sum.n.writeback += f->n.writeback;
		sum.n.evicted += f->n.evicted;
		sum.n.recently_evicted += f->n.recently_evicted;
		sum.n.method = MAX(sum.n.method, f->n.method);
	}
	return sum;
}

int resident_print_text(const struct resident_opts *o, const struct resident_files *all, FILE *out)
{
	struct resident_file sum = sum_of(all);
	char text[64];

	fprintf(out, "%12s %9s %9s %7s %8s %9s %8s %8s %s\n", "SIZE", "PAGES", "CACHED", "PERCENT",
		"DIRTY", "WRITEBACK", "EVICTED", "RECENT", "FILE");
	for (size_t i = 0; i < MIN(all->n, o->common.top); i++) {
		text_file(&all->v[i], out);
		if (has_map(o, &all->v[i]))
			text_map(&all->v[i], out);
	}
	if (all->n > 1) {
		snprintf(text, sizeof(text), "(all %zu files)", all->n);
		sum.path = text;
		text_file(&sum, out);
	}
	return fflush(out) || ferror(out) ? -errno : 0;
}

/* ---- JSON ---- */

static json_t *json_known(const struct resident_pages *n, uint64_t v)
{
	return n->method ? json_null() : json_integer((json_int_t)v);
}

static json_t *json_map(const struct resident_file *f)
{
	json_t *a = json_array();

	for (size_t i = 0; i < RESIDENT_CELLS; i++)
		json_array_append_new(a, json_real(f->map[i] / 100.0));
	return a;
}

static json_t *json_file(const struct resident_file *f, bool map)
{
	_cleanup_free_ char *path = utf8_sanitize(f->path, strlen(f->path));
	char device[32];

	snprintf(device, sizeof(device), "%u:%u", major(f->dev), minor(f->dev));
	return json_pack(
		"{s:s, s:s, s:f, s:i, s:s, s:s, s:I, s:I, s:I, s:I, s:f, s:o, s:o, s:o, "
		"s:o, s:s, s:o*}",
		"type", "file", "command", "resident", "time", (double)clock_real_ns() / 1e9,
		"tick", 0, "path", path ? path : "", "device", device, "inode", (json_int_t)f->ino,
		"size_bytes", (json_int_t)f->size, "pages", (json_int_t)f->pages, "cached_pages",
		(json_int_t)f->n.cached, "cached_ratio", ratio(f), "dirty_pages",
		json_known(&f->n, f->n.dirty), "writeback_pages", json_known(&f->n, f->n.writeback),
		"evicted_pages", json_known(&f->n, f->n.evicted), "recently_evicted_pages",
		json_known(&f->n, f->n.recently_evicted), "method",
		resident_method_name(f->n.method), "map", map ? json_map(f) : NULL);
}

int resident_print_json(const struct resident_opts *o, const struct resident_files *all, FILE *out)
{
	for (size_t i = 0; i < MIN(all->n, o->common.top); i++) {
		json_t *j = json_file(&all->v[i], has_map(o, &all->v[i]));

		if (!j)
			return -ENOMEM;
		if (!json_dumpf(j, out, JSON_COMPACT | JSON_REAL_PRECISION(16)))
			fputc('\n', out);
		json_decref(j);
	}
	return fflush(out) || ferror(out) ? -errno : 0;
}

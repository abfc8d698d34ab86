/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <inttypes.h>

#include "view/backend.h"

/* 4096 is "4.0K": bytes of any size in few columns. */
static void bytes_text(uint64_t bytes, char *buf, size_t size)
{
	static const char units[] = "BKMGTPE";
	double v = (double)bytes;
	size_t u = 0;

	for (; v >= 1024 && units[u + 1]; u++)
		v /= 1024;
	if (u)
		snprintf(buf, size, "%.1f%c", v, units[u]);
	else
		snprintf(buf, size, "%" PRIu64, bytes);
}

bool field_is_left(const struct view_field *f)
{
	return f->kind == VIEW_WORD || f->kind == VIEW_HEX;
}

const char *field_text(const struct view_field *f, char *buf, size_t size)
{
	switch (f->kind) {
	case VIEW_COUNT:
		snprintf(buf, size, "%" PRIu64, f->n);
		return buf;
	case VIEW_SIGNED:
		snprintf(buf, size, "%" PRId64, (int64_t)f->n);
		return buf;
	case VIEW_BYTES:
		bytes_text(f->n, buf, size);
		return buf;
	case VIEW_HEX:
		snprintf(buf, size, "0x%" PRIx64, f->n);
		return buf;
	case VIEW_REAL:
		snprintf(buf, size, "%.1f", f->real);
		return buf;
	case VIEW_RATIO:
		snprintf(buf, size, f->real < 0 ? "-" : "%.2f%%", f->real * 100);
		return buf;
	case VIEW_WORD:
		return f->word ? f->word : "-";
	default:
		return "-";
	}
}

double field_value(const struct view_field *f)
{
	switch (f->kind) {
	case VIEW_SIGNED:
		return (double)(int64_t)f->n;
	case VIEW_REAL:
	case VIEW_RATIO:
		return f->real;
	default:
		return (double)f->n;
	}
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* json_value.h - our kinds of values as JSON; each returns a new reference, NULL: no memory. */
#ifndef MEMTALLY_JSON_VALUE_H
#define MEMTALLY_JSON_VALUE_H

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <string.h>

#include "lib/lib.h"
#include "view/utf8.h"

static inline void json_freep(json_t **j)
{
	json_decref(*j);
}

#define _cleanup_json_ _cleanup_(json_freep)

static inline json_t *json_uint(uint64_t v)
{
	return json_integer((json_int_t)MIN(v, (uint64_t)INT64_MAX));
}

static inline json_t *json_number(double v)
{
	return json_real(isfinite(v) ? v : 0);
}

/* Thousandths are enough for milliseconds. */
static inline json_t *json_ms(uint64_t ns)
{
	return json_real((double)(ns / 1000) / 1000);
}

/* Any bytes; NULL: null. */
static inline json_t *json_text(const char *s)
{
	_cleanup_free_ char *clean = NULL;
	json_t *j = s ? json_string(s) : json_null();

	if (j || !s)
		return j;
	clean = utf8_sanitize(s, strlen(s));
	return clean ? json_string_nocheck(clean) : NULL;
}

static inline json_t *json_hex(uint64_t v)
{
	char buf[32];

	snprintf(buf, sizeof(buf), "0x%" PRIx64, v);
	return json_string_nocheck(buf);
}

static inline json_t *json_texts(const char *const *v, size_t n)
{
	_cleanup_json_ json_t *a = json_array();

	for (size_t i = 0; i < n; i++)
		if (json_array_append_new(a, json_text(v[i])))
			return NULL;
	return take_ptr(a);
}

#endif

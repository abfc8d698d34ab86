/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lib/strlist.h"

#include <errno.h>
#include <stdarg.h>

int strlist_add(struct strlist *l, const char *fmt, ...)
{
	char *line;
	va_list ap;
	int n;

	if (array_reserve(&l->v, &l->cap, l->n + 1, sizeof(*l->v)))
		return -ENOMEM;
	va_start(ap, fmt);
	n = vasprintf(&line, fmt, ap);
	va_end(ap);
	if (n < 0)
		return -ENOMEM;
	l->v[l->n++] = line;
	return 0;
}

void strlist_deinit(struct strlist *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->v[i]);
	free(l->v);
	*l = (struct strlist){0};
}

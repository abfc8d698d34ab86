/* SPDX-License-Identifier: GPL-2.0-or-later */
/* site_text.h - test helper: code that the test spells, as probe placement reads it. */
#ifndef SITE_TEXT_H
#define SITE_TEXT_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>

#include "lib/lib.h"

/* Where it starts. */
#define AT 0x10000

struct text {
	const char *code;
	size_t size;
};

static ssize_t read_text(void *arg, uint64_t vaddr, void *buf, size_t len)
{
	const struct text *t = arg;

	if (vaddr < AT || vaddr >= AT + t->size)
		return -EFAULT;
	len = MIN(len, (size_t)(AT + t->size - vaddr));
	memcpy(buf, t->code + (vaddr - AT), len);
	return (ssize_t)len;
}

#endif

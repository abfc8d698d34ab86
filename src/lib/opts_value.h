/* SPDX-License-Identifier: GPL-2.0-or-later */
/* opts_value.h - text to one typed field and why not; for opts*.c only. */
#ifndef MEMTALLY_OPTS_VALUE_H
#define MEMTALLY_OPTS_VALUE_H

#include "lib/opts.h"

/*
 * Parses text into the field. A name in capitals is an operand, else an option. 0,
 * -EINVAL with *ret_msg saying what is wrong with it, or -ENOMEM. The field then is
 * as it was.
 */
int opt_value_take(const struct opt *o, const char *text, void *field, char **ret_msg);
/* Frees what the field owns; the field itself is left as it is. */
void opt_value_free(const struct opt *o, void *field);

#endif

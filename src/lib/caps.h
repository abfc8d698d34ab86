/* SPDX-License-Identifier: GPL-2.0-or-later */
/* caps.h - may this process trace others? Asked before work starts, to name what is missing. */
#ifndef MEMTALLY_CAPS_H
#define MEMTALLY_CAPS_H

#include "lib/lib.h"

/* The effective capability set of this process: 0, or -errno of capget(). */
int caps_effective(uint64_t *ret_set);
/*
 * Writes the names of the capabilities tracing needs and `set` lacks into buf, with
 * ", " between them; "" when nothing lacks. Returns how many. CAP_SYS_ADMIN stands for
 * CAP_BPF and CAP_PERFMON, which were split from it in v5.8 (commit a17b53c4a4b5
 * ("bpf, capability: Introduce CAP_BPF")).
 */
size_t caps_missing(uint64_t set, char *buf, size_t size);

#endif

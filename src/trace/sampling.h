/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sampling.h - the tables behind sampling by bytes (include/sample.h). */
#ifndef MEMTALLY_SAMPLING_H
#define MEMTALLY_SAMPLING_H

#include "lib/lib.h"
#include "sample.h"

/* Fills the rodata tables of bpf/outstanding.bpf.h. */
void sampling_fill(uint32_t weights[SAMPLE_WEIGHTS], uint32_t logs[SAMPLE_LOGS]);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * judge.h - prepares the check of bpf/kmem_judge.bpf.h: where this kernel keeps its struct
 * pages and objects, found by trial and confirmed on objects of known caches.
 */
#ifndef MEMTALLY_JUDGE_H
#define MEMTALLY_JUDGE_H

#include "kmem_abi.h"
#include "lib/lib.h"

/* Runs a program of type raw_tp/test once. 0 or a negative errno. */
int judge_run(int prog);
/*
 * Fills *j, the programs' own, by running kmem_locate and kmem_confirm (fds). False: this
 * kernel's memory could not be found, j->vmemmap is 0 and nothing will be judged.
 */
bool judge_prepare(struct kmem_judge *j, int locate, int confirm);

#endif

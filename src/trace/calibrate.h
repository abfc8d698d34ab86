/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * calibrate.h - which instruction classes the running kernel emulates under a uprobe.
 *
 * The set grows with kernel versions (arch/x86/kernel/uprobes.c: nop, jmp, jcc, call since
 * v3.16; push since v4.16; long nops since v6.18) and with distribution patches, so it is
 * measured: own functions of each class are probed with an empty program, and the time
 * per hit is compared with that of a nop, which is always emulated, and of an
 * instruction that never is. A class counts as emulated only when every one of its forms
 * lies near the nop; what cannot be told apart counts as single-stepped.
 */
#ifndef MEMTALLY_TRACE_CALIBRATE_H
#define MEMTALLY_TRACE_CALIBRATE_H

#include <stdbool.h>
#include <stdint.h>

#include "trace/insn.h"

struct calibration {
	uint64_t emulated;	   /* 1 << enum insn_class */
	uint32_t ns[INSN_CLASSES]; /* per hit, slowest form; OTHER: single-stepped; 0: unknown */
	uint32_t return_ns;	   /* what a return probe takes, less its hit at the entry */
	bool cached;		   /* came from the file of this boot */
};

/*
 * Measures (about 15 ms in a virtual machine). 0 or a negative errno: -EPERM without the
 * right to probe, -EOPNOTSUPP on other machines than x86-64. Where the measurement
 * cannot tell emulated from stepped, the result is 0 with emulated = 0: every probe
 * then goes to the entry.
 */
int calibrate_measure(struct calibration *ret);

/*
 * As calibrate_measure(), through a file in dir (NULL: /run/memtally) valid for this boot
 * and kernel. The file is believed only when it and dir belong to this user, nobody else
 * may write them, and its contents pass the same tests as a measurement; it is replaced
 * otherwise. Failing to write it is no error.
 */
int calibrate_load(const char *dir, struct calibration *ret);

/* The set that ns means; pure, for calibrate_measure() and to validate the file. */
uint64_t calibrate_judge(const uint32_t *ns);

#endif

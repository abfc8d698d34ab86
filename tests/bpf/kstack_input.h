/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef KSTACK_INPUT_H
#define KSTACK_INPUT_H

#include <linux/types.h>

struct kstack_totals {
	__u64 walked, recognised, wrong;
	__u64 linked; /* of the recognised: begun on a CPU's stack for interrupts */
};

#endif

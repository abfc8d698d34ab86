/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef PAGES_INPUT_H
#define PAGES_INPUT_H

#include <linux/types.h>

/* Pages [lo, hi) of file ino; a read of bytes at pos that got `got`; kiocb 0: it waits. */
struct pages_input {
	__u64 ino, lo, hi;
	__u64 pos, bytes, size, kiocb;
	__s64 got;
	__u32 op, write;
};

#endif

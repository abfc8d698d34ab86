/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef OUTSTANDING_INPUT_H
#define OUTSTANDING_INPUT_H

#include <linux/types.h>

struct test_input {
	__u64 address, proc_key, size, site;
	__u32 step;
};

#endif

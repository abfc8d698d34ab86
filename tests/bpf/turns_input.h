/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TURNS_INPUT_H
#define TURNS_INPUT_H

#include <linux/types.h>

/* An event as its programs see it; programs: those that are not skipped, by bit. */
struct turns_input {
	__u64 what;
	__u32 programs;
	__u32 event;
};

#endif

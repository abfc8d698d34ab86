/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The same walks, reading the stack by windows, as leak does. */
#define WALK_WINDOW 512
#include "test_step.c"

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The same walks, reading the stack by windows and recognising them, as leak does. */
#define WALK_WINDOW 512
#define WALK_MEMOS  4
#include "test_step.c"

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * plan.h - where the probes of one object go: lists of (file offset, cookie), by which
 * ends of a call are probed. `ret` instructions have no cookie (0): what returns was noted
 * at its entry.
 *
 * Probes go live one after the other, in the order of a list. What releases memory comes
 * before what only allocates: a block whose release is not seen would stay outstanding.
 */
#ifndef MEMTALLY_PLAN_H
#define MEMTALLY_PLAN_H

#include "lib/object.h"
#include "lib/strlist.h"
#include "trace/allocators.h"
#include "trace/insn.h"

enum plan_ends {
	PLAN_ENTER,    /* entries only: nobody waits for the end, or it is in PLAN_RET_SITE */
	PLAN_CALL,     /* entry and return, both at the same place */
	PLAN_RET_SITE, /* `ret` instructions of what may throw */
	PLAN_LISTS,
};

struct plan_list {
	uint64_t *offsets, *cookies;
	size_t n, cap_offsets, cap_cookies;
};

struct plan {
	struct plan_list list[PLAN_LISTS];
	/* Entry sites by class of their instruction: emulated, and single-stepped. */
	uint32_t fast[INSN_CLASSES], slow[INSN_CLASSES];
};

/* Notes for people, filled on the way. */
struct plan_notes {
	struct strlist *skipped; /* functions left out, and why */
	struct strlist *slow;	 /* sites that are single-stepped, and why */
};

/*
 * Chooses the sites for what was found in an object. emulated: see trace/calibrate.h.
 * 0 or -ENOMEM; *ret is the caller's, plan_deinit().
 */
int plan_make(const struct object *o, const struct alloc_found *found, uint64_t emulated,
	      const struct plan_notes *notes, struct plan *ret);
void plan_deinit(struct plan *p);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * calibrate_forms.h - private to calibrate*.c: functions that begin with one member of
 * each instruction class.
 */
#ifndef MEMTALLY_TRACE_CALIBRATE_FORMS_H
#define MEMTALLY_TRACE_CALIBRATE_FORMS_H

#include <stddef.h>
#include <stdint.h>

#include "trace/insn.h"

struct form {
	enum insn_class class;
	void (*call)(void); /* its first instruction is the probed one */
};

/* forms[0] is `nop`, forms[1] an instruction no kernel emulates (class INSN_OTHER). */
const struct form *calibrate_forms(size_t *ret_n);

#endif

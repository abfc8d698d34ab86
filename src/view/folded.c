/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Folded stacks as flamegraph.pl reads them: "root;...;leaf bytes". Its annotations
 * are _[k] kernel, _[i] inlined, _[j] JIT code. A process (or thread) comes first as
 * "comm-pid" where more than one may appear.
 */
#include "view/backend.h"

#include <inttypes.h>
#include <string.h>

#include "view/utf8.h"

static const char *frame_mark(const struct frame *f)
{
	if (f->inlined)
		return "_[i]";
	if (f->object && strcmp(f->object, "[kernel]") == 0)
		return "_[k]";
	return f->object && strcmp(f->object, "[jit]") == 0 ? "_[j]" : "";
}

static void folded_frame(const struct frame *f, FILE *out)
{
	if (f->function) {
		utf8_write(out, f->function, UTF8_FOLDED);
		fputs(frame_mark(f), out);
	} else if (f->object) {
		utf8_write(out, object_base(f->object), UTF8_FOLDED);
		fprintf(out, "+0x%" PRIx64, f->object_offset);
	} else {
		fputs("[unknown]", out);
	}
}

void folded_row(const struct view_config *c, const struct row *row, FILE *out)
{
	bool first = true;

	if (!row->bytes)
		return;
	if (c->show_process || row->tid) {
		utf8_write(out, row->comm, UTF8_FOLDED);
		fprintf(out, "-%d", row->tid ? row->tid : row->pid);
		first = false;
	}
	if (row->status != STACK_COMPLETE || !row->n_frames) {
		fprintf(out, "%s[%s]", first ? "" : ";",
			row->n_frames ? "stack incomplete" : "no stack");
		first = false;
	}
	for (size_t i = row->n_frames; i-- > 0; first = false) {
		if (!first)
			fputc(';', out);
		folded_frame(&row->frames[i], out);
	}
	fprintf(out, " %" PRIu64 "\n", row->bytes);
}

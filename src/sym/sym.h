/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sym.h - addresses to names. Symbols, DWARF lines and inlined calls are read by
 * elfutils (libdwfl, libdw); which file lies at which address is decided by our own
 * struct maps, so that processes that have exited keep their names. A file is opened
 * once, whoever maps it; an address of a file is resolved once.
 *
 * One thread only. Nothing is printed.
 */
#ifndef MEMTALLY_SYM_H
#define MEMTALLY_SYM_H

#include "lib/object.h"
#include "lib/snapshot.h"

struct symbolizer;

struct symbolizer_opts {
	bool no_lines;	/* symbols only: no DWARF, no inlined frames, no file:line */
	bool no_kernel; /* do not read /proc/kallsyms: kernel frames stay numbers */
	bool no_params; /* C++ and Rust names without their parameter lists */
	bool mangled;	/* names as the linker wrote them */
	const char *
		debug_dir; /* separate debug files; NULL: /usr/lib/debug. Outlives the symbolizer */
};

/* One stack, leaf first. */
struct sym_stack {
	pid_t pid;		   /* for /proc/PID/root and perf-PID.map; may have exited */
	const struct maps *maps;   /* of that process; not used for kernel stacks */
	const uint64_t *addresses; /* as the walk gave them: return addresses not lowered */
	size_t n;
	bool leaf_is_return;   /* addresses[0] is a return address too */
	const uint64_t *exact; /* bit i: frame i is no return address; NULL: none known */
};

/* opts may be NULL. The objects table must outlive the symbolizer. NULL: no memory. */
struct symbolizer *symbolizer_new(struct objects *objects, const struct symbolizer_opts *opts);
void symbolizer_free(struct symbolizer *s);

/*
 * Frames of a user stack, at least one per address, inlined calls before the function
 * that holds them. Return addresses are looked up one byte lower, so that a call at the
 * end of a function stays in it; the frame after a signal trampoline is recognised and
 * looked up exactly, with or without `exact`.
 *
 * What is unknown stays NULL or 0; object_offset is then the file offset to look up
 * elsewhere. *ret_frames is the caller's, free(); the strings in it belong to the
 * symbolizer and live until symbolizer_free(). Returns 0 or -ENOMEM.
 */
int symbolizer_stack(struct symbolizer *s, const struct sym_stack *stack, struct frame **ret_frames,
		     size_t *ret_n);

/* The same for a kernel stack: object is "[kernel]" or the name of the module. */
int symbolizer_kernel(struct symbolizer *s, const struct sym_stack *stack,
		      struct frame **ret_frames, size_t *ret_n);

/*
 * Whether kernel names can be had: 0; -EACCES when /proc/kallsyms shows only zeros
 * (kernel.kptr_restrict or a missing CAP_SYSLOG); -ECANCELED with no_kernel; or what
 * reading it said. Reads the file if no kernel stack has been asked for yet.
 */
int symbolizer_kernel_status(struct symbolizer *s);

/* Drops what is kept of one process (its JIT map): to be called at exec and exit. */
void symbolizer_forget(struct symbolizer *s, pid_t pid);

struct symbolizer_stats {
	uint64_t addresses;	   /* asked for */
	uint64_t resolved;	   /* distinct (file, address) pairs looked up */
	uint64_t objects;	   /* files opened */
	uint64_t debug_refused;	   /* debug files of another build, not used */
	uint64_t perf_map_refused; /* JIT maps of a wrong owner, kind or size */
};

void symbolizer_stats(const struct symbolizer *s, struct symbolizer_stats *ret);

#endif

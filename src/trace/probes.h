/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * probes.h - allocator functions of objects, found and probed: which functions, at which
 * instruction, by which kind of link. Every object is searched once; a probe is attached
 * at object + file offset.
 */
#ifndef MEMTALLY_PROBES_H
#define MEMTALLY_PROBES_H

#include "lib/object.h"
#include "trace/allocators.h"

struct bpf_program;
struct probes;

struct probes_config {
	const struct alloc_custom *custom; /* --alloc and --free; borrowed */
	size_t n_custom;
	bool every_process; /* one link for all processes; the BPF side filters */
	bool follow;	    /* children must inherit the probes */
};

struct probes_programs {
	struct bpf_program *enter, *leave, *ret_site;
};

struct probes *probes_new(const struct probes_config *c);
/* Detaches everything. Accepts NULL. */
void probes_free(struct probes *p);

/* Decides how to attach and prepares the programs for it; before load. 0 or -errno. */
int probes_prepare(struct probes *p, const struct probes_programs *programs);
/* Name of the method chosen ("uprobe_multi", "perf"); static. */
const char *probes_method(const struct probes *p);

/*
 * Searches an object for allocator functions and attaches to them for pid, or keeps that
 * for probes_attach(). 0, also if there is nothing to probe; -errno with *ret_msg set
 * (owned by the caller) if a probe could not be attached.
 */
int probes_add(struct probes *p, pid_t pid, const struct object *o, char **ret_msg);
/* After load: attaches what was added so far. */
int probes_attach(struct probes *p, char **ret_msg);
/* A child has what its parent has. */
int probes_inherit(struct probes *p, pid_t parent, pid_t child);
void probes_forget(struct probes *p, pid_t pid);

/* Name of the function with this index (struct alloc_spec.function); never NULL. */
const char *probes_function(const struct probes *p, uint16_t index);
/* Functions found in all objects. */
size_t probes_found(const struct probes *p);
/* One line per object: "libc.so.6 (11 functions)"; owned by p, valid until the next add. */
const char *const *probes_found_lines(const struct probes *p, size_t *ret_n);
/* Why objects or functions were left out, one line each; owned by p. */
const char *const *probes_skipped_lines(const struct probes *p, size_t *ret_n);
/* Sites that the kernel has to single-step, "free in libfoo.so (first instruction: ...)". */
const char *const *probes_slow_lines(const struct probes *p, size_t *ret_n);
/* Is this object an allocator library (other than libc), whose own mappings are not leaks? */
bool probes_is_allocator(const struct probes *p, const struct object *o);

#endif

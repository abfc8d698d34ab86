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
	struct allocators *allocators; /* borrowed */
	bool every_process;	       /* one link for all processes; the BPF side filters */
	bool follow;		       /* children must have the probes from their first moment */
	bool filters;		       /* calls are left out by size or sampling */
};

/*
 * What the kernel takes for a hit besides the program's own time, ns, as measured on this
 * machine: mean over the sites there are. slow: single-stepped entry sites.
 */
struct probe_costs {
	double enter_ns, slow_ns, return_ns, ret_site_ns;
};

struct probes_programs {
	struct bpf_program *enter, *leave, *ret_site;
	struct bpf_program *call; /* both ends, by session links: instead of leave */
	struct bpf_map *names;	  /* struct probe_name -> cookie */
};

struct probes *probes_new(const struct probes_config *c);
/* Detaches everything. Accepts NULL. */
void probes_free(struct probes *p);
/* Detaches everything, the names stay. */
void probes_detach(struct probes *p);

/* Decides how to attach and prepares programs and map for it; before load. 0 or -errno. */
int probes_prepare(struct probes *p, const struct probes_programs *programs);
/* Once that is decided: does a program learn by its name which probe was hit? */
bool probes_have_names(const struct probes *p);
/* Once that is decided: may an entry say that its return is not wanted? */
bool probes_skip_returns(const struct probes *p);
/* Name of the method chosen ("uprobe-session", "uprobe-multi", "uprobe-perf"); static. */
const char *probes_method(const struct probes *p);

/*
 * Searches an object for allocator functions and attaches to them for pid, or keeps that
 * for probes_attach(). 0, also if there is nothing to probe; -errno with *ret_msg set
 * (owned by the caller) if a probe could not be attached; -ESRCH: pid is gone.
 */
int probes_add(struct probes *p, pid_t pid, const struct object *o, char **ret_msg);
/* After load: attaches what was added so far. */
int probes_attach(struct probes *p, char **ret_msg);
/* The process has ended: its probes go. */
void probes_forget(struct probes *p, pid_t pid);

/* Functions found in all objects. */
size_t probes_found(const struct probes *p);
/* One line per object: "libc.so.6: 11 functions"; owned by p, valid until the next add. */
const char *const *probes_found_lines(const struct probes *p, size_t *ret_n);
/* Why objects or functions were left out, one line each; owned by p. */
const char *const *probes_skipped_lines(const struct probes *p, size_t *ret_n);
/* Sites that the kernel has to single-step: "free in libfoo.so: first instruction ...". */
const char *const *probes_slow_lines(const struct probes *p, size_t *ret_n);
/* Of all objects found so far. */
void probes_costs(const struct probes *p, struct probe_costs *ret);
/* Is this object an allocator library (other than libc), whose own mappings are not leaks? */
bool probes_is_allocator(const struct probes *p, const struct object *o);
/* Does this ELF address lie in a function that hands out or takes back blocks? */
bool probes_is_allocating(const struct probes *p, const struct object *o, uint64_t vaddr);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * module.h - one ELF file opened for names: a Dwfl of its own with one module, shared
 * by all processes that map the file. All addresses here are ELF vaddrs of the file.
 */
#ifndef MEMTALLY_SYM_MODULE_H
#define MEMTALLY_SYM_MODULE_H

#include <sys/types.h>

#include "lib/object.h"
#include "sym/strings.h"

struct sym_module;
struct sym_lines;

struct sym_module_opts {
	const char *debug_dir; /* of our own root, absolute; never NULL */
	pid_t pid;	       /* a process that maps the file: its root has debug files too */
};

/* The object must outlive the module. -ENOMEM, or -ENOEXEC if libdwfl refuses the file. */
int sym_module_new(const struct object *object, const struct sym_module_opts *opts,
		   struct sym_module **ret);
void sym_module_free(struct sym_module *m);

struct sym_symbol {
	const char *name; /* as in the file; lives as long as the module */
	uint64_t start;
	bool plt; /* name is the function the stub calls */
};

/*
 * The function symbol that holds vaddr: .symtab and .dynsym of the file or of its
 * separate debug file, .gnu_debugdata; then the stubs of .plt. -ENOENT.
 */
int sym_module_symbol(struct sym_module *m, uint64_t vaddr, struct sym_symbol *ret);

/* The line tables and inlined calls of the file, see lines.h; NULL if it has none. */
struct sym_lines *sym_module_lines(struct sym_module *m);

/* Debug files that were refused as those of another build. */
unsigned int sym_module_refused(const struct sym_module *m);

#endif

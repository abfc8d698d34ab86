/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * object.h - every mapped ELF file once, whoever maps it. A file is opened when it
 * is first seen (through /proc/PID/map_files/START-END, which also works for deleted
 * files and other mount namespaces; else /proc/PID/root/PATH when device and inode
 * agree), and stays open: an upgrade while running or the exit of the process does
 * not take it away. All rooms read files through this table only.
 */
#ifndef MEMTALLY_OBJECT_H
#define MEMTALLY_OBJECT_H

#include "lib/maps.h"

#define BUILD_ID_MAX 64

struct segment { /* one PT_LOAD */
	uint64_t vaddr, offset, filesz, memsz;
	uint32_t flags; /* PF_R, PF_W, PF_X */
};

struct object {
	uint32_t id;		       /* dense, from 0, in order of appearance */
	uint32_t dev_major, dev_minor; /* as fstat() says: may differ from the mapping's */
	uint64_t inode;
	int fd;	    /* -1: the vdso, held in `image` */
	char *path; /* as first seen by the target, owned by the table */
	bool deleted;
	uint16_t machine; /* e_machine */
	uint16_t type;	  /* e_type */
	bool is_64bit;
	uint8_t build_id[BUILD_ID_MAX];
	size_t build_id_len; /* 0: none */
	char *interp;	     /* PT_INTERP, or NULL; libc has one too */
	bool program;	     /* not a library: ET_EXEC or a PIE, static or not */
	struct segment *segments;
	size_t n_segments;
	uint8_t *image; /* whole file in memory (vdso), or NULL */
	size_t image_len;
};

struct objects;

struct objects *objects_new(void);
void objects_free(struct objects *o);
size_t objects_count(const struct objects *o);
struct object *objects_at(const struct objects *o, uint32_t id);

/*
 * The object behind an executable mapping of pid, opened at first sight. The vdso is
 * read from /proc/PID/mem. Returns 0; -ENOENT for anonymous or special mappings,
 * -ENOEXEC for what is no readable ELF, -ESRCH if the process is gone, -ESTALE if the
 * file cannot be reached any more, or what open() said. A bad file is parsed once only.
 * Owned by the table.
 */
int objects_get(struct objects *o, pid_t pid, const struct mapping *m, struct object **ret);
/* Same for a file by path, seen from our own namespace (programs yet to start). */
int objects_get_path(struct objects *o, const char *path, struct object **ret);

/* Reads exactly len bytes at off of the file: 0, -EBADMSG if it is shorter, -errno. */
int object_read(const struct object *o, uint64_t off, void *buf, size_t len);

/* Load bias of a mapping: runtime address = bias + ELF vaddr. -ENOENT: no such segment. */
int object_bias(const struct object *o, const struct mapping *m, uint64_t *ret_bias);
/* ELF vaddr <-> file offset by the PT_LOAD segments. -ENOENT if outside. */
int object_vaddr_to_offset(const struct object *o, uint64_t vaddr, uint64_t *ret_off);
int object_offset_to_vaddr(const struct object *o, uint64_t off, uint64_t *ret_vaddr);

/* Function symbols of .dynsym and .symtab (libelf, every offset checked). */
struct object_symbol {
	const char *name;	      /* valid during the callback only */
	uint64_t vaddr, size, offset; /* offset: in the file */
	bool dynamic;		      /* from .dynsym */
	bool ifunc;		      /* a resolver: runs once and returns the function */
};
/*
 * Calls fn for each defined FUNC/IFUNC symbol; stops at the first non-zero and returns it.
 * -EBADMSG if a symbol table is damaged (after all others); 0 also when there is none.
 */
int object_each_function(const struct object *o,
			 int (*fn)(const struct object_symbol *sym, void *arg), void *arg);

/* A slot of the GOT and the symbol that the dynamic linker binds it to. */
struct object_slot {
	uint64_t vaddr;	  /* of the slot */
	const char *name; /* valid during the callback only */
	uint64_t target;  /* ELF vaddr if this same object defines the symbol, else 0 */
};
/* Calls fn for each; stops at the first non-zero and returns it. -EBADMSG: no ELF any more. */
int object_each_slot(const struct object *o, int (*fn)(const struct object_slot *slot, void *arg),
		     void *arg);

#endif

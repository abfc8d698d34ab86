/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ringbuf.h - the reader's end of a BPF ring buffer (Documentation/bpf/ringbuf.rst).
 *
 * The kernel has the pages of the data twice in a row, so that a record never ends where
 * the buffer does. libbpf's reader maps all of them twice, which counts twice as its
 * resident memory; here only as much of the second copy is mapped as one record needs.
 */
#ifndef MEMTALLY_TRACE_RINGBUF_H
#define MEMTALLY_TRACE_RINGBUF_H

#include "lib/lib.h"

#define RINGBUF_RECORD_MAX 16384u /* bytes of a record */

struct ringbuf {
	unsigned long *consumer; /* position, a page of its own that we write; NULL: not open */
	unsigned char *producer; /* position, a page of its own, then the data */
	size_t bytes;		 /* of data, a power of two */
	size_t mapped;		 /* from producer on */
	int fd;			 /* the map's, readable while there are records; not ours */
};

/* Maps the ring buffer of so many bytes of data. 0 or -errno. */
int ringbuf_open(int fd, size_t bytes, struct ringbuf *ret);
void ringbuf_close(struct ringbuf *r);

/*
 * Calls fn for each record that the buffer holds now, up to one that is not complete yet.
 * What comes meanwhile leaves fd readable. data is valid during the call and aligned to 8
 * bytes. 0, -EMSGSIZE for a record of more than RINGBUF_RECORD_MAX bytes, or what fn
 * returned when that was not 0: its record counts as read.
 */
int ringbuf_consume(struct ringbuf *r, int (*fn)(void *arg, const void *data, size_t len),
		    void *arg);

#endif

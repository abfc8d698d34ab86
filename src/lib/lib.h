/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lib.h - what every room may use: cleanup attributes, array growth, checked
 * number parsing. Knows nothing of the rest of memtally.
 *
 * Rules: functions return 0 or a negative errno; ret_ outputs stay untouched on
 * failure; destructors accept NULL; goto only forward, only to clean up.
 */
#ifndef MEMTALLY_LIB_H
#define MEMTALLY_LIB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b)     ((a) < (b) ? (a) : (b))
#define MAX(a, b)     ((a) > (b) ? (a) : (b))

static inline void lib_freep(void *p)
{
	free(*(void **)p);
}

static inline void lib_closep(const int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static inline void lib_fclosep(FILE **f)
{
	if (*f)
		fclose(*f);
}

#define _cleanup_(fn)	    __attribute__((cleanup(fn)))
#define _cleanup_free_	    _cleanup_(lib_freep)
#define _cleanup_close_	    _cleanup_(lib_closep)
#define _cleanup_fclose_    _cleanup_(lib_fclosep)
#define _printf_(fmt, args) __attribute__((format(printf, fmt, args)))

/* Takes the value out of a cleanup variable, leaving it disarmed. */
#define take_ptr(p)                         \
	({                                  \
		__typeof__(p) taken_ = (p); \
		(p) = NULL;                 \
		taken_;                     \
	})

static inline int take_fd(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

/*
 * Makes room for at least `need` elements of `size` bytes in *array (a pointer to
 * the pointer), doubling *cap. Returns 0, -ENOMEM or -EOVERFLOW; on failure the
 * array is as it was.
 */
int array_reserve(void *array, size_t *cap, size_t need, size_t size);

/*
 * Strict decimal/hex (0x) parsers: the whole string must be consumed, no sign
 * wrap-around, no blanks. -EINVAL for what is no number, -ERANGE for overflow or
 * values outside [min, max].
 */
int parse_u64(const char *s, uint64_t min, uint64_t max, uint64_t *ret);
/* A size in bytes with an optional suffix K, M, G or T (powers of 1024). */
int parse_size(const char *s, uint64_t *ret_bytes);
/* Seconds with an optional fraction ("0.25"), as nanoseconds; at most ten years. */
int parse_seconds(const char *s, uint64_t *ret_ns);
/* Comma-separated pids; *ret is owned by the caller, free(). */
int parse_pids(const char *s, int **ret, size_t *ret_n);

/* Symbolic errno name ("ENOENT") for an errno or negative errno; never NULL. */
const char *errno_name(int err);

/* Reads a whole (procfs) file; the text is NUL-terminated, owned by the caller. */
int read_file(const char *path, char **ret, size_t *ret_len);

/* Monotonic clock and wall clock, nanoseconds. */
uint64_t clock_mono_ns(void);
uint64_t clock_real_ns(void);

#endif

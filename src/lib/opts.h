/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * opts.h - options as data. A row names an option and the field of the command's
 * config struct it fills; parsing, defaults, range checks, --help, shell completion
 * and the `options` object of the JSON start line all derive from the rows. A
 * command never sees argv.
 *
 * Command line: COMMAND [OPTIONS] [WORD] [INTERVAL [COUNT]] [-- PROGRAM ARG...]
 */
#ifndef MEMTALLY_OPTS_H
#define MEMTALLY_OPTS_H

#include "lib/lib.h"

/* type of the field at `offset` */
enum opt_type {
	OPT_FLAG,    /* bool */
	OPT_COUNTER, /* unsigned int; each use adds one (-vv) */
	OPT_U64,     /* uint64_t */
	OPT_SIZE,    /* uint64_t bytes; suffixes K M G T */
	OPT_SECONDS, /* uint64_t nanoseconds; given in seconds, fractions allowed */
	OPT_MS,	     /* uint64_t nanoseconds; given in whole milliseconds */
	OPT_PERCENT, /* double, ratio 0..1; given in percent, fractions allowed */
	OPT_PIDS,    /* struct opt_pids; repeated uses add up */
	OPT_STRING,  /* char *, owned by the config, NULL unless given */
	OPT_LIST,    /* struct opt_list; one element per use */
	OPT_ENUM,    /* int, index into `names` */
};

struct opt_pids {
	int *v;
	size_t n;
};

struct opt_list {
	char **v;
	size_t n;
};

struct opt {
	const char *name; /* long name without dashes */
	char short_name;  /* or 0 */
	enum opt_type type;
	size_t offset; /* of the field, from the start of the group's struct */
	const char *metavar;
	const char *help;     /* one sentence; --help appends the words and the default */
	const char *fallback; /* default, as a user would type it; NULL: zero */
	/* Limits of what a user types, in the unit of the field. */
	uint64_t min;
	uint64_t max;		  /* 0: no limit */
	const char *const *names; /* OPT_ENUM: NULL-terminated */
};

/* A row; fallback, min, max and names follow as designated initializers where needed. */
#define OPT_ROW(name_, short_, type_, offset_, metavar_, help_, ...)                   \
	{                                                                              \
		.name = name_, .short_name = short_, .type = type_, .offset = offset_, \
		.metavar = metavar_, .help = help_, ##__VA_ARGS__                      \
	}

/* Rows under one heading of --help. */
struct opt_group {
	const char *title;
	const struct opt *opts;
	size_t n;
	size_t offset; /* of the struct the rows' offsets count from, in the config */
};

struct opts_spec {
	const char *command;		       /* "leak" */
	const char *summary;		       /* one line */
	const struct opt_group *const *groups; /* NULL-terminated */
	const char *examples; /* lines of the EXAMPLES section, each ending in '\n' */
	size_t config_size;
	const struct opt *word; /* an OPT_ENUM that may come first of the operands; or NULL */
	bool takes_interval, takes_program;
	size_t interval_offset; /* uint64_t, nanoseconds */
	size_t count_offset;	/* uint64_t */
	/* Operands of a command without INTERVAL: their name in --help ("FILE..."), or NULL. */
	const char *operands;
	size_t operands_offset; /* struct opt_list */
	size_t program_offset;	/* char **: NULL-terminated, points into argv; NULL without "--" */
	/*
	 * Rules between options: 0, or -EINVAL with *ret_msg set (malloc'ed, one line
	 * without the command's name). May be NULL.
	 */
	int (*check)(const void *cfg, char **ret_msg);
};

enum { OPTS_HELP = 1 };

/*
 * Fills *cfg (config_size bytes, overwritten) with the defaults, then from
 * argv[1..argc). Returns 0; OPTS_HELP when --help was asked for; -EINVAL for a
 * mistake of the user or -ENOMEM. On every failure *ret_msg is one line saying
 * what is wrong (owned by the caller; may be NULL when memory is out), and cfg needs no
 * opts_deinit(). The program's argv after "--" is kept as is: cfg points into argv.
 */
int opts_parse(const struct opts_spec *s, int argc, char **argv, void *cfg, char **ret_msg);
/* Frees what the parser allocated in *cfg. */
void opts_deinit(const struct opts_spec *s, void *cfg);

/* The address of the field a row of group g fills in cfg. */
static inline void *opt_field(const struct opt_group *g, const struct opt *o, void *cfg)
{
	return (char *)cfg + g->offset + o->offset;
}

/* Writes the --help page: usage, options by group, examples. 0 or the negative errno of the write.
 */
int opts_help(const struct opts_spec *s, FILE *out);

/*
 * Walks every row with the address of its field; stops at the first non-zero return
 * of fn and returns it.
 */
int opts_each(const struct opts_spec *s, const void *cfg,
	      int (*fn)(const struct opt *o, const void *field, void *arg), void *arg);

/* Writes a bash completion script for all commands. 0 or the negative errno of the write. */
int opts_completion(const struct opts_spec *const *specs, size_t n, FILE *out);

/* printf into fresh memory for check(): returns err, or -ENOMEM. */
int opts_fail(int err, char **ret_msg, const char *fmt, ...) _printf_(3, 4);

#endif

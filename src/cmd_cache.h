/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cmd_cache.h - `memtally cachestat` and `cachetop`: two rows of options, one collection.
 * cmd_cache.c runs it, cache_method.c chooses how, cache_load.c loads the programs,
 * cache_opts.c has the options, cache_rows.c reads the counters, cache_paths.c names files,
 * cache_cgroups.c cgroups, cache_print.c and cache_records.c write.
 */
#ifndef MEMTALLY_CMD_CACHE_H
#define MEMTALLY_CMD_CACHE_H

#include "cache_abi.h"
#include "cmd_live.h"
#include "cmd_run.h"
#include "lib/opts_common.h"
#include "lib/snapshot.h"
#include "trace/attach.h"
#include "trace/tracer.h"
#include "view/view.h"

enum cache_sort {
	CACHE_SORT_ACCESSES,
	CACHE_SORT_HITS,
	CACHE_SORT_MISSES,
	CACHE_SORT_RA,
	CACHE_SORT_DIRTIES,
	CACHE_SORT_DIRECT,
};

/* The words of --method, in order. */
enum cache_method {
	CACHE_METHOD_AUTO,
	CACHE_METHOD_TRACEPOINTS,
	CACHE_METHOD_FUNCTIONS,
	CACHE_METHOD_SYSCALLS,
};

struct cache_opts {
	struct common_opts common; /* sort: enum cache_sort, by: enum cache_by */
	bool timestamps;
	int method;
};

extern const struct opts_spec cachestat_spec, cachetop_spec;

struct bpf_object;
struct cache_bpf;
struct cache_calls_bpf;
struct cache_paths;
struct cache_cgroups;

/* Counters of one row: since the last report, and since the start. */
struct cache_entry {
	struct cache_key key;
	struct cache_counters n;     /* of this tick, differences */
	struct cache_counters total; /* since the start */
};

struct cache_table {
	struct cache_entry *v;
	size_t n, cap;
	uint64_t reads;
};

struct cache {
	const struct cache_opts *o;
	const struct opts_spec *spec;
	const char *command;
	enum cache_by by;
	enum cache_method method;
	bool direct_events, direct_functions; /* how direct I/O is seen */
	struct cache_bpf *bpf;		      /* one of the two, and what both are */
	struct cache_calls_bpf *calls;
	struct bpf_object *obj;
	struct links links; /* of kprobes and perf events */
	struct tracer *tracer;
	struct view *view;
	struct live *live; /* NULL: no live table */
	struct cmd_live live_run;
	struct cache_paths *paths;
	struct cache_cgroups *cgroups;
	struct cache_table table;
	int stats_fd;
	uint64_t map_bytes, ticks, end_ns;
	uint64_t now_ns; /* wall clock of this tick */
	uint64_t missed; /* events, as last read */
	bool incomplete;
};

/* c->method: what the kernel has, or the one asked for. 0 or -EOPNOTSUPP, which has been said. */
int cache_method_choose(struct cache *c);
/* Chooses the method and loads its programs into c. 0 or -errno, which has been said. */
int cache_load(struct cache *c);
/* Attaches them. 0 or -errno, which has been said. */
int cache_attach(struct cache *c);
void cache_detach(struct cache *c);
void cache_unload(struct cache *c);
/* Of a map of the loaded programs; negative errno if there is none. */
int cache_map_fd(const struct cache *c, const char *name);
/* Static. */
const char *cache_method_name(const struct cache *c);
/* What this method sees, and what it does not: up to CACHE_LINES static lines, how many. */
#define CACHE_LINES 8
size_t cache_found(const struct cache *c, const char **lines);
size_t cache_skipped(const struct cache *c, const char **lines);

/* Puts the row of all that will find the table full into it. 0 or -errno. */
int cache_rows_prepare(const struct cache *c);
/*
 * Reads the counters of every row; `n` of each becomes what came since the last read.
 * 0 or -errno.
 */
int cache_rows_read(struct cache *c);
/* The rows with anything in this tick, largest first; owned by the caller. 0 or -ENOMEM. */
int cache_rows_rank(const struct cache *c, const struct cache_entry ***ret, size_t *ret_n);
/* By process: the name it has, or had at its last exec. Zeros if nothing is known. */
struct cache_name cache_rows_name(const struct cache *c, uint64_t pid);
/* Sum of all rows, of this tick. */
struct cache_counters cache_rows_sum(const struct cache *c);

static inline uint64_t cache_hits(const struct cache_counters *n)
{
	return n->read_hits + n->map_hits;
}

static inline uint64_t cache_misses(const struct cache_counters *n)
{
	return n->read_misses + n->map_misses;
}

static inline uint64_t cache_ra(const struct cache_counters *n)
{
	return n->read_ra + n->map_ra;
}

/* Every loss counter; *ret is the caller's in any case. Sets c->incomplete. 0 or -errno. */
int cache_losses_read(struct cache *c, struct losses *ret);
/* Fills in the events so far and the time our programs ran. */
void cache_activity(struct cache *c, struct view_cost *ret);

struct cache_paths *cache_paths_new(void);
void cache_paths_free(struct cache_paths *p);
/* Keeps the name in a record; len is its length in the ring. 0 or -ENOMEM. */
int cache_paths_take(struct cache_paths *p, const struct cache_path_event *e, size_t len);
/*
 * Path of a file, owned by the caller: where its file system is mounted, else from its root
 * ("[254:0]/x"). Files without a name: "[254:0]:inode (unlinked)". NULL: no memory.
 */
char *cache_paths_find(struct cache_paths *p, const struct cache_key *key);

struct cache_cgroups *cache_cgroups_new(void);
void cache_cgroups_free(struct cache_cgroups *g);
struct cache_cgroup {
	const char *path; /* as in /proc/PID/cgroup; NULL: was never known */
	bool removed;
};
/* 0 or -ENOMEM; the path belongs to g. */
int cache_cgroups_find(struct cache_cgroups *g, uint64_t id, struct cache_cgroup *ret);

struct cache_memory {
	unsigned long long buffers_kib, cached_kib;
};
/* As /proc/meminfo has them; zeros if it cannot be read. */
struct cache_memory cache_memory_read(void);
/* Title of the column that an enum cache_sort stands for; NULL: none. Static. */
const char *cache_sort_title(int sort);
/* 0 to 1; below 0: there were no accesses. */
double cache_hit_ratio(const struct cache_counters *n);

/* The report of one tick, without its losses. 0 or the negative errno of the write. */
int cache_print(const struct cache *c, FILE *out);
/* The same, parts: the rows of --by, and their sum, as records. */
int cache_print_rows(const struct cache *c);
int cache_print_sum(const struct cache *c);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bench_cfi - builds the unwind tables of the files given and prints what they cost:
 *
 *	bench_cfi [-m max_ms] FILE...
 *
 *	libc.so.6             154 KB   3713 FDEs    28381 rows    0.9 ms (0.1 reading)
 *	total                 ...
 *
 * Without files: what python3 and clang map. Fails beyond -m milliseconds in total.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "cfi/cfi.h"
#include "lib/lib.h"

#define RUNS 5

struct file {
	int fd;
	uint64_t read_ns;
};

static int read_at(void *arg, uint64_t off, void *buf, size_t len)
{
	struct file *f = arg;
	uint64_t start = clock_mono_ns();
	ssize_t n = pread(f->fd, buf, len, (off_t)off);

	f->read_ns += clock_mono_ns() - start;
	return n == (ssize_t)len ? 0 : -EBADMSG;
}

struct cost {
	uint64_t ns, read_ns, rows, blocks;
};

/* Best of some runs, the rules new each time. */
static int measure(const char *path, struct cost *ret, struct cfi_stats *ret_stats)
{
	struct file f = {.fd = open(path, O_RDONLY | O_CLOEXEC)};
	struct cfi_file in = {.read = read_at, .arg = &f};
	int err = f.fd < 0 ? -errno : 0;

	ret->ns = UINT64_MAX;
	for (int i = 0; i < RUNS && !err; i++) {
		struct cfi_rules *rules = cfi_rules_new();
		uint64_t start = clock_mono_ns(), ns;
		struct cfi_table t;

		f.read_ns = 0;
		err = rules ? cfi_compile_file(&in, rules, &t) : -ENOMEM;
		ns = clock_mono_ns() - start;
		if (!err) {
			if (ns < ret->ns)
				*ret = (struct cost){ns, f.read_ns, t.n_rows, cfi_table_blocks(&t)};
			*ret_stats = t.stats;
			cfi_table_deinit(&t);
		}
		cfi_rules_free(rules);
	}
	if (f.fd >= 0)
		close(f.fd);
	return err;
}

static int run(char **paths, int n, double max_ms)
{
	struct cost total = {0};

	for (int i = 0; i < n; i++) {
		const char *name = strrchr(paths[i], '/');
		struct cfi_stats st = {0};
		struct cost c = {0};
		int err = measure(paths[i], &c, &st);

		if (err) {
			printf("%-28s %s\n", paths[i], errno_name(err));
			continue;
		}
		printf("%-28s %6lu KB %7lu FDEs %8lu rows %7.2f ms (%.2f reading)\n",
		       name ? name + 1 : paths[i], st.bytes >> 10, st.fdes, c.rows,
		       (double)c.ns / 1e6, (double)c.read_ns / 1e6);
		total.ns += c.ns;
		total.rows += c.rows;
		total.blocks += c.blocks;
	}
	printf("total: %lu rows, %.1f MB of rows and blocks, %.1f ms\n", total.rows,
	       (double)(total.rows * sizeof(struct unwind_row) +
			total.blocks * sizeof(struct unwind_block)) /
		       1e6,
	       (double)total.ns / 1e6);
	return !total.rows || (max_ms > 0 && (double)total.ns / 1e6 > max_ms);
}

int main(int argc, char **argv)
{
	static char *defaults[] = {
		"/usr/bin/python3",
		"/lib/x86_64-linux-gnu/libc.so.6",
		"/usr/lib/x86_64-linux-gnu/libcrypto.so.3",
		"/usr/lib/x86_64-linux-gnu/libLLVM-14.so.1",
		"/usr/lib/x86_64-linux-gnu/libclang-cpp.so.14",
	};
	double max_ms = 0;
	int c;

	while ((c = getopt(argc, argv, "m:")) != -1) {
		if (c != 'm')
			return 2;
		max_ms = strtod(optarg, NULL);
	}
	if (optind == argc)
		return run(defaults, ARRAY_SIZE(defaults), max_ms);
	return run(argv + optind, argc - optind, max_ms);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sym/perfmap.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "sym/rootfile.h"
#include "sym/table.h"

#define FILE_MAX_BYTES (64 * 1024 * 1024)

struct sym_perfmap {
	char *text;
	struct sym_table table;
};

static bool hex_word(char **pos, uint64_t *ret)
{
	char *end;

	if (!isxdigit((unsigned char)**pos))
		return false;
	errno = 0;
	*ret = strtoull(*pos, &end, 16);
	if (errno || *end != ' ')
		return false;
	*pos = end + 1;
	return true;
}

static int add_line(struct sym_perfmap *p, char *line)
{
	struct sym_entry e = {0};
	uint64_t bytes;

	if (!hex_word(&line, &e.start) || !hex_word(&line, &bytes) || !*line)
		return 0;
	if (bytes > UINT64_MAX - e.start)
		return 0;
	e.end = e.start + bytes;
	e.name = line;
	e.tag = p->table.n & INT32_MAX;
	return sym_table_add(&p->table, &e);
}

int sym_perfmap_new(char *text, size_t len, struct sym_perfmap **ret)
{
	struct sym_perfmap *p = calloc(1, sizeof(*p));
	char *rest = text, *line;
	int err = 0;

	if (!p) {
		free(text);
		return -ENOMEM;
	}
	p->text = text;
	p->table.newest_wins = true;
	while (!err && rest && rest < text + len) {
		line = strsep(&rest, "\n");
		if (rest) /* a line without its end is still being written */
			err = add_line(p, line);
	}
	if (err) {
		sym_perfmap_free(p);
		return err;
	}
	sym_table_sort(&p->table);
	*ret = p;
	return 0;
}

void sym_perfmap_free(struct sym_perfmap *p)
{
	if (!p)
		return;
	sym_table_deinit(&p->table);
	free(p->text);
	free(p);
}

int sym_perfmap_find(const struct sym_perfmap *p, uint64_t address, const char **ret_name,
		     uint64_t *ret_start)
{
	const struct sym_entry *e = sym_table_find(&p->table, address);

	if (!e)
		return -ENOENT;
	*ret_name = e->name;
	*ret_start = e->start;
	return 0;
}

/* The last number of a line of text that may be changed. 0 or -EBADMSG. */
static int last_number(char *line, unsigned long *ret)
{
	uint64_t v;
	char *blank;

	line[strcspn(line, "\n")] = '\0';
	blank = strrchr(line, '\t');
	if (!blank || parse_u64(blank + 1, 1, INT32_MAX, &v))
		return -EBADMSG;
	*ret = v;
	return 0;
}

/*
 * The pid inside its own namespace is the last number of "NSpid:"; "Uid:" starts with
 * the real, then the effective user.
 */
static int read_status(pid_t pid, unsigned long *ret_nspid, unsigned long *ret_uid)
{
	_cleanup_free_ char *text = NULL;
	char *uid, *nspid;
	char path[64];
	int err;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	err = read_file(path, &text, NULL);
	if (err)
		return err;
	uid = strstr(text, "\nUid:");
	nspid = strstr(text, "\nNSpid:");
	if (!uid || !nspid || sscanf(uid, "\nUid: %*u %lu", ret_uid) != 1)
		return -EBADMSG;
	return last_number(nspid + 7, ret_nspid);
}

static int check(int fd, unsigned long uid, struct sym_perfmap_version *version)
{
	struct sym_perfmap_version now;
	struct stat st;

	if (fstat(fd, &st))
		return -errno;
	if (st.st_uid && st.st_uid != uid)
		return -EPERM;
	if (st.st_size > FILE_MAX_BYTES)
		return -EFBIG;
	now = (struct sym_perfmap_version){
		.inode = st.st_ino,
		.bytes = (uint64_t)st.st_size,
		.mtime_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec,
	};
	if (!memcmp(&now, version, sizeof(now)))
		return -EALREADY;
	*version = now;
	return 0;
}

static int read_fd(int fd, size_t bytes, char **ret, size_t *ret_len)
{
	_cleanup_free_ char *text = malloc(bytes + 1);
	size_t len = 0;
	ssize_t n;

	if (!text)
		return -ENOMEM;
	while (len < bytes) {
		n = read(fd, text + len, bytes - len);
		if (n < 0 && errno != EINTR)
			return -errno;
		if (!n)
			break;
		len += n > 0 ? (size_t)n : 0;
	}
	text[len] = '\0';
	*ret = take_ptr(text);
	*ret_len = len;
	return 0;
}

int sym_perfmap_read(pid_t pid, struct sym_perfmap_version *version, struct sym_perfmap **ret)
{
	struct sym_perfmap_version v = *version;
	_cleanup_close_ int fd = -1;
	unsigned long nspid, uid;
	char path[64], *text = NULL;
	size_t len = 0;
	int err;

	err = read_status(pid, &nspid, &uid);
	if (err)
		return err;
	snprintf(path, sizeof(path), "/tmp/perf-%lu.map", nspid);
	fd = sym_rootfile_open(pid, path);
	if (fd < 0)
		return fd;
	err = check(fd, uid, &v);
	if (!err)
		err = read_fd(fd, v.bytes, &text, &len);
	if (!err)
		err = sym_perfmap_new(text, len, ret);
	if (!err)
		*version = v;
	return err;
}

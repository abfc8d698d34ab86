/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The calibration of this boot, one small text file:
 *
 *   memtally-calibration 2
 *   uretprobe 420
 *   nop 886
 *   push 944
 *   ...
 *   end
 *
 * Only times are stored; which classes are emulated is judged anew at each read. The
 * name carries the boot id and a hash of kernel release and version (kexec keeps
 * nothing, live patches are rare and change the version).
 */
#include "trace/calibrate.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#include "lib/lib.h"

#define DEFAULT_DIR "/run/memtally"
#define HEADER	    "memtally-calibration 2"
#define RETURN	    "uretprobe" /* besides the names of classes */
#define FILE_MAX    4096

/* A uprobe hit takes between 50 ns and 10 ms, or something else was measured. */
#define NS_MIN 50
#define NS_MAX 10000000

static int file_name(char *buf, size_t len)
{
	_cleanup_free_ char *boot = NULL;
	uint64_t hash = 0xcbf29ce484222325ULL;
	struct utsname u;
	const char *p;
	size_t n;
	int err = read_file("/proc/sys/kernel/random/boot_id", &boot, &n);

	if (err || uname(&u))
		return err ? err : -errno;
	boot[strspn(boot, "0123456789abcdef-")] = '\0';
	for (p = u.release; *p; p++)
		hash = (hash ^ (uint8_t)*p) * 0x100000001b3ULL;
	for (p = u.version; *p; p++)
		hash = (hash ^ (uint8_t)*p) * 0x100000001b3ULL;
	snprintf(buf, len, "calibration-%.36s-%016" PRIx64, boot, hash);
	return 0;
}

/* Ours, and nobody else may write it. */
static bool is_private(int fd, mode_t type)
{
	struct stat st;

	return !fstat(fd, &st) && (st.st_mode & S_IFMT) == type && st.st_uid == geteuid() &&
	       !(st.st_mode & (S_IWGRP | S_IWOTH));
}

static int open_dir(const char *dir)
{
	int fd;

	if (mkdir(dir, 0755) && errno != EEXIST)
		return -errno;
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (!is_private(fd, S_IFDIR)) {
		close(fd);
		return -EPERM;
	}
	return fd;
}

static int class_by_name(const char *name)
{
	int class;

	for (class = 0; class < INSN_CLASSES; class ++)
		if (!strcmp(insn_class_name((enum insn_class) class), name))
			return class;
	return -1;
}

/* "push 944" */
static int parse_line(char *line, struct calibration *c)
{
	char *number = strchr(line, ' ');
	uint32_t *to;
	uint64_t ns;
	int class;

	if (!number)
		return -EBADMSG;
	*number++ = '\0';
	class = class_by_name(line);
	to = !strcmp(line, RETURN) ? &c->return_ns : class < 0 ? NULL : &c->ns[class];
	if (!to || *to || parse_u64(number, to == &c->return_ns ? 1 : NS_MIN, NS_MAX, &ns))
		return -EBADMSG;
	*to = (uint32_t)ns;
	return 0;
}

static int parse_text(char *text, struct calibration *ret)
{
	struct calibration c = {.cached = true};
	char *save, *line = strtok_r(text, "\n", &save);

	if (!line || strcmp(line, HEADER))
		return -EBADMSG;
	while ((line = strtok_r(NULL, "\n", &save)) && strcmp(line, "end"))
		if (parse_line(line, &c))
			return -EBADMSG;
	if (!line || strtok_r(NULL, "\n", &save))
		return -EBADMSG;
	c.emulated = calibrate_judge(c.ns);
	/* nop is the measure itself: without it there was no clear result to keep. */
	if (!(c.emulated >> INSN_NOP & 1) || !c.return_ns)
		return -EBADMSG;
	*ret = c;
	return 0;
}

static int read_cache(int dir_fd, const char *name, struct calibration *ret)
{
	_cleanup_close_ int fd =
		openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	char text[FILE_MAX + 1];
	ssize_t n;

	if (fd < 0)
		return -errno;
	if (!is_private(fd, S_IFREG))
		return -EPERM;
	n = read(fd, text, sizeof(text));
	if (n < 0)
		return -errno;
	if (n > FILE_MAX || memchr(text, '\0', (size_t)n))
		return -EBADMSG;
	text[n] = '\0';
	return parse_text(text, ret);
}

static int format_text(const struct calibration *c, char *buf, size_t len)
{
	size_t n = (size_t)snprintf(buf, len, HEADER "\n" RETURN " %" PRIu32 "\n", c->return_ns);
	int class;

	for (class = 0; class < INSN_CLASSES && n < len; class ++)
		if (c->ns[class])
			n += (size_t)snprintf(buf + n, len - n, "%s %" PRIu32 "\n",
					      insn_class_name((enum insn_class) class),
					      c->ns[class]);
	if (n < len)
		n += (size_t)snprintf(buf + n, len - n, "end\n");
	return n < len ? (int)n : -EMSGSIZE;
}

/* Written aside and renamed: a reader sees all of it or nothing. */
static int write_cache(int dir_fd, const char *name, const struct calibration *c)
{
	char text[FILE_MAX], temp[128];
	int len = format_text(c, text, sizeof(text));
	int fd, err = 0;

	if (len < 0)
		return len;
	snprintf(temp, sizeof(temp), ".%s.%d", name, (int)getpid());
	unlinkat(dir_fd, temp, 0); /* of an earlier process with this pid */
	fd = openat(dir_fd, temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	if (write(fd, text, (size_t)len) != len)
		err = -EIO;
	close(fd);
	if (!err && renameat(dir_fd, temp, dir_fd, name))
		err = -errno;
	if (err)
		unlinkat(dir_fd, temp, 0);
	return err;
}

int calibrate_load(const char *dir, struct calibration *ret)
{
	_cleanup_close_ int dir_fd = open_dir(dir ? dir : DEFAULT_DIR);
	char name[96];
	int err;

	if (dir_fd >= 0 && file_name(name, sizeof(name))) {
		close(dir_fd);
		dir_fd = -1;
	}
	if (dir_fd >= 0 && !read_cache(dir_fd, name, ret))
		return 0;
	err = calibrate_measure(ret);
	if (!err && dir_fd >= 0)
		write_cache(dir_fd, name, ret);
	return err;
}

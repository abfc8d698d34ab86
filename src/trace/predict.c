/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "trace/predict.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "lib/object.h"

enum {
	SCRIPT_DEPTH = 5,     /* the kernel's limit, fs/exec.c exec_binprm() */
	SCRIPT_LINE = 256,    /* BINPRM_BUF_SIZE */
	LIST_BYTES = 1 << 20, /* a line per library */
	LIST_MS = 5000,
};

extern char **environ;

struct paths {
	char **v;
	size_t n, cap;
};

static void paths_deinit(struct paths *p)
{
	predict_free(p->v, p->n);
}

static int paths_add(struct paths *p, const char *path, size_t len)
{
	int err;

	for (size_t i = 0; i < p->n; i++)
		if (strlen(p->v[i]) == len && !memcmp(p->v[i], path, len))
			return 0;
	err = array_reserve(&p->v, &p->cap, p->n + 1, sizeof(*p->v));
	if (err)
		return err;
	p->v[p->n] = strndup(path, len);
	return p->v[p->n] ? (p->n++, 0) : -ENOMEM;
}

void predict_free(char **paths, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(paths[i]);
	free(paths);
}

/* ---- which file execvp() will take ---- */

static int check_executable(const char *path)
{
	struct stat st;

	if (stat(path, &st))
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EACCES;
	return faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) ? -errno : 0;
}

static int search_path(const char *name, char **ret)
{
	const char *dir = getenv("PATH") ?: "/bin:/usr/bin";
	int denied = 0;

	for (;;) {
		size_t len = strcspn(dir, ":");
		char *path;
		int err;

		/* An empty part is the current directory. */
		if (asprintf(&path, "%.*s%s%s", (int)len, dir, len ? "/" : "./", name) < 0)
			return -ENOMEM;
		err = check_executable(path);
		if (!err) {
			*ret = path;
			return 0;
		}
		free(path);
		denied |= err == -EACCES;
		if (!dir[len])
			return denied ? -EACCES : -ENOENT;
		dir += len + 1;
	}
}

static int find_program(const char *name, char **ret)
{
	int err;

	if (!name || !*name)
		return -ENOENT;
	if (!strchr(name, '/'))
		return search_path(name, ret);
	err = check_executable(name);
	if (err)
		return err;
	*ret = strdup(name);
	return *ret ? 0 : -ENOMEM;
}

/*
 * The interpreter of a script: what stands after "#!", up to a blank. execvp() gives what
 * is neither a script nor a program to the shell. NULL in *ret: an ELF file.
 */
static int script_interpreter(const char *path, char **ret)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	char line[SCRIPT_LINE + 1], *start = line + 2;
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = read(fd, line, SCRIPT_LINE);
	if (n < 0)
		return -errno;
	line[n] = '\0';
	*ret = NULL;
	if (!memcmp(line, "\177ELF", 4))
		return 0;
	if (strncmp(line, "#!", 2)) {
		*ret = strdup("/bin/sh");
		return *ret ? 0 : -ENOMEM;
	}
	start += strspn(start, " \t");
	start[strcspn(start, " \t\n")] = '\0';
	*ret = strdup(*start ? start : "/bin/sh");
	return *ret ? 0 : -ENOMEM;
}

/* Follows scripts until an ELF file is reached; *path is replaced. */
static int follow_scripts(char **path)
{
	for (int depth = 0; depth <= SCRIPT_DEPTH; depth++) {
		char *interp = NULL;
		int err = script_interpreter(*path, &interp);

		if (err || !interp)
			return err;
		free(*path);
		*path = interp;
		err = check_executable(interp);
		if (err)
			return err;
	}
	return -ELOOP;
}

/* ---- what its loader will load ---- */

static int spawn_list(const char *loader, const char *path, int out, pid_t *ret)
{
	char *const argv[] = {(char *)loader, (char *)"--list", (char *)path, NULL};
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	sigset_t none;
	int err;

	sigemptyset(&none);
	posix_spawn_file_actions_init(&files);
	posix_spawnattr_init(&attr);
	posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&files, out, 1);
	posix_spawn_file_actions_addopen(&files, 2, "/dev/null", O_WRONLY, 0);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
	err = posix_spawn(ret, loader, &files, &attr, argv, environ);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&files);
	return -err;
}

/* Reads until the end, a megabyte or five seconds; what came by then counts. */
static int read_list(int fd, char **ret, size_t *ret_len)
{
	uint64_t end = clock_mono_ns() + LIST_MS * 1000000ULL;
	char *text = malloc(LIST_BYTES);
	size_t len = 0;

	if (!text)
		return -ENOMEM;
	while (len < LIST_BYTES) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		uint64_t now = clock_mono_ns();
		ssize_t n;

		if (now >= end || poll(&p, 1, (int)((end - now) / 1000000) + 1) <= 0)
			break;
		n = read(fd, text + len, LIST_BYTES - len);
		if (n <= 0)
			break;
		len += (size_t)n;
	}
	*ret = text;
	*ret_len = len;
	return 0;
}

static int run_list(const char *loader, const char *path, char **ret, size_t *ret_len)
{
	int ends[2], err;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC))
		return -errno;
	err = spawn_list(loader, path, ends[1], &pid);
	close(ends[1]);
	if (!err) {
		err = read_list(ends[0], ret, ret_len);
		kill(pid, SIGKILL); /* no effect on what has ended by itself */
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	close(ends[0]);
	return err;
}

/*
 *	linux-vdso.so.1 (0x00007ffc58bd2000)
 *	libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f51c1a1e000)
 *	libmissing.so => not found
 *	/lib64/ld-linux-x86-64.so.2 (0x00007f51c1c26000)
 */
static int add_listed(struct paths *paths, char *line)
{
	char *arrow = strstr(line, " => "), *path = arrow ? arrow + 4 : line, *end = NULL;

	path += strspn(path, " \t");
	for (char *p = path; (p = strstr(p, " (0x")); p++)
		end = p;
	if (*path != '/' || !end)
		return 0;
	return paths_add(paths, path, (size_t)(end - path));
}

static bool can_list(const char *loader)
{
	static const char *const names[] = {"ld-linux", "ld-musl", "ld.so", "ld64.so"};
	const char *base = strrchr(loader, '/');

	for (size_t i = 0; base && i < ARRAY_SIZE(names); i++)
		if (!strncmp(base + 1, names[i], strlen(names[i])))
			return true;
	return false;
}

static int add_libraries(struct paths *paths, const char *loader, const char *path)
{
	_cleanup_free_ char *text = NULL;
	size_t len = 0;
	int err;

	if (!can_list(loader) || check_executable(loader))
		return 0;
	err = run_list(loader, path, &text, &len);
	if (err)
		return err == -ENOMEM ? err : 0;
	/* A last line without its end was cut: it would name another file. */
	for (char *line = text, *nl; (nl = memchr(line, '\n', len)); line = nl + 1) {
		*nl = '\0';
		err = add_listed(paths, line);
		if (err)
			return err;
		len -= (size_t)(nl + 1 - line);
	}
	return 0;
}

static int read_loader(const char *path, char **ret)
{
	struct objects *o = objects_new();
	struct object *obj;
	int err = o ? objects_get_path(o, path, &obj) : -ENOMEM;

	if (!err && obj->interp) {
		*ret = strdup(obj->interp);
		err = *ret ? 0 : -ENOMEM;
	}
	objects_free(o);
	return err;
}

int predict_objects(char *const *argv, char ***ret, size_t *ret_n)
{
	_cleanup_(paths_deinit) struct paths paths = {};
	_cleanup_free_ char *path = NULL, *loader = NULL;
	int err = find_program(argv[0], &path);

	if (!err)
		err = follow_scripts(&path);
	if (!err)
		err = paths_add(&paths, path, strlen(path));
	if (!err)
		err = read_loader(path, &loader);
	if (!err && loader)
		err = paths_add(&paths, loader, strlen(loader));
	if (!err && loader)
		err = add_libraries(&paths, loader, path);
	if (err)
		return err;
	*ret = paths.v;
	*ret_n = paths.n;
	paths = (struct paths){};
	return 0;
}

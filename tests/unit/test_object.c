/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "lib/object.h"

static const struct mapping *own_mapping(struct maps *m, const void *addr)
{
	const struct mapping *f;

	assert_int_equal(0, maps_read(getpid(), m));
	f = maps_find(m, (uint64_t)(uintptr_t)addr);
	assert_non_null(f);
	return f;
}

struct wanted {
	const char *name;
	struct object_symbol found;
	size_t calls;
};

static int find_symbol(const struct object_symbol *sym, void *arg)
{
	struct wanted *w = arg;

	w->calls++;
	if (strcmp(sym->name, w->name))
		return 0;
	w->found = *sym;
	return 7;
}

static void test_self(void **state)
{
	struct objects *o = objects_new();
	struct wanted w = {.name = "test_self"};
	uint8_t code[16];
	struct object *obj, *again;
	uint64_t bias, vaddr, off;
	struct maps m;
	const struct mapping *f = own_mapping(&m, test_self);

	(void)state;
	assert_int_equal(0, objects_get(o, getpid(), f, &obj));
	assert_string_equal(f->path, obj->path);
	assert_true(obj->is_64bit);
	assert_true(obj->fd >= 0);
	assert_int_equal(FD_CLOEXEC, fcntl(obj->fd, F_GETFD));
	assert_int_equal(0, obj->id);
	assert_true(obj->program);
	assert_non_null(strstr(obj->interp, "/ld"));
	assert_ptr_equal(obj, objects_at(o, 0));
	assert_null(objects_at(o, 1));
	assert_int_equal(7, object_each_function(obj, find_symbol, &w));
	assert_false(w.found.ifunc);
	assert_int_equal(0, object_bias(obj, f, &bias));
	assert_int_equal((uint64_t)(uintptr_t)test_self, bias + w.found.vaddr);
	assert_int_equal(0, object_vaddr_to_offset(obj, w.found.vaddr, &off));
	assert_int_equal(off, w.found.offset);
	assert_int_equal(0, object_offset_to_vaddr(obj, off, &vaddr));
	assert_int_equal(vaddr, w.found.vaddr);
	assert_int_equal(0, object_read(obj, off, code, sizeof(code)));
	assert_memory_equal((void *)(uintptr_t)test_self, code, sizeof(code));
	/* Every mapping of the file leads to the same object and the same bias. */
	for (size_t i = 0; i < m.n; i++) {
		uint64_t other;

		if (strcmp(m.v[i].path, f->path))
			continue;
		assert_int_equal(0, objects_get(o, getpid(), &m.v[i], &again));
		assert_ptr_equal(obj, again);
		assert_int_equal(0, object_bias(obj, &m.v[i], &other));
		assert_int_equal(bias, other);
	}
	assert_int_equal(0, objects_get_path(o, "/proc/self/exe", &again));
	assert_ptr_equal(obj, again);
	assert_int_equal(1, objects_count(o));
	assert_int_equal(-ENOENT, object_vaddr_to_offset(obj, UINT64_MAX, &off));
	assert_int_equal(-ENOENT, object_offset_to_vaddr(obj, 1ULL << 40, &vaddr));
	assert_int_equal(-EBADMSG, object_read(obj, 1ULL << 40, code, 1));
	assert_int_equal(-EBADMSG, object_read(obj, UINT64_MAX, code, 1));
	maps_deinit(&m);
	objects_free(o);
	objects_free(NULL);
}

struct loaded {
	struct objects *o;
	const struct maps *maps;
	size_t seen;
};

/* The loader knows every bias and build id: compare with ours. */
static int check_loaded(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct loaded *l = arg;

	(void)size;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];
		uint64_t start = info->dlpi_addr + p->p_vaddr, bias;
		const struct mapping *m = maps_find(l->maps, start);
		const uint8_t *note = (const uint8_t *)start;
		struct object *obj;

		if (p->p_type == PT_LOAD) {
			assert_non_null(m);
			assert_int_equal(0, objects_get(l->o, getpid(), m, &obj));
			assert_int_equal(0, object_bias(obj, m, &bias));
			assert_int_equal(info->dlpi_addr, bias);
			l->seen++;
		}
		if (p->p_type == PT_NOTE && p->p_filesz >= 36 && !memcmp(note + 12, "GNU", 4) &&
		    note[8] == NT_GNU_BUILD_ID) {
			assert_int_equal(0, objects_get(l->o, getpid(), m, &obj));
			assert_int_equal(note[4], obj->build_id_len);
			assert_memory_equal(note + 16, obj->build_id, note[4]);
		}
	}
	return 0;
}

static void test_loaded_libraries(void **state)
{
	struct loaded l = {.o = objects_new()};
	struct object *libc = NULL, *vdso, *again;
	struct wanted w = {.name = "malloc"};
	struct maps m;
	uint64_t bias;
	const struct mapping *v = own_mapping(&m, (void *)getauxval(AT_SYSINFO_EHDR));

	(void)state;
	l.maps = &m;
	dl_iterate_phdr(check_loaded, &l);
	assert_true(l.seen > 10);
	assert_int_equal(0, objects_get(l.o, getpid(), v, &vdso));
	assert_int_equal(-1, vdso->fd);
	assert_non_null(vdso->image);
	assert_string_equal("[vdso]", vdso->path);
	assert_true(vdso->build_id_len > 0);
	assert_false(vdso->program);
	assert_int_equal(0, object_bias(vdso, v, &bias));
	assert_int_equal(v->start, bias);
	w.name = "__vdso_clock_gettime";
	assert_int_equal(7, object_each_function(vdso, find_symbol, &w));
	assert_int_equal(0, objects_get(l.o, getpid(), v, &again));
	assert_ptr_equal(vdso, again);
	for (size_t i = 0; i < m.n; i++)
		if (strstr(m.v[i].path, "/libc.so") || strstr(m.v[i].path, "/libc-2"))
			assert_int_equal(0, objects_get(l.o, getpid(), &m.v[i], &libc));
	assert_non_null(libc);
	w.name = "gettimeofday";
	assert_int_equal(7, object_each_function(libc, find_symbol, &w));
	assert_true(w.found.ifunc && w.found.dynamic);
	maps_deinit(&m);
	objects_free(l.o);
}

static void test_special(void **state)
{
	static const char *const paths[] = {"", "[heap]", "[vsyscall]", "//anon"};
	struct mapping m = {.start = 4096, .end = 8192, .prot = MAP_EXEC};
	struct objects *o = objects_new();
	struct object *obj = (void *)1;
	pid_t pid;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		m.path = (char *)paths[i];
		assert_int_equal(-ENOENT, objects_get(o, getpid(), &m, &obj));
	}
	m.path = (char *)"/usr/bin/env";
	m.inode = 1;
	assert_int_equal(-ESTALE, objects_get(o, getpid(), &m, &obj));
	m.start = 0xffffffffff600000; /* vsyscall: readable for none of /proc/PID/mem's users */
	m.end = m.start + 4096;
	m.inode = 0;
	m.path = (char *)"[vdso]";
	assert_true(objects_get(o, getpid(), &m, &obj) < 0);
	m.end = m.start + (1 << 30);
	assert_int_equal(-ENOEXEC, objects_get(o, getpid(), &m, &obj));
	pid = fork();
	if (!pid)
		_exit(0);
	assert_int_equal(pid, waitpid(pid, NULL, 0));
	m.end = m.start + 4096;
	assert_int_equal(-ESRCH, objects_get(o, pid, &m, &obj));
	m.path = (char *)"/usr/bin/env";
	m.inode = 1;
	assert_int_equal(-ESRCH, objects_get(o, pid, &m, &obj));
	assert_int_equal(-ENOENT, objects_get_path(o, "/nonexistent/x", &obj));
	assert_int_equal(-ENOEXEC, objects_get_path(o, "/dev/zero", &obj));
	assert_int_equal(-ENOEXEC, objects_get_path(o, "/usr", &obj));
	assert_int_equal(-ENOEXEC, objects_get_path(o, "/etc/passwd", &obj));
	assert_int_equal(-ENOEXEC, objects_get_path(o, "/etc/passwd", &obj));
	assert_ptr_equal((void *)1, obj);
	assert_int_equal(0, objects_count(o));
	objects_free(o);
}

static int memfile(const void *data, size_t len)
{
	int fd = memfd_create("elf", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal((ssize_t)len, write(fd, data, len));
	return fd;
}

static int count_symbol(const struct object_symbol *sym, void *arg)
{
	*(size_t *)arg += strlen(sym->name) + 1;
	return 0;
}

/* Loads a file from bytes and walks all of it; what it says does not matter. */
static int load_bytes(const void *data, size_t len, struct object **ret, struct objects **ret_o)
{
	_cleanup_close_ int fd = memfile(data, len);
	struct objects *o = objects_new();
	char path[64];
	size_t n = 0;
	int err;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	err = objects_get_path(o, path, ret);
	if (!err)
		object_each_function(*ret, count_symbol, &n);
	*ret_o = o;
	return err;
}

static void test_damaged(void **state)
{
	_cleanup_free_ uint8_t *image = malloc(4096), *copy = malloc(4096);
	const uint8_t *vdso = (const uint8_t *)getauxval(AT_SYSINFO_EHDR);
	const Elf64_Ehdr *ehdr = (const void *)vdso;
	size_t len = ehdr->e_shoff + (size_t)ehdr->e_shnum * ehdr->e_shentsize;
	struct objects *o;
	struct object *obj;
	uint64_t seed = 42;

	(void)state;
	image = realloc(image, len);
	copy = realloc(copy, len);
	memcpy(image, vdso, len); /* a small whole ELF file that every Linux has */
	assert_int_equal(0, load_bytes(image, len, &obj, &o));
	objects_free(o);
	for (size_t cut = 0; cut < len; cut += cut < 1024 ? 1 : 61) {
		int err = load_bytes(image, cut, &obj, &o);

		assert_true(!err || err == -ENOEXEC);
		if (!err)
			assert_true(obj->segments[0].offset + obj->segments[0].filesz <= cut);
		objects_free(o);
	}
	for (int round = 0; round < 3000; round++) {
		memcpy(copy, image, len);
		for (int i = 0; i < 1 + round % 8; i++) {
			seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
			/* Two of three hits go to the headers, which matter most. */
			copy[(seed >> 33) % (round % 3 ? 0x400 : len)] = (uint8_t)(seed >> 25);
		}
		load_bytes(copy, len, &obj, &o);
		objects_free(o);
	}
}

static void test_refused_kinds(void **state)
{
	struct {
		Elf64_Ehdr ehdr;
		Elf64_Phdr phdr;
	} f = {};
	struct objects *o;
	struct object *obj;

	(void)state;
	memcpy(f.ehdr.e_ident, ELFMAG, 4);
	f.ehdr.e_ident[EI_CLASS] = ELFCLASS64;
	f.ehdr.e_ident[EI_DATA] = ELFDATA2LSB;
	f.ehdr.e_ident[EI_VERSION] = EV_CURRENT;
	f.ehdr.e_type = ET_DYN;
	f.ehdr.e_machine = EM_X86_64;
	f.ehdr.e_version = EV_CURRENT;
	f.ehdr.e_ehsize = sizeof(f.ehdr);
	f.ehdr.e_phoff = offsetof(__typeof__(f), phdr);
	f.ehdr.e_phentsize = sizeof(f.phdr);
	f.ehdr.e_phnum = 1;
	f.phdr.p_type = PT_LOAD;
	f.phdr.p_flags = PF_R | PF_X;
	f.phdr.p_filesz = f.phdr.p_memsz = sizeof(f);
	assert_int_equal(0, load_bytes(&f, sizeof(f), &obj, &o));
	assert_int_equal(1, obj->n_segments);
	assert_int_equal(0, obj->build_id_len);
	objects_free(o);
	f.ehdr.e_type = ET_REL;
	assert_int_equal(-ENOEXEC, load_bytes(&f, sizeof(f), &obj, &o));
	objects_free(o);
	f.ehdr.e_type = ET_EXEC;
	f.ehdr.e_ident[EI_DATA] = ELFDATA2MSB;
	assert_int_equal(-ENOEXEC, load_bytes(&f, sizeof(f), &obj, &o));
	objects_free(o);
	f.ehdr.e_ident[EI_DATA] = ELFDATA2LSB;
	f.phdr.p_filesz++; /* beyond the end of the file */
	f.phdr.p_memsz++;
	assert_int_equal(-ENOEXEC, load_bytes(&f, sizeof(f), &obj, &o));
	objects_free(o);
	f.phdr.p_filesz = f.phdr.p_memsz = sizeof(f);
	f.phdr.p_vaddr = UINT64_MAX - 8;
	assert_int_equal(-ENOEXEC, load_bytes(&f, sizeof(f), &obj, &o));
	objects_free(o);
	f.phdr.p_vaddr = 0;
	f.phdr.p_type = PT_NULL;
	assert_int_equal(-ENOEXEC, load_bytes(&f, sizeof(f), &obj, &o));
	objects_free(o);
}

static void test_32bit(void **state)
{
	struct {
		Elf32_Ehdr ehdr;
		Elf32_Phdr phdr;
	} f = {
		.ehdr =
			{
				.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS32, ELFDATA2LSB,
					    EV_CURRENT},
				.e_type = ET_EXEC,
				.e_machine = EM_386,
				.e_version = EV_CURRENT,
				.e_ehsize = sizeof(f.ehdr),
				.e_phoff = sizeof(f.ehdr),
				.e_phentsize = sizeof(f.phdr),
				.e_phnum = 1,
			},
		.phdr = {.p_type = PT_LOAD, .p_filesz = sizeof(f), .p_memsz = sizeof(f)},
	};
	struct objects *o;
	struct object *obj;

	(void)state;
	assert_int_equal(0, load_bytes(&f, sizeof(f), &obj, &o));
	assert_false(obj->is_64bit);
	assert_int_equal(EM_386, obj->machine);
	objects_free(o);
}

/* Truncated after it was opened: an error, no SIGBUS. */
static void test_truncated_later(void **state)
{
	struct objects *o = objects_new();
	struct object *obj;
	char path[] = "/tmp/memtally-object.XXXXXX", cmd[128];
	int fd = mkstemp(path);
	size_t n = 0;
	uint8_t b;

	(void)state;
	assert_true(fd >= 0);
	snprintf(cmd, sizeof(cmd), "cp /proc/%d/exe %s", (int)getpid(), path);
	assert_int_equal(0, system(cmd));
	assert_int_equal(0, objects_get_path(o, path, &obj));
	assert_int_equal(0, object_each_function(obj, count_symbol, &n));
	assert_true(n > 100);
	assert_int_equal(0, ftruncate(fd, 4096));
	assert_int_equal(-EBADMSG, object_read(obj, 4096, &b, 1));
	n = 0;
	assert_int_not_equal(7, object_each_function(obj, count_symbol, &n));
	assert_int_equal(0, n);
	unlink(path);
	close(fd);
	objects_free(o);
}

/* A child that maps DIR/x for execution, seen as `where` says. */
enum where { PLAIN, CHROOT, NAMESPACE };

struct child {
	pid_t pid;
	int go; /* kept open, so that the child waits */
	struct maps maps;
	const struct mapping *m;
};

static int enter(const char *dir, enum where where, int file)
{
	char path[128];
	int to;

	if (where == CHROOT)
		return chroot(dir);
	if (where == PLAIN)
		return 0;
	/* The same path, but a file on a tmpfs that nobody else sees. */
	snprintf(path, sizeof(path), "%s/x", dir);
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("none", dir, "tmpfs", 0, NULL))
		return -1;
	to = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
	while (sendfile(to, file, NULL, 1 << 20) > 0)
		;
	return close(to);
}

static void child_main(const char *dir, enum where where, int out, int in)
{
	char path[128];
	void *p;
	int fd;

	snprintf(path, sizeof(path), "%s/x", dir);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (enter(dir, where, open(path, O_RDONLY | O_CLOEXEC)))
		_exit(2);
	fd = open(where == CHROOT ? "/x" : path, O_RDONLY | O_CLOEXEC);
	p = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
	if (fd < 0 || p == MAP_FAILED || write(out, &p, sizeof(p)) != sizeof(p))
		_exit(2);
	(void)!read(in, path, 1);
	_exit(0);
}

static void child_start(struct child *c, const char *dir, enum where where)
{
	int out[2], in[2];
	void *p;

	assert_int_equal(0, pipe2(out, O_CLOEXEC));
	assert_int_equal(0, pipe2(in, O_CLOEXEC));
	c->pid = fork();
	if (!c->pid) {
		close(in[1]);
		child_main(dir, where, out[1], in[0]);
	}
	close(out[1]);
	close(in[0]);
	c->go = in[1];
	assert_int_equal(sizeof(p), read(out[0], &p, sizeof(p)));
	close(out[0]);
	assert_int_equal(0, maps_read(c->pid, &c->maps));
	c->m = maps_find(&c->maps, (uint64_t)(uintptr_t)p);
	assert_non_null(c->m);
}

static void child_end(struct child *c)
{
	close(c->go);
	kill(c->pid, SIGKILL);
	waitpid(c->pid, NULL, 0);
	maps_deinit(&c->maps);
}

static char *make_dir(void)
{
	static char dir[64];
	char cmd[160];

	snprintf(dir, sizeof(dir), "/tmp/memtally-object.XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(cmd, sizeof(cmd), "cp /bin/true %s/x", dir);
	assert_int_equal(0, system(cmd));
	return dir;
}

static void remove_dir(const char *dir)
{
	char cmd[160];

	snprintf(cmd, sizeof(cmd), "rm -r %s", dir);
	assert_int_equal(0, system(cmd));
}

static bool skip_unless_root(void)
{
	if (!geteuid())
		return false;
	print_message("skipped: chroot, namespaces and map_files need root\n");
	return true;
}

static void test_chroot_and_namespace(void **state)
{
	struct object *plain, *jailed, *hidden, *path;
	struct objects *o;
	struct child a, b, c;
	char *dir, file[96];

	(void)state;
	if (skip_unless_root())
		skip();
	o = objects_new();
	dir = make_dir();
	snprintf(file, sizeof(file), "%s/x", dir);
	child_start(&a, dir, PLAIN);
	child_start(&b, dir, CHROOT);
	child_start(&c, dir, NAMESPACE);
	assert_string_equal(file, a.m->path);
	assert_string_equal(file, b.m->path); /* not there in the child's root */
	assert_string_equal(file, c.m->path); /* in our root: another file */
	assert_int_equal(0, objects_get(o, b.pid, b.m, &jailed));
	assert_int_equal(0, objects_get(o, a.pid, a.m, &plain));
	assert_int_equal(0, objects_get(o, c.pid, c.m, &hidden));
	assert_int_equal(0, objects_get_path(o, file, &path));
	assert_ptr_equal(jailed, plain);
	assert_ptr_equal(jailed, path);
	assert_ptr_not_equal(jailed, hidden);
	assert_int_equal(jailed->build_id_len, hidden->build_id_len);
	assert_int_equal(c.m->inode, hidden->inode);
	assert_int_equal(2, objects_count(o));
	child_end(&a);
	child_end(&b);
	child_end(&c);
	remove_dir(dir);
	objects_free(o);
}

static void test_deleted_and_replaced(void **state)
{
	struct objects *o;
	struct object *old, *obj;
	struct mapping stale;
	uint8_t ident[4];
	char *dir, cmd[160];
	struct child a, b;

	(void)state;
	if (skip_unless_root())
		skip();
	o = objects_new();
	dir = make_dir();
	child_start(&a, dir, PLAIN);
	stale = *a.m; /* as read before the upgrade */
	snprintf(cmd, sizeof(cmd), "cp /bin/false %s/y && mv %s/y %s/x", dir, dir, dir);
	assert_int_equal(0, system(cmd));
	child_start(&b, dir, PLAIN);
	assert_int_equal(0, objects_get(o, a.pid, &stale, &old));
	assert_int_equal(0, objects_get(o, b.pid, b.m, &obj));
	assert_ptr_not_equal(old, obj);
	assert_true(memcmp(old->build_id, obj->build_id, sizeof(obj->build_id)));
	maps_deinit(&a.maps);
	assert_int_equal(0, maps_read(a.pid, &a.maps));
	a.m = maps_find(&a.maps, stale.start);
	assert_true(a.m->deleted);
	assert_int_equal(0, objects_get(o, a.pid, a.m, &obj));
	assert_ptr_equal(old, obj);
	objects_free(o);
	/* Seen deleted at first sight; and still readable when the process is gone. */
	o = objects_new();
	assert_int_equal(0, objects_get(o, a.pid, a.m, &obj));
	assert_true(obj->deleted);
	child_end(&a);
	child_end(&b);
	remove_dir(dir);
	assert_int_equal(0, object_read(obj, 0, ident, sizeof(ident)));
	assert_memory_equal(ELFMAG, ident, sizeof(ident));
	objects_free(o);
}

/* map_files knows only today's ranges; a mapping split since is found all the same. */
static void test_split_mapping(void **state)
{
	struct objects *o = objects_new();
	struct object *obj;
	struct mapping m, copy;
	struct maps maps;
	char file[96];
	char *dir = make_dir();
	uint8_t *p;
	int fd;

	(void)state;
	snprintf(file, sizeof(file), "%s/x", dir);
	fd = open(file, O_RDONLY | O_CLOEXEC);
	p = mmap(NULL, 8192, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
	close(fd);
	copy = m = *own_mapping(&maps, p);
	assert_int_equal(0, mprotect(p + 4096, 4096, PROT_READ));
	assert_int_equal(0, objects_get(o, getpid(), &m, &obj)); /* by path */
	objects_free(o);
	o = objects_new();
	assert_int_equal(0, unlink(file));
	copy.deleted = true;
	if (!geteuid())
		assert_int_equal(0, objects_get(o, getpid(), &copy, &obj)); /* by the new range */
	munmap(p, 8192);
	maps_deinit(&maps);
	remove_dir(dir);
	objects_free(o);
}

/* A bad file that becomes a good one in place is looked at again. */
static void test_mended(void **state)
{
	struct objects *o = objects_new();
	char path[] = "/tmp/memtally-object.XXXXXX", cmd[128];
	struct object *obj;
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(-ENOEXEC, objects_get_path(o, path, &obj));
	snprintf(cmd, sizeof(cmd), "cat /bin/true > %s", path);
	assert_int_equal(0, system(cmd));
	assert_int_equal(0, objects_get_path(o, path, &obj));
	close(fd);
	unlink(path);
	objects_free(o);
}

/* More files than the first size of the table. */
static void test_many(void **state)
{
	_cleanup_close_ int fd = open("/bin/true", O_RDONLY | O_CLOEXEC);
	struct objects *o = objects_new();
	struct object *obj[200], *again;
	int fds[200];
	char path[64];

	(void)state;
	for (int i = 0; i < 200; i++) {
		off_t off = 0;

		fds[i] = memfd_create("many", MFD_CLOEXEC);
		assert_true(sendfile(fds[i], fd, &off, 1 << 24) > 0);
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fds[i]);
		assert_int_equal(0, objects_get_path(o, path, &obj[i]));
		assert_int_equal(i, obj[i]->id);
	}
	for (int i = 0; i < 200; i++) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fds[i]);
		assert_int_equal(0, objects_get_path(o, path, &again));
		assert_ptr_equal(obj[i], again);
		close(fds[i]);
	}
	objects_free(o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_self),
		cmocka_unit_test(test_loaded_libraries),
		cmocka_unit_test(test_special),
		cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_refused_kinds),
		cmocka_unit_test(test_32bit),
		cmocka_unit_test(test_truncated_later),
		cmocka_unit_test(test_chroot_and_namespace),
		cmocka_unit_test(test_deleted_and_replaced),
		cmocka_unit_test(test_split_mapping),
		cmocka_unit_test(test_mended),
		cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

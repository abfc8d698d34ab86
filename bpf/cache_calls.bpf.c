/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cache_calls.bpf.c - the page cache on kernels that don't tell what readers find in it
 * (before v6.12): a read is accounted when it returns, over the pages of the bytes it got.
 * What was added meanwhile in its range are misses; pages pending before are read-ahead; the
 * rest hits. Two ways to know where a read begins and ends:
 *
 *	functions	the kernel's own, by fentry or kprobe: sendfile, io_uring, aio and
 *			kernel threads read through them as well; page faults likewise
 *	system calls	read and write and their kin, where functions can't be probed
 *
 * One object for both; user space chooses the programs (src/cache_load.c). All of it loads
 * on v5.10: no atomic fetch, no bpf_loop, no task storage.
 */
#define CACHE_CALLS
#define UNWIND_NO_FIND_VMA
#include "cache_direct.bpf.h"
#include "cache_events.bpf.h"
#include "cache_io.bpf.h"
#include "cache_syscall.bpf.h"

#define S_IFBLK	    0060000
#define TMPFS_MAGIC 0x01021994
#define EIOCBQUEUED 529

static __always_inline int on_add(struct folio___pc *folio)
{
	struct address_space___pc *mapping = folio_mapping(folio);
	struct folio_range r = {.map = (__u64)mapping, .lo = folio_index(folio)};
	struct cache_thread *t = cache_thread_find();
	struct cache_counters *n;
	struct pending_key file;
	struct inode___pc *host;

	if (!mapping)
		return 0;
	host = KREAD(mapping, host);
	r.hi = r.lo + folio_pages(folio);
	r.skip_lo = r.skip_hi = r.hi;
	n = counters_of(host);
	CHARGE(n, added, r.hi - r.lo);
	if (t && !add_in_fault(t, n, &r))
		add_in_io(t, n, &r);
	pending_file(host, &file);
	pending_add(&file, &r);
	return 0;
}

CACHE_PROGRAMS(add, CACHE_ADD, mm_filemap_add_to_page_cache, folio_index((void *)ctx[0]),
	       on_add((void *)ctx[0]))

static __always_inline int on_exit(void)
{
	__u64 id = bpf_get_current_pid_tgid();

	bpf_map_delete_elem(&cache_threads, &id);
	return 0;
}

CACHE_PROGRAMS(exit, CACHE_EXIT, sched_process_exit, 0, on_exit())

/* ---- functions ---- */

static __always_inline int read_enter(struct kiocb___pc *iocb, struct iov_iter___pc *iter,
				      __s64 already)
{
	struct cache_thread *t = cache_thread();
	struct file___pc *f = KREAD(iocb, ki_filp);

	if (!t)
		return 0;
	io_begin(t, KREAD(f, f_mapping), KREAD(iocb, ki_pos), KREAD(iter, count));
	t->c_last = already;
	if (KREAD(iocb, ki_complete))
		retry_take(t, (__u64)iocb);
	return 0;
}

static __always_inline int read_return(__s64 ret)
{
	struct cache_thread *t = cache_thread_find();

	if (!t || t->c_state != CALL_OPEN || t->c_write)
		return 0;
	ret -= ret > 0 ? t->c_last : 0;
	t->c_state = CALL_NONE;
	retry_note(t, ret, io_read_end(t, ret));
	return 0;
}

/* splice and sendfile, since v6.5 (07073eb01c5f) not through the function of reads */
static __always_inline int splice_enter(struct file___pc *in, __s64 *ppos, __u64 len)
{
	struct cache_thread *t = cache_thread();
	__s64 pos = 0;

	if (!t || bpf_probe_read_kernel(&pos, sizeof(pos), ppos))
		return 0;
	io_begin(t, KREAD(in, f_mapping), pos, len);
	return 0;
}

static __always_inline int write_enter(struct file___pc *f)
{
	struct cache_thread *t = cache_thread();

	if (!t)
		return 0;
	io_begin(t, KREAD(f, f_mapping), 0, 0);
	t->c_write = 1;
	return 0;
}

static __always_inline int write_return(void)
{
	struct cache_thread *t = cache_thread_find();

	if (t && t->c_state == CALL_OPEN && t->c_write)
		t->c_state = CALL_NONE;
	return 0;
}

/* generic_perform_write() got the file itself before v5.19. */
static __always_inline int perform_write_enter(void *iocb_or_file)
{
	struct kiocb___pc *iocb = iocb_or_file;

	if (cache_cfg.write_by_file)
		return write_enter(iocb_or_file);
	return write_enter(KREAD(iocb, ki_filp));
}

static __always_inline struct address_space___pc *fault_mapping(struct vm_fault___pc *vmf)
{
	return BPF_CORE_READ(vmf, vma, vm_file, f_mapping);
}

/* Returns come first, here as when they are attached: what is under way has no entry then. */

SEC("?fexit/read")
int BPF_PROG(fexit_read, void *iocb, void *iter, long already, long ret)
{
	return read_return(ret);
}

SEC("?fexit/splice")
int BPF_PROG(fexit_splice, void *in, void *ppos, void *pipe, unsigned long len, unsigned int flags,
	     long ret)
{
	return read_return(ret);
}

SEC("?fexit/perform_write")
int BPF_PROG(fexit_perform_write)
{
	return write_return();
}

SEC("?fexit/iomap_write")
int BPF_PROG(fexit_iomap_write)
{
	return write_return();
}

SEC("?kretprobe/read")
int BPF_KRETPROBE(kretprobe_read, long ret)
{
	return read_return(ret);
}

SEC("?kretprobe/splice")
int BPF_KRETPROBE(kretprobe_splice, long ret)
{
	return read_return(ret);
}

SEC("?kretprobe/perform_write")
int BPF_KRETPROBE(kretprobe_perform_write)
{
	return write_return();
}

SEC("?kretprobe/iomap_write")
int BPF_KRETPROBE(kretprobe_iomap_write)
{
	return write_return();
}

/* Two programs of one body: fentry where the kernel has it, which is cheaper, or kprobe. */
#define FUNCTION(name, body, ...)                    \
	SEC("?fentry/" #name)                        \
	int BPF_PROG(fentry_##name, ##__VA_ARGS__)   \
	{                                            \
		return body;                         \
	}                                            \
	SEC("?kprobe/" #name)                        \
	int BPF_KPROBE(kprobe_##name, ##__VA_ARGS__) \
	{                                            \
		return body;                         \
	}

FUNCTION(read, read_enter(iocb, iter, already), struct kiocb___pc *iocb, struct iov_iter___pc *iter,
	 long already)
FUNCTION(splice, splice_enter(in, ppos, len), struct file___pc *in, __s64 *ppos, void *pipe,
	 unsigned long len)
FUNCTION(perform_write, perform_write_enter(first), void *first)
FUNCTION(iomap_write, write_enter(KREAD(iocb, ki_filp)), struct kiocb___pc *iocb)
FUNCTION(fault, fault_at(fault_mapping(vmf), KREAD(vmf, pgoff)), struct vm_fault___pc *vmf)
FUNCTION(map_pages, fault_map(fault_mapping(vmf), start, end), struct vm_fault___pc *vmf,
	 unsigned long start, unsigned long end)

/* ---- direct I/O by functions: kprobes, for fentry takes no function of seven arguments ---- */

static __always_inline __u8 iter_is_write(struct iov_iter___pc *iter)
{
	struct iov_iter___v510 *old = (void *)iter;

	if (bpf_core_field_exists(old->type))
		return BPF_CORE_READ(old, type) & 1;
	return KREAD(iter, data_source);
}

SEC("?kprobe/iomap_dio_complete")
int BPF_KPROBE(kprobe_direct_end, struct iomap_dio___pc *dio)
{
	struct kiocb___pc *iocb = BPF_CORE_READ(dio, iocb);
	__s64 bytes = BPF_CORE_READ(dio, size), left;

	if (BPF_CORE_READ(dio, error))
		return direct_ended(iocb, 0);
	left = BPF_CORE_READ(dio, i_size) - KREAD(iocb, ki_pos);
	return direct_ended(iocb, bytes < left || direct_is_write(iocb) ? bytes : left);
}

SEC("?kretprobe/direct")
int BPF_KRETPROBE(kretprobe_direct, long ret)
{
	struct cache_thread *t = cache_thread_find();

	return ret == -EIOCBQUEUED && t ? direct_queued(t, t->direct_bytes) : 0;
}

SEC("?kprobe/direct")
int BPF_KPROBE(kprobe_direct, struct kiocb___pc *iocb, struct iov_iter___pc *iter)
{
	return direct_began(iocb, iter, iter_is_write(iter));
}

/* ---- system calls ---- */

static __always_inline struct file___pc *fd_file(__u32 fd)
{
	struct task_struct___pc *task = (void *)bpf_get_current_task();
	struct file___pc **fds, *f = NULL;

	if (fd >= BPF_CORE_READ(task, files, fdt, max_fds))
		return NULL;
	fds = BPF_CORE_READ(task, files, fdt, fd);
	bpf_probe_read_kernel(&f, sizeof(f), &fds[fd]);
	return f;
}

/* Regular files and block devices; tmpfs adds its pages without telling. */
static __always_inline int in_page_cache(struct inode___pc *host)
{
	__u32 type = KREAD(host, i_mode) & S_IFMT;

	return (type == S_IFREG || type == S_IFBLK) && KREAD2(host, i_sb, s_magic) != TMPFS_MAGIC;
}

static __always_inline int on_syscall(struct pt_regs *regs, long nr)
{
	struct io_call io = io_call_of(nr);
	struct address_space___pc *mapping;
	struct cache_thread *t;
	struct call_args args;
	struct file___pc *f;

	if (io.kind != IO_READ && io.kind != IO_WRITE)
		return 0;
	if (IS_COMPAT((struct task_struct___pc *)bpf_get_current_task()))
		return 0;
	call_args(regs, &args);
	f = fd_file(args.a[0]);
	mapping = f ? KREAD(f, f_mapping) : NULL;
	if (!mapping || !in_page_cache(KREAD(mapping, host)))
		return 0;
	t = cache_thread();
	if (!t)
		return 0;
	t->c_state = CALL_NONE; /* a call that a signal ended has no exit event */
	io_begin(t, mapping, io.at_pos && args.a[3] != ~0ULL ? args.a[3] : KREAD(f, f_pos),
		 call_bytes(&args, io));
	t->c_write = io.kind == IO_WRITE;
	t->c_direct = !!(KREAD(f, f_flags) & O_DIRECT);
	t->c_added = 0;
	return 0;
}

CACHE_PROGRAMS(syscall, CACHE_SYSCALL, sys_enter, ctx[1], on_syscall((void *)ctx[0], ctx[1]))

/* O_DIRECT that added no page; where iomap has tracepoints they tell. */
static __always_inline void syscall_direct(struct cache_thread *t, struct inode___pc *host,
					   __s64 bytes)
{
	struct cache_counters *n = counters_of(host);

	if (cache_cfg.direct_events)
		return;
	if (t->c_write) {
		CHARGE(n, direct_writes, 1);
		CHARGE(n, direct_write_bytes, bytes);
	} else {
		CHARGE(n, direct_reads, 1);
		CHARGE(n, direct_read_bytes, bytes);
	}
}

static __always_inline int on_syscall_exit(struct pt_regs *regs, long ret)
{
	struct address_space___pc *mapping;
	struct cache_thread *t;
	struct call_args args;
	__u8 kind;

	call_args(regs, &args);
	kind = io_call_of(args.nr).kind;
	if (kind != IO_READ && kind != IO_WRITE)
		return 0;
	t = cache_thread_find();
	if (!t || t->c_state != CALL_OPEN)
		return 0;
	t->c_state = CALL_NONE;
	if (ret <= 0)
		return 0;
	mapping = (void *)t->c_map;
	if (t->c_direct && !t->c_added)
		syscall_direct(t, KREAD(mapping, host), ret);
	else if (!t->c_write && KREAD(mapping, nrpages)) /* 0: no page cache, as in sysfs */
		io_read_end(t, ret);
	return 0;
}

CACHE_PROGRAMS(syscall_exit, CACHE_SYSCALL_EXIT, sys_exit, ctx[1],
	       on_syscall_exit((void *)ctx[0], ctx[1]))

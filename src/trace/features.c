/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "trace/features.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "trace/attach.h"
#include "trace/uprobe.h"

static bool probe_btf(void)
{
	struct btf *btf = btf__load_vmlinux_btf();
	bool ok = btf && !libbpf_get_error(btf);

	if (ok)
		btf__free(btf);
	return ok;
}

static bool probe_ringbuf(void)
{
	return libbpf_probe_bpf_map_type(BPF_MAP_TYPE_RINGBUF, NULL) == 1;
}

static bool probe_task_storage(void)
{
	return libbpf_probe_bpf_map_type(BPF_MAP_TYPE_TASK_STORAGE, NULL) == 1 &&
	       libbpf_probe_bpf_helper(BPF_PROG_TYPE_KPROBE, BPF_FUNC_task_storage_get, NULL) == 1;
}

static bool probe_callbacks(void)
{
	return libbpf_probe_bpf_helper(BPF_PROG_TYPE_KPROBE, BPF_FUNC_for_each_map_elem, NULL) == 1;
}

/* Compare-and-exchange of a word on the program's stack; JIT compilers learnt it later. */
static bool probe_exchange(void)
{
	const struct bpf_insn insns[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0},
		{.code = BPF_STX | BPF_MEM | BPF_DW, .dst_reg = BPF_REG_10, .off = -8},
		{.code = BPF_STX | BPF_ATOMIC | BPF_DW,
		 .dst_reg = BPF_REG_10,
		 .off = -8,
		 .imm = BPF_CMPXCHG},
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0},
		{.code = BPF_JMP | BPF_EXIT},
	};
	int fd = bpf_prog_load(BPF_PROG_TYPE_KPROBE, NULL, "GPL", insns,
			       sizeof(insns) / sizeof(insns[0]), NULL);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static bool knows(const char *name, uint32_t kind)
{
	struct btf *btf = btf__load_vmlinux_btf();
	bool ok;

	if (!btf || libbpf_get_error(btf))
		return false;
	ok = btf__find_by_name_kind(btf, name, kind) > 0;
	btf__free(btf);
	return ok;
}

static bool knows_struct(const char *name)
{
	return knows(name, BTF_KIND_STRUCT);
}

/* What bpf/probe_name.bpf.h reads. */
static bool probe_probe_name(void)
{
	return knows_struct("uprobe_dispatch_data");
}

static bool probe_find_vma(void)
{
	return libbpf_probe_bpf_helper(BPF_PROG_TYPE_KPROBE, BPF_FUNC_find_vma, NULL) == 1;
}

/* Before, this event had the record of others, and no cache among its arguments. */
static bool probe_slab_events(void)
{
	return knows_struct("trace_event_raw_kmem_cache_alloc");
}

static bool probe_percpu_elem(void)
{
	return libbpf_probe_bpf_helper(BPF_PROG_TYPE_RAW_TRACEPOINT,
				       BPF_FUNC_map_lookup_percpu_elem, NULL) == 1;
}

static bool probe_task_iter(void)
{
	return knows_struct("bpf_iter__task_file") && knows_struct("bpf_iter__task_vma");
}

#ifndef SYS_cachestat
#define SYS_cachestat 451
#endif

/* There is no descriptor -1, whatever else the kernel thinks of the call. */
static bool probe_cachestat(void)
{
	return syscall(SYS_cachestat, -1, NULL, NULL, 0) && errno != ENOSYS;
}

static bool probe_exceptions(void)
{
	return tracepoint_id("exceptions", "page_fault_user") > 0;
}

static bool probe_tracepoints(void)
{
	return tracepoint_id("sched", "sched_process_exec") > 0;
}

static bool probe_cache_events(void)
{
	return tracepoint_id("filemap", "mm_filemap_get_pages") > 0;
}

static bool probe_direct_events(void)
{
	return tracepoint_id("iomap", "iomap_dio_rw_begin") > 0;
}

static bool probe_fault_events(void)
{
	return tracepoint_id("exceptions", "page_fault_user") > 0;
}

static bool probe_vmalloc_events(void)
{
	return tracepoint_id("vmalloc", "alloc_vmap_area") > 0;
}

/* What a raw tracepoint hands over: the prototype of its handlers; NULL if it is not there. */
static const struct btf_type *event_arguments(const struct btf *btf, const char *event)
{
	char name[64];
	const struct btf_type *t;
	int id;

	snprintf(name, sizeof(name), "btf_trace_%s", event);
	id = btf__find_by_name_kind(btf, name, BTF_KIND_TYPEDEF);
	t = id > 0 ? btf__type_by_id(btf, (uint32_t)id) : NULL;
	t = t ? btf__type_by_id(btf, t->type) : NULL; /* a pointer */
	t = t && btf_is_ptr(t) ? btf__type_by_id(btf, t->type) : NULL;
	return t && btf_is_func_proto(t) ? t : NULL;
}

/* Is argument n of a raw tracepoint, from 0, a pointer? */
static bool event_has_pointer(const char *event, uint16_t n)
{
	struct btf *btf = btf__load_vmlinux_btf();
	const struct btf_type *t;
	bool is;

	if (!btf || libbpf_get_error(btf))
		return false;
	t = event_arguments(btf, event);
	n++; /* the handler's own data comes first */
	is = t && n < btf_vlen(t) && btf_is_ptr(btf__type_by_id(btf, btf_params(t)[n].type));
	btf__free(btf);
	return is;
}

static bool probe_percpu_sites(void)
{
	return event_has_pointer("percpu_alloc_percpu", 7);
}

/* Tracepoints are guarded by SRCU-fast, which is preemptible, where there is such a guard. */
static bool probe_events_skipped(void)
{
	return knows("class_srcu_fast_notrace_t", BTF_KIND_TYPEDEF);
}

/* What bpf/hold.bpf.h calls. */
static bool probe_preempt_off(void)
{
	return knows("bpf_preempt_disable", BTF_KIND_FUNC) &&
	       knows("bpf_local_irq_save", BTF_KIND_FUNC);
}

static bool probe_fentry_on(const char *function)
{
	static const struct bpf_insn nothing[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0},
		{.code = BPF_JMP | BPF_EXIT},
	};
	int id = libbpf_find_vmlinux_btf_id(function, BPF_TRACE_FENTRY);
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = BPF_TRACE_FENTRY,
		    .attach_btf_id = (uint32_t)id);
	_cleanup_close_ int prog = -1, link = -1;

	if (id > 0)
		prog = bpf_prog_load(BPF_PROG_TYPE_TRACING, "try_fentry", "GPL", nothing,
				     ARRAY_SIZE(nothing), &opts);
	if (prog >= 0)
		link = bpf_raw_tracepoint_open(NULL, prog);
	return link >= 0;
}

/* The kernel has a function of its own to try it on (net/bpf/test_run.c). */
static bool probe_fentry(void)
{
	return probe_fentry_on("bpf_fentry_test1");
}

static bool probe_aborts(void)
{
	return probe_fentry_on("do_mem_abort");
}

/* Kernels with kprobes register perf events of this type. */
static bool probe_kprobe(void)
{
	return access("/sys/bus/event_source/devices/kprobe/type", R_OK) == 0;
}

/* All of them are tried in one go. */
static const struct uprobe_features *uprobes(void)
{
	static struct uprobe_features f;
	static bool tried;

	if (!tried && uprobe_features_probe(&f))
		f = (struct uprobe_features){0};
	tried = true;
	return &f;
}

static bool probe_cookie(void)
{
	return uprobes()->perf_cookie;
}

static bool probe_multi(void)
{
	return uprobes()->multi;
}

static bool probe_multi_pid(void)
{
	return uprobes()->multi_process;
}

static bool probe_session(void)
{
	return uprobes()->session;
}

static const struct {
	const char *name, *about;
	bool (*probe)(void);
} features[FEATURE_COUNT] = {
	[FEATURE_BTF] = {"btf", "kernel types for CO-RE; needed by everything", probe_btf},
	[FEATURE_RINGBUF] = {"ringbuf",
			     "BPF ring buffer; needed by everything (v5.8, 457f44363a88)",
			     probe_ringbuf},
	[FEATURE_TASK_STORAGE] = {"task-storage",
				  "state by thread; else a hash table (v5.12, a10787e6d58c)",
				  probe_task_storage},
	[FEATURE_CALLBACKS] = {"callbacks",
			       "else objects built for older kernels (v5.13, 69c087ba6225)",
			       probe_callbacks},
	[FEATURE_EXCHANGE] = {"exchange",
			      "else the same (v5.12, 5ffa25502b5a; aarch64 v5.18, 1902472b4fa9)",
			      probe_exchange},
	[FEATURE_COOKIE] = {"uprobe-cookie", "probes say what they are on (v5.15, 82e6b1eee6a8)",
			    probe_cookie},
	[FEATURE_PROBE_NAME] = {"uprobe-name",
				"the same from the kernel's record of a hit (v3.14, b7e0bf341f6c)",
				probe_probe_name},
	[FEATURE_UPROBE_MULTI] = {"uprobe-multi",
				  "all probes of a file in one link (v6.6, 89ae89f53d20)",
				  probe_multi},
	[FEATURE_UPROBE_MULTI_PID] = {"uprobe-multi-pid",
				      "multi links see all threads of a process "
				      "(v6.10, 46ba0e49b642)",
				      probe_multi_pid},
	[FEATURE_UPROBE_SESSION] = {"uprobe-session",
				    "entry and return in one program (v6.13, d920179b3d48)",
				    probe_session},
	[FEATURE_TRACEPOINTS] = {"tracepoints", "process events; needed by --follow and exec",
				 probe_tracepoints},
	[FEATURE_FIND_VMA] = {"find-vma",
			      "stacks after exec and dlopen; else by reading the kernel's tree "
			      "(v5.17, 7c7e3d31e785)",
			      probe_find_vma},
	[FEATURE_PERCPU_ELEM] = {"percpu-elem",
				 "kmem asks the slab allocator about blocks (v5.19, 07343110b293)",
				 probe_percpu_elem},
	[FEATURE_SLAB_EVENTS] = {"slab-events",
				 "events of slab objects name their cache, else their page does "
				 "(v6.1, 11e9734bcb6a)",
				 probe_slab_events},
	[FEATURE_PERCPU_SITES] = {"percpu-sites",
				  "events of per-CPU memory say who called (v5.19, f67bed134a05)",
				  probe_percpu_sites},
	[FEATURE_EVENTS_SKIPPED] = {"events-skipped",
				    "a tracepoint's program is skipped where it was preempted: "
				    "cachestat has four for each (v7.0)",
				    probe_events_skipped},
	[FEATURE_PREEMPT_OFF] = {"preempt-off",
				 "cachestat and kmem keep programs from being preempted (v6.14)",
				 probe_preempt_off},
	[FEATURE_VMALLOC_EVENTS] = {"vmalloc-events",
				    "kmem follows vmalloc (6.12 has them, 6.1 not)",
				    probe_vmalloc_events},
	[FEATURE_DIRECT_EVENTS] = {"direct-events", "direct I/O of files (6.12 has them, 6.1 not)",
				   probe_direct_events},
	[FEATURE_FAULT_EVENTS] = {"fault-events",
				  "where a page fault begins, for cachestat; else a perf event "
				  "(x86 has them, arm64 not)",
				  probe_fault_events},
	[FEATURE_TASK_ITER] =
		{"task-iterators",
		 "files of all processes without opening them; faults without a probe (v5.12, "
		 "3d06f34aa89e)",
		 probe_task_iter},
	[FEATURE_CACHESTAT] = {"cachestat",
			       "dirty and evicted pages of files; else mincore (v6.5, "
			       "cf264e1329fb)",
			       probe_cachestat},
	[FEATURE_CACHE_EVENTS] = {"filemap-events",
				  "cachestat by tracepoints (v6.12, b6273b55d885)",
				  probe_cache_events},
	[FEATURE_FENTRY] = {"fentry",
			    "functions, for kmem's bulk frees and cachestat (v5.5, fec56f5890d9)",
			    probe_fentry},
	[FEATURE_KPROBE] = {"kprobe", "the same where there is no fentry", probe_kprobe},
	[FEATURE_EXCEPTIONS] = {"exceptions",
				"error codes of page faults: exact causes, at less cost",
				probe_exceptions},
	[FEATURE_ABORTS] = {"mem-abort", "the same on arm64, by fentry (v6.4, 2aa6ac03516d)",
			    probe_aborts},
};

/* MEMTALLY_WITHOUT="NAME,NAME": as if the kernel had not these, to test what then happens. */
static bool is_denied(const char *name)
{
	const char *denied = getenv("MEMTALLY_WITHOUT");
	size_t len = strlen(name), n;

	for (; denied && *denied; denied += n + (denied[n] == ',')) {
		n = strcspn(denied, ",");
		if (n == len && strncmp(denied, name, n) == 0)
			return true;
	}
	return false;
}

bool feature_has(enum feature f)
{
	static enum {
		UNKNOWN,
		NO,
		YES
	} known[FEATURE_COUNT]; /* a cache: the kernel won't change */

	if (known[f] == UNKNOWN)
		known[f] = !is_denied(features[f].name) && features[f].probe() ? YES : NO;
	return known[f] == YES;
}

const char *feature_name(enum feature f)
{
	return features[f].name;
}

const char *feature_about(enum feature f)
{
	return features[f].about;
}

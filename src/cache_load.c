/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The programs of the chosen method: which are loaded, and attached to what. */
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/perf_event.h>
#include <string.h>

#include "cmd_cache.h"
#include "cache.skel.h"
#include "cache_calls.skel.h"
#include "lib/log.h"
#include "trace/collect.h"
#include "trace/features.h"

/* Functions of method R: programs fentry_NAME and fexit_NAME, or kprobe_ and kretprobe_. */
static const struct function {
	const char *name;
	const char *kernel[2]; /* the first that there is; none: the kernel needs no such */
	bool returns;
} functions[] = {
	/* generic_file_buffered_read until v5.12 (87fa0f3eb267) */
	{"read", {"filemap_read", "generic_file_buffered_read"}, true},
	{"splice", {"filemap_splice_read"}, true},
	{"perform_write", {"generic_perform_write"}, true},
	{"iomap_write", {"iomap_file_buffered_write"}, true},
	{"fault", {"filemap_fault"}, false},
	{"map_pages", {"filemap_map_pages"}, false},
};

int cache_map_fd(const struct cache *c, const char *name)
{
	return bpf_object__find_map_fd_by_name(c->obj, name);
}

/* ---- load ---- */

static void configure(const struct cache *c, struct cfg *cfg, struct cache_cfg *own)
{
	cmd_configure(&c->o->common, false, cfg);
	own->by = c->by;
	own->system = cmd_wants_machine(&c->o->common);
	own->page_shift = (uint32_t)__builtin_ctzl((unsigned long)sysconf(_SC_PAGESIZE));
	own->direct_events = c->direct_events;
	own->turns = feature_has(FEATURE_EVENTS_SKIPPED);
}

/* The shared header brings tables for stacks, which are not taken here. */
static int leave_out_maps(struct bpf_object *obj)
{
	bool turns = feature_has(FEATURE_EVENTS_SKIPPED);
	static const char *const used[] = {
		"stats",     "events",	      "procs",	     "cgroups",	       "cache_stats",
		"pending",   "cache_total",   "cache_rows",  "path_scratches", "path_blank",
		"row_blank", "cache_threads", "cache_names", "directs",	       "cache_retries"};
	struct bpf_map *m;

	bpf_object__for_each_map(m, obj)
	{
		bool wanted = strchr(bpf_map__name(m), '.'); /* .rodata, .bss */

		for (size_t i = 0; i < ARRAY_SIZE(used) && !wanted; i++)
			wanted = strcmp(bpf_map__name(m), used[i]) == 0;
		wanted |= turns && strcmp(bpf_map__name(m), "turn_marks") == 0;
		if (!wanted && bpf_map__set_autocreate(m, false))
			return -EINVAL;
	}
	return 0;
}

static struct bpf_program *find_program(const struct cache *c, const char *kind, const char *name)
{
	char full[64];

	snprintf(full, sizeof(full), "%s%s", kind, name);
	return bpf_object__find_program_by_name(c->obj, full);
}

static void use_program(const struct cache *c, const char *name, bool use)
{
	struct bpf_program *p = find_program(c, "", name);

	if (p)
		bpf_program__set_autoload(p, use);
}

/* Its other programs, too, where the kernel may skip one. */
static void use_turns(const struct cache *c, const char *name, bool use)
{
	struct bpf_program *p = find_program(c, "", name);

	if (p)
		turns_load(c->obj, p, 1, use);
}

/* What every method takes from the kernel's events, as far as it has them. */
static void use_events(const struct cache *c)
{
	bool folios = tracepoint_id("writeback", "writeback_dirty_folio") > 0;
	bool faults = c->method != CACHE_METHOD_SYSCALLS;
	bool fault_events = feature_has(FEATURE_FAULT_EVENTS);

	static const char *const always[] = {"cache_add",	"cache_delete", "cache_exec",
					     "cache_get_pages", "cache_fault",	"cache_map_pages",
					     "cache_exit"};

	for (size_t i = 0; i < ARRAY_SIZE(always); i++)
		use_turns(c, always[i], true);
	use_turns(c, "cache_dirty", folios);
	use_turns(c, "cache_dirty_page", !folios);
	use_turns(c, "cache_direct_begin", c->direct_events);
	use_turns(c, "cache_direct_queued", c->direct_events);
	use_turns(c, "cache_direct_refused", c->direct_events);
	use_program(c, "cache_direct_end", c->direct_events);
	use_turns(c, "cache_fault_user", faults && fault_events);
	use_turns(c, "cache_fault_kernel", faults && fault_events);
	use_program(c, "cache_fault_start", faults && !fault_events);
	use_turns(c, "cache_newtask", c->o->common.follow);
	use_turns(c, "cache_syscall", c->method == CACHE_METHOD_SYSCALLS);
	use_turns(c, "cache_syscall_exit", c->method == CACHE_METHOD_SYSCALLS);
}

static bool has_function(const struct btf *btf, const char *name)
{
	return name && btf__find_by_name_kind(btf, name, BTF_KIND_FUNC) > 0;
}

static const char *kernel_function(const struct btf *btf, const struct function *f)
{
	for (size_t i = 0; i < ARRAY_SIZE(f->kernel); i++)
		if (has_function(btf, f->kernel[i]))
			return f->kernel[i];
	return NULL;
}

/* Whether the first argument of generic_perform_write() is a struct file (until v5.18). */
static bool write_by_file(const struct btf *btf)
{
	int id = btf__find_by_name_kind(btf, "generic_perform_write", BTF_KIND_FUNC);
	const struct btf_type *t = id > 0 ? btf__type_by_id(btf, (uint32_t)id) : NULL;

	t = t ? btf__type_by_id(btf, t->type) : NULL;
	if (!t || !btf_vlen(t))
		return false;
	t = btf__type_by_id(btf, btf_params(t)->type);
	t = t && btf_is_ptr(t) ? btf__type_by_id(btf, t->type) : NULL;
	return t && strcmp(btf__name_by_offset(btf, t->name_off), "file") == 0;
}

static int use_fentry(struct bpf_program *p, const char *function)
{
	bpf_program__set_autoload(p, true);
	return bpf_program__set_attach_target(p, 0, function);
}

static int use_functions(struct cache *c, const struct btf *btf)
{
	bool fentry = feature_has(FEATURE_FENTRY);
	int err = 0;

	for (size_t i = 0; i < ARRAY_SIZE(functions) && !err; i++) {
		const struct function *f = &functions[i];
		const char *kernel = kernel_function(btf, f);

		if (!kernel)
			continue;
		if (fentry) {
			err = use_fentry(find_program(c, "fentry_", f->name), kernel);
			if (!err && f->returns)
				err = use_fentry(find_program(c, "fexit_", f->name), kernel);
			continue;
		}
		bpf_program__set_autoload(find_program(c, "kprobe_", f->name), true);
		if (f->returns)
			bpf_program__set_autoload(find_program(c, "kretprobe_", f->name), true);
	}
	c->direct_functions = !err && !c->direct_events && feature_has(FEATURE_KPROBE) &&
			      has_function(btf, "__iomap_dio_rw") &&
			      has_function(btf, "iomap_dio_complete");
	use_program(c, "kprobe_direct", c->direct_functions);
	use_program(c, "kretprobe_direct", c->direct_functions);
	use_program(c, "kprobe_direct_end", c->direct_functions);
	return err;
}

static int open_calls(struct cache *c)
{
	struct btf *btf;
	struct cache_cfg *own;
	int err;

	c->calls = cache_calls_bpf__open();
	if (!c->calls)
		return -errno;
	c->obj = c->calls->obj;
	own = (struct cache_cfg *)&c->calls->rodata->cache_cfg;
	configure(c, (struct cfg *)&c->calls->rodata->cfg, own);
	use_events(c);
	if (c->method != CACHE_METHOD_FUNCTIONS)
		return 0;
	btf = btf__load_vmlinux_btf();
	if (!btf)
		return -errno;
	own->write_by_file = write_by_file(btf);
	err = use_functions(c, btf);
	btf__free(btf);
	return err;
}

static int open_events(struct cache *c)
{
	c->bpf = cache_bpf__open();
	if (!c->bpf)
		return -errno;
	c->obj = c->bpf->obj;
	configure(c, (struct cfg *)&c->bpf->rodata->cfg,
		  (struct cache_cfg *)&c->bpf->rodata->cache_cfg);
	use_events(c);
	return 0;
}

int cache_load(struct cache *c)
{
	int err = cache_method_choose(c);

	if (err)
		return err;
	c->direct_events = feature_has(FEATURE_DIRECT_EVENTS);
	err = c->method == CACHE_METHOD_TRACEPOINTS ? open_events(c) : open_calls(c);
	if (!err)
		err = leave_out_maps(c->obj);
	if (!err)
		err = c->bpf ? cache_bpf__load(c->bpf) : cache_calls_bpf__load(c->calls);
	if (err) {
		log_error("cannot load the BPF programs: %s", errno_name(err));
		return err;
	}
	c->map_bytes = collect_map_bytes(c->obj);
	return 0;
}

/* ---- attach ---- */

static int attach_kprobe(struct cache *c, const char *name, const char *function, bool returns)
{
	struct bpf_program *p = find_program(c, returns ? "kretprobe_" : "kprobe_", name);
	int err = links_keep(&c->links, bpf_program__attach_kprobe(p, returns, function));

	if (err)
		log_error("cannot attach to '%s': %s", function, errno_name(err));
	return err;
}

static int attach_fault_starts(struct cache *c)
{
	int err = attach_software_event(&c->links, find_program(c, "", "cache_fault_start"),
					PERF_COUNT_SW_PAGE_FAULTS);

	if (err)
		log_error("cannot attach to 'page-faults': %s", errno_name(err));
	return err;
}

/* Returns before entries: what is under way when the first are there has no entry. */
static int attach_kprobes(struct cache *c)
{
	struct btf *btf = btf__load_vmlinux_btf();
	int err = btf ? 0 : -errno;

	for (size_t i = 0; i < ARRAY_SIZE(functions) && !err && !feature_has(FEATURE_FENTRY); i++) {
		const char *kernel = kernel_function(btf, &functions[i]);

		if (kernel && functions[i].returns)
			err = attach_kprobe(c, functions[i].name, kernel, true);
		if (kernel && !err)
			err = attach_kprobe(c, functions[i].name, kernel, false);
	}
	if (!err && c->direct_functions)
		err = attach_kprobe(c, "direct_end", "iomap_dio_complete", false);
	if (!err && c->direct_functions)
		err = attach_kprobe(c, "direct", "__iomap_dio_rw", true);
	if (!err && c->direct_functions)
		err = attach_kprobe(c, "direct", "__iomap_dio_rw", false);
	btf__free(btf);
	return err;
}

/* The skeleton's way for what has its target in its section. */
static int attach_rest(struct cache *c)
{
	struct bpf_program *p;
	int err;

	bpf_object__for_each_program(p, c->obj) if (bpf_program__type(p) != BPF_PROG_TYPE_TRACING)
		bpf_program__set_autoattach(p, false);
	err = c->bpf ? cache_bpf__attach(c->bpf) : cache_calls_bpf__attach(c->calls);
	if (err)
		log_error("cannot attach to the kernel: %s", errno_name(err));
	return err;
}

/* bpf/cache_turns.bpf.h; of use where events have several programs. */
static void set_on(struct cache *c)
{
	uint32_t *flag = c->bpf ? &c->bpf->bss->cache_on : &c->calls->bss->cache_on;

	__atomic_store_n(flag, 1, __ATOMIC_SEQ_CST);
}

int cache_attach(struct cache *c)
{
	int err = 0;

	if (bpf_program__autoload(find_program(c, "", "cache_fault_start")))
		err = attach_fault_starts(c);
	if (!err && c->method == CACHE_METHOD_FUNCTIONS)
		err = attach_kprobes(c);
	if (!err)
		err = attach_rest(c);
	if (!err)
		set_on(c);
	return err;
}

static void detach_backwards(const struct bpf_object_skeleton *s)
{
	for (int i = s->prog_cnt - 1; i >= 0; i--) {
		const struct bpf_prog_skeleton *p =
			(const void *)((const char *)s->progs + i * s->prog_skel_sz);

		bpf_link__destroy(*p->link);
		*p->link = NULL;
	}
}

/* Entries before returns: without those a call would seem to have no end. */
void cache_detach(struct cache *c)
{
	links_drop(&c->links);
	if (c->bpf)
		detach_backwards(c->bpf->skeleton);
	if (c->calls)
		detach_backwards(c->calls->skeleton);
}

void cache_unload(struct cache *c)
{
	cache_detach(c);
	cache_bpf__destroy(c->bpf);
	cache_calls_bpf__destroy(c->calls);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "kmem.h"
#include "lib/cgroup.h"

#define GFP_DMA		0x01
#define GFP_RECLAIMABLE 0x10
#define GFP_ACCOUNT	0x400000

const char *kmem_intern(struct kmem *k, const char *text)
{
	for (size_t i = 0; i < k->names.n; i++)
		if (strcmp(k->names.v[i], text) == 0)
			return k->names.v[i];
	return strlist_add(&k->names, "%s", text) ? "?" : k->names.v[k->names.n - 1];
}

/* ---- kmalloc's caches ---- */

/* In this order, because a cache has one kind and DMA wins (kmalloc_type(), linux/slab.h). */
static const struct kmalloc_kind {
	const char *prefix;
	uint32_t gfp, mask;
} kmalloc_kinds[] = {
	{"dma-kmalloc-", GFP_DMA, GFP_DMA},
	{"kmalloc-rcl-", GFP_RECLAIMABLE, GFP_DMA | GFP_RECLAIMABLE},
	{"kmalloc-cg-", GFP_ACCOUNT, GFP_DMA | GFP_RECLAIMABLE | GFP_ACCOUNT},
	{"kmalloc-", 0, GFP_DMA | GFP_RECLAIMABLE | GFP_ACCOUNT},
};

void kmem_kmalloc_name(uint64_t size, uint64_t gfp, char *ret, size_t n)
{
	const struct kmalloc_kind *kind = kmalloc_kinds;
	bool kib = size >= 1024 && size % 1024 == 0;

	while ((gfp & kind->mask) != kind->gfp)
		kind++;
	if (size > KMEM_KMALLOC_SLAB_MAX)
		snprintf(ret, n, "kmalloc-large");
	else
		snprintf(ret, n, "%s%" PRIu64 "%s", kind->prefix, kib ? size / 1024 : size,
			 kib ? "k" : "");
}

bool kmem_kmalloc_parse(const char *name, struct kmem_cache_filter *ret)
{
	char digits[16];
	uint64_t size;
	size_t n;

	for (size_t i = 0; i < ARRAY_SIZE(kmalloc_kinds); i++) {
		n = strlen(kmalloc_kinds[i].prefix);
		if (strncmp(name, kmalloc_kinds[i].prefix, n) != 0)
			continue;
		snprintf(digits, sizeof(digits), "%s", name + n);
		if (parse_size(digits, &size) || !size)
			return false;
		ret->kmalloc_size = size;
		ret->kmalloc_gfp = kmalloc_kinds[i].gfp;
		ret->kmalloc_gfp_mask = kmalloc_kinds[i].mask;
		return true;
	}
	return false;
}

/* ---- gfp ---- */

static const struct {
	uint64_t bits;
	const char *name;
} gfp_names[] = {
	/* Whole words first, then what is left of them. */
	{0x100cc0, "GFP_USER"},
	{0xcc0, "GFP_KERNEL"},
	{0xc40, "GFP_NOFS"},
	{0xc00, "GFP_NOIO"},
	{0x820, "GFP_ATOMIC"},
	{0x01, "__GFP_DMA"},
	{0x02, "__GFP_HIGHMEM"},
	{0x04, "__GFP_DMA32"},
	{0x08, "__GFP_MOVABLE"},
	{0x10, "__GFP_RECLAIMABLE"},
	{0x20, "__GFP_HIGH"},
	{0x40, "__GFP_IO"},
	{0x80, "__GFP_FS"},
	{0x100, "__GFP_ZERO"},
	{0x400, "__GFP_DIRECT_RECLAIM"},
	{0x800, "__GFP_KSWAPD_RECLAIM"},
	{0x1000, "__GFP_WRITE"},
	{0x2000, "__GFP_NOWARN"},
	{0x4000, "__GFP_RETRY_MAYFAIL"},
	{0x8000, "__GFP_NOFAIL"},
	{0x10000, "__GFP_NORETRY"},
	{0x20000, "__GFP_MEMALLOC"},
	{0x40000, "__GFP_COMP"},
	{0x80000, "__GFP_NOMEMALLOC"},
	{0x100000, "__GFP_HARDWALL"},
	{0x200000, "__GFP_THISNODE"},
	{0x400000, "__GFP_ACCOUNT"},
};

void kmem_gfp_text(uint64_t gfp, char *ret, size_t n)
{
	size_t at = 0;

	snprintf(ret, n, "0");
	for (size_t i = 0; i < ARRAY_SIZE(gfp_names) && at < n; i++) {
		if ((gfp & gfp_names[i].bits) != gfp_names[i].bits)
			continue;
		gfp &= ~gfp_names[i].bits;
		at += (size_t)snprintf(ret + at, n - at, "%s%s", at ? "|" : "", gfp_names[i].name);
	}
	if (gfp && at < n)
		snprintf(ret + at, n - at, "%s0x%" PRIx64, at ? "|" : "", gfp);
}

/* ---- frames ---- */

static bool begins_with_one_of(const char *name, const char *const *prefixes)
{
	for (; *prefixes; prefixes++)
		if (strncmp(name, *prefixes, strlen(*prefixes)) == 0)
			return true;
	return false;
}

size_t kmem_tracing_frames(const struct frame *frames, size_t n)
{
	static const char *const tracing[] = {"bpf_prog_", "bpf_trace_run", "__traceiter_",
					      "__bpf_trace_", NULL};
	size_t cut = 0;

	/* A BPF program may have no name; it is never last of them. */
	for (size_t i = 0; i < n && i < 8; i++)
		if (frames[i].function && begins_with_one_of(frames[i].function, tracing))
			cut = i + 1;
	return cut;
}

size_t kmem_allocator_frames(const struct frame *frames, size_t n)
{
	static const char *const allocators[] = {
		"alloc_vmap_area",
		"__get_vm_area",
		"get_vm_area",
		"vmap",
		"__vmalloc",
		"vmalloc",
		"vzalloc",
		"__alloc_frozen_pages",
		"__alloc_pages",
		"alloc_pages",
		"alloc_frozen_pages",
		"__folio_alloc",
		"folio_alloc",
		"get_free_pages",
		"get_zeroed_page",
		"__get_free_page",
		"pcpu_alloc",
		"vmalloc_user",
		NULL,
	};
	size_t i = 0;

	while (i < n && frames[i].function && begins_with_one_of(frames[i].function, allocators))
		i++;
	return i < n ? i : 0;
}

bool kmem_in_interrupt(const struct frame *frames, size_t n)
{
	static const char *const entries[] = {
		"handle_softirqs", "__do_softirq", "asm_sysvec_",	"asm_common_interrupt",
		"__irq_exit_rcu",  "el1h_64_irq",  "call_on_irq_stack", NULL};

	for (size_t i = 0; i < n; i++)
		if (frames[i].function && begins_with_one_of(frames[i].function, entries))
			return true;
	return false;
}

bool kmem_is_accounted(const struct frame *frames, size_t n)
{
	static const char *const accounted[] = {
		"__vmalloc_",  "pte_alloc_one", "__pte_alloc", "__pmd_alloc",	  "__pud_alloc",
		"__p4d_alloc", "pgd_alloc",	"pcpu_",       "dup_task_struct", NULL};

	for (size_t i = 0; i < n; i++)
		if (frames[i].function && begins_with_one_of(frames[i].function, accounted))
			return true;
	return false;
}

/* ---- --site ---- */

/* The function's start, and the start of whatever follows it. */
static int function_range(const char *name, uint64_t *ret_start, uint64_t *ret_end)
{
	_cleanup_free_ char *text = NULL;
	char line_name[256], type;
	uint64_t address, start = 0, end = UINT64_MAX;
	char *rest, *line;
	int err = read_file("/proc/kallsyms", &text, NULL);

	if (err)
		return err;
	for (int pass = 0; pass < 2; pass++) {
		_cleanup_free_ char *copy = strdup(text);

		if (!copy)
			return -ENOMEM;
		for (rest = copy; (line = strsep(&rest, "\n"));) {
			if (sscanf(line, "%" SCNx64 " %c %255s", &address, &type, line_name) != 3)
				continue;
			if (!pass && !start && strchr("tTwW", type) && !strcmp(line_name, name))
				start = address;
			if (pass && address > start && address < end)
				end = address;
		}
	}
	if (!start)
		return -ENOENT;
	*ret_start = start;
	*ret_end = end;
	return 0;
}

int kmem_site_parse(const char *text, uint64_t *ret_start, uint64_t *ret_end)
{
	const char *plus = strchr(text, '+');
	uint64_t start, end, offset = 0;
	char name[256];
	int err;

	snprintf(name, sizeof(name), "%.*s", plus ? (int)(plus - text) : 255, text);
	if (plus && parse_u64(plus + 1, 0, 1 << 24, &offset))
		return -EINVAL;
	err = function_range(name, &start, &end);
	if (err)
		return err;
	/* A return address right behind a function's last call is still its own. */
	*ret_start = plus ? start + offset : start + 1;
	*ret_end = plus ? start + offset + 1 : end + 1;
	return 0;
}

/* ---- cgroups ---- */

const char *kmem_cgroup_path(struct kmem *k, uint64_t id)
{
	_cleanup_free_ char *path = NULL;

	return cgroup_path(id, &path) ? NULL : kmem_intern(k, path);
}

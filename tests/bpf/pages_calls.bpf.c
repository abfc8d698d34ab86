/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The programs of bpf/cache_calls.bpf.c over a file that is not there: an inode and its mapping
 * made of bytes in this object's data, which is kernel memory as well.
 */
#include "cache_calls.bpf.c"
#include "pages_input.h"

struct pages_input input;
long result;

__u64 fake_inode[512], fake_super[512], fake_mapping[64];

#define FAKE(object, type, field, value)                                            \
	(*(__u64 *)((void *)(object) + (bpf_core_field_offset(struct type, field) & \
					(sizeof(object) - 8))) = (__u64)(value))

static __always_inline struct address_space___pc *fake_file(void)
{
	FAKE(fake_super, super_block___pc, s_dev, 0);
	FAKE(fake_inode, inode___pc, i_sb, fake_super);
	FAKE(fake_inode, inode___pc, i_ino, input.ino);
	FAKE(fake_inode, inode___pc, i_size, input.size);
	FAKE(fake_mapping, address_space___pc, host, fake_inode);
	return (void *)fake_mapping;
}

SEC("raw_tp/test")
int run_pending(void *ctx)
{
	struct pending_walk p = {
		.key = {.ino = input.ino}, .op = input.op, .lo = input.lo, .hi = input.hi};

	result = input.op == PENDING_TAKE ? pending_take(&p.key, p.lo, p.hi) : pending_do(&p);
	return 0;
}

SEC("raw_tp/test")
int run_begin(void *ctx)
{
	struct address_space___pc *mapping = fake_file();
	struct cache_thread *t = cache_thread();

	if (!t)
		return 0;
	io_begin(t, mapping, input.pos, input.bytes);
	t->c_write = input.write;
	if (input.kiocb)
		retry_take(t, input.kiocb);
	return 0;
}

SEC("raw_tp/test")
int run_add(void *ctx)
{
	struct folio_range r = {.map = (__u64)fake_mapping,
				.lo = input.lo,
				.hi = input.hi,
				.skip_lo = input.hi,
				.skip_hi = input.hi};
	struct cache_thread *t = cache_thread();
	struct pending_key file;

	if (!t)
		return 0;
	add_in_io(t, counters_of((void *)fake_inode), &r);
	pending_file((void *)fake_inode, &file);
	pending_add(&file, &r);
	return 0;
}

SEC("raw_tp/test")
int run_end(void *ctx)
{
	return input.write ? write_return() : read_return(input.got);
}

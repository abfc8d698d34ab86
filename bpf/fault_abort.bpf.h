/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fault_abort.bpf.h - what a page fault was, from the syndrome register of arm64, in the words
 * of x86's error code. Fields of ESR_EL1: Arm Architecture Reference Manual (DDI 0487).
 */
#ifndef FAULT_ABORT_BPF_H
#define FAULT_ABORT_BPF_H

#define FAULT_PRESENT 1 /* x86 error code: there was a page, its rights did not suffice */
#define FAULT_WRITE   2
#define FAULT_AGED    (1ULL << 32) /* not of x86: the page was there, and not marked as used */

#define ABORT_CLASS_SHIFT 26
#define ABORT_CLASS	  0x3f
#define ABORT_CODE_USER	  0x20	/* instruction abort; 0x21: of the kernel */
#define ABORT_DATA_USER	  0x24	/* data abort; 0x25: of the kernel */
#define ABORT_CACHE	  0x100 /* of an instruction that looks after caches: "writes" always */
#define ABORT_WRITE	  0x40
#define ABORT_STATUS	  0x3f
#define ABORT_BELOW_0	  0x2b /* translation fault above the usual levels of tables */
#define ABORT_KIND	  0x3c /* of the status; the rest is a level */
#define ABORT_MISSING	  0x04
#define ABORT_AGED	  0x08 /* "access flag fault" */
#define ABORT_RIGHTS	  0x0c

/* Is it one of those that the kernel handles as a page fault? */
static __always_inline int abort_is_fault(__u64 esr)
{
	__u64 kind = esr & ABORT_KIND;

	return kind == ABORT_MISSING || kind == ABORT_AGED || kind == ABORT_RIGHTS ||
	       (esr & ABORT_STATUS) == ABORT_BELOW_0;
}

static __always_inline int abort_from_user(__u64 esr)
{
	__u64 class = esr >> ABORT_CLASS_SHIFT & ABORT_CLASS;

	return class == ABORT_CODE_USER || class == ABORT_DATA_USER;
}

/* FAULT_PRESENT, FAULT_WRITE, FAULT_AGED */
static __always_inline __u64 abort_error(__u64 esr)
{
	__u64 kind = esr & ABORT_KIND, error = 0;

	if (kind == ABORT_RIGHTS)
		error |= FAULT_PRESENT;
	if (kind == ABORT_AGED)
		error |= FAULT_AGED;
	if ((esr & ABORT_WRITE) && !(esr & ABORT_CACHE))
		error |= FAULT_WRITE;
	return error;
}

/* A user address may have a tag in its upper byte, which the kernel takes off. */
static __always_inline __u64 abort_address(__u64 far)
{
	return far & (__u64)((__s64)(far << 8) >> 8);
}

#endif

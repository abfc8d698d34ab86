/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VMA_INPUT_H
#define VMA_INPUT_H

#include "faults_abi.h"

struct vma_input {
	__u64 address, sp;
};

struct vma_output {
	struct fault_vma vma;
	__u64 low, high; /* around the address, as vma_bounds() has them */
	__u32 found, pad;
	__u64 near[4]; /* struct vma_cache, kept from run to run */
};

#endif

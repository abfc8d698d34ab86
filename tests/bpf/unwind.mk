# SPDX-License-Identifier: GPL-2.0-or-later
$(BUILD)/tests/bpf/unwind.skel.h: SKEL_NAME = unwind_test_bpf

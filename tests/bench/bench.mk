# SPDX-License-Identifier: GPL-2.0-or-later
#
# The work that is traced, with and without frame pointers; it links nothing of ours.

LOAD_CFLAGS := -std=gnu11 $(WARN) -D_GNU_SOURCE -O2 -g -fno-optimize-sibling-calls -Wl,--build-id
$(BUILD)/bench/load: LOAD_FP := -fomit-frame-pointer
$(BUILD)/bench/load-fp: LOAD_FP := -fno-omit-frame-pointer
$(BUILD)/bench/load $(BUILD)/bench/load-fp: tests/bench/load.c
	$(call msg,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(LOAD_CFLAGS) $(LOAD_FP) -o $@ $< -lpthread

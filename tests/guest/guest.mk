# SPDX-License-Identifier: GPL-2.0-or-later
#
# What only the guests of tools/vm use.

GUEST_BINS := $(BUILD)/guest/verified.so

.PHONY: guest
guest: $(GUEST_BINS)

$(BUILD)/guest/%.so: tests/guest/%.c
	$(call msg,GUEST,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 $(WARN) -D_GNU_SOURCE -O2 -fPIC -shared -o $@ $< -ldl

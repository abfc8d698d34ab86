# SPDX-License-Identifier: GPL-2.0-or-later
# Reads and writes files in known ways and tells what the page cache must have seen.

victims: $(BUILD)/victims/cachefiles

$(BUILD)/victims/cachefiles: tests/victims/cachefiles.c tests/victims/cachefiles_async.h \
		tests/victims/cachefiles_rows.h
	$(call msg,VICTIM,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 $(WARN) -D_GNU_SOURCE -O2 -g -o $@ $<

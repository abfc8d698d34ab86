# SPDX-License-Identifier: GPL-2.0-or-later
#
# What tests/bpf/test_unwind*.c walk: programs without frame pointers, and the library
# that gives the ground truth.

UNWIND_DIR := $(BUILD)/unwind
UNWIND_CFLAGS := -O2 -g -Wall -Wextra -D_GNU_SOURCE -Wl,--build-id
UNWIND_BINS := $(addprefix $(UNWIND_DIR)/,gt_preload.so unwind_chain unwind_cxx \
	unwind_threads unwind_threads_fp)

$(UNWIND_DIR)/gt_preload.so: tests/victims/gt_preload.c
	$(call msg,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(UNWIND_CFLAGS) -fPIC -shared -o $@ $<

$(UNWIND_DIR)/unwind_%_fp: tests/victims/unwind_%.c
	$(call msg,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(UNWIND_CFLAGS) -fno-omit-frame-pointer -mno-omit-leaf-frame-pointer \
		-o $@ $< -lpthread

$(UNWIND_DIR)/unwind_cxx: tests/victims/unwind_cxx.cc
	$(call msg,CXX,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(or $(CXX),c++) -std=gnu++17 $(UNWIND_CFLAGS) -fomit-frame-pointer -o $@ $< -lpthread

$(UNWIND_DIR)/unwind_%: tests/victims/unwind_%.c
	$(call msg,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(UNWIND_CFLAGS) -fomit-frame-pointer -o $@ $< -lpthread

$(addprefix $(BUILD)/bpf/,test_unwind_stopped test_unwind_threads): | $(UNWIND_BINS)

# Without sanitizers: how soon a table follows its mapping is part of what is tested.
UNWIND_OBJS := $(addprefix $(BUILD)/tests/bpf/,harness.o ground_truth.o) \
	$(ROOM_SRCS:%.c=$(BUILD)/%.o)
$(BUILD)/tests/bpf/%.o: CFLAGS_ALL += -I$(BUILD)/tests/bpf
$(addprefix $(BUILD)/bpf/,test_unwind unwind_gt unwind_count): $(BUILD)/bpf/%: \
		$(BUILD)/tests/bpf/%.o $(UNWIND_OBJS) | $(UNWIND_BINS)
	$(call msg,LINK,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) -o $@ $^ -lcmocka $(LIBS)

bench: $(BUILD)/bpf/unwind_count $(BUILD)/bpf/unwind_gt

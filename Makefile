# SPDX-License-Identifier: GPL-2.0-or-later
#
#   make            the tool: ./memtally
#   make demo       install what is missing, build, show the leaks of a bundled program
#   make check      install what is missing, run every test
#   make lint bench fuzz clean install
#
# STATIC=1 one static binary; DEPS=0 installs nothing; V=1 shows the commands.

MAKEFLAGS += --no-builtin-rules
.DELETE_ON_ERROR:
.SECONDARY:

CC ?= cc
CLANG ?= clang
BPFTOOL ?= bpftool
PYTHON ?= /usr/bin/python3
ARCH ?= $(shell uname -m)
BUILD ?= build$(if $(STATIC),-static)
BPF_ARCH := $(if $(filter aarch64 arm64,$(ARCH)),arm64,x86)

Q := $(if $(V),,@)
msg = $(if $(V),,@printf '  %-8s %s\n' "$(1)" "$(2)")

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo 0.1)

WARN := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes
CFLAGS ?= -O2 -g
CFLAGS_ALL = -std=gnu11 $(WARN) $(CFLAGS) -Isrc -Iinclude -I$(BUILD) -D_GNU_SOURCE \
	-DMEMTALLY_VERSION='"$(VERSION)"'
LIBS := -lbpf -ldw -lelf -lz -lpopt -ljansson $(if $(STATIC),-lcapstone -llzma -lbz2 -lzstd,-lZydis) -liberty -lm -lpthread

BPF_CFLAGS := -O2 -g -target bpf -mcpu=v2 -D__TARGET_ARCH_$(BPF_ARCH) -Wall -Werror \
	-Iinclude -Ivmlinux -Ibpf -idirafter /usr/include/$(shell $(CC) -print-multiarch)

BPF_SRCS := $(wildcard bpf/*.bpf.c)
SKELS := $(BPF_SRCS:bpf/%.bpf.c=$(BUILD)/%.skel.h)
SRCS := $(wildcard src/*.c src/*/*.c)
OBJS := $(SRCS:%.c=$(BUILD)/%.o)

.PHONY: all
all: memtally victims

memtally: $(OBJS)
	$(call msg,LINK,$@)
	$(Q)$(CC) $(CFLAGS) $(if $(STATIC),-static) $(LDFLAGS) -o $@ $^ $(LIBS)

$(BUILD)/%.bpf.o: bpf/%.bpf.c
	$(call msg,BPF,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) $(BPF_CFLAGS) -MMD -MP -c $< -o $@

$(BUILD)/%.skel.h: $(BUILD)/%.bpf.o
	$(call msg,SKEL,$@)
	$(Q)$(BPFTOOL) gen skeleton $< name $*_bpf > $@

$(BUILD)/%.o: %.c | $(SKELS)
	$(call msg,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_ALL) -MMD -MP -c $< -o $@

# Unit tests: every room but the commands, compiled once more with sanitizers.
SAN := -fsanitize=address,undefined -fno-sanitize-recover=all
ROOM_SRCS := $(wildcard src/*/*.c)
SAN_OBJS := $(ROOM_SRCS:%.c=$(BUILD)/san/%.o)
UNIT_SRCS := $(wildcard tests/unit/test_*.c)
UNIT_BINS := $(UNIT_SRCS:tests/unit/%.c=$(BUILD)/unit/%)

$(BUILD)/san/%.o: %.c | $(SKELS)
	$(call msg,CC-SAN,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_ALL) -O1 $(SAN) -MMD -MP -c $< -o $@

$(BUILD)/unit/%: $(BUILD)/san/tests/unit/%.o $(SAN_OBJS)
	$(call msg,LINK,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(SAN) -o $@ $^ -lcmocka $(LIBS)

.PHONY: check-unit
check-unit: $(UNIT_BINS)
	$(Q)for t in $^; do echo "== $$t"; $$t || exit 1; done

# Victims: programs with a known answer; the list and its flags live beside them.
.PHONY: victims
-include tests/victims/victims.mk

.PHONY: clean
clean:
	$(Q)rm -rf build build-static memtally

-include $(OBJS:.o=.d) $(SAN_OBJS:.o=.d) $(wildcard $(BUILD)/*.bpf.d $(BUILD)/san/tests/unit/*.d)

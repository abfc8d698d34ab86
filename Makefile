# SPDX-License-Identifier: GPL-2.0-or-later
#
#   make            the tool: ./memtally (STATIC=1: ./memtally-static, needs no library)
#   make demo       install what is missing, build, show the leaks of a bundled program
#   make check      install what is missing, run every test
#   make vmcheck    the end-to-end tests under other kernels, in virtual machines
#   make lint format tidy bench fuzz bpf install clean
#
# DEPS=0 installs nothing; V=1 shows the commands; ARCH=aarch64 compiles for that machine
# (tools/vm/foreign.sh has what it needs); PREFIX and DESTDIR are for install.
#
# A new file needs no line here:
#   src/ROOM/x.c           linked into the tool and, sanitized, into every unit test
#   bpf/x.bpf.c            becomes x.skel.h, built before the .c files that include it
#   tests/unit/test_x.c    a unit test; tests/bpf/test_x.c one that loads BPF (as root)
#   tests/bpf/x.bpf.c      its programs: x.skel.h with struct x_test_bpf
#   tests/unit/y.c, tests/bpf/y.c     helpers of those tests; tests/bpf/y.c with a main()
#                          is also a program, $(BUILD)/bpf/y
#   tests/fuzz/fuzz_x.c    a libFuzzer target
#   tests/*/x.mk           rules that need more than this

MAKEFLAGS += --no-builtin-rules
.DELETE_ON_ERROR:
.SECONDARY:
.DEFAULT_GOAL := all

CC ?= cc
CLANG ?= clang
# Ubuntu's bpftool of before 2025 is a script that wants the tools of the running kernel.
ifndef BPFTOOL
BPFTOOL := $(or $(shell bpftool version >/dev/null 2>&1 && echo bpftool), \
	$(lastword $(wildcard /usr/lib/linux-tools/*/bpftool)),bpftool)
endif
export BPFTOOL
PYTHON ?= /usr/bin/python3
PREFIX ?= /usr/local
FUZZ_SECONDS ?= 20

HOST := $(shell uname -m)
ARCH ?= $(HOST)
CROSS := $(filter-out $(HOST),$(ARCH))
BPF_ARCH := $(if $(filter aarch64,$(ARCH)),arm64,x86)
BUILD ?= build$(if $(STATIC),-static)$(CROSS:%=-%)
BIN := memtally$(if $(STATIC),-static)$(CROSS:%=-%)
ifdef CROSS
SYSROOT ?= $(shell tools/vm/foreign.sh $(BPF_ARCH))/sysroot
CC := $(ARCH)-linux-gnu-gcc --sysroot=$(SYSROOT)
CXX := $(ARCH)-linux-gnu-g++ --sysroot=$(SYSROOT)
endif

Q := $(if $(V),,@)
msg = $(if $(V),,@printf '  %-8s %s\n' "$(1)" "$(2)")
# Uses every processor, unless -j was given.
JOBS = $(if $(filter -j% --jobserver%,$(MAKEFLAGS)),,-j$(shell nproc))

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo 0.1)

# WERROR=0 is for a compiler that is newer than the code.
WERROR ?= 1
WARN := -Wall -Wextra $(if $(filter 0,$(WERROR)),,-Werror) -Wshadow -Wstrict-prototypes -Wmissing-prototypes
CFLAGS ?= -O2 -g
CFLAGS_ALL = -std=gnu11 $(WARN) $(CFLAGS) -Isrc -Iinclude -I$(BUILD) -D_GNU_SOURCE \
	-DMEMTALLY_VERSION='"$(VERSION)"'

# The instruction decoder: Debian has no libZydis.a.
ifeq ($(ARCH),x86_64)
DECODER := $(if $(STATIC),-lcapstone,-lZydis)
CFLAGS_ALL += $(if $(STATIC),-DMEMTALLY_CAPSTONE)
endif
STATIC_LIBS := -llzma -lbz2 -lzstd
LIBS := -lbpf -ldw -lelf -lz $(if $(STATIC),$(STATIC_LIBS)) -lpopt -ljansson $(DECODER) \
	-lncursesw -ltinfo -liberty -lm -lpthread

MULTIARCH := $(shell $(CC) -print-multiarch 2>/dev/null)
BPF_CFLAGS := -O2 -g -target bpf -mcpu=v2 -D__TARGET_ARCH_$(BPF_ARCH) -Wall -Werror \
	-Iinclude -Ivmlinux -Ibpf $(MULTIARCH:%=-idirafter $(SYSROOT)/usr/include/%)

BPF_SRCS := $(wildcard bpf/*.bpf.c)
# Built once more for kernels before v5.13, kmem before v5.19 (bpf/compat.bpf.h): x_old.skel.h
OLD := leak faults kmem
SKELS := $(BPF_SRCS:bpf/%.bpf.c=$(BUILD)/%.skel.h) $(OLD:%=$(BUILD)/%_old.skel.h)
ROOM_SRCS := $(wildcard src/*/*.c)
SRCS := $(wildcard src/*.c) $(ROOM_SRCS)
OBJS := $(SRCS:%.c=$(BUILD)/%.o)

.PHONY: all
all: $(BIN)

$(BIN): $(OBJS)
	$(call msg,LINK,$@)
	$(Q)$(CC) $(CFLAGS) $(if $(STATIC),-static) $(LDFLAGS) -o $@ $^ $(LIBS)

$(BUILD)/%.o: %.c
	$(call msg,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_ALL) -MMD -MP -c $< -o $@

# libbpf's linker leaves the DWARF out, which nothing reads at run time.
define bpf_object
	$(call msg,BPF,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) $(BPF_CFLAGS) -MMD -MP -MF $(@:.o=.d) -MT $@ -c $< -o $(@:.o=.full.o)
	$(Q)$(BPFTOOL) gen object $@ $(@:.o=.full.o)
endef

$(BUILD)/%.bpf.o: bpf/%.bpf.c
	$(bpf_object)
$(OLD:%=$(BUILD)/%_old.bpf.o): BPF_CFLAGS += -DCOMPAT_OLD
$(OLD:%=$(BUILD)/%_old.bpf.o): $(BUILD)/%_old.bpf.o: bpf/%.bpf.c
	$(bpf_object)

# Bits are taken with their value before, slots by compare-and-exchange: in v3 (v5.12,
# 5ca419f2864a, 5ffa25502b5a).
V3 := cache faults kmem leak tests/bpf/outstanding tests/bpf/pages tests/bpf/turns
$(V3:%=$(BUILD)/%.bpf.o): BPF_CFLAGS += -mcpu=v3

$(BUILD)/%.skel.h: $(BUILD)/%.bpf.o
	$(call msg,SKEL,$@)
	$(Q)$(BPFTOOL) gen skeleton $< name $*_bpf > $@

$(BUILD)/tests/bpf/%.bpf.o: tests/bpf/%.bpf.c
	$(bpf_object)

$(BUILD)/tests/bpf/%.skel.h: $(BUILD)/tests/bpf/%.bpf.o
	$(call msg,SKEL,$@)
	$(Q)$(BPFTOOL) gen skeleton $< name $*_test_bpf > $@

.PHONY: bpf
bpf: $(SKELS)

# Once an object is built its .d file knows the skeleton it includes. For the first time
# the skeleton must be there before.
SKEL_USES := $(shell tools/skel_uses.sh)
skel_of = $(BUILD)/$(if $(wildcard $(dir $(1))$(2:.skel.h=.bpf.c)),$(dir $(1)))$(2)
define skel_use
$(BUILD)/$(1:.c=.o) $(BUILD)/san/$(1:.c=.o): | $(call skel_of,$(1),$(2))
endef
$(foreach u,$(SKEL_USES),$(eval $(call skel_use,$(firstword $(subst :, ,$(u))),$(lastword $(subst :, ,$(u))))))

# The version is compiled into few files; they alone follow it.
$(BUILD)/version: FORCE
	$(Q)mkdir -p $(@D)
	$(Q)echo '$(VERSION)' | cmp -s - $@ || echo '$(VERSION)' > $@
.PHONY: FORCE
FORCE:
VERSION_USERS := $(shell grep -l MEMTALLY_VERSION $(SRCS) /dev/null)
$(VERSION_USERS:%.c=$(BUILD)/%.o) $(VERSION_USERS:%.c=$(BUILD)/san/%.o): $(BUILD)/version

# Tests: every room but the commands, compiled once more with sanitizers. Archives, so
# that a test links what it uses.
SAN := -fsanitize=address,undefined -fno-sanitize-recover=all
SAN_OBJS := $(ROOM_SRCS:%.c=$(BUILD)/san/%.o)
test_helpers = $(patsubst %.c,$(BUILD)/san/%.o,$(filter-out \
	tests/$(1)/test_%.c %.bpf.c,$(wildcard tests/$(1)/*.c)))
UNIT_SRCS := $(wildcard tests/unit/test_*.c)
UNIT_BINS := $(UNIT_SRCS:tests/unit/%.c=$(BUILD)/unit/%)
BPF_TEST_SRCS := $(wildcard tests/bpf/test_*.c)
BPF_TEST_BINS := $(BPF_TEST_SRCS:tests/bpf/%.c=$(BUILD)/bpf/%)
# The decoders are compared where both are there.
TEST_LIBS := -lcmocka $(LIBS) $(if $(wildcard /usr/include/capstone/capstone.h),-lcapstone)

$(BUILD)/san/%.o: %.c
	$(call msg,CC-SAN,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_ALL) -O1 $(SAN) $(TEST_INCLUDE) -MMD -MP -c $< -o $@

$(BUILD)/san/tests/bpf/%.o: TEST_INCLUDE = -I$(BUILD)/tests/bpf

define archive
	$(Q)mkdir -p $(@D)
	$(Q)rm -f $@
	$(Q)ar rcs $@ $(filter %.o,$^)
endef

$(BUILD)/san/rooms.a: $(SAN_OBJS)
	$(archive)
$(BUILD)/san/unit.a: $(call test_helpers,unit)
	$(archive)
$(BUILD)/san/bpf.a: $(call test_helpers,bpf)
	$(archive)

define test_link
	$(call msg,LINK,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(SAN) -o $@ $(filter %.o,$^) $(filter %.a,$^) $(TEST_LIBS)
endef

$(BUILD)/unit/%: $(BUILD)/san/tests/unit/%.o $(BUILD)/san/unit.a $(BUILD)/san/rooms.a
	$(test_link)
$(BUILD)/bpf/%: $(BUILD)/san/tests/bpf/%.o $(BUILD)/san/bpf.a $(BUILD)/san/rooms.a
	$(test_link)

# All of them run, then one failure fails.
run_all = failed=0; for t in $(1); do echo "== $$t"; $$t || failed=1; done; exit $$failed

# Victims: programs with a known answer; the list and its flags live beside them.
.PHONY: victims
-include $(sort $(wildcard tests/*/*.mk))

$(BUILD)/demo_leak: tests/victims/demo_leak.c
	$(call msg,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 $(WARN) -D_GNU_SOURCE -O1 -g -fno-omit-frame-pointer \
		-fno-optimize-sibling-calls -o $@ $<

# The two commands for a fresh machine. What follows the installation is another make,
# because this one looked at the machine before.
.PHONY: demo demo-run check
demo:
	$(Q)tools/deps.sh build
	+$(Q)$(MAKE) --no-print-directory $(JOBS) $(BIN) $(BUILD)/demo_leak
	+$(Q)$(MAKE) --no-print-directory demo-run

demo-run: $(BIN) $(BUILD)/demo_leak
	@echo 'demo: ./$(BIN) leak -- $(BUILD)/demo_leak' >&2
	$(Q)tools/as_root.sh ./$(BIN) leak -- $(BUILD)/demo_leak

# Guests are for CI: they take minutes, and fetch kernels.
CHECKS := unit compilers bpf e2e verifier static lint $(if $(CI),vm)
check:
	$(Q)tools/deps.sh check
	+$(Q)CHECK_MAKE='$(MAKE) --no-print-directory $(JOBS)' tools/check.sh $(BUILD) $(CHECKS)

.PHONY: check-unit check-compilers check-bpf check-e2e check-verifier check-static check-lint
check-unit: $(UNIT_BINS)
	$(Q)$(call run_all,$^)

# Where the kernel lets nobody trace, what needs it is skipped by name.
skip = echo '$@: SKIPPED: '"$(1)"

check-bpf: $(BPF_TEST_BINS)
	$(Q)why="$$(tools/as_root.sh --why)"; $(if $^,,why='no tests in tests/bpf';) \
	if [ -n "$$why" ]; then $(call skip,$$why); else \
		tools/as_root.sh bash -c '$(call run_all,$^)'; fi

PYTEST = env MEMTALLY=./$(BIN) VICTIMS=$(BUILD)/victims PYTHONDONTWRITEBYTECODE=1 \
	$(PYTHON) -m pytest -p no:cacheprovider -q -rs tests/e2e
check-e2e: $(BIN) victims
	$(Q)why="$$(tools/as_root.sh --why)"; \
	if [ -n "$$why" ]; then $(call skip,$$why); $(PYTEST) -m needs_nothing; else \
		tools/as_root.sh $(PYTEST); fi

# What the verifier looks at, against the figures of this machine's kernel.
check-verifier: $(BIN) guest
	$(Q)why="$$(tools/as_root.sh --why)"; \
	if [ -n "$$why" ]; then $(call skip,$$why); else \
		tools/vm/check --suites verifier host; fi

# Both compilers take the code; the other one's warnings are errors too.
check-compilers:
	+$(Q)$(MAKE) CC=$(CLANG) BUILD=$(BUILD)-clang objects
	@echo "check-compilers: $(CLANG) takes it too"

.PHONY: objects
objects: $(OBJS)

missing_archive = $(strip $(foreach l,$(1),$(if $(filter /%,$(shell $(CC) -print-file-name=lib$(l).a)),,lib$(l).a)))
STATIC_MISSING = $(call missing_archive,c bpf dw elf z lzma bz2 zstd popt jansson iberty ncursesw tinfo \
	$(if $(DECODER),capstone))
check-static:
	+$(Q)$(if $(STATIC_MISSING),$(call skip,no $(STATIC_MISSING) here),\
		$(MAKE) STATIC=1 BUILD=$(BUILD)-static && tools/static_check.sh ./memtally-static)

# The same tests, the same binary, other kernels. SUITES=leak_truth,kmem: only these files;
# VMJOBS: guests at a time; ARCH=aarch64: guests of that machine. Each reason and the verifier's
# figures: tools/vm/check --help.
KERNELS ?= $(if $(CROSS),6.12,5.10 6.1 6.12 6.18 7.2)
VMJOBS ?= $(shell nproc)
VMCHECK = tools/vm/check --jobs $(VMJOBS) $(if $(CROSS),--arch $(BPF_ARCH))
.PHONY: vmcheck check-vm
vmcheck: $(BIN) victims guest
	$(Q)tools/deps.sh $(if $(CROSS),arm64,vm)
	$(Q)$(VMCHECK) $(if $(SUITES),--suites $(SUITES)) $(KERNELS)

# A short part of it: the oldest kernel and the newest. What cannot be had is a skip.
check-vm: $(BIN) victims
	$(Q)tools/deps.sh vm || true
	$(Q)$(VMCHECK) --timeout 600 --suites quick,features 5.10 7.2

.PHONY: lint format tidy bench fuzz
lint check-lint:
	$(Q)tools/lint.sh

format:
	$(Q)git ls-files -co --exclude-standard -- '*.c' '*.h' ':!vmlinux' | \
		while read -r f; do [ ! -f "$$f" ] || clang-format -i "$$f"; done

tidy: $(SKELS)
	$(Q)tools/deps.sh tidy
	$(Q)clang-tidy --quiet $(SRCS) -- $(filter-out -Werror,$(CFLAGS_ALL))

# QUICK=1: the main figures in less than a minute. The full run writes docs/bench.md.
BENCHES := tests/bench/bench.py $(if $(QUICK),,$(wildcard tests/bench/bench_*.py))
LOADS := $(BUILD)/bench/load $(BUILD)/bench/load-fp
BENCH_BINS := $(patsubst tests/bench/%.c,$(BUILD)/bench/%,$(wildcard tests/bench/*.c))
$(filter-out $(LOADS),$(BENCH_BINS)): $(BUILD)/bench/%: $(BUILD)/tests/bench/%.o $(ROOM_SRCS:%.c=$(BUILD)/%.o)
	$(call msg,LINK,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) -o $@ $^ $(LIBS)
bench: $(BIN) $(BENCH_BINS) $(LOADS)
	$(Q)for b in $(BENCHES); do tools/as_root.sh env BUILD=$(BUILD) QUICK='$(QUICK)' \
		PYTHONDONTWRITEBYTECODE=1 $(PYTHON) $$b || exit 1; done

FUZZ_SAN := -fsanitize=address,undefined -fno-sanitize-recover=all
FUZZERS := $(patsubst tests/fuzz/%.c,$(BUILD)/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))
$(BUILD)/fuzz/obj/%.o: %.c
	$(call msg,CC-FUZZ,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) $(CFLAGS_ALL) -O1 -fsanitize=fuzzer-no-link $(FUZZ_SAN) -MMD -MP -c $< -o $@
$(BUILD)/fuzz/rooms.a: $(ROOM_SRCS:%.c=$(BUILD)/fuzz/obj/%.o)
	$(archive)
$(BUILD)/fuzz/%: $(BUILD)/fuzz/obj/tests/fuzz/%.o $(BUILD)/fuzz/rooms.a
	$(call msg,LINK,$@)
	$(Q)$(CLANG) -fsanitize=fuzzer $(FUZZ_SAN) -o $@ $^ $(LIBS)
fuzz:
	$(Q)tools/deps.sh fuzz
	+$(Q)$(MAKE) --no-print-directory $(JOBS) fuzz-run
.PHONY: fuzz-run
fuzz-run: $(FUZZERS)
	$(Q)$(if $^,,echo 'fuzz: nothing in tests/fuzz' >&2; exit 1;) for f in $^; do \
		mkdir -p $$f.corpus && $$f -max_total_time=$(FUZZ_SECONDS) -print_final_stats=1 \
			-artifact_prefix=$$f- $$f.corpus || exit 1; done

# Completion comes from the option tables of the program itself.
MANS := $(wildcard docs/*.[1-8])
.PHONY: install
install: $(BIN)
	install -D -m 755 $(BIN) $(DESTDIR)$(PREFIX)/bin/memtally
	$(foreach m,$(MANS),install -D -m 644 $(m) \
		$(DESTDIR)$(PREFIX)/share/man/man$(subst .,,$(suffix $(m)))/$(notdir $(m)) &&) true
	./$(BIN) --completion bash > $(BUILD)/completion.bash
	install -D -m 644 $(BUILD)/completion.bash \
		$(DESTDIR)$(PREFIX)/share/bash-completion/completions/memtally

.PHONY: clean
clean:
	$(Q)rm -rf build build-* memtally memtally-static

-include $(shell test -d $(BUILD) && find $(BUILD) -path $(BUILD)/vm -prune -o -name '*.d' -print)

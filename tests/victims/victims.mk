# SPDX-License-Identifier: GPL-2.0-or-later
#
# Programs with a known answer. `make victims` builds them into $(BUILD)/victims:
# NAME-o0, NAME-o2fp (frame pointers) and NAME-o2 (none) of every victim, and eleven in
# more shapes. What the machine has no compiler for is left out, and said.

VICTIM_DIR := $(BUILD)/victims
VICTIM_SRC := tests/victims

VICTIM_NAMES := eleven threads overflow stacks young sorter fork exec spawn dlopen \
	jemalloc_api realloc ranges nested churn failing custom steady restless kernel_objects
VICTIM_VARIANTS := o0 o2fp o2

VICTIM_CFLAGS := -std=gnu11 $(WARN) -D_GNU_SOURCE -g -Wl,--build-id
VICTIM_CXXFLAGS := -std=gnu++17 -Wall -Wextra -Werror -D_GNU_SOURCE -g -Wl,--build-id
VICTIM_LIBS = -L$(VICTIM_DIR) -Wl,-rpath,'$$ORIGIN' -ldl -lpthread
VICTIM_FLAGS_o0 := -O0 -fno-omit-frame-pointer
VICTIM_FLAGS_o2fp := -O2 -fno-omit-frame-pointer -mno-omit-leaf-frame-pointer
VICTIM_FLAGS_o2 := -O2 -fomit-frame-pointer

have = $(shell command -v $(1) 2>/dev/null)
STRIP := $(CROSS:%=%-linux-gnu-)strip
VICTIM_CC := $(CC)
VICTIM_CXX := $(or $(CXX),c++)

VICTIM_BINS := $(foreach v,$(VICTIM_VARIANTS),$(VICTIM_NAMES:%=$(VICTIM_DIR)/%-$(v)) \
	$(VICTIM_DIR)/cpp-$(v))
VICTIM_BINS += $(VICTIM_DIR)/eleven-static $(VICTIM_DIR)/eleven-static-stripped \
	$(VICTIM_DIR)/eleven-stripped $(VICTIM_DIR)/eleven-nopie $(VICTIM_DIR)/cpp-static
VICTIM_BINS += $(addprefix $(VICTIM_DIR)/,libleak.so liboracle.so)
VICTIM_BINS += $(VICTIM_DIR)/kmem_loops
# musl's compiler wrapper is for this machine only.
ifneq ($(if $(CROSS),,$(call have,musl-gcc)),)
VICTIM_BINS += $(addprefix $(VICTIM_DIR)/,eleven-musl eleven-musl-static realloc-musl threads-musl)
else
VICTIM_MISSING += musl-gcc
endif
ifneq ($(call have,$(CLANG)),)
VICTIM_BINS += $(addprefix $(VICTIM_DIR)/,eleven-clang realloc-clang)
else
VICTIM_MISSING += $(CLANG)
endif
ifeq ($(ARCH),x86_64)
VICTIM_BINS += $(VICTIM_DIR)/hold32
endif

victims: $(VICTIM_BINS)
	$(if $(VICTIM_MISSING),@echo "victims: left out for lack of: $(VICTIM_MISSING)" >&2)

VICTIM_COMMON := $(VICTIM_SRC)/victim.c
VICTIM_DEPS := $(VICTIM_COMMON) $(VICTIM_SRC)/victim.h $(VICTIM_SRC)/victims.mk | $(VICTIM_DIR)

$(VICTIM_DIR):
	$(Q)mkdir -p $@

# $(1) suffix, $(2) compiler, $(3) flags, $(4) libraries
define victim_rule
$(VICTIM_DIR)/%-$(1): $(VICTIM_SRC)/%.c $(VICTIM_DEPS)
	$$(call msg,VICTIM,$$@)
	$$(Q)$(2) $$(VICTIM_CFLAGS) $(3) -o $$@ $$< $(VICTIM_COMMON) $$(VICTIM_EXTRA) $(4)
endef
$(foreach v,$(VICTIM_VARIANTS),$(eval $(call victim_rule,$(v),$$(VICTIM_CC),$(VICTIM_FLAGS_$(v)),$$(VICTIM_LIBS))))
$(eval $(call victim_rule,static,$$(VICTIM_CC),$(VICTIM_FLAGS_o2) -static,-lpthread))
$(eval $(call victim_rule,nopie,$$(VICTIM_CC),$(VICTIM_FLAGS_o2) -no-pie -fno-pie,$$(VICTIM_LIBS)))
$(eval $(call victim_rule,musl,musl-gcc,$(VICTIM_FLAGS_o2),))
$(eval $(call victim_rule,musl-static,musl-gcc,$(VICTIM_FLAGS_o2) -static,))
# Unrolled, one call becomes several call sites, and so several stacks.
VICTIM_CLANG := $(CLANG) $(CROSS:%=--target=%-linux-gnu --sysroot=$(SYSROOT))
$(eval $(call victim_rule,clang,$$(VICTIM_CLANG),$(VICTIM_FLAGS_o2) -fno-unroll-loops,$$(VICTIM_LIBS)))

# Two steps: victim.c is C, the rest is not.
define victim_cpp_rule
$(VICTIM_DIR)/cpp-$(1): $(VICTIM_SRC)/cpp.cc $(VICTIM_DEPS)
	$$(call msg,VICTIM,$$@)
	$$(Q)$$(VICTIM_CC) $$(VICTIM_CFLAGS) $(2) -c -o $$@.o $(VICTIM_COMMON)
	$$(Q)$$(VICTIM_CXX) $$(VICTIM_CXXFLAGS) $(2) -o $$@ $$< $$@.o
endef
$(foreach v,$(VICTIM_VARIANTS),$(eval $(call victim_cpp_rule,$(v),$(VICTIM_FLAGS_$(v)))))
$(eval $(call victim_cpp_rule,static,$(VICTIM_FLAGS_o2) -static))

$(VICTIM_DIR)/%-stripped: $(VICTIM_DIR)/%-o2
	$(Q)$(STRIP) -o $@ $<
$(VICTIM_DIR)/%-static-stripped: $(VICTIM_DIR)/%-static
	$(Q)$(STRIP) -o $@ $<

$(VICTIM_DIR)/custom-o0 $(VICTIM_DIR)/custom-o2fp $(VICTIM_DIR)/custom-o2: VICTIM_EXTRA = -L$(VICTIM_DIR) -lfakecuda
$(VICTIM_DIR)/custom-o0 $(VICTIM_DIR)/custom-o2fp $(VICTIM_DIR)/custom-o2: $(VICTIM_DIR)/libfakecuda.so

$(VICTIM_DIR)/lib%.so: $(VICTIM_SRC)/lib%.c $(VICTIM_DEPS)
	$(call msg,VICTIM,$@)
	$(Q)$(VICTIM_CC) $(VICTIM_CFLAGS) $(VICTIM_FLAGS_o2) -fPIC -shared -o $@ $<

$(VICTIM_DIR)/liboracle.so: $(VICTIM_SRC)/oracle.c $(VICTIM_DEPS)
	$(call msg,VICTIM,$@)
	$(Q)$(VICTIM_CC) $(VICTIM_CFLAGS) -O2 -fPIC -shared -fvisibility=hidden -o $@ $< -lgcc_s -ldl

$(VICTIM_DIR)/hold32: $(VICTIM_SRC)/hold32.c $(VICTIM_DEPS)
	$(call msg,VICTIM,$@)
	$(Q)$(VICTIM_CC) -m32 -O1 -ffreestanding -fno-pie -no-pie -fno-stack-protector -nostdlib -static -o $@ $<

# The work of a benchmark; whether it leaves something behind is a test.
$(VICTIM_DIR)/kmem_loops: $(BUILD)/bench/kmem_loops
	$(call msg,VICTIM,$@)
	$(Q)mkdir -p $(@D)
	$(Q)cp $< $@

# SPDX-License-Identifier: GPL-2.0-or-later
"""
memtally kmem against a module that leaks as it is told (tests/module/kvictim.c): who did it,
how often and how much, exactly; and what only looks like a leak is none.

KMEM_MODULE names the module for this kernel, as tools/vm/module.sh builds it.
"""
import json
import os
import pathlib
import signal
import subprocess
import time

import pytest

from conftest import DEADLINE, FINE, MEMTALLY, Lines, features, methods, need_method
from test_kmem import FOR_SLABS, Kmem, brief, leaf

MODULE = os.environ.get("KMEM_MODULE", "it names none")
PARAMETERS = pathlib.Path("/sys/module/kvictim/parameters")
N = 500
BATCH = 16

pytestmark = pytest.mark.skipif(not os.path.isfile(MODULE), reason=f"KMEM_MODULE: {MODULE}")


def cpus_possible():
    last = pathlib.Path("/sys/devices/system/cpu/possible").read_text().strip().split("-")[-1]
    return int(last) + 1


# Order: (what to trace, of which kind it is, bytes of each, cache).
LEAKS = {
    "kmalloc": ("slab", "slab", 256, "kmalloc-256"),
    "large": ("slab", "slab", 32768, None),
    "cache": ("slab", "slab", 320, "kvictim"),
    "pages": ("pages", "pages", 8192, None),
    "vmalloc": ("vmalloc", "vmalloc", 12288 + 4096, None),  # with the guard page
    # 24 bytes on each processor
    "percpu": ("percpu", "percpu", 24 * cpus_possible(), None),
}


@pytest.fixture(scope="module", name="loaded")
def load_module():
    subprocess.run(["insmod", MODULE], check=True)
    yield
    subprocess.run(["rmmod", "kvictim"], check=True)


@pytest.fixture(name="order")
def order_and_clean_up(loaded):
    def order(name, times=1):
        (PARAMETERS / "run").write_text(f"{name} {times}")
    yield order
    order("give_back")


def without(monkeypatch, features):
    monkeypatch.setenv("MEMTALLY_WITHOUT", features)


def has_vmalloc_events():
    return os.path.exists("/sys/kernel/tracing/events/vmalloc/alloc_vmap_area")


def of_module(objects, function):
    """The stacks that hold this function of the module; not what slabs needed for its objects."""
    return [o for o in objects if o["type"] == "stack" and leaf(o) not in FOR_SLABS and any(
        f["object"] == "kvictim" and (f["function"] or "").startswith(function)
        for f in o["frames"])]


def held(objects, function, kind):
    """(count, bytes) of one kind of memory."""
    found = [o for o in of_module(objects, function) if o["kind"] == kind]
    return sum(o["count"] for o in found), sum(o["bytes"] for o in found)


@pytest.mark.parametrize("leak", LEAKS)
def test_leak_is_exact_and_named(leak, order):
    what, kind, size, cache = LEAKS[leak]
    function = f"kv_leak_{leak}"
    if kind == "vmalloc" and not has_vmalloc_events():
        pytest.skip("this kernel has no event of vmalloc; --watch names its callers")
    named = kind == "slab" or kind == "percpu" and features()["percpu-sites"]
    if kind == "percpu" and named:
        size += 24 // 4 * 8  # told since then: for each 4 bytes who pays (pcpu_obj_full_size())
    with Kmem(what, "--full", "0.5") as kmem:
        order(f"leak_{leak}", N)
        objects = kmem.report_with(lambda r: held(r, function, kind) == (N, N * size))
        row, = [o for o in of_module(objects, function) if o["kind"] == kind]
        assert not row["estimated"] and row["stack_status"] == "complete", row
        if named:
            assert row["frames"][0]["function"] == function, row
        if cache:
            assert row["cache"] == cache
        order("give_back")
        kmem.report_with(lambda r: not of_module(r, "kv_"))
        status, said = kmem.stop()
        assert status == FINE, (kmem.errors.rest(), said)


def all_noleaks(order):
    for name in ("kfree", "kfree_rcu", "call_rcu", "kfree_bulk", "cache_bulk", "alloc_bulk", "split"):
        order(f"noleak_{name}", N)
    order("settle")


# Objects of them that have an event when they are allocated.
NOLEAK_ALLOCATIONS = N * (3 + 2 * BATCH)


@pytest.mark.parametrize("remedy,lacks,args", [
    # Only the check tells pages of slabs, which stay for the next object.
    ("fentry", "", ["slab", "--no-check"]),
    ("kprobe", "fentry", ["slab", "--no-check"]),
    ("check", "fentry,kprobe", []),
])
def test_frees_without_an_event_are_no_leaks(remedy, lacks, args, order, monkeypatch):
    """In bulk and by RCU, seen at their functions or by the check that is there without them."""
    if remedy == "check":
        need_method("kmem", "check")
    without(monkeypatch, lacks)
    with Kmem("--full", *args, "0.5") as kmem:
        all_noleaks(order)
        objects = kmem.report_with(
            lambda r: r[-1]["allocations"] >= NOLEAK_ALLOCATIONS and not of_module(r, "kv_"))
        trust = objects[-1]
        if remedy == "check":
            assert trust["missed_by_check"] > 0 and not trust["bulk_frees"], trust
        else:
            assert trust["bulk_frees"] >= N * (2 * BATCH + 1), trust
            assert not trust["missed_by_check"], trust


def test_leaks_are_found_among_what_is_none(order):
    # Only the check tells pages of slabs, whoever is the first to need one.
    pages = "kv_" if methods()["kmem"]["check"] else "kv_leak_pages"
    with Kmem("--full", "0.5") as kmem:
        order("leak_cache", N)
        all_noleaks(order)
        order("leak_pages", N)
        kmem.report_with(lambda r: held(r, "kv_", "slab") == (N, N * 320)
                         and held(r, pages, "pages") == (N, N * 8192))


def test_watch_names_the_cache_and_the_caller(order):
    kmem = subprocess.Popen([MEMTALLY, "kmem", "--watch", "--json", "-T", "10"],
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    lines = Lines(kmem.stdout)
    try:
        assert json.loads(lines.next())["method"] == "proc"
        order("leak_cache", 10 * N)
        order("leak_vmalloc", N)
        kmem.send_signal(signal.SIGINT)
        objects = [json.loads(line) for line in lines.rest()]
        assert kmem.wait(DEADLINE) == FINE
    finally:
        kmem.kill()
    caches = {o["name"]: o["growth_objects"] for o in objects if o["type"] == "slab_cache"}
    # Whole slabs of each processor count as used, before and after.
    assert abs(caches["kvictim"] - 10 * N) < N, caches
    callers = {o["name"]: o["growth_bytes"] for o in objects if o.get("kind") == "vmalloc"}
    assert [n for name, n in callers.items() if name.startswith("kv_leak_vmalloc")] == [N * 12288], callers


def test_suspect_traces_the_growing_cache(order):
    kmem = subprocess.Popen([MEMTALLY, "kmem", "--suspect", "--json", "-T", "100000", "1"],
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    lines, errors = Lines(kmem.stdout), Lines(kmem.stderr)
    try:
        assert b"watching" in errors.next()
        order("leak_cache", 10 * N)
        grown = []
        while not grown or grown[-1]["type"] != "start":
            grown.append(json.loads(lines.next()))
        assert "kvictim" in [o["name"] for o in grown if o["type"] == "slab_cache"][:4]
        order("leak_cache", N)
        found, end = [], time.monotonic() + DEADLINE
        while held(found, "kv_leak_cache", "slab") != (N, N * 320):
            found = [json.loads(lines.next())]
            assert time.monotonic() < end, [brief(o) for o in found]
    finally:
        kmem.kill()

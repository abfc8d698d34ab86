# SPDX-License-Identifier: GPL-2.0-or-later
"""What is filtered or not sampled, by each way of attaching: the same numbers, less work."""
import json
import math
import os

import pytest
from conftest import FINE, assert_truth, frame_name, load, memtally, rows_of, shared_library
from test_leak_options import binomial_bounds, only_sites

WAYS = {
    "uprobe-session": "",
    "uprobe-multi": "uprobe-session",
    "uprobe-perf": "uprobe-session,uprobe-multi",
}


def environment(way):
    return {**os.environ, "MEMTALLY_WITHOUT": WAYS[way]}


@pytest.fixture(params=WAYS)
def way(request):
    """Skips what the kernel has not; what it has is chosen unless masked."""
    has = json.loads(memtally("--json", command="features").stdout)
    if request.param != "uprobe-perf" and not (has[request.param] and has["uprobe-multi-pid"]):
        pytest.skip(f"the kernel has no {request.param}")
    return request.param


@pytest.fixture
def attach(victim, tally, way):
    """attach(victim, *args, options=[], env={}): as trace, by one way; (Tally, truth)."""
    def run(name, *args, options=(), env=None):
        v = victim(name, *args, env=env or {})
        t = tally("-p", v.pid, *options, env=environment(way)).started()
        assert t.start["method"] == way
        truth = v.run()
        t.stop()
        return t, truth
    return run


# Of nested: those whose calls are at least 1000 bytes.
LARGE = {"large", "zeroed", "aligned", "resized", "giant", "mapped"}


@pytest.mark.parametrize("unwind", ["auto", "fp", "none"])
@pytest.mark.parametrize("name", ["nested-o2", "nested-o2fp"])
def test_filtered_calls_hide_what_they_map(attach, name, unwind):
    """
    Small calls of malloc are filtered and map arenas: never the program's. What it maps
    itself right behind such a call is.
    """
    options = ["-z", "1000", "--unwind", unwind]
    t, truth = attach(name, options=["-t", *options])
    calls = [o for o in t.objects if o["type"] == "call" and o["function"] in ("mmap", "mmap64")]
    assert len(calls) == truth["sites"]["mapped"]["count"] == 20
    assert {c["bytes"] for c in calls} == {65536}
    if unwind == "auto":
        assert_truth(t.last, only_sites(truth, LARGE))
        assert all(frame_name(c["frames"][0]) == "map_deeper" for c in calls)
    else:
        mapped = [r for r in t.last.rows if r.kind == "mmap"]
        assert sum(r.bytes for r in mapped) == 20 * 65536, mapped
    t.assert_clean()


def assert_unbiased(t, truth, site, size, interval):
    """See test_sampling: 1e-7, and a percent for the rounding of weights."""
    n = truth["sites"][site]["count"]
    p = 1 - math.exp(-size / interval)
    high, low = binomial_bounds(n, p, 1e-7)
    row, = rows_of(t.last, truth["sites"][site])
    assert low / p * 0.99 <= row.count <= high / p * 1.01, (row.count, low / p, high / p)
    assert t.status == FINE
    assert t.end["events"] > 0


@pytest.mark.parametrize("allocator", [None, "libjemalloc.so.2", "libtcmalloc_minimal.so.4",
                                       "libmimalloc.so.2.0"])
def test_sampled_operator_new(attach, allocator):
    """A block that passes through operator new and malloc is drawn once."""
    env = {"LD_PRELOAD": shared_library(allocator)} if allocator else None
    t, truth = attach("cpp-o2", "--nodes", load(100000), "--throws", "0", options=["-s", "1024"],
                      env=env)
    assert_unbiased(t, truth, "node", 120, 1024)


@pytest.mark.parametrize("zeroed", [(), ("--zeroed", "1")])
@pytest.mark.parametrize("name", ["threads-o2", "threads-musl"])
def test_sampled_calloc(attach, name, zeroed):
    """musl's calloc calls malloc, glibc's does not."""
    t, truth = attach(name, "--loops", load(25000), *zeroed, options=["-s", "512"])
    assert_unbiased(t, truth, "leak", 88, 512)


def test_skipped_returns_cost_nothing(victim, tally):
    """The traps of a filtered run, by the session link and without it: one less for a pair."""
    has = json.loads(memtally("--json", command="features").stdout)
    if not (has["uprobe-session"] and has["uprobe-multi-pid"]):
        pytest.skip("the kernel has no uprobe-session")
    trap_ns = {}
    for way in ("uprobe-session", "uprobe-multi"):
        v = victim("threads-o2", "--loops", load(50000), "--short", "0")
        t = tally("-p", v.pid, "-v", "-z", "1G", env=environment(way)).started()
        v.run()
        t.stop()
        end = t.end
        assert end["events"] > load(200000)
        trap_ns[way] = end["trap_cpu_ratio"] * end["duration_s"] * 1e9 / end["events"]
    assert trap_ns["uprobe-session"] < 0.8 * trap_ns["uprobe-multi"], trap_ns

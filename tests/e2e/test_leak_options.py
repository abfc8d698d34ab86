# SPDX-License-Identifier: GPL-2.0-or-later
"""Each option of leak does what its help says, with the numbers that follow from it."""
import collections
import math
import os
import re
import signal
import subprocess

import pytest
from conftest import (FINE, INCOMPLETE, USAGE, assert_truth, frame_name, load, losses_of,
                      memtally, rows_of, symbols_of, victim_path)

def total(truth):
    return (sum(s["bytes"] for s in truth["sites"].values()),
            sum(s["count"] for s in truth["sites"].values()))


def only_sites(truth, names):
    """The truth if only these sites counted: the others must not show."""
    sites = {n: dict(s) for n, s in truth["sites"].items()}
    for name, site in sites.items():
        if name not in names:
            site["bytes"] = site["count"] = 0
    return {"sites": sites}


# What the help says is what happens

def test_documented_defaults_are_real(victim, tally):
    """Every '(default: X)' of --help equals the value in the start object."""
    text = memtally("--help").stdout.decode()
    text = re.sub(r"\n {10,}", " ", text)
    documented = dict(re.findall(r"--([a-z-]+)(?:=\S+)? .*?\(default: ([^)]+)\)", text))
    assert {"older", "top", "sort", "by", "max-blocks", "max-stacks", "unwind"} <= set(documented)
    v = victim("eleven-o2")
    t = tally("-p", v.pid, "-T", documented["top"]).started()
    for name, value in documented.items():
        assert str(t.start["options"][name]) in (value, value + ".0"), name
    v.run()
    t.stop()
    assert len(t.last.rows) == min(int(documented["top"]), 11)


def test_help_has_an_example():
    run = memtally("--help")
    assert run.returncode == FINE and not run.stderr
    assert b"memtally leak" in run.stdout.split(b"EXAMPLES")[1]
    for option in ("--pid", "--follow", "--cgroup", "--all", "--duration", "--show-allocs",
                   "--older", "--min-size", "--max-size", "--sample", "--top", "--sort", "--trace",
                   "--by", "--max-blocks", "--max-stacks", "--alloc", "--free", "--unwind",
                   "--json"):
        assert option.encode() in run.stdout, option


def test_version_and_command_list():
    run = memtally("--version", command=None)
    assert run.returncode == FINE and re.match(rb"memtally \S+", run.stdout)
    run = memtally("--help", command=None)
    assert run.returncode == FINE and b"leak" in run.stdout


# -a

def test_show_allocs(trace):
    """Every block once, each with its stack; sizes add up to the rows."""
    t, truth, _ = trace("eleven-o2", options=["-a"])
    assert_truth(t.last, truth)
    heap = [b for b in t.last.blocks if t.last.rows[b["stack"]].kind == "malloc"]
    by_row = collections.defaultdict(list)
    for block in t.last.blocks:
        assert block["pid"] == truth["pid"]
        assert 0 <= block["age_ms"] < 60000
        by_row[block["stack"]].append(block)
    for i, row in enumerate(t.last.rows):
        assert sum(b["bytes"] for b in by_row[i]) == row.bytes, row
        if row.kind == "malloc":
            assert len(by_row[i]) == row.count, row
    addresses = [b["address"] for b in t.last.blocks]
    assert len(set(addresses)) == len(addresses)
    assert len(heap) == total(truth)[1] - truth["sites"]["l9"]["count"]
    t.assert_clean()


# -o

def test_older(victim, tally):
    """Blocks that live 200 ms never show with -o 3000; the old ones do once they are old."""
    v = victim("young-o2")
    t = tally("-p", v.pid, "-o", "3000", "0.5").started()
    v.say()
    tick = t.wait_tick(lambda tick: tick.rows, "the old blocks")
    young = {"chain": ["young_leaf", "young_mid", "young_top"], "via": "", "function": ""}
    old = {"chain": ["old_leaf", "old_mid", "old_top"], "via": "", "function": ""}
    row, = rows_of(tick, old)
    assert (row.bytes, row.count) == (25000, 50)
    assert row.obj["age_max_ms"] >= 3000 and row.obj["age_p50_ms"] >= 3000
    t.wait_tick(lambda tick: True, "one more report")
    v.say("end")
    truth = v.expect("ready")
    t.stop()
    for tick in t.ticks.values():
        assert not rows_of(tick, young), tick.rows
    assert_truth(t.last, truth)
    t.assert_clean()


def test_without_older_the_young_show(victim, tally):
    v = victim("young-o2")
    t = tally("-p", v.pid, "0.3").started()
    v.say()
    young = {"chain": ["young_leaf", "young_mid", "young_top"], "via": "", "function": ""}
    tick = t.wait_tick(lambda tick: any(r.count >= 99 for r in rows_of(tick, young)), "the ring")
    row, = rows_of(tick, young)
    assert row.count in (99, 100) and row.bytes == row.count * 1000
    v.say("end")
    truth = v.expect("ready")
    t.stop()
    assert_truth(t.last, truth)
    t.assert_clean()


# -z, -Z

@pytest.mark.parametrize("options,sites", [
    (["-z", "300", "-Z", "1024"], {"l3", "l4", "l6", "l7", "l11"}),
    (["-z", "301"], {"l3", "l5", "l6", "l7", "l9", "l11"}),
    (["--min-size", "1M"], {"l5"}),
    (["-Z", "41"], {"l8"}),
    (["-z", "1K", "-Z", "1K"], {"l3"}),
    (["--min-size", "2M"], set()),
])
def test_size_bounds(trace, options, sites):
    """Bounds are inclusive and in bytes; K and M are 1024 and 1024^2."""
    t, truth, _ = trace("eleven-o2", options=options)
    assert_truth(t.last, only_sites(truth, sites))
    t.assert_clean()


def test_size_bounds_and_realloc(trace):
    """A block that shrinks below the bound leaves, one that grows above it enters."""
    t, truth, _ = trace("realloc-o2", options=["-z", "150"])
    assert_truth(t.last, only_sites(truth, {"adopted", "failed", "grower", "mapped"}))
    t.assert_clean()


# -s

def binomial_bounds(n, p, alarm):
    """
    Counts that a binomial(n, p) leaves with a probability below `alarm`: Chernoff's bound
    P(K >= k), P(K <= k) <= exp(-n KL(k/n || p)), half of the alarm on each side.
    """
    def divergence(q):
        first = q * math.log(q / p) if q else 0
        second = (1 - q) * math.log((1 - q) / (1 - p)) if q < 1 else 0
        return first + second
    need = math.log(2 / alarm) / n

    def bisect(low, high):
        for _ in range(200):
            middle = (low + high) / 2
            low, high = (middle, high) if divergence(middle) < need else (low, middle)
        return high
    return n * bisect(p, 1 - 1e-12), n * bisect(p, 0)


@pytest.mark.parametrize("interval", [512, 2048])
def test_sampling(trace, interval):
    """
    Many blocks (400000) of 88 bytes, sampled at a mean distance of `interval` bytes: each is
    sampled with p = 1 - exp(-88 / interval), independently (Poisson), and stands for 1/p
    blocks. The estimate may leave the binomial's bounds once in ten million runs; one
    more percent is granted to the rounding of weights.
    """
    loops, size = load(100000), 88
    n = 4 * loops
    p = 1 - math.exp(-size / interval)
    high, low = binomial_bounds(n, p, 1e-7)
    t, truth, _ = trace("threads-o2", "--loops", loops, options=["-s", str(interval)])
    row, = rows_of(t.last, truth["sites"]["leak"])
    assert row.obj["estimated"] is True
    assert low / p * 0.99 <= row.count <= high / p * 1.01, (row.count, low / p, high / p)
    assert low / p * 0.99 * size <= row.bytes <= high / p * 1.01 * size
    t.assert_clean()


def test_sampling_large_blocks(trace):
    """Blocks of many intervals are always taken: exact; what was freed is gone, exactly."""
    t, truth, _ = trace("eleven-o2", options=["-s", "4096"])
    row, = rows_of(t.last, truth["sites"]["l5"])  # p(miss) = exp(-256)
    assert row.count == 20 and abs(row.bytes - 20971520) <= 20971520 // 1000
    for name in ("f1", "f2", "f3", "f4", "f5"):
        assert not rows_of(t.last, truth["sites"][name])
    assert all(r.obj["estimated"] for r in t.last.rows if r.kind == "malloc")


# -T, --sort, --by

def leaf(row):
    return row.names[0].split("_")[0]


def test_top(trace):
    t, truth, _ = trace("eleven-o2", options=["-T", "3"])
    assert [leaf(r) for r in t.last.rows] == ["l5", "l9", "l3"]


@pytest.mark.parametrize("key,first", [("bytes", "big"), ("count", "many"), ("age", "aged")])
def test_sort(victim, tally, key, first):
    v = victim("sorter-o2")
    t = tally("-p", v.pid, "--sort", key, "0.2").started()
    v.say()
    v.expect("aged")
    t.wait_tick(lambda tick: tick.rows, "the aged blocks")  # ages differ by a report's time
    t.wait_tick(lambda tick: tick.rows, "one more report")
    v.say()
    v.expect("grown")
    v.say()
    truth = v.expect("ready")
    t.stop()
    assert_truth(t.last, truth)
    assert leaf(t.last.rows[0]) == first
    if key != "age":
        values = [r.obj[key] for r in t.last.rows]
        assert values == sorted(values, reverse=True)
    t.assert_clean()


def test_sort_by_rate(victim, tally):
    """The site that grew since the last report comes first, with its rate."""
    v = victim("sorter-o2")
    t = tally("-p", v.pid, "--sort", "rate", "0.5").started()
    v.say()
    v.expect("aged")
    v.say()
    v.expect("grown")
    t.wait_tick(lambda tick: any(leaf(r) == "many" and r.count == 5000 for r in tick.rows), "many")
    t.wait_tick(lambda tick: True, "a report without changes")
    v.say()
    truth = v.expect("ready")
    tick = t.wait_tick(lambda tick: any(leaf(r) == "fast" for r in tick.rows), "fast")
    row = tick.rows[0]
    assert leaf(row) == "fast" and row.obj["alloc_rate"] > 0 and row.obj["free_rate"] == 0
    assert all(r.obj["alloc_rate"] == 0 for r in tick.rows[1:]), tick.rows
    # 1000 allocations over the interval, which may have been cut in two
    assert row.obj["alloc_rate"] <= 1000 / 0.4
    t.stop()
    assert_truth(t.last, truth)


def test_by_thread(trace):
    """A row per thread: the numbers of each, and threads that gave all back have none."""
    t, truth, _ = trace("threads-o2", options=["--by", "thread"])
    rows = rows_of(t.last, truth["sites"]["leak"])
    assert [(r.bytes, r.count) for r in rows] == [(load(20000) * 88, load(20000))] * 4
    tids = {r.obj["tid"] for r in rows}
    assert len(tids) == 4 and truth["pid"] not in tids
    assert len(t.last.rows) == 4
    t.assert_clean()


def test_by_many_threads(trace):
    """More at once than there are slots (bpf/thread_slots.bpf.h), then again as many in turn."""
    t, truth, _ = trace("threads-o2", "--threads", "180", "--loops", "100", "--short", "180",
                        options=["--by", "thread", "-T", "1000"])
    rows = rows_of(t.last, truth["sites"]["leak"])
    assert [(r.bytes, r.count) for r in rows] == [(8800, 100)] * 180
    assert len({r.obj["tid"] for r in rows}) == 180
    t.assert_clean()


def test_by_process(victim, tally):
    """One row per process, its sums."""
    a, b = victim("eleven-o2"), victim("threads-o2")
    t = tally("-p", f"{a.pid},{b.pid}", "--by", "process").started()
    truths = {v.pid: total(v.run()) for v in (a, b)}
    t.stop()
    assert {r.pid: (r.bytes, r.count) for r in t.last.rows} == truths
    assert len(t.last.rows) == 2
    t.assert_clean()


# -t

def test_trace(trace):
    """Every call with its stack; replayed, they give the truth."""
    t, truth, _ = trace("threads-o2", "--loops", "400", "--short", "0", options=["-t"])
    calls = [o for o in t.objects if o["type"] == "call"]
    live = {}
    for call in calls:
        if call["free"]:
            assert live.pop(call["address"], None), call
        else:
            assert call["address"] not in live
            live[call["address"]] = call
    leaks = [c for c in live.values()
             if [frame_name(f) for f in c["frames"]][:2] == ["leak_leaf", "leak_mid"]]
    assert len(leaks) == len(live) == 1600
    assert {(c["bytes"], c["function"]) for c in leaks} == {(88, "malloc")}
    assert len({c["tid"] for c in leaks}) == 4
    assert_truth(t.last, truth)
    t.assert_clean()


# Limits

def test_max_stacks(trace):
    """Stacks that find no room are said; their bytes are not lost."""
    t, truth, _ = trace("stacks-o2", options=["--max-stacks", "1000"])
    assert t.status == INCOMPLETE
    assert any(losses_of(t.last).values())
    assert len(t.last.rows) <= 1100
    assert sum(r.bytes for r in t.last.rows) == 8000 * 320
    assert sum(r.count for r in t.last.rows) == 80000


def test_stacks_are_there_in_each_report(tally, tmp_path):
    """A report has the stacks of what came while it was made."""
    t = tally("0.01", "--", victim_path("stacks-o2"), "--no-wait", "--stacks", "2500",
              "--bits", "40", "--truth", tmp_path / "t").wait()
    assert sum(r.bytes for r in t.last.rows) == 2500 * 320
    t.assert_clean()


def test_stacks_that_find_the_ring_full(victim, tally):
    """Who reads too late misses stacks: as many blocks as have none are said to have none."""
    v = victim("stacks-o2", "--bits", "60")
    t = tally("-p", v.pid).started()
    os.kill(t.proc.pid, signal.SIGSTOP)
    v.run()
    os.kill(t.proc.pid, signal.SIGCONT)
    t.stop()
    assert t.status == INCOMPLETE
    assert sum(r.bytes for r in t.last.rows) == 8000 * 320
    lost = sum(r.count for r in t.last.rows if r.obj["stack_status"] == "lost")
    assert 0 < losses_of(t.last)["stacks_unsent"] == lost < 80000


@pytest.mark.parametrize("option", ["--max-blocks", "--max-stacks"])
def test_loss_names_its_cure(option, tmp_path):
    """The text report says what was lost and which option cures it."""
    run = memtally(option, "500", "--", victim_path("stacks-o2"), "--no-wait", "--truth",
                   tmp_path / "t")
    assert run.returncode == INCOMPLETE, run.stderr
    lost = [x for x in run.stdout.decode().splitlines() if x.startswith("LOST ")]
    assert any(re.match(rf"LOST \d+: .*cure: .*{option}", x) for x in lost), lost


def test_larger_limits_take_more_memory(victim, tally):
    """Memory use is said at start, and follows the options."""
    v = victim("eleven-o2")
    sizes = []
    for n in ("10000", "1000000"):
        t = tally("-p", v.pid, "--max-blocks", n).started()
        sizes.append(t.start["map_bytes"])
        t.stop()
    assert sizes[1] - sizes[0] >= 990000 * 40, sizes


# --unwind

def test_unwind_none(trace):
    """No walk: one frame, the caller of the allocator; numbers as ever."""
    t, truth, _ = trace("eleven-o2", options=["--unwind", "none"])
    rows = {r.names[0]: r for r in t.last.rows if r.names}
    assert rows["l1_leaf"].bytes == 100000 and rows["l1_leaf"].count == 1000
    assert all(len(r.names) <= 1 for r in t.last.rows)
    assert sum(r.bytes for r in t.last.rows) == total(truth)[0]
    assert t.status == FINE


@pytest.mark.parametrize("mode,shape", [("fp", "o0"), ("fp", "o2fp"), ("dwarf", "o0"),
                                        ("dwarf", "o2fp"), ("dwarf", "o2"), ("auto", "o2")])
def test_unwind_modes(trace, mode, shape):
    skip = ("l8",) if mode == "fp" else ()  # strdup keeps no frame pointer: not its caller's
    t, truth, _ = trace(f"eleven-{shape}", options=["--unwind", mode])
    assert_truth(t.last, truth, skip=skip, only=not skip)
    assert sum(r.bytes for r in t.last.rows) == total(truth)[0]
    assert t.status == FINE


# Text and folded stacks

def text_rows(text):
    """[(bytes, count, [function...])] of the text report."""
    rows = []
    for line in text.splitlines():
        head = re.match(r"^\t(\d+) bytes in (\d+) allocations from stack", line)
        if head:
            rows.append((int(head[1]), int(head[2]), []))
        elif rows and line.startswith("\t\t") and not line.endswith("(inlined)"):
            name = re.match(r"\t\t(\S+?)\+0x[0-9a-f]+( \[\S+\])?", line)
            if name:
                rows[-1][2].append(name[1])
    return rows


def test_text_report(tmp_path):
    run = memtally("-T", "100", "--", victim_path("eleven-o2"), "--no-wait", "--truth",
                   tmp_path / "t", "--status", "4")
    text = run.stdout.decode()
    assert run.returncode == FINE, run.stderr
    assert re.match(r"^\[\d\d:\d\d:\d\d\] Top 100 stacks with outstanding allocations:\n", text)
    rows = text_rows(text)
    assert rows[0][:2] == (20971520, 20)
    assert rows[0][2][:5] == ["l5_leaf", "l5_mid", "l5_top", "run_sites", "main"]
    assert (100000, 1000) in [r[:2] for r in rows] and len(rows) == 11
    assert re.search(r"l5_leaf\+0x[0-9a-f]+ \[eleven-o2\]", text)
    assert "exited with status 4" in text.splitlines()[-1]
    assert "\x1b" not in text


def test_text_says_how_many_more(tmp_path):
    run = memtally("-T", "2", "--", victim_path("eleven-o2"), "--no-wait", "--truth", tmp_path / "t")
    text = run.stdout.decode()
    rest = 100000 + 120000 + 204800 + 30000 + 25600 + 21000 + 2460 + 4920 + 7750
    assert f"(and 9 more stacks with {rest} bytes)" in text
    assert len(text_rows(text)) == 2


def test_found_and_skipped_in_one_line(tmp_path):
    run = memtally("--", victim_path("eleven-o2"), "--no-wait", "--truth", tmp_path / "t")
    lines = [x for x in run.stderr.decode().splitlines() if "found" in x]
    assert len(lines) == 1 and "libc" in lines[0] and "eleven-o2" in lines[0], run.stderr


@pytest.mark.parametrize("where", ["file", "-"])
def test_folded(tmp_path, where):
    file = tmp_path / "folded"
    run = memtally("--folded", file if where == "file" else "-", "-T", "1", "--",
                   victim_path("eleven-o2"), "--no-wait", "--truth", tmp_path / "t")
    assert run.returncode == FINE, run.stderr
    text = file.read_text() if where == "file" else run.stdout.decode()
    stacks = [line.rsplit(" ", 1) for line in text.splitlines()]
    assert len(stacks) == 11, text
    assert sum(int(n) for _, n in stacks) == 20971520 + 327680 + 516530
    found = [(s.split(";")[-5:], n) for s, n in stacks]
    assert (["main", "run_sites", "l1_top", "l1_mid", "l1_leaf"], "100000") in found, text


# Allocators that only the user knows

CUDA = {"--alloc": "libfakecuda.so:fakecudaMalloc:size=arg2,ptr=*arg1",
        "--free": "libfakecuda.so:fakecudaFree"}
POOL = {"--alloc": "libfakecuda.so:pool_take:size=arg2*arg3",
        "--free": "libfakecuda.so:pool_give:ptr=arg2"}


def spec_args(*specs):
    return [word for spec in specs for pair in spec.items() for word in pair]


@pytest.mark.parametrize("variant", ["o0", "o2"])
def test_custom_allocator(trace, variant):
    """Pointer through argument, success by zero; and count times size."""
    t, truth, _ = trace(f"custom-{variant}", options=spec_args(CUDA, POOL))
    assert_truth(t.last, truth)
    t.assert_clean()


def test_custom_allocator_is_not_found_alone(trace):
    t, truth, _ = trace("custom-o2")
    assert_truth(t.last, only_sites(truth, {"heap"}))
    t.assert_clean()


BAD_SPECS = ["", ":", "::", "nonsense", "libc.so.6:", "libc.so.6:malloc", "libc.so.6:malloc:",
             "libc.so.6:malloc:size", "libc.so.6:malloc:size=", "libc.so.6:malloc:size=arg0",
             "libc.so.6:malloc:size=arg7", "libc.so.6:malloc:size=arg11", "libc.so.6::size=arg1",
             "libc.so.6:malloc:size=arg1,size=arg2", "libc.so.6:malloc:size=arg1,bogus=1",
             "libc.so.6:malloc:size=arg1,ok=maybe", "libc.so.6:malloc:size=arg1*arg2*arg3",
             "libc.so.6:malloc:size=*arg1", "libc.so.6:malloc:ptr=ret", "exe:0x:size=arg1",
             "exe:0xfffffffffffffffff:size=arg1", "libc.so.6:malloc:size=arg1,", "a" * 5000]


@pytest.mark.parametrize("spec", BAD_SPECS, ids=lambda s: s[:40] or "empty")
def test_bad_spec(spec):
    """Refused before anything is attached, and the line says what is wrong."""
    run = memtally("-p", "1", "--alloc", spec)
    assert run.returncode == USAGE, run.stderr
    assert len(run.stderr.splitlines()) == 1


@pytest.mark.parametrize("spec", ["", ":", "x", "libc.so.6:free:ptr", "libc.so.6:free:ptr=ret",
                                  "libc.so.6:free:size=arg1"])
def test_bad_free_spec(spec):
    run = memtally("-p", "1", "--free", spec)
    assert run.returncode == USAGE, run.stderr
    assert len(run.stderr.splitlines()) == 1


def test_spec_that_names_nothing(victim):
    """No such function in the object: an error, and it names both."""
    v = victim("custom-o2")
    run = memtally("-p", v.pid, "--alloc", "libfakecuda.so:nosuchfunction:size=arg1", "--duration",
                   "1")
    text = run.stderr.decode()
    assert run.returncode == 1 and "nosuchfunction" in text and "libfakecuda.so" in text, text


STATIC_SPECS = {"malloc": "size=arg1", "calloc": "size=arg1*arg2", "realloc": "size=arg2,old=arg1",
                "reallocarray": "size=arg2*arg3,old=arg1",
                "posix_memalign": "size=arg3,ptr=*arg1", "memalign": "size=arg2"}


def test_stripped_static_by_address(trace):
    """Where no name is left, addresses from elsewhere do: here from the unstripped twin."""
    twin, stripped = victim_path("eleven-static"), victim_path("eleven-static-stripped")
    out = subprocess.run(["nm", str(twin)], stdout=subprocess.PIPE, check=True).stdout.decode()
    address = {line.split()[2]: line.split()[0] for line in out.splitlines()
               if len(line.split()) == 3}
    assert address["memalign"] == address.get("aligned_alloc", address["memalign"])
    options = ["--free", f"exe:0x{address['free']}"]
    for name, what in STATIC_SPECS.items():
        options += ["--alloc", f"exe:0x{address[name]}:{what}"]
    t, truth, _ = trace(stripped.name, options=options, symbols=symbols_of(twin, stripped))
    sites = {n: {**s, "kind": "custom"} for n, s in truth["sites"].items() if s["kind"] == "malloc"}
    assert_truth(t.last, {"sites": sites})
    t.assert_clean()

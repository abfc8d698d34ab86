# SPDX-License-Identifier: GPL-2.0-or-later
"""
memtally kmem against kernel objects of known number: exact with --full, gone after close,
near with the sample, named by the function that made them. The rest of the machine goes on
meanwhile: -p where it would disturb.
"""
import functools
import json
import os
import pathlib
import re
import signal
import socket
import struct
import subprocess
import time

import pytest

from conftest import (DEADLINE, FAILURE, FINE, INCOMPLETE, MEMTALLY, USAGE, Lines, Victim, methods,
                      need_method, victim_path)

def has_slab_cache(name):
    if not os.access("/proc/slabinfo", os.R_OK):
        return False
    with open("/proc/slabinfo", encoding="ascii") as f:
        return any(line.split()[0] == name for line in f)


@functools.cache
def kernel_functions():
    with open("/proc/kallsyms", encoding="ascii") as symbols:
        return {line.split()[2] for line in symbols}


def kernel_function(*names):
    """The first of these that the kernel has: compilers make some a part of their caller."""
    return next((n for n in names if n in kernel_functions()), names[-1])


N = 9000
TIMERFD = kernel_function("__do_sys_timerfd_create", "__arm64_sys_timerfd_create")
INOTIFY = kernel_function("inotify_update_watch", "__arm64_sys_inotify_add_watch")
# Accounted kmalloc has caches of its own, on newer kernels.
KMALLOC_CG = "kmalloc-cg" if has_slab_cache("kmalloc-cg-64") else "kmalloc"
# The leaf function, and how many objects it makes per piece, by kind.
KINDS = {
    "eventfd": [("do_eventfd", "kmalloc-64")],
    "pipe": [("alloc_pipe_info", f"{KMALLOC_CG}-192"), ("alloc_pipe_info", f"{KMALLOC_CG}-1k")],
    "timerfd": [(TIMERFD, "kmalloc-256")],
    "tcp": [("sk_prot_alloc", None), ("sock_alloc_inode", "sock_inode_cache")],
    "unix": [("sk_prot_alloc", None), ("sock_alloc_inode", "sock_inode_cache")],
    "inotify": [(INOTIFY, None)],
}


# Who allocates the pages of a pipe; newer kernels write to those with a name elsewhere.
PIPE_WRITE = kernel_function("anon_pipe_write", "pipe_write")


class Kmem:
    """One run of memtally kmem --json; reports() yields (stacks, other objects) per tick."""

    def __init__(self, *args):
        self.proc = subprocess.Popen(
            [MEMTALLY, "kmem", "--json", "-T", "1000000", *map(str, args)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.account = "--account" in args
        self.lines, self.errors = Lines(self.proc.stdout), Lines(self.proc.stderr)
        self.start = self.object()
        assert self.start["type"] == "start"

    def object(self):
        line = self.lines.next()
        assert line is not None, f"ended with {self.proc.wait()}: {self.errors.rest()}"
        said = json.loads(line)
        assert said["command"] == "kmem"
        return said

    def report(self):
        """The next whole report: all of its objects."""
        last = {"consumer": "Unaccounted"} if self.account else {"type": "trust"}
        objects = []
        while not objects or not last.items() <= objects[-1].items():
            objects.append(self.object())
        return objects

    def report_with(self, condition):
        """
        Reads reports until one satisfies condition. RCU and the kernel's work queues take their
        time on a busy machine.
        """
        end = time.monotonic() + DEADLINE
        objects = []
        while not objects or time.monotonic() < end:
            objects = self.report()
            if condition(objects):
                return objects
        raise AssertionError(f"in no report; the last: {[brief(o) for o in objects][:40]}")

    def stop(self):
        if self.proc.poll() is None:
            self.proc.send_signal(signal.SIGINT)
        rest = self.lines.rest()
        return self.proc.wait(DEADLINE), [json.loads(line) for line in rest]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.proc.kill()
        self.proc.wait()


def brief(o):
    return o["type"], o.get("count"), o.get("cache"), leaf(o)


def leaf(o):
    return o["frames"][0]["function"] if o.get("frames") else None


def counts(objects, function, cache=None):
    """Counts of the stacks whose leaf is this function: one per cache."""
    return [o["count"] for o in objects if o["type"] == "stack" and leaf(o) == function
            and cache in (None, o["cache"])]


def hold(kind, tmp_path, n=N, variant="o2"):
    for i in range(n if kind == "inotify" else 0):
        (tmp_path / str(i)).touch()
    return Victim([victim_path(f"kernel_objects-{variant}"), f"--{kind}", n, "--dir", tmp_path])


@pytest.mark.parametrize("kind", KINDS)
def test_held_objects_are_exact_and_gone_after_close(kind, tmp_path):
    victim = hold(kind, tmp_path)
    try:
        with Kmem("slab", "--full", "-p", victim.pid, "0.3") as kmem:
            victim.say()
            victim.expect("held")
            exact = kmem.report_with(lambda r: all(
                counts(r, *site) == [N] for site in KINDS[kind]))
            for o in exact:
                if o["type"] == "stack" and leaf(o) == KINDS[kind][0][0]:
                    assert not o["estimated"] and o["kind"] == "slab"
                    assert o["stack_status"] == "complete"
            names = [f["function"] or "" for o in exact for f in o.get("frames", [])]
            assert not [n for n in names if n.startswith(("bpf_", "__traceiter_"))]
            victim.say()
            victim.expect("closed")
            # Some are freed by RCU without an event: the check finds them.
            kmem.report_with(lambda r: not any(sum(counts(r, f, c)) for f, c in KINDS[kind]))
            status, _ = kmem.stop()
            assert status in (FINE, INCOMPLETE)
    finally:
        victim.kill()


def test_others_at_their_maps_hide_no_object(map_readers, tmp_path):
    """The kernel skips programs meanwhile: all that is held is there, and goes when it is freed."""
    victim = hold("eventfd", tmp_path)
    try:
        with Kmem("slab", "--full", "-p", victim.pid, "0.3") as kmem:
            victim.say()
            victim.expect("held")
            kmem.report_with(lambda r: counts(r, *KINDS["eventfd"][0]) == [N])
            victim.say()
            victim.expect("closed")
            kmem.report_with(lambda r: not any(counts(r, *KINDS["eventfd"][0])))
            _, objects = kmem.stop()
            last = [o for o in objects if o["type"] == "losses"][-1]
            assert not last["allocs_missed"] and not last["frees_missed"], last
    finally:
        victim.kill()


def test_sample_is_near_and_marked(tmp_path):
    victim = hold("eventfd", tmp_path)
    try:
        with Kmem("slab", "-p", victim.pid, "0.3") as kmem:
            victim.say()
            victim.expect("held")
            # 562 of 9000 are followed: four standard errors are 16 %.
            objects = kmem.report_with(
                lambda r: abs(sum(counts(r, "do_eventfd")) - N) < N * 0.16)
            assert all(o["estimated"] for o in objects if o["type"] == "stack")
            assert all(o["count"] % 16 == 0 for o in objects if o["type"] == "stack")
    finally:
        victim.kill()


def empty_partial_slabs(cache):
    """slabinfo calls what is free in a slab that a CPU has for itself active: none has one then."""
    shrink = pathlib.Path("/sys/kernel/slab", cache, "shrink")
    if shrink.exists():
        shrink.write_text("1", encoding="ascii")


def test_one_cache_and_one_site(tmp_path):
    victim = hold("eventfd", tmp_path)
    empty_partial_slabs("kmalloc-64")
    try:
        with Kmem("--full", "--cache", "kmalloc-64", "--site", "do_eventfd", "-p", victim.pid,
                  "0.3") as kmem:
            victim.say()
            victim.expect("held")
            objects = kmem.report_with(lambda r: counts(r, "do_eventfd") == [N])
            stacks = [o for o in objects if o["type"] == "stack"]
            assert {o["cache"] for o in stacks} == {"kmalloc-64"}
            assert {leaf(o) for o in stacks} == {"do_eventfd"}
            cache = [o for o in objects if o["type"] == "slab_cache"]
            assert [o["name"] for o in cache] == ["kmalloc-64"]
            # What slabinfo saw: whole sheets of objects per CPU come and go.
            assert cache[0]["growth_objects"] > N * 0.9
    finally:
        victim.kill()


@pytest.mark.parametrize("by,key", [("cache", "cache"), ("process", "pid"), ("site", "frames")])
def test_views(by, key, tmp_path):
    victim = hold("eventfd", tmp_path, 500)
    try:
        with Kmem("slab", "--full", "-p", victim.pid, "--by", by, "0.3") as kmem:
            victim.say()
            victim.expect("held")

            def right(objects):
                stacks = [o for o in objects if o["type"] == "stack"]
                if by == "cache":
                    return [o["count"] for o in stacks if o["cache"] == "filp"] == [500]
                if by == "process":
                    return [o["pid"] for o in stacks if o["count"] >= 2000] == [victim.pid]
                return counts(objects, "do_eventfd") == [500]
            objects = kmem.report_with(right)
            assert all(key in o for o in objects if o["type"] == "stack")
            assert all(len(o["frames"]) <= (by == "site") for o in objects
                       if o["type"] == "stack")
    finally:
        victim.kill()


def test_pages_of_pipes():
    ends = [os.pipe() for _ in range(64)]
    try:
        with Kmem("pages", "--full", "-p", os.getpid(), "0.3") as kmem:
            for _, w in ends:
                os.write(w, b"x" * 65536)

            def pipe_pages(objects):
                return sum(o["bytes"] for o in objects if o["type"] == "stack"
                           and any(f["function"] == PIPE_WRITE for f in o["frames"]))
            objects = kmem.report_with(lambda r: pipe_pages(r) >= 64 * 65536)
            assert pipe_pages(objects) == 64 * 65536
            assert all(o["order"] == 0 and "GFP" in o["gfp"] for o in objects
                       if o["type"] == "stack" and
                       any(f["function"] == PIPE_WRITE for f in o["frames"]))
    finally:
        for r, w in ends:
            os.close(r)
            os.close(w)


LOOPS = ["open", "unix", "tcp", "udp", "fork", "file", "mmap"]
# What the kernel keeps after the last user has gone: of files and names; stacks for threads
# to come and what describes them; what slabs need for themselves; neighbours and routes.
KEPT = {"dentry", "ext4_inode_cache", "extent_status", "ext4_fc_dentry_update", "buffer_head",
        "radix_tree_node", "jbd2_journal_head", "shmem_inode_cache", "lsm_inode_cache",
        "vmap_area"}
FOR_SLABS = {"alloc_slab_obj_exts", "alloc_empty_sheaf", "__pcs_replace_empty_main"}
KEPT_BY = {*FOR_SLABS, "__get_vm_area_node", "__vmalloc_node_range", "__vmalloc_area_node",
           "___neigh_create", "dst_alloc"}
SKBS_KEPT = 64 * os.cpu_count()  # NAPI_SKB_CACHE_SIZE, net/core/skbuff.c


def left_of(objects):
    left = [o for o in objects if o["type"] == "stack" and o["cache"] not in KEPT
            and leaf(o) not in KEPT_BY]
    skbs = sum(o["count"] for o in left if o["cache"] == "skbuff_head_cache")
    return sum(o["count"] for o in left) - min(skbs, SKBS_KEPT)


def test_nothing_is_left_of_mixed_loads():
    """
    Allocated, and freed in every way there is: by RCU, in bulk, in interrupts. After the
    check no more than 0.01 % may be left, with every block followed and none missed.
    """
    loops = Victim([victim_path("kmem_loops"), "--held", "0.5", *LOOPS])
    rest = subprocess.Popen(["sleep", "infinity"])  # the run ends with its last process
    try:
        with Kmem("slab", "--full", "-p", f"{loops.pid},{rest.pid}", "0.5") as kmem:
            loops.say()
            loops.expect("done")
            assert loops.finish() == 0
            kmem.report_with(lambda r: left_of(r) <= r[-1]["allocations"] / 10000
                             and r[-1]["allocations"] > 20000)
            status, said = kmem.stop()
            trust = [o for o in said if o["type"] == "trust"][-1]
            checked = methods()["kmem"]["check"] is not None
            assert trust["missed_allocations"] == 0, trust
            assert trust["unverifiable_ratio"] == (0 if checked else 1), trust
            assert status == FINE, said[-3:]
    finally:
        loops.kill()
        rest.kill()
        rest.wait()


@pytest.mark.parametrize("variant,args", [
    ("o2", []), ("o2fp", []), ("o2", ["--folded", "-"])])
def test_user_stack_names_who_called(variant, args, tmp_path):
    """Frames of the kernel, then those of the process down to its start."""
    need_method("kmem", "user stacks")
    victim = hold("pipe", tmp_path, 300, variant)
    folded = "--folded" in args
    kmem = subprocess.Popen(
        [MEMTALLY, "kmem", "slab", "--full", "--user-stack", *args,
         *([] if folded else ["--json", "-T", "1000"]), "-p", str(victim.pid)],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, err = Lines(kmem.stdout), Lines(kmem.stderr)
    try:
        assert (err if folded else out).next()
        victim.say()
        victim.expect("held")
        kmem.send_signal(signal.SIGINT)
        said = out.rest()
        assert kmem.wait(DEADLINE) == FINE, err.rest()
    finally:
        kmem.kill()
        victim.kill()
    if folded:
        lines = [line.decode() for line in said if b"alloc_pipe_info_[k] " in line]
        assert sum(int(line.split()[-1]) for line in lines) == 300 * (192 + 1024)
        names = [re.sub(r"_\[.\]$", "", name) for name in lines[0].split()[0].split(";")]
        names.reverse()
    else:
        rows = [o for o in map(json.loads, said) if leaf(o) == "alloc_pipe_info"]
        assert [o["count"] for o in rows] == [300, 300]
        assert {(o["pid"], o["stack_status"]) for o in rows} == {(victim.pid, "complete")}
        kernel = [f["object"] == "[kernel]" for f in rows[0]["frames"]]
        assert kernel == sorted(kernel, reverse=True)
        names = [f["function"] for f in rows[0]["frames"]]
    user = names[names.index("make_pipe"):]
    assert user[:2] == ["make_pipe", "make_pipes"] and "main" in user, names
    entry = {"x86_64": "do_syscall_64", "aarch64": "do_el0_svc"}[os.uname().machine]
    assert entry in names[:names.index("make_pipe")]


def test_user_stacks_of_ended_processes_make_room(tmp_path):
    """Each of them has a stack of its own; what holds nothing goes with its process."""
    need_method("kmem", "user stacks")
    with Kmem("slab", "--full", "--site", "do_eventfd", "--user-stack", "--max-stacks", 8,
              "0.4") as kmem:
        for _ in range(24):
            victim = hold("eventfd", tmp_path, 3)
            victim.say()
            victim.expect("held")
            # The first stack of a process may be taken before its mappings are known.
            objects = kmem.report_with(lambda r, pid=victim.pid: sum(
                counts([o for o in r if o.get("pid") == pid], "do_eventfd")) == 3)
            victim.say()
            victim.expect("closed")
            assert victim.finish() == 0
        losses, = [o for o in objects if o["type"] == "losses"]
        assert losses["stacks_full"] == 0 and losses["processes_full"] == 0, losses


PIECES, PIECE = 512, 65536
SOL_PACKET, PACKET_RX_RING = 263, 5
RING_BLOCKS, RING_BLOCK = 64, 262144


def hold_pipes():
    for _ in range(PIECES):
        ends = os.pipe()
        os.write(ends[1], b"x" * PIECE)
        yield from (os.fdopen(end) for end in ends)


def hold_unix():
    for _ in range(PIECES):
        ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        ends[0].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * PIECE)
        ends[0].send(b"x" * PIECE)
        yield from ends


def hold_ring():
    ring = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    ring.setsockopt(SOL_PACKET, PACKET_RX_RING, struct.pack(
        "IIII", RING_BLOCK, RING_BLOCKS, 2048, RING_BLOCKS * RING_BLOCK // 2048))
    yield ring


# Who allocates, and how many bytes. Of a socket buffer the first page is a slab object's.
HELD = {
    PIPE_WRITE: PIECES * PIECE,
    "alloc_skb_with_frags": PIECES * (PIECE - 4096),
    "packet_set_ring": RING_BLOCKS * RING_BLOCK,
}


def bytes_of(objects, function):
    """Of the pages that became slabs the check knows; without it their stacks tell."""
    slabs = set() if methods()["kmem"]["check"] else {"allocate_slab"}
    names = [(o, {f["function"] for f in o["frames"]}) for o in objects if o["type"] == "stack"]
    return sum(o["bytes"] for o, found in names if function in found and not found & slabs)


def test_account_names_the_rest():
    """80 MB in pipes, socket buffers and a packet ring: the rest grows by it, and has names."""
    held = []
    try:
        with Kmem("--account", "-p", os.getpid(), "1") as kmem:
            for hold_some in (hold_pipes, hold_unix, hold_ring):
                held += hold_some()

            def named(objects):
                # The machine has other users of pages: they make the rest move.
                grown = [o["growth_bytes"] for o in objects if o.get("consumer") == "Unaccounted"]
                return grown[0] > 0.8 * sum(HELD.values()) and all(
                    abs(bytes_of(objects, f) - n) <= 0.05 * n for f, n in HELD.items())
            kmem.report_with(named)
    finally:
        for each in held:
            each.close()


def test_pages_by_site():
    """Events of pages do not say who called: the stack does."""
    held = []
    try:
        with Kmem("pages", "--full", "--site", "packet_set_ring", "-p", os.getpid(), "0.3") as kmem:
            held += [*hold_pipes(), *hold_ring()]
            objects = kmem.report_with(
                lambda r: bytes_of(r, "packet_set_ring") == RING_BLOCKS * RING_BLOCK)
            assert not bytes_of(objects, PIPE_WRITE)
    finally:
        for each in held:
            each.close()


def run_once(*args):
    return subprocess.run([MEMTALLY, "kmem", *args], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=DEADLINE, check=False)


def test_account_of_now_sums_up():
    done = run_once("--account", "--json")
    assert done.returncode == FINE, done.stderr
    account = {o["consumer"]: o["bytes"] for o in map(json.loads, done.stdout.splitlines())
               if o["type"] == "account"}
    total = account.pop("MemTotal")
    assert sum(account.values()) == total
    assert abs(account["Unaccounted"]) < total * 0.2


def test_watch_ranks_what_grows():
    kmem = subprocess.Popen([MEMTALLY, "kmem", "--watch", "--json", "-T", "5"],
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    lines = Lines(kmem.stdout)
    socks = []
    try:
        assert json.loads(lines.next())["method"] == "proc"
        socks = [socket.socket(socket.AF_INET, socket.SOCK_STREAM) for _ in range(900)]
        kmem.send_signal(signal.SIGINT)
        objects = [json.loads(line) for line in lines.rest()]
        assert kmem.wait(DEADLINE) == FINE
    finally:
        kmem.kill()
        for s in socks:
            s.close()
    grown = {o["name"]: o["growth_objects"] for o in objects if o["type"] == "slab_cache"}
    assert grown.get("TCP", 0) > 700, grown


def test_suspect_finds_the_cache_and_its_stack(tmp_path):
    """One victim grows a cache while it watches, another while it traces."""
    first, second = hold("timerfd", tmp_path), hold("timerfd", tmp_path)
    kmem = subprocess.Popen([MEMTALLY, "kmem", "--suspect", "--json", "-T", "100000",
                             "-p", str(second.pid), "1"],
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    lines, errors = Lines(kmem.stdout), Lines(kmem.stderr)
    try:
        assert b"watching" in errors.next()
        first.say()
        first.expect("held")
        grown, seen = [], []
        while not seen or seen[-1]["type"] != "start":
            seen.append(json.loads(lines.next()))
        grown = [o["name"] for o in seen if o["type"] == "slab_cache"]
        assert "kmalloc-256" in grown[:4]
        second.say()
        second.expect("held")
        named, end = [], time.monotonic() + DEADLINE
        while N not in named:
            o = json.loads(lines.next())
            named += counts([o], TIMERFD, "kmalloc-256")
            assert time.monotonic() < end, f"the stack that grew: {named}"
    finally:
        kmem.kill()
        first.kill()
        second.kill()


@pytest.mark.parametrize("args,word", [
    (["--watch", "--full"], "more than one"),
    (["pages", "--cache", "dentry"], "--cache"),
    (["-s", "3"], "power of two"),
    (["nonsense"], "nonsense"),
])
def test_refusals(args, word):
    done = run_once(*args)
    assert done.returncode == USAGE and word in done.stderr


@pytest.mark.parametrize("lacks", ["percpu-elem", "percpu-elem,slab-events"])
def test_as_on_old_kernels(lacks, tmp_path, monkeypatch):
    """Every stack is walked, and the page of an object tells its cache."""
    monkeypatch.setenv("MEMTALLY_WITHOUT", lacks)
    test_one_cache_and_one_site(tmp_path)
    done = run_once("--user-stack", "--duration", "0.1")
    assert done.returncode == FAILURE and "percpu-elem" in done.stderr


def test_unverified_blocks_are_said(monkeypatch):
    monkeypatch.setenv("MEMTALLY_WITHOUT", "percpu-elem")
    done = run_once("slab", "--duration", "0.1")
    assert done.returncode == FINE and "blocks not verified" in done.stdout


def test_unknown_site_is_an_error():
    done = run_once("--site", "no_such_function_here")
    assert done.returncode == 1 and "no_such_function_here" in done.stderr


def test_text_report():
    done = run_once("slab", "--full", "-T", "3", "--duration", "0.5")
    assert done.returncode in (FINE, INCOMPLETE), done.stderr
    assert "Top 3 stacks with outstanding allocations:" in done.stdout
    assert "missed frees found" in done.stdout
    assert ("verified live" if methods()["kmem"]["check"] else "not verified") in done.stdout
    assert "tables take" in done.stderr

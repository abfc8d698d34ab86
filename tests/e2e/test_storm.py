# SPDX-License-Identifier: GPL-2.0-or-later
"""
Eight threads on few processors: programs of a preemptible kernel then meet each other in the
middle. Probes that lose nothing must be exact; those whose kernel skips events (which it
counts) may be short by what was said, and not by one more. No kernel may complain.
"""
import re
import subprocess
import threading

import pytest

from conftest import FINE, INCOMPLETE, Victim, assert_truth, load, need_method, victim_path
from test_cachestat import CacheTally
from test_faults import Faults, counters
from test_kmem import Kmem, counts

THREADS = 8
COMPLAINT = re.compile(r"BUG:|Oops|WARNING:|general protection|double fault|stack overflow")


def complaints():
    log = subprocess.run(["dmesg"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
    return [line for line in log.stdout.decode(errors="replace").splitlines()
            if COMPLAINT.search(line) and "soft lockup" not in line]


@pytest.fixture(autouse=True)
def calm_kernel():
    """The kernel says nothing of itself that it had not said before."""
    before = len(complaints())
    yield
    assert not complaints()[before:]


def test_leak(trace):
    t, truth, _ = trace("threads-o2", "--threads", str(THREADS), "--loops", load(15000), "--short", "60")
    assert truth["sites"]["leak"]["count"] == THREADS * load(15000)
    assert_truth(t.last, truth)
    t.assert_clean()


def test_faults():
    """Twice the four threads that map, touch and unmap at once."""
    victims = [Victim([victim_path("faults_table-o2"), "--case", "threads", "--pages", 500])
               for _ in range(THREADS // 4)]
    faults = Faults("-p", ",".join(str(v.pid) for v in victims), "--by", "process")
    try:
        faults.started()
        before = [counters(v.pid)[0] for v in victims]
        for v in victims:
            v.say()
        for v in victims:
            v.expect("ready")
        after = [counters(v.pid)[0] for v in victims]
        faults.stop()
        faults.assert_clean()
        rows = {r["pid"]: r["minor"] for r in faults.of("process")}
        assert [rows[v.pid] for v in victims] == [a - b for a, b in zip(after, before)]
    finally:
        faults.kill()
        for v in victims:
            v.kill()


def in_threads(body, items):
    threads = [threading.Thread(target=body, args=(item,)) for item in items]
    for t in threads:
        t.start()
    for t in threads:
        t.join()


def test_cachestat(tmp_path):
    """Eight programs read a warm file each: all accesses, or the missed ones are told."""
    need_method("cachestat", "page cache")
    files = [tmp_path / str(i) for i in range(THREADS)]
    for path in files:
        path.write_bytes(bytes(1 << 22))
    tally = CacheTally("--by", "file", "--all").started()
    in_threads(lambda path: subprocess.run(
        ["dd", f"if={path}", "of=/dev/null", "bs=4096", "status=none"], check=True), files)
    tally.stop()
    got = sum(n["read_hits"] + n["read_misses"] + n["read_readahead"]
              for key, n in tally.rows.items() if tally.paths.get(key) in map(str, files))
    truth = THREADS * (1 << 10)
    missed = tally.losses["probes_missed"]
    assert truth - missed <= got <= truth, (got, truth, tally.losses)
    assert tally.status == (INCOMPLETE if missed else FINE), tally.losses


def test_kmem():
    """Eight programs take objects at once: all of them, or the missed events are told."""
    number = 2000
    victims = [Victim([victim_path("kernel_objects-o2"), "--eventfd", number]) for _ in range(THREADS)]
    try:
        with Kmem("slab", "--full", "-p", ",".join(str(v.pid) for v in victims), "0.3") as kmem:
            for v in victims:
                v.say()
            for v in victims:
                v.expect("held")
            status, objects = kmem.stop()
            last = [o for o in objects if o["type"] == "losses"][-1]
            tick = [o for o in objects if o.get("tick") == last["tick"]]
            got = sum(counts(tick, "do_eventfd", "kmalloc-64"))
            missed = last["allocs_missed"]
            assert THREADS * number - missed <= got <= THREADS * number, (got, last)
            assert status == (INCOMPLETE if missed else FINE), last
    finally:
        for v in victims:
            v.kill()

# SPDX-License-Identifier: GPL-2.0-or-later
"""
cachestat and cachetop against files whose accesses are known: tests/victims/cachefiles
looks every page up with cachestat(2) before it reads it.
"""
import collections
import json
import os
import re
import shutil
import signal
import subprocess

import pytest

from conftest import (DEADLINE, FINE, FAILURE, MEMTALLY, USAGE, Lines, Victim, memtally,
                      victim_path)

PAGES = 4097
SUMS = ("accesses", "hits", "misses", "readahead", "dirties", "evicted", "added",
        "unused_readahead", "read_hits", "read_misses", "read_readahead", "mmap_hits",
        "mmap_misses", "mmap_readahead", "write_added", "direct_reads", "direct_read_bytes",
        "direct_writes", "direct_write_bytes")


class CacheTally:
    """One run of cachestat or cachetop --json; the differences of all ticks added up."""

    def __init__(self, *args, command="cachestat"):
        self.proc = subprocess.Popen([MEMTALLY, command, "--json", "--top", "1000000",
                                      *[str(a) for a in args]], stdin=subprocess.DEVNULL,
                                     stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.lines = Lines(self.proc.stdout)
        self.errors = Lines(self.proc.stderr)
        self.command = command
        self.rows = collections.defaultdict(collections.Counter)
        self.paths, self.comms = {}, {}
        self.start = self.end = self.losses = None

    def take(self, line):
        try:
            obj = json.loads(line)
        except ValueError:
            return
        assert obj["command"] == self.command, obj
        kind = obj["type"]
        if kind in ("start", "end", "losses"):
            setattr(self, kind, obj)
            return
        key = {"cache": lambda: "total", "process": lambda: obj["pid"],
               "file": lambda: (obj["device"], obj["inode"]),
               "cgroup": lambda: ("cgroup", obj["id"])}[kind]()
        if kind == "file":
            self.paths[key] = obj["path"]
        if kind == "process":
            self.comms[key] = obj["comm"]
        for name in SUMS:
            self.rows[key][name] += obj[name]

    def started(self):
        while not self.start:
            line = self.lines.next()
            assert line, f"ended with {self.proc.wait()}: {self.stderr()}"
            self.take(line)
        return self

    def stderr(self):
        return b"".join(self.errors.rest()).decode()

    def stop(self, how=signal.SIGINT):
        if how:
            self.proc.send_signal(how)
        for line in self.lines.rest():
            self.take(line)
        self.status = self.proc.wait(DEADLINE)
        assert self.end, f"no end object; status {self.status}: {self.stderr()}"
        return self

    def assert_clean(self):
        lost = {k: v for k, v in self.losses.items()
                if k not in ("type", "command", "time", "tick") and v}
        assert not lost and self.status == FINE, (lost, self.status, self.stderr())


@pytest.fixture(scope="module")
def disk(tmp_path_factory):
    """A directory on a real file system, emptied at the end: the files are large."""
    path = tmp_path_factory.mktemp("cachefiles")
    yield path
    shutil.rmtree(path, ignore_errors=True)


def run_files(directory, *rows, pages=PAGES, options=(), command="cachestat"):
    """cachefiles under cachestat --by file: {row: (truth, counters)}, the run."""
    victim = Victim([victim_path("cachefiles"), directory, pages, *rows])
    try:
        tally = CacheTally("--by", "file", *options, command=command).started()
        truth = victim.run()
        tally.stop()
    finally:
        victim.kill()
    found = {}
    for row in truth["rows"]:
        key = (row["device"], row["inode"])
        found[row["name"]] = (row, tally.rows.get(key, collections.Counter()), key)
    return found, tally


@pytest.fixture(scope="module")
def everything(disk):
    return run_files(disk)


def read_split(n):
    return n["read_hits"], n["read_readahead"], n["read_misses"]


def test_reads_are_exact(everything):
    """Every read row: HIT, RA and MISS to the last page; rows without reads are zero."""
    found, tally = everything
    wrong = []
    for name, (truth, n, _) in found.items():
        want = (truth["hits"], truth["ra"], truth["misses"])
        got = read_split(n)
        if truth["no_split"]:
            want, got = sum(want), sum(got)
        if got != want:
            wrong.append(f"{name}: got {got}, truth {want}")
    assert len(found) >= 60
    assert not wrong, "\n".join(wrong)
    tally.assert_clean()


def test_direct_io_is_apart(everything):
    """O_DIRECT: every byte in DIRECT, also of aio and io_uring, and not one page."""
    found, _ = everything
    wrong = []
    for name, (truth, n, _) in found.items():
        got = (n["direct_read_bytes"], n["direct_write_bytes"])
        want = (truth["direct_reads"], truth["direct_writes"])
        if got != want:
            wrong.append(f"{name}: got {got}, truth {want}")
    assert found["direct_1m"][0]["direct_reads"] > 16 << 20
    assert not wrong, "\n".join(wrong)


def test_dirtied_pages(everything):
    """Pages that became dirty, as cachestat(2) counts them; written twice is dirty once."""
    found, _ = everything
    wrong = []
    for name, (truth, n, _) in found.items():
        if name.startswith(("write_", "overwrite_", "mmap_write")):
            if n["dirties"] != truth["dirties"]:
                wrong.append(f"{name}: {n['dirties']} dirtied, truth {truth['dirties']}")
    for block in ("4k", "16k", "128k", "1m"):
        n = found[f"write_new_{block}"][1]
        assert (n["dirties"], n["write_added"]) == (2048, 2048), (block, n)
    assert found["overwrite_clean"][1]["write_added"] == 0
    assert not wrong, "\n".join(wrong)


def test_faults_on_mappings(everything):
    """An access per fault; rusage counts a few faults of the process's own memory besides."""
    found, _ = everything
    for name in ("mmap_random", "mmap_cold", "mmap_warm"):
        truth, n, _ = found[name]
        accesses = n["mmap_hits"] + n["mmap_misses"] + n["mmap_readahead"]
        assert truth["faults"] - 5 <= accesses <= truth["faults"], (name, truth, n)
    assert found["mmap_cold"][1]["mmap_misses"] == 1
    assert found["mmap_warm"][1]["mmap_misses"] == 0


def test_readahead_for_nothing(everything):
    """Pages prefetched, never used and evicted."""
    truth, n, _ = everything[0]["readahead"]
    assert truth["unused"] == n["unused_readahead"] > 0
    assert n["evicted"] == n["added"]


def test_paths(everything, disk):
    found, tally = everything
    for name, (_, n, key) in found.items():
        if n:
            assert tally.paths[key] == str(disk / name), name

# SPDX-License-Identifier: GPL-2.0-or-later
"""
Faults on pages that were swapped out, told as such: on a swap file and in a memory cgroup of
our own, whose reclaim drops what the kernel still has of them.
"""
import contextlib
import mmap
import os
import pathlib
import subprocess

import pytest

from conftest import DEADLINE, need, wait_until
from test_faults import by_kind, counters, faults  # noqa: F401 (a fixture)

PAGES = 2000
CLUSTER = pathlib.Path("/proc/sys/vm/page-cluster")


@pytest.fixture
def swap(tmp_path):
    """A swap file."""
    path = tmp_path / "swap"
    with open(path, "wb") as f:
        os.posix_fallocate(f.fileno(), 0, 64 << 20)
    path.chmod(0o600)
    subprocess.run([need("mkswap"), path], check=True, stdout=subprocess.DEVNULL)
    done = subprocess.run([need("swapon"), path], stderr=subprocess.PIPE, check=False)
    if done.returncode:
        pytest.skip(f"no swap to be had here: {done.stderr.decode().strip()}")
    yield path
    subprocess.run([need("swapoff"), path], check=True)


def memory_cgroups():
    """Directories where a memory cgroup may be made, and the file that reclaims in it."""
    for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines():
        left, right = line.split(" - ")
        where, kind = pathlib.Path(left.split()[4]), right.split()[0]
        if kind == "cgroup" and "memory" in right.split()[2].split(","):
            yield where, "memory.force_empty", "0"
        elif kind == "cgroup2" and "memory" in (where / "cgroup.controllers").read_text():
            with contextlib.suppress(OSError):
                (where / "cgroup.subtree_control").write_text("+memory")
            yield where, "memory.reclaim", str(64 << 20)


def number(path, name):
    """What a file of lines 'name value' says of a name."""
    lines = (line.split() for line in path.read_text().splitlines())
    return next(int(words[1]) for words in lines if words[0].rstrip(":") == name)


@pytest.fixture
def reclaimed():
    """(join, evicted): a cgroup for a process; whether all its pages are in swap (it helps)."""
    for root, name, amount in memory_cgroups():
        path = root / f"memtally-swap-{os.getpid()}"
        path.mkdir()
        if (path / name).exists():
            break
        path.rmdir()
    else:
        pytest.skip("no memory cgroup that reclaims when asked")

    def join(pid):
        (path / "cgroup.procs").write_text(str(pid))

    def evicted(pid):
        with contextlib.suppress(OSError):  # not all of it at once
            (path / name).write_text(amount)
        swapped = number(pathlib.Path(f"/proc/{pid}/status"), "VmSwap") << 10
        # the machine's SwapCached has pages of others: what of ours it has is in these lists
        cached = sum(number(path / "memory.stat", f"{a}_anon") for a in ("active", "inactive"))
        return swapped >= PAGES * mmap.PAGESIZE and not cached
    yield join, evicted
    wait_until(lambda: not (path / "cgroup.procs").read_text(), "the cgroup empty")
    path.rmdir()


@pytest.fixture
def read_ahead():
    """Sets how many pages are read from swap at once, as a power of two."""
    before = CLUSTER.read_text()
    yield lambda n: CLUSTER.write_text(str(n))
    CLUSTER.write_text(before)


@pytest.mark.parametrize("cluster", [0, 3])
def test_swapped_pages(reclaimed, swap, read_ahead, victim, faults, cluster):  # noqa: F811
    """One by one each is a major fault; read ahead, the others are minor ones."""
    join, evicted = reclaimed
    read_ahead(cluster)
    v = victim("faults_table-o2", "--case", "swap", "--pages", PAGES)
    join(v.pid)
    f = faults("-p", v.pid, "--by", "mapping,cause").started()
    before = counters(v.pid)
    v.say()
    v.expect("evict")
    wait_until(lambda: evicted(v.pid), "all pages in swap", DEADLINE)
    v.say()
    v.expect("ready")
    after = counters(v.pid)
    f.stop()
    f.assert_clean()
    check = f.one("check")
    assert (check["traced_minor"], check["traced_major"]) == tuple(
        b - a for a, b in zip(before, after))
    rows = [r for r in f.of("mapping") if (r["kind"], r["top_cause"]) == ("anon", "swap-in")]
    minor, major = sum(r["minor"] for r in rows), sum(r["major"] for r in rows)
    if cluster == 0:
        assert major == PAGES and minor <= 20, (minor, major, by_kind(f))
    else:
        assert major >= PAGES / 64 and PAGES * 0.95 <= minor + major <= PAGES + 20, by_kind(f)

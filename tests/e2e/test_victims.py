# SPDX-License-Identifier: GPL-2.0-or-later
"""The truth is true: an LD_PRELOAD library counts from inside what the victims claim."""
import json
import os
import subprocess

import pytest
from conftest import VICTIMS, victim_path

pytestmark = pytest.mark.needs_nothing

VARIANTS = ["o0", "o2fp", "o2"]
NAMES = ["eleven", "threads", "overflow", "stacks", "young", "sorter", "spawn", "fork", "exec",
         "realloc", "ranges", "nested", "churn", "failing", "custom", "cpp"]
ARGS = {"young": ["--turns", "120"], "overflow": ["--temporary", "20000"],
        "stacks": ["--deep", "30"]}
# The oracle sees pages, the truth counts mappings; it replaces none of these.
UNSEEN = {"custom": {"cuda", "pool", "refused"}, "fork": {"child"}}
PRE_ATTACH_GROWTH = {"ranges": {"before"}}


def symbol_table(path):
    out = subprocess.run(["nm", "-C", "--defined-only", str(path)], stdout=subprocess.PIPE,
                         check=True).stdout.decode()
    table = []
    for line in out.splitlines():
        address, kind, name = line.split(None, 2)
        if kind in "tTwW":
            name = name.replace("(anonymous namespace)::", "").split("(")[0]
            table.append((int(address, 16), name))
    return sorted(table)


def oracle_stacks(path, file):
    """[(kind, bytes, count, [function...])], frames of the victim only."""
    table = symbol_table(path)
    stacks = []
    for line in open(file, encoding="ascii"):
        kind, size, count, *frames = line.split()
        names = []
        for frame in frames:
            file_name, offset = frame.rsplit("+", 1)
            if os.path.basename(file_name) != os.path.basename(path):
                continue
            # a return address: the call is one byte before
            names.append(next(n for a, n in reversed(table) if a <= int(offset, 16) - 1))
        stacks.append((kind, int(size), int(count), names))
    return stacks


def position(names, chain):
    return next((i for i in range(len(names)) if names[i:i + len(chain)] == chain), -1)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("name", NAMES)
def test_truth(name, variant, tmp_path):
    path = victim_path(f"{name}-{variant}")
    lines = tmp_path / "truth"
    books = tmp_path / "books"
    env = {**os.environ, "LD_PRELOAD": str(VICTIMS / "liboracle.so"), "ORACLE_FILE": str(books)}
    subprocess.run([str(path), "--no-wait", "--truth", str(lines), *ARGS.get(name, [])], env=env,
                   check=True, timeout=120, stdin=subprocess.DEVNULL)
    truth = json.loads(lines.read_text().splitlines()[-1])
    assert truth["state"] == "ready"
    stacks = oracle_stacks(path, books)
    unexplained = list(stacks)
    for site_name, site in truth["sites"].items():
        if site_name in UNSEEN.get(name, ()):
            continue
        mine = [s for s in stacks if position(s[3], site["chain"]) >= 0]
        unexplained = [s for s in unexplained if s not in mine]
        size = sum(s[1] for s in mine)
        count = sum(s[2] for s in mine)
        if site_name in PRE_ATTACH_GROWTH.get(name, ()):
            assert size == site["bytes"] + 16 * 4096
            continue
        assert size == site["bytes"], (site_name, mine)
        if site["kind"] == "malloc":
            assert count == site["count"], (site_name, mine)
    assert not unexplained


def test_unique_stacks(tmp_path):
    """8000 stacks are 8000: no two walks through bit0 and bit1 are the same."""
    path = victim_path("stacks-o2")
    books = tmp_path / "books"
    env = {**os.environ, "LD_PRELOAD": str(VICTIMS / "liboracle.so"), "ORACLE_FILE": str(books)}
    subprocess.run([str(path), "--no-wait", "--truth", "/dev/null"], env=env, check=True,
                   stdin=subprocess.DEVNULL)
    stacks = oracle_stacks(path, books)
    assert len(stacks) == 8000
    assert {s[1:3] for s in stacks} == {(320, 10)}
    assert len({tuple(s[3]) for s in stacks}) == 8000


@pytest.mark.parametrize("shape", ["eleven-static", "eleven-static-stripped", "eleven-stripped",
                                   "eleven-nopie", "eleven-musl", "eleven-musl-static",
                                   "eleven-clang", "cpp-static", "realloc-musl", "threads-musl"])
def test_shape_runs(shape):
    """The other shapes print the same truth (their books are those of the same source)."""
    out = subprocess.run([str(victim_path(shape)), "--no-wait"], stdout=subprocess.PIPE, check=True,
                         stdin=subprocess.DEVNULL).stdout
    assert json.loads(out.splitlines()[-1])["state"] == "ready"

# SPDX-License-Identifier: GPL-2.0-or-later
"""memtally features: what each command does on this kernel follows what the kernel has."""
import json
import os

import pytest

from conftest import FINE, memtally

# Features taken away, the one of the best way first: command, part, what is left of it; None:
# nothing.
WITHOUT = [
    ("uprobe-multi", "leak", "probes", "one perf event each"),
    ("uprobe-multi,uprobe-cookie", "leak", "probes", "one perf event each, told by name"),
    ("task-storage", "leak", "state", "in a hash table"),
    ("find-vma", "leak", "new code", "at once, from the kernel's tree"),
    ("tracepoints", "leak", "new code", "at the next look"),
    ("exceptions,mem-abort", "faults", "causes", "approximate"),
    ("task-iterators", "faults", "bare count", "software events"),
    ("vmalloc-events", "kmem", "vmalloc", None),
    ("filemap-events,fentry,kprobe", "cachestat", "page cache", "system calls"),
    ("fault-events", "cachestat", "fault starts", "software event"),
    ("direct-events,kprobe", "cachestat", "direct I/O", "system calls"),
    ("cachestat", "resident", "pages", "mincore(2)"),
    ("task-iterators", "resident", "all files", "/proc"),
]


def features(*args, without=""):
    done = memtally(*args, command="features", env={**os.environ, "MEMTALLY_WITHOUT": without})
    assert done.returncode == FINE, done.stderr
    return done.stdout.decode()


def line_of(text, command, part):
    found = [l for l in text.splitlines() if l.startswith(f"{command:<10} {part:<12} ")]
    assert len(found) == 1, text
    return found[0].removeprefix(f"{command:<10} {part:<12} ")


# What is left needs more than each kernel has.
NEEDS = {"one perf event each": "uprobe-cookie"}


@pytest.mark.parametrize("without,command,part,left", WITHOUT, ids=[w[0] for w in WITHOUT])
def test_without(without, command, part, left):
    feature = without.split(",")[0]
    if left in NEEDS and not json.loads(features("--json"))[NEEDS[left]]:
        pytest.skip(f"this kernel has no {NEEDS[left]}")
    text = line_of(features(without=without), command, part)
    said = json.loads(features("--json", without=without))
    # The kernel may lack what an even better way needs.
    lacked = text.removesuffix(")").rsplit("no ", 1)[1]
    assert text == (f"{left} (no {lacked})" if left else f"not here: no {lacked}")
    assert said[lacked] is False
    assert said[feature] is False and said["methods"][command][part] == left


def test_a_part_has_its_best_way_where_nothing_is_lacked():
    said = json.loads(features("--json"))
    for line in features().split("\n\n")[1].splitlines():
        command, part = line[:10].strip(), line[11:23].strip()
        way = line[24:].split(" (no ")[0]
        assert said["methods"][command][part] == (None if way.startswith("not here") else way)

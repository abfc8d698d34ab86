# SPDX-License-Identifier: GPL-2.0-or-later
"""The live table of faults: when there is one, what it shows, what it leaves. Keys: cachetop."""
import re
import subprocess

import pytest

from conftest import DEADLINE
from terminal import CLEAR, LiveTable, clock_of, has_prompt, has_status

FAULTER = r"""
import mmap, os, select, sys
name, pages = sys.argv[1], int(sys.argv[2])
open('/proc/self/comm', 'w').write(name)
m = mmap.mmap(-1, pages * 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
print('ready', flush=True)
while not select.select([0], [], [], 0.03)[0]:
    for page in range(pages):
        m[page * 4096] = 1
    m.madvise(mmap.MADV_DONTNEED)
"""


@pytest.fixture
def faulters():
    """Two processes that fault 30 times a second, {name: pid}."""
    procs = {name: subprocess.Popen(["/usr/bin/python3", "-c", FAULTER, name, str(pages)],
                                    stdin=subprocess.PIPE, stdout=subprocess.PIPE)
             for name, pages in (("many", 300), ("few", 30))}
    for proc in procs.values():
        assert proc.stdout.readline() == b"ready\n"
    yield {name: proc.pid for name, proc in procs.items()}
    for proc in procs.values():
        proc.kill()
        proc.wait(DEADLINE)


class FaultsTable(LiveTable):
    command = "faults"


@pytest.fixture
def table(tmp_path):
    terminal = FaultsTable(tmp_path, width=160)
    try:
        terminal.wait(has_prompt, "a prompt")
        yield terminal
    finally:
        terminal.close()


def line_of(screen, pid):
    found = [line.split() for line in screen.splitlines() if line.split()[:1] == [str(pid)]]
    return found[0] if found else None


def test_the_machine_is_a_live_table(table, faulters):
    table.start()
    screen = table.wait(lambda s: all(line_of(s, pid) for pid in faulters.values()), "both")
    assert "every 1 s" in screen.splitlines()[0]
    titles = next(line for line in screen.splitlines() if line.split()[:1] == ["PID"]).split()
    assert titles[:4] == ["PID", "COMM", "MAJ/s", "MIN/s"] and "MAPPING" in titles, titles
    row = line_of(screen, faulters["many"])
    assert row[1] == "many" and float(row[3]) > 1000 and "first touch" in screen, row
    table.quit()


def test_order_and_last_words(table, faulters):
    """By rate; what was counted is compared with the kernel's numbers after the table."""
    pids = ",".join(map(str, faulters.values()))
    table.start("-p", pids, "--sort", "minor", "0.3")
    order = lambda s: [line.split()[1] for line in s.splitlines()
                       if line.split() and line.split()[0] in map(str, faulters.values())]
    table.wait(lambda s: order(s) == ["many", "few"], "most first")
    assert "by MIN/s" in table.lines()[0]
    table.keys("r")
    clock = clock_of(table.wait(lambda s: order(s) == ["few", "many"], "reversed"))
    table.wait(lambda s: clock_of(s) > clock, "another second")
    table.resize(100, 24)
    screen = table.quit()
    assert "Kernel counters: " in screen, screen
    assert int(re.search(r"(\d+) reports", screen).group(1)) >= 3


@pytest.mark.parametrize("args", ["-p {pid} --duration 0.2", "-p {pid} --by stack 0.1 2",
                                  "-p {pid} --hist 0.1 2", "-p {pid} --rss 0.1 2",
                                  "-p {pid} --json 0.1 2"])
def test_what_is_no_table_is_text(table, faulters, args):
    table.resize(160, 200)
    table.type(f"{CLEAR}; {table.memtally} faults {args.format(pid=faulters['many'])}; echo status=$?\n")
    screen = table.wait(has_status, "the end")
    assert "every " not in screen and "status=0" in screen, screen

# SPDX-License-Identifier: GPL-2.0-or-later
"""
cachetop's live table in a terminal (tmux), driven by keys: what the screen then shows.
"""
import os
import re
import signal
import subprocess
import time

import pytest

from conftest import DEADLINE, FINE, memtally, wait_until
from terminal import CLEAR, LiveTable, clock_of, has_prompt

PAGE = 4096
TITLES = ["PID", "UID", "CMD", "HITS", "MISSES", "RA", "DIRTIES", "READ_HIT%", "WRITE_HIT%",
          "DIRECT"]


class Cachetop(LiveTable):
    command = "cachetop"

    def rows(self):
        """{pid: cells by title}, in order; of a screen wide enough for all columns."""
        lines = self.lines()
        head = next((i for i, line in enumerate(lines) if line.split()[:2] == ["PID", "UID"]), None)
        if head is None:
            return {}
        return {int(c[0]): dict(zip(TITLES, c)) for c in map(str.split, lines[head + 1:-1])
                if c and c[0].isdigit() and len(c) == len(TITLES)}

    def wait_rows(self, condition, what):
        found = {}

        def look(_):
            found["rows"] = self.rows()
            return condition(found["rows"])
        self.wait(look, what)
        return found["rows"]


@pytest.fixture
def cachetop(tmp_path):
    terminal = Cachetop(tmp_path)
    try:
        terminal.wait(has_prompt, "a prompt")
        yield terminal
    finally:
        terminal.close()


READER = r"""
import mmap, os, select, sys
name, path, pages = sys.argv[1:4]
open('/proc/self/comm', 'wb').write(os.fsencode(name))
fd = os.open(path, os.O_RDONLY)
direct = os.open(path, os.O_RDONLY | os.O_DIRECT)
buf = mmap.mmap(-1, 1 << 20)
print('ready', flush=True)
n = 0
while True:
    if select.select([0], [], [], 0.03)[0]:
        if not os.read(0, 1):
            break
        print(os.preadv(direct, [buf], 0), flush=True)
    for page in range(int(pages)):
        os.pread(fd, 4096, page * 4096)
"""


@pytest.fixture
def reader(tmp_path):
    """reader(name, pages): a process that reads so many cached pages 30 times a second."""
    running = []
    path = tmp_path / "data"
    path.write_bytes(b"x" * (1 << 20))
    with open(path, "rb") as f:
        os.fsync(f.fileno())

    def start(name, pages):
        proc = subprocess.Popen(["/usr/bin/python3", "-c", READER, name, path, str(pages)],
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        running.append(proc)
        assert proc.stdout.readline() == b"ready\n"
        return proc
    yield start
    for proc in running:
        proc.kill()
        proc.wait(DEADLINE)


@pytest.fixture
def readers(reader):
    """Three of them: {name: pid}."""
    names = ("many", "some", "few")
    procs = [reader(name, pages) for name, pages in zip(names, (90, 30, 10))]
    return {name: proc.pid for name, proc in zip(names, procs)}


def pids_of(readers):
    return ",".join(str(pid) for pid in readers.values())


def test_order(cachetop, readers):
    """By hits, by the next columns, reversed; < goes back; --sort chooses the first."""
    cachetop.start("--sort", "hits", "-p", pids_of(readers), "0.3")
    names = lambda rows: [r["CMD"] for r in rows.values()]
    rows = cachetop.wait_rows(lambda r: len(r) == 3, "three readers")
    rows = cachetop.wait_rows(lambda r: names(r) == ["many", "some", "few"], "most hits first")
    hits = [int(r["HITS"]) for r in rows.values()]
    assert hits == sorted(hits, reverse=True) and hits[2] > 0
    assert all(r["READ_HIT%"] == "100.00%" and r["DIRECT"] == "0" for r in rows.values())
    assert {pid: r["CMD"] for pid, r in rows.items()} == {p: n for n, p in readers.items()}
    assert "by HITS" in cachetop.lines()[0]
    cachetop.keys("r")
    cachetop.wait_rows(lambda r: names(r) == ["few", "some", "many"], "reversed")
    assert "reversed" in cachetop.lines()[0]
    cachetop.keys("r")
    cachetop.keys("<")
    cachetop.wait(lambda s: "by CMD" in s.splitlines()[0], "ordered by name")
    cachetop.wait_rows(lambda r: names(r) == ["few", "many", "some"], "the alphabet")
    cachetop.keys("<", "<")
    rows = cachetop.wait_rows(lambda r: list(r) == sorted(readers.values(), reverse=True),
                              "by PID")
    cachetop.quit()


def test_filter(cachetop, readers):
    cachetop.start("-p", pids_of(readers), "0.3")
    cachetop.wait_rows(lambda r: len(r) == 3, "three readers")
    cachetop.keys("/")
    cachetop.type("MAN")
    cachetop.wait(lambda s: "Rows with (empty: all): MAN" in s, "the question")
    cachetop.keys("Enter")
    rows = cachetop.wait_rows(lambda r: len(r) == 1, "one row")
    assert readers["many"] in rows and "filter 'MAN'  every 0.3 s  rows 1/3" in cachetop.lines()[0]
    cachetop.keys("=")
    cachetop.wait_rows(lambda r: len(r) == 3, "all rows again")
    cachetop.quit()


def test_hold(cachetop, readers):
    """Held, the table stays as it is while counting goes on; then it moves again."""
    cachetop.start("-p", pids_of(readers), "0.2")
    cachetop.wait_rows(lambda r: len(r) == 3, "three readers")
    cachetop.keys("p")
    held = cachetop.wait(lambda s: "HELD" in s.splitlines()[0], "held")
    end = time.monotonic() + 1
    wait_until(lambda: time.monotonic() > end, "five intervals")
    assert cachetop.screen() == held
    cachetop.keys(">")
    cachetop.wait(lambda s: "by PID" in s.splitlines()[0], "keys work on what is held")
    clock = held.split()[1]
    cachetop.keys("p")
    cachetop.wait(lambda s: "HELD" not in s and clock_of(s) > clock, "moving")
    cachetop.quit()


def test_help_and_interval(cachetop, readers):
    cachetop.start("-p", pids_of(readers))
    assert "every 1 s" in cachetop.lines()[0]
    cachetop.keys("h")
    screen = cachetop.wait(lambda s: "Keys" in s, "help")
    for word in ("order", "reverse", "Esc", "interval", "quit"):
        assert word in screen
    cachetop.keys("x")
    cachetop.wait(lambda s: "every 1 s" in s, "back")
    for typed, want in (("0.2", "every 0.2 s"), ("nonsense", "'nonsense': not 0.1 to 3600"),
                        ("0.01", "'0.01': not 0.1 to 3600 seconds")):
        cachetop.keys("d")
        cachetop.wait(lambda s: "Interval in seconds (now" in s, "the question")
        cachetop.type(typed)
        cachetop.keys("Enter")
        cachetop.wait(lambda s, want=want: want in s, want)
    clock = clock_of(cachetop.wait(clock_of, "a report"))
    cachetop.wait(lambda s: clock_of(s) > clock, "five reports more")
    screen = cachetop.quit()
    assert int(re.search(r"(\d+) reports", screen).group(1)) >= 2


def test_direct(cachetop, reader):
    """The seed case: what is read with O_DIRECT is in DIRECT, not a hit ratio of 100 %."""
    proc = reader("direct", 0)
    cachetop.start("-p", proc.pid, "1")
    clock = clock_of(cachetop.wait(clock_of, "a report"))
    cachetop.wait(lambda s: clock_of(s) != clock, "the beginning of an interval")
    proc.stdin.write(b"x")
    proc.stdin.flush()
    assert proc.stdout.readline() == b"1048576\n"
    found = []

    def look(rows):
        found.extend(r for r in rows.values() if r["DIRECT"] != "0")
        return found or "direct I/O requests whose end" in cachetop.screen()
    cachetop.wait_rows(look, "direct bytes")
    if not found:
        pytest.skip("the kernel gave no end event, as the table says")
    assert found[0]["DIRECT"] == "1.0M" and found[0]["CMD"] == "direct"
    assert int(found[0]["HITS"]) < 64 and found[0]["MISSES"] == "0"
    cachetop.quit()


def test_sizes(cachetop, readers):
    """Any size, also smaller than anything useful; then all is there again."""
    cachetop.start("--sort", "hits", "-p", pids_of(readers), "0.3")
    cachetop.wait_rows(lambda r: len(r) == 3, "three readers")
    for width, height in ((40, 6), (20, 3), (4, 2), (2, 1), (200, 50), (30, 5)):
        cachetop.resize(width, height)
        screen = cachetop.wait(lambda s, w=width: s.startswith("cachetop"[:min(w - 1, 8)]),
                               f"{width}x{height}")
        assert all(len(line) <= width for line in screen.splitlines())
    # Columns that have no room are a key away.
    cachetop.resize(30, 8)
    cachetop.wait(lambda s: "PID" in s and "DIRECT" not in s, "a narrow table")
    cachetop.keys(*["Right"] * 9)
    cachetop.wait(lambda s: "DIRECT" in s and "PID" not in s, "its last column")
    cachetop.keys(*["Left"] * 9)
    cachetop.resize(80, 24)
    cachetop.wait_rows(lambda r: [x["CMD"] for x in r.values()] == ["many", "some", "few"],
                       "the whole table")
    cachetop.quit()


def test_suspended(cachetop, readers):
    """Ctrl-Z gives the terminal back, fg takes it again; -STOP and -CONT too."""
    cachetop.start("-p", pids_of(readers), "0.3")
    cachetop.wait_rows(lambda r: len(r) == 3, "three readers")
    cachetop.keys("C-z")
    cachetop.wait(lambda s: "Stopped" in s, "stopped")
    cachetop.type(f"{CLEAR}; stty -a\n")
    assert " icanon" in cachetop.wait(lambda s: "icanon" in s, "modes")
    cachetop.type("fg\n")
    cachetop.wait_rows(lambda r: len(r) == 3, "the table again")
    os.kill(cachetop.pid, signal.SIGCONT)
    cachetop.keys(">")
    cachetop.wait(lambda s: "by PID" in s, "keys")
    cachetop.keys("q")
    cachetop.wait(lambda s: "Traced for" in s, "the end")


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, "C-c"])
def test_ended_by_signal(cachetop, readers, how):
    cachetop.start("-p", pids_of(readers), "0.3")
    cachetop.wait_rows(lambda r: len(r) == 3, "three readers")
    if isinstance(how, str):
        # bash takes the same Ctrl-C as meant for all of the line: no status then.
        cachetop.keys(how)
        cachetop.wait(lambda s: "Traced for" in s, "the end")
        cachetop.type("echo status=$?\n")
    else:
        os.kill(cachetop.pid, how)
    screen = cachetop.ended()
    assert isinstance(how, str) or f"status={FINE}" in screen


def test_program_ends(cachetop, reader):
    """The targets are gone: the table ends by itself."""
    proc = reader("short", 3)
    cachetop.start("-p", proc.pid, "0.3")
    cachetop.wait_rows(lambda r: proc.pid in r, "the reader")
    proc.kill()
    cachetop.ended()


def test_names_are_harmless(cachetop, reader):
    """Control characters, wide characters and bytes that are no UTF-8 in a name."""
    proc = reader("a\x1b[2J\x07\udcff中", 20)
    cachetop.start("-p", proc.pid, "0.3")

    def rows(screen):
        return [line for line in screen.splitlines() if line.split()[:1] == [str(proc.pid)]]
    screen = cachetop.wait(rows, "the reader")
    line = rows(screen)[0]
    assert line.split()[2] == "a\ufffd[2J\ufffd\ufffd中", line
    assert screen.startswith("cachetop"), "the screen was not cleared by a name"
    cachetop.quit()


def test_files(cachetop, reader, tmp_path):
    proc = reader("files", 20)
    cachetop.start("--by", "file", "-p", proc.pid, "0.3")
    cachetop.resize(200, 24)
    cachetop.wait(lambda s: any(line.endswith(str(tmp_path / "data")) for line in s.splitlines()),
                  "the file's path")
    cachetop.quit()


@pytest.fixture
def cgroup(tmp_path):
    """A cgroup of our own: its path below the mount, its directory."""
    with open("/proc/self/mountinfo", encoding="utf-8") as f:
        mounts = [line.split()[4] for line in f if " - cgroup2 " in line]
    if not mounts:
        pytest.skip("no cgroup2 is mounted")
    name = f"/memtally-{os.getpid()}"
    try:
        os.mkdir(mounts[0] + name)
    except OSError as e:
        pytest.skip(f"cannot make a cgroup: {e}")
    yield name, mounts[0] + name
    if os.path.isdir(mounts[0] + name):
        os.rmdir(mounts[0] + name)


def test_cgroup(cachetop, reader, cgroup):
    """By its path in the live table, and as a target."""
    name, directory = cgroup
    proc = reader("inside", 20)
    with open(f"{directory}/cgroup.procs", "w", encoding="ascii") as f:
        f.write(str(proc.pid))
    cachetop.start("--by", "cgroup", "--cgroup", directory, "0.3")
    screen = cachetop.wait(lambda s: name in s, "the cgroup")
    assert "rows 1/1" in screen.splitlines()[0]
    cachetop.quit()
    for command in ("cachestat", "cachetop"):
        done = memtally("--json", "--by", "cgroup", "--cgroup", directory, "0.3", "2",
                        command=command)
        assert f'"path":"{name}"'.encode() in done.stdout, done.stderr
        assert b'"removed":false' in done.stdout
    proc.kill()
    proc.wait(DEADLINE)
    wait_until(lambda: not os.rmdir(directory) if not procs_in(directory) else False, "empty")


def procs_in(directory):
    with open(f"{directory}/cgroup.procs", encoding="ascii") as f:
        return f.read()


def test_losses_are_on_the_screen(cachetop, tmp_path):
    """More files than there are rows: said in the table, and again when it is gone."""
    script = """
import sys
sys.stdin.readline()
for i in range(17000):
    with open(f'{sys.argv[1]}/{i}', 'w') as f:
        f.write('x')
print('done', flush=True)
sys.stdin.readline()
"""
    proc = subprocess.Popen(["/usr/bin/python3", "-c", script, tmp_path], stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE)
    try:
        cachetop.start("--by", "file", "-p", proc.pid, "0.5")
        assert "nothing lost" in cachetop.screen()
        proc.stdin.write(b"\n")
        proc.stdin.flush()
        assert proc.stdout.readline() == b"done\n"
        cachetop.wait(lambda s: re.search(r"LOST \d+.*the table is full", s), "the loss")
        cachetop.keys("End")
        cachetop.resize(80, 5)
        cachetop.wait(lambda s: "LOST" in s, "the loss on a small screen")
        cachetop.resize(80, 24)
        screen = cachetop.quit()
        assert "LOST" in screen and "cure:" in screen and "status=3" in screen
    finally:
        proc.kill()
        proc.wait(DEADLINE)


@pytest.mark.parametrize("env,word", [("TERM=dumb", "READ_HIT%"),
                                      ("TERM=no-such-terminal", "no live table")])
def test_no_live_table(cachetop, readers, env, word):
    """Terminals that cannot, or that nobody knows: lines of text."""
    cachetop.resize(80, 60)  # all of it, whatever else is to be said
    cachetop.start("-p", pids_of(readers), "0.3", "2", env=env, live=False)
    screen = cachetop.wait(lambda s: "Traced for" in s, "the end")
    assert word in screen and "READ_HIT%" in screen and "many" in screen


def test_not_a_terminal(readers):
    done = memtally("-p", pids_of(readers), "0.3", "2", command="cachetop")
    assert done.returncode == FINE and b"\x1b" not in done.stdout
    assert done.stdout.count(b"PID    UID CMD") == 2

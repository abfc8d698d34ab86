# SPDX-License-Identifier: GPL-2.0-or-later
"""
The real binary against programs with a known answer.

MEMTALLY names the binary (./memtally), VICTIMS the directory of the victims
(build/victims). Nothing here sleeps: every wait is for a line, an exit or a
condition, with a deadline that only a failure reaches.
"""
import collections
import ctypes
import functools
import json
import os
import pathlib
import queue
import re
import shutil
import signal
import subprocess
import threading
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
MEMTALLY = os.path.abspath(os.environ.get("MEMTALLY", ROOT / "memtally"))
VICTIMS = pathlib.Path(os.path.abspath(os.environ.get("VICTIMS", ROOT / "build/victims")))
DEADLINE = float(os.environ.get("E2E_DEADLINE", 60))
# Where the processor is emulated (tools/vm) loads are a tenth as long; what is asserted of them
# stays.
PART = int(os.environ.get("E2E_PART", 1))
ALL_ROWS = "1000000"

FINE, FAILURE, USAGE, INCOMPLETE = range(4)


def pytest_collection_modifyitems(config, items):
    reason = None
    if not os.access(MEMTALLY, os.X_OK):
        reason = f"no binary {MEMTALLY}: run make"
    elif not (VICTIMS / "eleven-o2").exists():
        reason = f"no victims in {VICTIMS}: run make victims"
    elif os.geteuid() != 0:
        reason = "tracing needs root"
    if reason:
        for item in items:
            if "needs_nothing" not in item.keywords:
                item.add_marker(pytest.mark.skip(reason=reason))


def pytest_configure(config):
    config.addinivalue_line("markers", "needs_nothing: runs without root and without the binary")


def victim_path(name):
    path = VICTIMS / name
    if not path.exists():
        pytest.skip(f"{path} was not built here (its compiler is missing, see make victims)")
    return path


def wait_until(condition, what, deadline=DEADLINE):
    """Polls a condition that no event announces."""
    end = time.monotonic() + deadline
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f"{what}: not within {deadline} s"
        threading.Event().wait(0.005)


def load(n):
    """How often or how many, where another number only takes another time."""
    return n // PART


class Lines:
    """The lines of a pipe, as they come; next() waits for one until the deadline."""

    def __init__(self, pipe):
        self.queue = queue.Queue()
        self.seen = []
        self.thread = threading.Thread(target=self._read, args=(pipe,), daemon=True)
        self.thread.start()

    def _read(self, pipe):
        for line in pipe:
            self.queue.put(line)
        self.queue.put(None)

    def next(self, deadline=DEADLINE):
        try:
            line = self.queue.get(timeout=deadline)
        except queue.Empty:
            raise AssertionError(f"no line within {deadline} s; so far: {self.seen[-5:]}") from None
        if line is None:
            self.queue.put(None)
            return None
        self.seen.append(line)
        return line

    def rest(self, deadline=DEADLINE):
        end = time.monotonic() + deadline
        while self.next(max(0.01, end - time.monotonic())) is not None:
            pass
        return self.seen


class Victim:
    def __init__(self, argv, env=None, **popen):
        self.truth = None
        self.proc = subprocess.Popen(
            [a if isinstance(a, bytes) else str(a) for a in argv], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            env={**os.environ, **(env or {})}, **popen)
        self.lines = Lines(self.proc.stdout)
        self.pid = self.proc.pid
        self.expect("start")

    def expect(self, state):
        line = self.lines.next()
        assert line is not None, f"victim ended with {self.proc.wait()} before '{state}'"
        said = json.loads(line)
        assert said["state"] == state
        return said

    def say(self, line="go"):
        self.proc.stdin.write(line.encode() + b"\n")
        self.proc.stdin.flush()

    def run(self):
        """Sends go and waits until all is allocated: the truth."""
        self.say()
        self.truth = self.expect("ready")
        return self.truth

    def finish(self):
        """Lets it exit: its status."""
        if not self.proc.stdin.closed:
            self.proc.stdin.close()
        return self.proc.wait(DEADLINE)

    def kill(self):
        if self.proc.poll() is None:
            self.proc.kill()
        self.proc.wait(DEADLINE)


def host_pid_below(parent, comm, deadline=DEADLINE):
    """The pid, as seen here, of a descendant process with this comm (pid namespaces)."""
    def find():
        todo = [parent]
        while todo:
            pid = todo.pop()
            try:
                if pathlib.Path(f"/proc/{pid}/comm").read_bytes().strip().decode() == comm[:15]:
                    return pid
                for task in os.listdir(f"/proc/{pid}/task"):
                    todo += [int(p) for p in pathlib.Path(
                        f"/proc/{pid}/task/{task}/children").read_text().split()]
            except (FileNotFoundError, ProcessLookupError):
                continue
        return None
    return wait_until(find, f"descendant '{comm}' of {parent}", deadline)


# What memtally holds in the kernel, by id: asked again after it has ended.

class BpfIds:
    GET_NEXT_ID = {"prog": 11, "map": 12, "link": 31}

    def __init__(self, pid):
        self.pid = pid
        self.ids = {"prog": set(), "map": set(), "link": set()}

    def collect(self):
        try:
            fds = os.listdir(f"/proc/{self.pid}/fdinfo")
        except FileNotFoundError:
            return self
        for fd in fds:
            try:
                text = pathlib.Path(f"/proc/{self.pid}/fdinfo/{fd}").read_text()
            except OSError:
                continue
            for kind in self.ids:
                self.ids[kind] |= {int(n) for n in re.findall(rf"^{kind}_id:\s*(\d+)", text, re.M)}
        return self

    @classmethod
    def exists(cls, kind, number):
        """
        By asking for the id that follows number - 1. Not by opening it: a prog_array whose
        last descriptor is closed twice while it is being cleared is never freed
        (prog_array_map_clear() takes a reference for work that is queued already).
        """
        attr = (ctypes.c_uint32 * 32)(number - 1)
        libc = ctypes.CDLL(None, use_errno=True)
        number_of_bpf = {"x86_64": 321, "aarch64": 280}[os.uname().machine]
        err = libc.syscall(number_of_bpf, cls.GET_NEXT_ID[kind], ctypes.byref(attr), 128)
        return not err and attr[1] == number

    def left(self):
        return [(k, n) for k in self.ids for n in sorted(self.ids[k]) if self.exists(k, n)]

    def assert_gone(self):
        assert self.ids["prog"], "no BPF program was seen while memtally ran"
        end = time.monotonic() + 15
        while self.left():
            assert time.monotonic() < end, f"kernel objects of memtally stay: {self.left()}"
            threading.Event().wait(0.005)


def frame_name(frame):
    """A function's bare name: no arguments, no anonymous namespace."""
    name = frame.get("function")
    if name is None:
        return None
    name = name.replace("(anonymous namespace)::", "")
    if name.startswith("operator()"):
        return name
    return name.split("(")[0]


class Row:
    def __init__(self, obj, symbols=None):
        self.obj = obj
        self.frames = obj.get("frames", [])
        self.bytes, self.count = obj["bytes"], obj["count"]
        self.pid, self.kind = obj["pid"], obj.get("kind")
        self.names = [frame_name(f) or (symbols(f) if symbols else None)
                      for f in self.frames if not f.get("inlined")]

    def position(self, chain):
        for i in range(len(self.names) - len(chain) + 1):
            if self.names[i:i + len(chain)] == list(chain):
                return i
        return -1

    def __repr__(self):
        return (f"<{self.kind} {self.bytes}/{self.count} pid {self.pid} "
                f"{self.obj.get('stack_status')}: {' < '.join(str(n) for n in self.names)}>")


class Tick:
    def __init__(self):
        self.rows, self.blocks, self.processes, self.losses = [], [], [], None


class Tally:
    """One run of memtally leak --json."""

    def __init__(self, *args, symbols=None, prefix=(), **popen):
        argv = [*prefix, MEMTALLY, "leak", "--json"]
        args = [str(a) for a in args]
        own = args[:args.index("--")] if "--" in args else args
        if "-T" not in own:
            argv += ["-T", ALL_ROWS]
        self.symbols = symbols
        popen.setdefault("stdin", subprocess.DEVNULL)
        self.proc = subprocess.Popen(argv + args, stdout=subprocess.PIPE,
                                     stderr=subprocess.PIPE, **popen)
        self.lines = Lines(self.proc.stdout)
        self.errors = Lines(self.proc.stderr)
        self.bpf = BpfIds(self.proc.pid)
        self.objects, self.foreign, self.start, self.end = [], [], None, None
        self.ticks = collections.OrderedDict()
        self.checked = False

    @property
    def stderr(self):
        return b"".join(self.errors.rest()).decode(errors="replace")

    def _take(self, line):
        try:
            obj = json.loads(line)  # bytes: must be UTF-8
        except ValueError:
            obj = None
        if not isinstance(obj, dict) or "type" not in obj:
            self.foreign.append(line)  # the program's own output
            return None
        assert obj["command"] == "leak" and isinstance(obj["time"], (int, float)), obj
        self.objects.append(obj)
        kind = obj["type"]
        if kind == "start":
            self.start = obj
        elif kind == "end":
            self.end = obj
        else:
            tick = self.ticks.setdefault(obj["tick"], Tick())
            if kind == "stack":
                tick.rows.append(Row(obj, self.symbols))
            elif kind == "block":
                tick.blocks.append(obj)
            elif kind == "process":
                tick.processes.append(obj)
            elif kind == "losses":
                tick.losses = obj
        return obj

    def next(self, deadline=DEADLINE):
        while True:
            line = self.lines.next(deadline)
            if line is None:
                return None
            obj = self._take(line)
            if obj:
                return obj

    def started(self):
        """Waits until the probes are live."""
        while not self.start:
            obj = self.next()
            assert obj, f"memtally ended with {self.proc.wait()}: {self.stderr}"
        self.bpf.collect()
        return self

    def wait_tick(self, condition, what):
        """Reads on until a finished tick satisfies condition(Tick); returns it."""
        end = time.monotonic() + DEADLINE
        while time.monotonic() < end:
            obj = self.next()
            assert obj, f"{what}: memtally ended with {self.proc.wait()}: {self.stderr}"
            if obj["type"] == "losses" and condition(self.ticks[obj["tick"]]):
                return self.ticks[obj["tick"]]
        raise AssertionError(f"{what}: in no tick within {DEADLINE} s")

    def stop(self, how=signal.SIGINT):
        """Signals it, reads all to the end, checks that nothing is left: itself."""
        self.bpf.collect()
        if how and self.proc.poll() is None:
            self.proc.send_signal(how)
        return self.wait()

    def wait(self):
        end = time.monotonic() + DEADLINE
        while self.next(max(0.01, end - time.monotonic())):
            if self.start and not self.bpf.ids["prog"]:
                self.bpf.collect()
        self.status = self.proc.wait(DEADLINE)
        self.error_text = self.stderr
        if self.start and self.bpf.ids["prog"]:
            self.bpf.assert_gone()
        self.checked = True
        return self

    def kill(self):
        if self.proc.poll() is None:
            self.proc.kill()
        self.proc.wait(DEADLINE)

    @property
    def last(self):
        assert self.ticks, f"no report; exit {self.proc.returncode}, stderr: {self.stderr}"
        return self.ticks[next(reversed(self.ticks))]

    # Assertions

    def assert_clean(self):
        """Exit 0, an end object, no loss, nothing on stderr that is not in house shape."""
        assert self.end is not None, self.objects[-3:]
        assert_no_losses(self.last)
        for tick in self.ticks.values():
            assert not [r for r in tick.rows if r.obj["stack_status"] == "lost"]
        assert self.status == FINE, (self.status, self.error_text)
        assert_message_shape(self.error_text)


LOSS_META = {"type", "command", "time", "tick"}


def losses_of(tick):
    assert tick.losses is not None, "a tick without a losses object"
    return {k: v for k, v in tick.losses.items() if k not in LOSS_META}


def losses_said(tick):
    return {k: v for k, v in (tick.losses or {}).items() if k not in LOSS_META and v}


def assert_no_losses(tick):
    losses = losses_of(tick)
    assert losses, "the losses object names no counter"
    assert not any(losses.values()), {k: v for k, v in losses.items() if v}


def assert_message_shape(text):
    """Messages are `area: what`, lower case area, no traceback, no control characters."""
    for line in text.splitlines():
        assert re.match(r"^[a-z0-9_.-]+: \S", line), f"odd message: {line!r}"
        assert "Sanitizer" not in line and "Assertion" not in line, line


def drop_libgcc_tables(tick):
    """A static program's libgcc sorts its tables at the first throw, and keeps the result."""
    tick.rows = [r for r in tick.rows if "_Unwind_Find_FDE" not in r.names]


def rows_of(tick, site, pid=None):
    """The rows of one site of the truth."""
    found = []
    for row in tick.rows:
        if pid is not None and row.pid != pid:
            continue
        at = row.position(site["chain"])
        if at < 0:
            continue
        if site["via"]:
            assert all(is_library_frame(row, i, site["via"]) for i in range(at)), row
        else:
            assert at == 0, f"frames between the allocator and {site['function']}: {row}"
        found.append(row)
    return found


def is_library_frame(row, i, via):
    frame = [f for f in row.frames if not f.get("inlined")][i]
    name = row.names[i] or ""
    library = os.path.basename(frame.get("object") or "")
    return (via in name or "std::" in name or "_M_" in name
            or re.match(r"lib(stdc\+\+|c|c-.*|jemalloc|tcmalloc|mimalloc)[._-]", library))


def assert_truth(tick, truth, pid=None, only=True, rows_per_site=1, skip=()):
    """
    Every site with exactly its bytes and count, and one row; a site that gave all back
    has no row. With only, there is no other row (of this pid).
    """
    explained, wrong = set(), []
    for name, site in truth["sites"].items():
        if name in skip:
            continue
        rows = rows_of(tick, site, pid)
        explained |= {id(r) for r in rows}
        got = (sum(r.bytes for r in rows), sum(r.count for r in rows))
        want = (site["bytes"], site["count"])
        if want[1] is None:
            got, want = (got[0], None), want
        if got != want:
            wrong.append(f"{name}: got {got}, truth {want}")
        if not site["bytes"] and not site["count"] and rows:
            wrong.append(f"{name}: gave everything back, but has {rows}")
        limit = rows_per_site.get(name, 1) if isinstance(rows_per_site, dict) else rows_per_site
        if len(rows) > limit:
            wrong.append(f"{name}: {len(rows)} rows for one call stack")
        wrong += [f"{name}: kind {r.kind}" for r in rows if r.kind != site["kind"]]
        wrong += [f"{name}: estimated" for r in rows if r.obj.get("estimated")]
    if only:
        wrong += [f"no site of the victim: {r}" for r in tick.rows
                  if id(r) not in explained and (pid is None or r.pid == pid)
                  and not (skip and r.names and any(n in str(r.names) for n in skip))]
    assert not wrong, "\n".join(wrong + [f"losses: {losses_said(tick)}", "rows:"] + [repr(r) for r in tick.rows[:40]])


def assert_stacks_complete(tick, truth, pid=None, bottom="main"):
    """Each stack of the truth is walked to its end, which lies below `bottom`."""
    for site in truth["sites"].values():
        for row in rows_of(tick, site, pid):
            assert row.obj["stack_status"] == "complete", row
            assert not bottom or bottom in row.names[:-1], f"does not pass {bottom}: {row}"


@pytest.fixture
def victim():
    """victim(name, *args, env=..., prefix=[...]): starts one, ended after the test."""
    running = []

    def start(name, *args, prefix=(), path=None, **popen):
        v = Victim([*prefix, path or victim_path(name), *args], **popen)
        running.append(v)
        return v
    yield start
    for v in running:
        v.kill()


@pytest.fixture
def tally():
    """tally(*args): starts memtally leak --json -T all; ended after the test."""
    running = []

    def start(*args, **kwargs):
        t = Tally(*args, **kwargs)
        running.append(t)
        return t
    yield start
    for t in running:
        t.kill()


@pytest.fixture
def trace(victim, tally):
    """trace(name, *victim_args, options=[...]): attach, run, stop: (Tally, truth, Victim)."""
    def run(name, *args, options=(), symbols=None, stop=signal.SIGINT, **popen):
        v = victim(name, *args, **popen)
        t = tally("-p", v.pid, *options, symbols=symbols).started()
        truth = v.run()
        t.stop(stop)
        return t, truth, v
    return run


def preempts():
    """Whether the kernel preempts what runs in it, as it does BPF programs of probes then."""
    chosen = pathlib.Path("/sys/kernel/debug/sched/preempt")
    if not chosen.exists():
        return "PREEMPT" in os.uname().version.replace("PREEMPT_DYNAMIC", "")
    return not re.search(r"\((none|voluntary)\)", chosen.read_text(encoding="ascii"))


def memtally(*args, command="leak", **kwargs):
    """Runs memtally to its end: CompletedProcess with text."""
    argv = [MEMTALLY, *([command] if command else []), *[str(a) for a in args]]
    kwargs.setdefault("stdin", subprocess.DEVNULL)
    return subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=DEADLINE,
                          check=False, **kwargs)


def symbols_of(twin, stripped):
    """A resolver of frames in a stripped file, by the symbol table of its unstripped twin."""
    out = subprocess.run(["nm", "--defined-only", str(twin)], stdout=subprocess.PIPE, check=True)
    table = []
    for line in out.stdout.decode().splitlines():
        address, kind, name = line.split()
        if kind in "tT":
            table.append((int(address, 16), name))
    table.sort()
    bases = segments_of(stripped)

    def resolve(frame):
        if frame.get("object") != str(stripped) or frame.get("object_offset") is None:
            return None
        offset = as_int(frame["object_offset"])
        address = next((v + offset - o for v, o, n in bases if o <= offset < o + n), offset)
        return next((name for a, name in reversed(table) if a <= address), None)
    return resolve


def as_int(value):
    return int(value, 0) if isinstance(value, str) else value


def segments_of(path):
    out = subprocess.run(["readelf", "-lW", str(path)], stdout=subprocess.PIPE, check=True)
    return [(int(m[1], 16), int(m[0], 16), int(m[2], 16)) for m in re.findall(
        r"^\s+LOAD\s+(0x\w+) (0x\w+) 0x\w+ (0x\w+)", out.stdout.decode(), re.M)]


def build_id_of(path):
    out = subprocess.run(["readelf", "-n", str(path)], stdout=subprocess.PIPE, check=True)
    found = re.search(r"Build ID: (\w+)", out.stdout.decode())
    return found and found.group(1)


def shared_library(pattern):
    """A Debian allocator package's library, or a skip."""
    for directory in ("/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64"):
        found = sorted(pathlib.Path(directory).glob(pattern)) if os.path.isdir(directory) else []
        if found:
            return str(found[0])
    pytest.skip(f"no {pattern} on this machine")
    return None


@functools.lru_cache
def features():
    """What this kernel has: {feature: bool}, and under "methods" what methods() returns."""
    return json.loads(memtally("--json", command="features").stdout)


def methods():
    """What each command can do on this kernel: {command: {part: way, or None}}."""
    return features()["methods"]


def need_method(command, part):
    if not methods()[command][part]:
        pytest.skip(f"memtally features: this kernel has no way for {command}: {part}")


def need(tool):
    if not shutil.which(tool):
        pytest.skip(f"no {tool} on this machine")
    return shutil.which(tool)


@pytest.fixture
def map_readers(victim):
    """As many as processors: who else runs meets one that was preempted in a bpf() call."""
    readers = [victim("map_reader-o2") for _ in range(os.cpu_count())]
    for r in readers:
        r.say()
        r.expect("running")

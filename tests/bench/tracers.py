# SPDX-License-Identifier: GPL-2.0-or-later
"""What is put on a load: nothing, probes that do nothing, memtally, and its peers.

start(load) returns when the tracer is at work. stop() returns when it is gone.
"""
import json
import os
import shutil
import signal
import statistics
import subprocess
import threading
import time

from loads import process_cpu_ns

BUILD = os.environ.get("BUILD", "build")
MEMTALLY = os.path.abspath("memtally")
FLOOR = os.path.join(BUILD, "bench", "floor")

BPFTRACE = """
uprobe:LIBC:malloc {{ @size[tid] = arg0; }}
uretprobe:LIBC:malloc /@size[tid]/ {{
	$s = ustack({depth});
	@bytes[$s] = sum(@size[tid]); @live[retval] = @size[tid]; delete(@size[tid]);
}}
uprobe:LIBC:free /@live[arg0]/ {{ delete(@live[arg0]); }}
"""


class Absent(Exception):
    """The tool is not here, or does not run here; the text says why."""


def bpf_objects(pid, kind):
    """What bpftool shows of the programs or maps that a process holds."""
    ids = set()
    for fd in os.listdir(f"/proc/{pid}/fdinfo"):
        try:
            with open(f"/proc/{pid}/fdinfo/{fd}", encoding="ascii") as f:
                ids |= {int(line.split()[1]) for line in f if line.startswith(f"{kind}_id:")}
        except OSError:
            continue  # closed meanwhile
    out = subprocess.run(["bpftool", "-j", kind, "show"], stdout=subprocess.PIPE, check=True)
    return [o for o in json.loads(out.stdout) if o["id"] in ids]


class Nothing:
    name = "untraced"

    def start(self, load):
        pass

    def stop(self):
        pass


class Floor:
    """Empty programs; -e at the functions' entries, -k with bpf_get_stackid()."""

    def __init__(self, name, options=()):
        self.name, self.options = name, list(options)

    def start(self, load):
        self.process = subprocess.Popen(
            [FLOOR, *self.options, str(load.pid)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        if not self.process.stdout.readline().startswith("ready"):
            raise RuntimeError("floor: cannot attach")

    def stop(self):
        """{program: (runs, ns)}, with -k."""
        self.process.stdin.close()
        lines = [line.split() for line in self.process.stdout]
        self.process.wait()
        return {name: (int(runs), int(ns)) for name, runs, ns in lines}


class Memtally:
    def __init__(self, name, options=(), interval=()):
        self.name, self.options, self.interval = name, list(options), list(interval)
        self.detach_s = []

    def start(self, load):
        self.ticks = []  # (time, CPU ns so far) at the end of each report
        self.losses = {}
        self.tick_done = threading.Condition()
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            [MEMTALLY, "leak", "--json", *self.options, "-p", str(load.pid), *self.interval],
            stdout=subprocess.PIPE, text=True,
        )
        line = self.process.stdout.readline()
        self.ready_s = time.monotonic() - self.started
        if not line:
            raise RuntimeError("memtally has ended at once")
        self.head = json.loads(line)
        self.reader = threading.Thread(target=self.read)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            kind = line[:40]
            if '"type":"losses"' in kind:
                self.losses = json.loads(line)
                with self.tick_done:
                    self.ticks.append((time.monotonic(), process_cpu_ns(self.process.pid)))
                    self.tick_done.notify()
            elif '"type":"end"' in kind:
                self.end = json.loads(line)

    def wait_ticks(self, n):
        with self.tick_done:
            if not self.tick_done.wait_for(lambda: len(self.ticks) >= n, 120):
                raise RuntimeError("memtally does not report")

    def status(self, key):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as f:
            return next(int(line.split()[1]) for line in f if line.startswith(key + ":"))

    def runs(self):
        """{program: (runs, ns)} as the kernel counts them, while memtally runs."""
        return {p["name"]: (p.get("run_cnt", 0), p.get("run_time_ns", 0))
                for p in bpf_objects(self.process.pid, "prog")}

    def stop(self):
        start = time.monotonic()
        self.process.send_signal(signal.SIGINT)
        self.process.wait()
        self.detach_s.append(time.monotonic() - start)
        self.reader.join()
        lost = {k: v for k, v in self.losses.items() if isinstance(v, int) and v and k not in
                ("tick", "time")}
        if self.process.returncode not in (0, 3):
            raise RuntimeError(f"memtally: exit status {self.process.returncode}")
        if lost:
            raise RuntimeError(f"memtally lost something: {lost}")


class Peer:
    """A tracer that does not say when it is ready: the load's speed tells."""

    def __init__(self, name, argv, setup=None, teardown=None):
        self.name, self.argv = name, argv
        self.setup, self.teardown = setup, teardown

    def start(self, load):
        before = statistics.median(load.run("pair 1 3000 4") for _ in range(5))
        if self.setup:
            self.setup()
        self.process = subprocess.Popen(
            [str(a).replace("PID", str(load.pid)) for a in self.argv],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 15
        steady = 0
        last = before
        while steady < 3:
            time.sleep(0.1)
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise Absent("it does not start here")
            now = load.run("pair 1 3000 4")
            # At work: much slower than without, and not getting slower any more.
            steady = steady + 1 if now > 20 * before and now < 1.3 * last else 0
            last = now

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        if self.teardown:
            self.teardown()


def need(tool):
    path = shutil.which(tool)
    if not path:
        raise Absent("not installed")
    return path


def memleak(libraries):
    path = os.environ.get("MEMLEAK", "")
    if not path or not os.access(path, os.X_OK):
        raise Absent("MEMLEAK does not name it")
    return Peer("libbpf-tools memleak",
                [path, "-p", "PID", "-O", libraries.libc, "-o", "500", "3600"])


def bpftrace(libraries):
    script = BPFTRACE.format(depth=13).replace("LIBC", libraries.libc)
    # Its tables hold 4096 keys unless told; memtally's hold every block.
    return Peer("bpftrace", ["env", "BPFTRACE_MAP_KEYS_MAX=1000000", need("bpftrace"), "-p", "PID",
                             "-e", script])


def perf(libraries):
    """perf record of a stack at each malloc; where there is no tracefs it gets one of its own."""
    tool = need("perf")
    data = os.path.join(libraries.dir, "perf.data")
    inner = (
        "[ -e /sys/kernel/tracing/uprobe_events ] || "  # a second one is refused: EBUSY
        "mount -t tracefs nodev /sys/kernel/tracing || exit 1; "
        f"{tool} probe -q -x {libraries.libc} mtbench=malloc || exit 1; "
        f"{tool} record -q -g -o {data} -e 'probe*:mtbench*' -p PID & "
        "trap 'kill -INT $!; wait $!' INT; wait $!; "
        f"{tool} probe -q -d 'probe*:mtbench*'"
    )
    return Peer("perf record (malloc only)", ["unshare", "-m", "sh", "-c", inner])


PEERS = {"libbpf-tools memleak": memleak, "bpftrace": bpftrace, "perf record (malloc only)": perf}


def wrappers(out):
    """Tools that start the program themselves: {name: argv before the program's}."""
    found, missing = {}, {}
    for name, tool, argv in (
        ("heaptrack", "heaptrack", ["-r", "-o", os.path.join(out, "heaptrack")]),
        ("valgrind massif", "valgrind",
         ["--tool=massif", f"--massif-out-file={os.path.join(out, 'massif')}"]),
    ):
        try:
            found[name] = [need(tool), *argv]
        except Absent as e:
            missing[name] = str(e)
    return found, missing

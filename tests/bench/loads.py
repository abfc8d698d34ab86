# SPDX-License-Identifier: GPL-2.0-or-later
"""The programs that are traced. Each one lives through the whole run and obeys commands,
so that every tracer meets the same process; only its own CPU time counts.

A load uses a private copy of the C library: probes belong to a file, so that other
tracers of this machine, which probe the system's copy, do not slow it down.
"""
import glob
import os
import shutil
import subprocess
import tempfile
import time

PYTHON_LOAD = """
import sys, time
def work(n):
    for i in range(n):
        d = {j: [str(j), {"k": j}] for j in range(64)}
        d.clear()
for line in sys.stdin:
    n = int(line.split()[1])
    start = time.thread_time_ns()
    work(n)
    print(time.thread_time_ns() - start, n, flush=True)
"""

OBJECTS_LOAD = """
import ctypes, sys
libs = [ctypes.CDLL(p) for p in sys.argv[1:]]
for line in sys.stdin:
    print(0, len(libs), flush=True)
"""


def process_cpu_ns(pid):
    """CPU time of a whole process: clock id as MAKE_PROCESS_CPUCLOCK() of the kernel."""
    return time.clock_gettime_ns((~pid << 3) | 2)


class Libraries:
    """Short-named directory of library copies; memleak takes paths of 31 bytes at most."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="mtb-", dir="/tmp")
        for name in ("libc.so.6", "libjemalloc.so.2"):
            found = glob.glob(f"/usr/lib/*-linux-gnu/{name}") + glob.glob(f"/usr/lib64/{name}")
            if found:
                shutil.copy(found[0], self.dir)
        self.libc = os.path.join(self.dir, "libc.so.6")
        self.env = dict(os.environ, LD_LIBRARY_PATH=self.dir)

    def many(self, n):
        """n copies of libm with build ids of their own."""
        source = glob.glob("/usr/lib/*-linux-gnu/libm.so.6") + glob.glob("/usr/lib64/libm.so.6")
        with open(source[0], "rb") as f:
            image = bytearray(f.read())
        at = image.find(b"\x04\0\0\0\x14\0\0\0\x03\0\0\0GNU\0") + 16
        paths = []
        for i in range(n):
            image[at : at + 4] = i.to_bytes(4, "little")
            paths.append(f"{self.dir}/m{i}.so")
            with open(paths[-1], "wb") as f:
                f.write(image)
        return paths

    def close(self):
        shutil.rmtree(self.dir, ignore_errors=True)


class Load:
    """A program that answers "COMMAND" with "CPU_NS COUNT"."""

    def __init__(self, name, argv, env=None):
        self.name = name
        self.process = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            text=True, env=env,
        )
        self.pid = self.process.pid

    def run(self, command):
        """CPU ns per unit of work."""
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().split()
        while answer and not answer[0].isdigit():  # what a wrapper says
            answer = self.process.stdout.readline().split()
        if not answer:
            raise RuntimeError(f"{self.name} has ended")
        return int(answer[0]) / int(answer[1])

    def close(self):
        self.process.stdin.close()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Redis:
    """redis-server under redis-benchmark: CPU ns of the server per request."""

    name = "redis"

    def __init__(self, libraries):
        self.socket = os.path.join(libraries.dir, "redis")
        self.process = subprocess.Popen(
            ["redis-server", "--port", "0", "--unixsocket", self.socket, "--save", "",
             "--appendonly", "no", "--dir", libraries.dir, "--maxmemory", "256mb",
             "--maxmemory-policy", "allkeys-lru"],
            stdout=subprocess.DEVNULL, env=libraries.env,
        )
        self.pid = self.process.pid
        deadline = time.monotonic() + 10
        while not os.path.exists(self.socket) and time.monotonic() < deadline:
            time.sleep(0.05)

    def run(self, command):
        n = command.split()[-1]
        start = process_cpu_ns(self.pid)
        subprocess.run(
            ["redis-benchmark", "-s", self.socket, "-t", "set", "-r", "100000", "-d", "256",
             "-c", "8", "-n", n, "-q"],
            stdout=subprocess.DEVNULL, check=True,
        )
        return (process_cpu_ns(self.pid) - start) / int(n)

    def close(self):
        self.process.terminate()
        self.process.wait()

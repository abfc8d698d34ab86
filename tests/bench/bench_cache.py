#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
What cachestat costs: a warm 4 KiB read and a system call that reads nothing, alone, under
cachestat in its views, under perf trace and under strace -c. The best of three runs each,
taken in turn, so that a busy machine hits all alike.
"""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("BUILD", ROOT / "build")).absolute()
IO = BUILD / "bench/bench_cache_io"
RUNS = 3


def figures(text):
    words = text.split()
    return float(words[words.index("pread") + 1]), float(words[words.index("none") + 1])


def run(name, argv, path):
    rounds = "1" if name.startswith(("perf", "strace")) else "15"
    done = subprocess.run([*argv, str(IO), path, rounds], stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, check=False)
    lines = [line for line in done.stdout.decode().splitlines() if line.startswith("pread ")]
    return figures(lines[0]) if lines else None


def main():
    ways = {"alone": [],
            "cachestat": [ROOT / "memtally", "cachestat", "60", "--"],
            "cachestat --by process": [ROOT / "memtally", "cachestat", "--by", "process", "60",
                                       "--"],
            "cachestat --by file": [ROOT / "memtally", "cachestat", "--by", "file", "60", "--"]}
    ways["cachestat --method syscalls"] = [ROOT / "memtally", "cachestat", "--method",
                                           "syscalls", "60", "--"]
    if shutil.which("perf"):
        ways["perf trace -s"] = ["perf", "trace", "-s", "-o", "/dev/null", "--"]
    if shutil.which("strace"):
        ways["strace -c"] = ["strace", "-c", "-o", "/dev/null"]
    best = {}
    with tempfile.TemporaryDirectory() as directory:
        for n in range(RUNS):
            for name, argv in ways.items():
                if n and name.startswith(("perf", "strace")):
                    continue  # seconds each
                got = run(name, [str(a) for a in argv], directory + "/file")
                if got:
                    old = best.get(name, got)
                    best[name] = (min(old[0], got[0]), min(old[1], got[1]))
    base = best["alone"]
    print(f"{'page cache':26} {'4K read ns':>10} {'ratio':>6} {'no read ns':>10} {'ratio':>6}")
    for name in ways:
        if name not in best:
            print(f"{name:26} {'did not run here':>10}")
            continue
        read, none = best[name]
        print(f"{name:26} {read:10.1f} {read / base[0]:6.2f} {none:10.1f} {none / base[1]:6.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

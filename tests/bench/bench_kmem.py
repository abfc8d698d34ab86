# SPDX-License-Identifier: GPL-2.0-or-later
"""
What memtally kmem costs: CPU time per operation of loops that live on the kernel's
allocators, without it and in each gear, and of libbpf-tools memleak if $MEMLEAK names it.
The median of the rounds; gears take turns, so that a busy machine disturbs all alike. Then
how long a report of a million blocks takes.
"""
import os
import pathlib
import signal
import statistics
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
MEMTALLY = os.environ.get("MEMTALLY", str(ROOT / "memtally"))
LOOPS = ROOT / os.environ.get("BUILD", "build") / "bench/kmem_loops"
ROUNDS = int(os.environ.get("ROUNDS", "5"))
SECONDS = os.environ.get("SECONDS_PER_LOOP", "0.3")
BLOCKS = 1000000
# Added share that a gear may cost, for the compile and for the other loops.
BOUNDS = {"watch": (0.001, 0.001), "default": (0.06, 0.30)}


def gears():
    kmem = {"watch": ["--watch", "1"], "default": [], "full": ["--full"]}
    found = {"base": None, **{g: [MEMTALLY, "kmem", *args] for g, args in kmem.items()}}
    if os.environ.get("MEMLEAK"):
        found["memleak"] = ["stdbuf", "-oL", os.environ["MEMLEAK"], "3600"]
    return found


def measure():
    out = subprocess.run([LOOPS, SECONDS], capture_output=True, text=True, check=True).stdout
    return {name: float(us) for name, us in map(str.split, out.splitlines())}


def measure_under(command):
    if command is None:
        return measure()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as tool:
        tool.stdout.readline()  # it has attached
        os.set_blocking(tool.stdout.fileno(), False)
        result = measure()
        tool.send_signal(signal.SIGINT)
        os.set_blocking(tool.stdout.fileno(), True)
        tool.communicate()
    return result


def print_costs():
    took = {gear: {} for gear in gears()}
    for _ in range(ROUNDS):
        for gear, command in gears().items():
            for loop, us in measure_under(command).items():
                took[gear].setdefault(loop, []).append(us)
    names = [g for g in took if g != "base"]
    print("kmem: CPU time per operation, and what each gear adds (* above its bound)")
    print(f"{'loop':8}{'us':>10}" + "".join(f"{g:>10} " for g in names))
    for loop, base in took["base"].items():
        us = statistics.median(base)
        line = f"{loop:8}{us:10.1f}"
        for gear in names:
            added = statistics.median(took[gear][loop]) / us - 1
            bound = BOUNDS.get(gear, (None, None))[loop != "compile"]
            line += f"{added:+10.1%}" + (" " if bound is None or added <= bound else "*")
        print(line)


def print_report_time():
    """Names that are not there leave a dentry each, until their directory goes."""
    with tempfile.TemporaryDirectory() as directory, subprocess.Popen(
            [MEMTALLY, "kmem", "--full", "--cache", "dentry", "--max-blocks", str(2 * BLOCKS)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE) as tool:
        tool.stderr.readline()
        for i in range(BLOCKS):
            os.access(f"{directory}/{i}", os.F_OK)
        start = time.monotonic()
        tool.send_signal(signal.SIGINT)
        tool.communicate()
        took = time.monotonic() - start
    print(f"kmem: report of {BLOCKS} verified blocks after {took:.2f} s (at most 1)")


print_costs()
print_report_time()

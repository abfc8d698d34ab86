# SPDX-License-Identifier: GPL-2.0-or-later
"""
What memtally kmem costs: CPU time per operation of loops that live on the kernel's
allocators, without it and in each gear, and of libbpf-tools memleak if $MEMLEAK names it.

Short slices take turns, each under a tool between two without, on a processor of their own,
so that whatever drifts is in both. What a slice costs beyond is a matter of luck too: a loop
uses few objects over and over, and the sample (drawn anew in each run) has some of them or
not. So the mean over the slices is the cost that is to be expected, said with its standard
error. "floor": nothing is sampled, the programs only look at the address.

--watch has no probes: its cost is the CPU time that it takes itself. Then how long a report
of a million blocks takes.
"""
import os
import pathlib
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
MEMTALLY = os.environ.get("MEMTALLY", str(ROOT / "memtally"))
LOOPS = ROOT / os.environ.get("BUILD", "build") / "bench/kmem_loops"
ROUNDS = int(os.environ.get("ROUNDS", "30"))
SECONDS = os.environ.get("SECONDS_PER_LOOP", "0.05")
WARM_UP = "0.01"  # what loading left to do is done, and caches are those of the loops
ONLY = sys.argv[1:]  # gears; none: all
BLOCKS = 1000000
# Added share that the default gear may cost, for the compile and for the other loops; what
# full may cost of memleak's; CPU time of --watch.
BOUNDS, OF_MEMLEAK, WATCH = (0.06, 0.30), 0.5, 0.001


def gears():
    kmem = {"floor": ["-s", str(1 << 20)], "default": [], "full": ["--full"]}
    found = {g: [MEMTALLY, "kmem", *args] for g, args in kmem.items()}
    if os.environ.get("MEMLEAK"):
        found["memleak"] = ["stdbuf", "-oL", os.environ["MEMLEAK"], "3600"]
    return {g: command for g, command in found.items() if not ONLY or g in ONLY}


def measure(seconds=SECONDS):
    last = max(os.sched_getaffinity(0))
    out = subprocess.run([LOOPS, seconds], capture_output=True, text=True, check=True,
                         preexec_fn=lambda: os.sched_setaffinity(0, {last})).stdout
    return {name: float(us) for name, us in map(str.split, out.splitlines())}


def measure_under(command):
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as tool:
        tool.stdout.readline()  # it has attached
        os.set_blocking(tool.stdout.fileno(), False)
        measure(WARM_UP)
        result = measure()
        tool.send_signal(signal.SIGINT)
        os.set_blocking(tool.stdout.fileno(), True)
        tool.communicate()
    return result


def slices():
    """What each slice under a tool added: gear -> loop -> shares; and loop -> us without."""
    base, added, before = {}, {gear: {} for gear in gears()}, measure()
    for _ in range(ROUNDS):
        for gear, command in gears().items():
            under = measure_under(command)
            measure(WARM_UP)
            after = measure()
            for loop, us in under.items():
                base.setdefault(loop, []).append(after[loop])
                added[gear].setdefault(loop, []).append(
                    2 * us / (before[loop] + after[loop]) - 1)
            before = after
    return base, added


def expected(shares):
    """Mean and its standard error. The machine's own hiccups are the outermost slices."""
    cut = len(shares) // 20
    kept = sorted(shares)[cut:len(shares) - cut]
    return statistics.mean(kept), statistics.stdev(kept) / len(kept) ** 0.5


def print_costs():
    base, added = slices()
    print("kmem: CPU time per operation, and what each gear adds, with the standard error of the "
          "mean (* above its bound)")
    print(f"{'loop':8}{'us':>8}" + "".join(f"{g:>16} " for g in added))
    for loop in base:
        line = f"{loop:8}{statistics.median(base[loop]):8.1f}"
        means = {gear: expected(added[gear][loop]) for gear in added}
        for gear, (mean, error) in means.items():
            bound = {"default": BOUNDS[loop != "compile"],
                     "full": means.get("memleak", (float("inf"),))[0] * OF_MEMLEAK}.get(gear)
            line += f"{mean:+9.1%} ±{error:5.1%}"
            line += " " if bound is None or mean <= bound else "*"
        print(line)


def print_watch():
    ticks = 20
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([MEMTALLY, "kmem", "--watch", "0.1", str(ticks)], stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    each = (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / ticks
    share = each / 10  # a tick each 10 s
    print(f"kmem --watch: {each * 1e3:.2f} ms of CPU time per tick, {share:.3%} of one processor "
          f"at one tick in 10 s (at most {WATCH:.1%})")


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
if not ONLY:
    print_watch()
    print_report_time()

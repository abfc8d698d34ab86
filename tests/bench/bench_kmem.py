# SPDX-License-Identifier: GPL-2.0-or-later
"""
What memtally kmem costs: CPU time per operation of loops that live on the kernel's
allocators, without it and in each gear. The minimum of some rounds; gears take turns, so
that a busy machine disturbs all alike.
"""
import os
import pathlib
import signal
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
MEMTALLY = os.environ.get("MEMTALLY", str(ROOT / "memtally"))
LOOPS = ROOT / os.environ.get("BUILD", "build") / "bench/kmem_loops"
ROUNDS = int(os.environ.get("ROUNDS", "3"))
SECONDS = os.environ.get("SECONDS_PER_LOOP", "0.5")
GEARS = {
    "base": None,
    "watch": ["--watch", "1"],
    "default": [],
    "slab": ["slab"],
    "pages": ["pages", "-s", "1"],
    "full": ["--full"],
}


def measure():
    out = subprocess.run([LOOPS, SECONDS], capture_output=True, text=True, check=True).stdout
    return {name: float(us) for name, us in map(str.split, out.splitlines())}


def measure_under(args):
    if args is None:
        return measure()
    with subprocess.Popen([MEMTALLY, "kmem", *args], stdout=subprocess.DEVNULL,
                          stderr=subprocess.PIPE) as tool:
        tool.stderr.readline()  # it has attached
        result = measure()
        tool.send_signal(signal.SIGINT)
        tool.communicate()
    return result


def main():
    best = {gear: {} for gear in GEARS}
    for _ in range(ROUNDS):
        for gear, args in GEARS.items():
            for loop, us in measure_under(args).items():
                best[gear][loop] = min(us, best[gear].get(loop, us))
    print("kmem: CPU time per operation, and what each gear adds")
    print(f"{'loop':8}{'us':>10}" + "".join(f"{g:>10}" for g in GEARS if g != "base"))
    for loop, us in best["base"].items():
        added = [best[g][loop] / us - 1 for g in GEARS if g != "base"]
        print(f"{loop:8}{us:10.1f}" + "".join(f"{a:+10.0%}" for a in added))


main()

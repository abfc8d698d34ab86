# SPDX-License-Identifier: GPL-2.0-or-later
"""make bench [QUICK=1] [MEMLEAK=PATH MEMLEAK_ABOUT=VERSION]: what tracing costs the program.

In each round every tracer is put on every load once, one after the other, so that a
disturbance hits all of them; a figure is the median of the rounds with its range. Costs are
CPU time of the load's own threads, not time that passed.
"""
import json
import os
import shutil
import statistics
import sys
import time

import extras
import report
from loads import Libraries, Load, PYTHON_LOAD, Redis
from tracers import BUILD, PEERS, Absent, Floor, Memtally, Nothing, wrappers

ROUNDS = 5
SAMPLED = ["-s", "524288"]
FILTERED = ["-z", "1000000000"]


class Bench:
    def __init__(self, quick):
        self.quick = quick
        self.batch_ns = 6e7 if quick else 2e8
        self.out = os.path.join(BUILD, "bench")
        self.libraries = Libraries()
        self.loads = {}
        self.costs = {}  # (work, tracer) -> [ns]
        self.absent = {}
        self.detach_s = []

    # ---- loads ----

    def open_loads(self):
        for name in ("load", "load-fp"):
            self.loads[name] = Load(name, [os.path.join(self.out, name)], self.libraries.env)
        if self.quick:
            return
        self.loads["python3"] = Load(
            "python3", ["/usr/bin/python3", "-c", PYTHON_LOAD], self.libraries.env)
        if shutil.which("redis-server") and shutil.which("redis-benchmark"):
            self.loads["redis"] = Redis(self.libraries)
        else:
            self.absent["redis (load)"] = "not installed"

    def close(self):
        for load in self.loads.values():
            load.close()
        self.libraries.close()

    # ---- one figure ----

    def measure(self, load, work):
        """Cost of one unit of a work, from a batch that takes about batch_ns."""
        small = work.small
        cost = load.run(work.command.format(n=small))
        n = int(min(max(self.batch_ns / cost / work.threads, small), work.most))
        return load.run(work.command.format(n=n))

    def visit(self, load, tracer, works):
        tracer.start(load)
        try:
            for work in works:
                cost = self.measure(load, work)
                self.costs.setdefault((work.name, tracer.name), []).append(cost)
        finally:
            tracer.stop()

    def rounds(self, plan):
        for i in range(ROUNDS):
            print(f"bench: round {i + 1} of {ROUNDS}", file=sys.stderr, flush=True)
            for load_name, tracers, works in plan:
                if load_name not in self.loads:
                    continue
                for tracer in tracers:
                    self.visit_if_there(self.loads[load_name], tracer, works)

    def visit_if_there(self, load, tracer, works):
        if tracer.name in self.absent:
            return
        try:
            self.visit(load, tracer, works)
        except Absent as e:
            self.absent[tracer.name] = str(e)

    # ---- what is measured ----

    def peers(self):
        found = []
        for name, make in PEERS.items():
            try:
                found.append(make(self.libraries))
            except Absent as e:
                self.absent[name] = str(e)
        return found

    def plan(self):
        floor, nothing = Floor("floor"), Nothing()
        fp = Memtally("memtally --unwind fp", ["--unwind", "fp"])
        full = Memtally("memtally")
        sampled = Memtally("memtally -s 524288", SAMPLED)
        filtered = Memtally("memtally -z 1000000000", FILTERED)
        self.memtallies = [fp, full, sampled, filtered]
        plan = [
            ("load-fp", [nothing, floor, fp, sampled, filtered], works("pair 13", "pair 13, 2 threads")),
            ("load", [nothing, floor, full], works("pair 10", "pair 10, 2 threads", "pair 30")),
        ]
        if self.quick:
            self.absent |= dict.fromkeys(PEERS, "not part of the quick run")
            return plan
        naive = Floor("naive floor", ["-e"])
        plan[0][1][2:2] = [naive]
        plan[0][1].extend(self.peers())
        plan[1][2].extend(works("mix"))
        plan[1][1].extend([sampled])
        plan.append(("python3", [nothing, floor, full, sampled], works("python3 dicts")))
        plan.append(("redis", [nothing, floor, full, sampled], works("redis SET")))
        return plan

    def wrapped(self):
        """Tools that start the program: one process for all rounds."""
        found, missing = wrappers(self.libraries.dir)
        self.absent |= missing
        for name, argv in found.items():
            print(f"bench: {name}", file=sys.stderr, flush=True)
            load = Load(name, [*argv, os.path.join(self.out, "load")], self.libraries.env)
            try:
                for work in works("pair 13", "pair 13, 2 threads", "mix"):
                    self.costs[(work.name, name)] = [
                        self.measure(load, work) for _ in range(ROUNDS)]
            except (RuntimeError, BrokenPipeError):
                self.absent[name] = "it does not run here"
            finally:
                load.close()

    def run(self):
        result = {"machine": extras.machine(), "quick": self.quick, "rounds": ROUNDS}
        self.open_loads()
        self.rounds(self.plan())
        if not self.quick:
            self.wrapped()
        result["costs"] = [
            {"work": work, "tracer": tracer, "median_ns": statistics.median(v), "ns": v}
            for (work, tracer), v in self.costs.items()
        ]
        print("bench: walks, ticks, attaching", file=sys.stderr, flush=True)
        repeats = 1 if self.quick else 5
        result["walks"] = [extras.walk(self.loads, d, repeats) for d in (10, 30)]
        result["ticks"] = [extras.ticks(self.libraries, 1_000_000)]
        if not self.quick:
            result["ticks"].append(extras.ticks(self.libraries, 1_000_000, ["-o", "1000"]))
            result["ticks"].append(extras.ticks(self.libraries, 5_000_000))
        result["attach"] = extras.attach(self.libraries, repeats)
        result["detach_s"] = [s for m in self.memtallies for s in m.detach_s]
        result["absent"] = self.absent
        result["memleak"] = os.environ.get("MEMLEAK_ABOUT", "MEMLEAK_ABOUT does not tell which")
        return result


class Work:
    def __init__(self, name, command, threads=1, small=2000, most=2_000_000):
        self.name, self.command, self.threads = name, command, threads
        self.small, self.most = small, most


WORKS = {
    w.name: w
    for w in (
        Work("pair 13", "pair 1 {n} 13"),
        Work("pair 13, 2 threads", "pair 2 {n} 13"),
        Work("pair 10", "pair 1 {n} 10"),
        Work("pair 10, 2 threads", "pair 2 {n} 10"),
        Work("pair 30", "pair 1 {n} 30"),
        Work("mix", "mix {n}", threads=4),
        Work("python3 dicts", "dicts {n}", small=20, most=20_000),
        Work("redis SET", "set {n}", small=2000, most=20_000),
    )
}


def works(*names):
    return [WORKS[n] for n in names]


def main():
    start = time.monotonic()
    bench = Bench(os.environ.get("QUICK", "") not in ("", "0"))
    try:
        result = bench.run()
    finally:
        bench.close()
    result["seconds"] = time.monotonic() - start
    text = report.markdown(result)
    stem = os.path.join(bench.out, "bench")
    with open(stem + ".json", "w", encoding="utf-8") as f:
        json.dump(result, f, indent=1)
    with open(stem + ".md", "w", encoding="utf-8") as f:
        f.write(text)
    if not bench.quick:
        shutil.copy(stem + ".md", "docs/bench.md")
    print(text)


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: GPL-2.0-or-later
"""What is measured once beside the costs per call: ticks, attaching, memory, walks."""
import os
import statistics
import subprocess
import sys
import time

from loads import Load, OBJECTS_LOAD
from tracers import BUILD, Floor, Memtally, bpf_objects


def kernel_map_bytes(pid):
    return sum(m.get("bytes_memlock", 0) for m in bpf_objects(pid, "map"))


def ticks(libraries, blocks, options=()):
    """CPU of memtally per report over this many live blocks, and its memory."""
    load = Load("hold", [os.path.join(BUILD, "bench", "load")], libraries.env)
    m = Memtally("ticks", ["--max-blocks", str(blocks + 1000), *options], ["1"])
    m.start(load)
    try:
        maps = kernel_map_bytes(m.process.pid)
        m.wait_ticks(2)
        before = m.status("VmHWM")
        load.run(f"hold {blocks}")
        m.wait_ticks(len(m.ticks) + 1)  # the one that new stacks are named in
        first = len(m.ticks)
        m.wait_ticks(first + 6)
        cpu = [b[1] - a[1] for a, b in zip(m.ticks[first - 1 :], m.ticks[first:])]
        return {
            "blocks": blocks,
            "options": " ".join(options),
            "tick_cpu_ms": statistics.median(cpu) / 1e6,
            "tick_cpu_ms_range": [min(cpu) / 1e6, max(cpu) / 1e6],
            "peak_rss_mib": m.status("VmHWM") / 1024,
            "peak_rss_empty_mib": before / 1024,
            "map_bytes_said": m.head["map_bytes"],
            "map_bytes_kernel": maps,
        }
    finally:
        load.close()
        m.stop()


def attach(libraries, repeats):
    """Start to first report, interval 1, of a process with 100 mapped objects more."""
    paths = libraries.many(100)
    load = Load("objects", [sys.executable, "-c", OBJECTS_LOAD, *paths], libraries.env)
    load.run("objects 1")
    first, ready, detach, cpu = [], [], [], []
    for _ in range(repeats):
        m = Memtally("attach", interval=["1"])
        m.start(load)
        m.wait_ticks(1)
        first.append(m.ticks[0][0] - m.started)
        cpu.append(m.ticks[0][1] / 1e9)
        ready.append(m.ready_s)
        m.stop()
        detach += m.detach_s
    load.close()
    return {"objects": len(paths), "first_report_s": first, "ready_s": ready,
            "detach_s": detach, "cpu_s": cpu}


def walk_program_ns(load, options, command):
    """Mean run time of memtally's return program over a batch."""
    m = Memtally("walk", options)
    m.start(load)
    load.run(command)
    runs0, ns0 = m.runs().get("leak_return", (0, 0))
    load.run(command)
    runs1, ns1 = m.runs().get("leak_return", (0, 0))
    m.stop()
    return (ns1 - ns0) / max(runs1 - runs0, 1)


def stackid_ns(load, depth, command):
    tracer = Floor("stackid", ["-k", str(depth)])
    tracer.start(load)
    load.run(command)
    runs, ns = tracer.stop()["return"]
    return ns / runs


def walk(loads, depth, repeats):
    """What one stack costs: run time of the program with the walk, less without."""
    # memtally has the kernel's statistics on for a part of the time; here they stay on.
    idle = Load("idle", [os.path.join(BUILD, "bench", "load")])
    statistics_on = Floor("statistics", ["-k", "1"])
    statistics_on.start(idle)
    try:
        return walk_measured(loads, depth, repeats)
    finally:
        statistics_on.stop()
        idle.close()


def walk_measured(loads, depth, repeats):
    command = f"pair 1 50000 {depth}"
    rows = {"dwarf": [], "fp": [], "bpf_get_stackid": []}
    for _ in range(repeats):
        without = walk_program_ns(loads["load"], ["--unwind", "none"], command)
        rows["dwarf"].append(walk_program_ns(loads["load"], [], command) - without)
        rows["fp"].append(
            walk_program_ns(loads["load-fp"], ["--unwind", "fp"], command) - without)
        rows["bpf_get_stackid"].append(stackid_ns(loads["load-fp"], depth, command))
    return {name: statistics.median(v) for name, v in rows.items()} | {"depth": depth}


def machine():
    def first(argv):
        try:
            out = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            return out.stdout.splitlines()[0] if out.stdout else ""
        except OSError:
            return ""

    with open("/proc/cpuinfo", encoding="utf-8") as f:
        info = f.read()
    model = next((line.split(":")[1].strip() for line in info.splitlines()
                  if line.startswith("model name")), "unknown")
    return {
        "cpu": model,
        "cpus": os.cpu_count(),
        "virtual": " hypervisor" in info,
        "kernel": os.uname().release,
        "libc": first(["ldd", "--version"]),
        "memtally": first(["./memtally", "--version"]),
        "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "load_average": os.getloadavg()[0],
    }

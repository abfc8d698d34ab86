# SPDX-License-Identifier: GPL-2.0-or-later
"""The figures as Markdown, with the bounds that they have to keep."""
import statistics

INTRO = """# What tracing costs

Made by `make bench` ({mode}, {seconds:.0f} s, {rounds} interleaved rounds): nothing here is
typed by hand. Costs are CPU time of the traced program's own threads: the median of the
rounds and, in brackets, their range.

| | |
|---|---|
| machine | {cpu}, {cpus} CPUs{virtual} |
| kernel | {kernel} |
| C library | {libc} |
| memtally | {memtally} |
| date | {date}, load average {load_average:.1f} |

* **untraced**: nothing attached.
* **floor**: programs that do nothing, at the instructions memtally chooses, on function
  entries and returns as memtally has them. Cheaper than that is
  only what skips returns (session links, Linux 6.13).
* **naive floor**: the same at the functions' first instructions, as other tracers attach.
"""

WORK_NOTES = {
    "pair 13": "malloc(64) and free, 13 frames, program built with frame pointers; ns per pair",
    "pair 13, 2 threads": "the same in two threads at once",
    "pair 10": "malloc(64) and free, 10 frames, no frame pointers; ns per pair",
    "pair 10, 2 threads": "the same in two threads at once",
    "pair 30": "the same, 30 frames",
    "mix": "four threads; sizes 16 bytes to 64 KiB (80 % below 256), lifetimes 1 to 4096 "
           "allocations (60 % below 8), one free in eight by another thread, 2 to 16 frames of "
           "its own; ns per malloc and free",
    "python3 dicts": "python3 makes and drops dicts of 64 entries; ns per dict",
    "redis SET": "redis-server under redis-benchmark, 256-byte values; server CPU ns per request",
}


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(str(c) for c in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def digits(ns):
    return f"{ns:,.0f}" if ns >= 100 else f"{ns:.1f}"


def costs_of(result):
    works = {}
    for c in result["costs"]:
        works.setdefault(c["work"], {})[c["tracer"]] = c
    return works


def cost_tables(result):
    out = ["## Cost per call\n"]
    for work, tracers in costs_of(result).items():
        alone = tracers["untraced"]["median_ns"] if "untraced" in tracers else None
        floor = tracers["floor"]["median_ns"] if "floor" in tracers else None
        rows = []
        for name, c in tracers.items():
            m = c["median_ns"]
            rows.append([
                name,
                f"{digits(m)} [{digits(min(c['ns']))} to {digits(max(c['ns']))}]",
                f"{m / alone:.2f}" if alone else "",
                f"{m / floor:.2f}" if floor else "",
            ])
        out.append(f"### {work}\n\n{WORK_NOTES[work]}\n")
        out.append(table(["", "ns", "x untraced", "x floor"], rows))
    if "libbpf-tools memleak" not in result["absent"]:
        out.append(f"libbpf-tools memleak: {result['memleak']}.\n")
    if result["absent"]:
        out.append("Not measured: " + "; ".join(
            f"{name} ({why})" for name, why in result["absent"].items()) + ".\n")
    return out


def other_tables(result):
    walks = [[w["depth"], digits(w["dwarf"]), digits(w["fp"]), digits(w["bpf_get_stackid"])]
             for w in result["walks"]]
    ticks = [[f"{t['blocks']:,}", t["options"] or "(none)", f"{t['tick_cpu_ms']:.2f}",
              f"{t['peak_rss_mib']:.1f}", f"{t['peak_rss_empty_mib']:.1f}",
              f"{t['map_bytes_said'] / 2**20:.1f}", f"{t['map_bytes_kernel'] / 2**20:.1f}"]
             for t in result["ticks"]]
    a = result["attach"]
    return [
        "## Cost per stack\n",
        "Mean run time of the BPF program that takes the stack, less the same program with "
        "`--unwind none`. It is the thread's last one again, so it is recognised, not walked, up "
        "to 32 words of it. bpf_get_stackid: a program that does nothing else, in the program "
        "built with frame pointers. ns.\n",
        table(["frames", ".eh_frame", "frame pointers", "bpf_get_stackid"], walks),
        "## Reports and memory\n",
        table(["live blocks", "options", "CPU ms per report", "peak RSS MiB",
               "of this before the blocks", "map MiB said", "map MiB by bpftool"], ticks),
        "## Attaching and detaching\n",
        f"{a['objects']} mapped objects of 0.9 MB more than python3 has: probes live after "
        f"{statistics.median(a['ready_s']):.2f} s, first report with interval 1 after "
        f"{statistics.median(a['first_report_s']):.2f} s "
        f"[{min(a['first_report_s']):.2f} to {max(a['first_report_s']):.2f}], "
        f"memtally's CPU until then {statistics.median(a['cpu_s']):.2f} s. "
        f"Signal to exit {statistics.median(result['detach_s']):.2f} s "
        f"[{min(result['detach_s']):.2f} to {max(result['detach_s']):.2f}].\n",
    ]


class Bounds:
    def __init__(self, result):
        self.result, self.rows = result, []
        self.works = costs_of(result)

    def add(self, what, limit, value, unit="", at_least=False):
        if value is None:
            self.rows.append([what, f"{limit}{unit}", "not measured", ""])
            return
        met = value >= limit if at_least else value <= limit
        self.rows.append([what, f"{'>=' if at_least else '<='} {limit}{unit}",
                          f"{value:.2f}{unit}", "met" if met else "**not met**"])

    def ratio(self, work, tracer, base_work, base):
        try:
            return (self.works[work][tracer]["median_ns"]
                    / self.works[base_work][base]["median_ns"])
        except KeyError:
            return None

    def tick(self, blocks, key):
        return next((t[key] for t in self.result["ticks"]
                     if t["blocks"] == blocks and not t["options"]), None)


def bounds(result):
    b = Bounds(result)
    one, ten, two = "pair 13", "pair 10", "pair 13, 2 threads"
    b.add("full, frame pointers, 13 frames, to floor", 1.5,
          b.ratio(one, "memtally --unwind fp", one, "floor"))
    b.add("full, .eh_frame, 10 frames, to floor", 2.5, b.ratio(ten, "memtally", ten, "floor"))
    b.add("sampled at 512 KiB, to floor", 1.15, b.ratio(one, "memtally -s 524288", one, "floor"))
    b.add("filtered to nothing, to floor", 1.15,
          b.ratio(one, "memtally -z 1000000000", one, "floor"))
    b.add("two threads to one, frame pointers", 1.3,
          b.ratio(two, "memtally --unwind fp", one, "memtally --unwind fp"))
    b.add("two threads to one, .eh_frame", 1.3,
          b.ratio("pair 10, 2 threads", "memtally", ten, "memtally"))
    b.add("libbpf-tools memleak to memtally", 8,
          b.ratio(one, "libbpf-tools memleak", one, "memtally --unwind fp"), at_least=True)
    for w, limit in zip(result["walks"], (1000, 2500)):
        b.add(f".eh_frame stack, recognised, {w['depth']} frames", limit, w["dwarf"], " ns")
    b.add("report over 1,000,000 live blocks, CPU", 100, b.tick(1_000_000, "tick_cpu_ms"), " ms")
    b.add("peak RSS over 1,000,000 live blocks", 64, b.tick(1_000_000, "peak_rss_mib"), " MiB")
    said, kernel = (b.tick(1_000_000, k) for k in ("map_bytes_said", "map_bytes_kernel"))
    b.add("map memory said, off from the kernel's", 5,
          abs(said - kernel) / kernel * 100 if kernel else None, " %")
    b.add("first report, interval 1, 100 objects", 1.5,
          statistics.median(result["attach"]["first_report_s"]), " s")
    b.add("detach", 0.5, statistics.median(result["detach_s"]), " s")
    return ["## Bounds\n", table(["", "bound", "measured", ""], b.rows)]


def markdown(result):
    m = result["machine"]
    head = INTRO.format(
        mode="quick" if result["quick"] else "full", seconds=result["seconds"],
        rounds=result["rounds"], **(m | {"virtual": ", virtual" if m["virtual"] else ""}))
    return "\n".join([head, *bounds(result), *cost_tables(result), *other_tables(result)])

# SPDX-License-Identifier: GPL-2.0-or-later
"""
What a page fault costs with `memtally faults` watching: CPU time of the faulting process
per fault, configurations interleaved, medians. `perf record` beside it where it is there.

    ROUNDS=5 FAULTS=100000 make bench
"""
import json
import os
import shutil
import signal
import statistics
import subprocess

BUILD = os.environ.get("BUILD", "build")
FAULTS = int(os.environ.get("FAULTS", 100000))
ROUNDS = int(os.environ.get("ROUNDS", 5))
VICTIM = [f"{BUILD}/victims/faults_table-o2", "--case", "storm", "--pages", str(FAULTS)]

# name, options of memtally faults (None: nobody watches), most that the ratio may be
CONFIGS = [
    ("nobody", None, None),
    ("nobody again", None, None),
    ("count", ["--detail", "count"], 1.1),
    ("count, stack", ["--detail", "count", "--by", "stack"], 1.3),
    ("time", ["--detail", "time"], None),
    ("cause, mapping, time", [], None),
    ("cause, mapping, time, stack", ["--by", "stack"], 1.8),
    ("resident, all pages", ["--rss"], None),
    ("resident, 1/16", ["--rss", "--sample", "16"], 1.15),
]
PERF = ("perf record -c1 -g", None)


def measure(watch):
    victim = subprocess.Popen(VICTIM, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    victim.stdout.readline()
    watcher = watch(victim.pid) if watch else None
    victim.stdin.write(b"go\n")
    victim.stdin.flush()
    truth = json.loads(victim.stdout.readline())
    if watcher:
        watcher.send_signal(signal.SIGINT)
        watcher.communicate()
    victim.stdin.close()
    victim.wait()
    return truth["cpu_ns"] / FAULTS


def memtally(options):
    def watch(pid):
        p = subprocess.Popen(["./memtally", "faults", "--json", "-p", str(pid), *options],
                             stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        p.stdout.readline()
        return p
    return watch if options is not None else None


def perf_record(pid):
    # The acknowledgement comes once the events count.
    ctl, theirs = os.pipe()
    ack, ours = os.pipe()
    p = subprocess.Popen(
        ["perf", "record", "-q", "-e", "page-faults", "-c", "1", "-g", "-o", "/dev/null", "-D",
         "-1", f"--control=fd:{ctl},{ours}", "-p", str(pid)],
        pass_fds=(ctl, ours), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    os.write(theirs, b"enable\n")
    os.read(ack, 5)
    for fd in (ctl, theirs, ack, ours):
        os.close(fd)
    return p


def main():
    configs = [(name, memtally(options), limit) for name, options, limit in CONFIGS]
    if shutil.which("perf"):
        configs.append(("perf record -c1 -g", perf_record, None))
    else:
        print("faults: perf is not here: no row for perf record -c1 -g")
    times = {name: [] for name, _, _ in configs}
    for _ in range(ROUNDS):
        for name, watch, _ in configs:
            times[name].append(measure(watch))
    base = statistics.median(times["nobody"])
    print(f"faults: {FAULTS} faults, {ROUNDS} rounds, CPU time per fault")
    for name, _, limit in configs:
        ns = statistics.median(times[name])
        goal = f"  goal {limit:.2f}" if limit else ""
        print(f"  {name:30}{ns:8.0f} ns  x{ns / base:.2f}{goal}")


if __name__ == "__main__":
    main()

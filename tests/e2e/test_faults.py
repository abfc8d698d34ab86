# SPDX-License-Identifier: GPL-2.0-or-later
"""
memtally faults against programs that take a known number of faults of a known kind. What
is counted must be what the kernel counts for the process (its min_flt and maj_flt between
attach and end), to the fault.
"""
import collections
import functools
import json
import os
import pathlib
import signal
import subprocess
import time

import pytest

from conftest import (ALL_ROWS, DEADLINE, FINE, INCOMPLETE, MEMTALLY, BpfIds, USAGE, Lines, frame_name,
                      memtally, victim_path)

# What every record has.
RECORD = ("type", "command", "time", "tick")


class Faults:
    """One run of memtally faults --json."""

    def __init__(self, *args, rows=ALL_ROWS):
        self.proc = subprocess.Popen(
            [MEMTALLY, "faults", "--json", "-T", rows, *[str(a) for a in args]],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.lines, self.errors = Lines(self.proc.stdout), Lines(self.proc.stderr)
        self.bpf = BpfIds(self.proc.pid)
        self.objects = []

    def started(self):
        line = self.lines.next()
        assert line, b"".join(self.errors.rest()).decode()
        self.objects.append(json.loads(line))
        assert self.objects[0]["type"] == "start"
        # SIGINT is ours to handle once the loop waits.
        self.bpf.collect()
        return self

    def stop(self, how=signal.SIGINT):
        if how:
            self.proc.send_signal(how)
        for line in self.lines.rest():
            try:
                obj = json.loads(line)
            except ValueError:
                continue  # the program's own output
            if "command" in obj and obj["type"] != "start":
                self.objects.append(obj)
        self.status = self.proc.wait(DEADLINE)
        self.errors_text = b"".join(self.errors.rest()).decode()
        return self

    def of(self, kind):
        return [o for o in self.objects if o["type"] == kind]

    def one(self, kind):
        found = self.of(kind)
        assert len(found) == 1, (found, self.errors_text)
        return found[0]

    def assert_clean(self, told=()):
        """No losses; but for those that may be told."""
        losses = {k: v for k, v in (self.of("losses") or [{}])[-1].items() if k not in RECORD}
        status = INCOMPLETE if any(losses.get(k) for k in told) else FINE
        assert self.status == status, (self.errors_text, [(k, v) for k, v in losses.items() if v])
        assert losses and not any(v for k, v in losses.items() if k not in told), losses

    def kill(self):
        if self.proc.poll() is None:
            self.proc.kill()
        self.proc.wait(DEADLINE)


@pytest.fixture
def faults():
    running = []

    def start(*args, **kwargs):
        running.append(Faults(*args, **kwargs))
        return running[-1]
    yield start
    for f in running:
        f.kill()


def counters(pid):
    """min_flt and maj_flt of a process and its threads."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return int(fields[7]), int(fields[9])


@pytest.fixture
def trace(victim, faults, tmp_path):
    """trace(case, pages, options): (Faults, truth, (minor, major) of the kernel)."""
    def run(case, pages, *options, name="faults_table-o2", more=(), told=()):
        v = victim(name, "--case", case, "--pages", pages, "--file", tmp_path / "file", *more)
        if "--rss" in options:  # pages given back wait in batches of each processor
            os.sched_setaffinity(v.pid, {min(os.sched_getaffinity(0))})
        f = faults("-p", v.pid, *options).started()
        before = counters(v.pid)
        truth = v.run()
        after = counters(v.pid)
        f.stop()
        f.assert_clean(told)
        return f, truth, (after[0] - before[0], after[1] - before[1])
    return run


def by_kind(f):
    """{(mapping kind, cause): faults}, summed over files."""
    sums = {}
    for row in f.of("mapping"):
        key = (row["kind"], row["top_cause"])
        assert list(row["cause"]) == [row["top_cause"]], row
        sums[key] = sums.get(key, 0) + row["minor"] + row["major"]
    return sums


# case, pages, what must be there exactly, faults that the kernel takes itself
TABLE = [
    ("anon", 2000, {("anon", "first touch"): 2000}, 0),
    ("zero", 2000, {("anon", "zero page"): 2000, ("anon", "copy-on-write copy"): 2000}, 0),
    ("heap", 2000, {("heap", "first touch"): 2000}, 0),
    ("file-cold", 512, {("file", "file read"): 512}, 0),
    ("file-cow", 2000, {("file", "file copy"): 2000}, 0),
    ("mkwrite", 2000, {("file", "mkwrite"): 2000}, 0),
    ("shm", 2000, {("shm", "shm new"): 6000, ("shm", "shm map"): 2000}, 0),
    ("populate", 2000, {}, 6000),
    ("process-vm", 2000, {("anon", "first touch"): 2000}, 2000),
    ("kernel-read", 2000, {("anon", "first touch"): 2000}, 0),
]


@pytest.mark.parametrize("case,pages,exact,unseen", TABLE, ids=[t[0] for t in TABLE])
def test_exact_by_cause(trace, case, pages, exact, unseen):
    f, _, kernel = trace(case, pages, "--by", "mapping,cause")
    check = f.one("check")
    assert (check["kernel_minor"], check["kernel_major"]) == kernel
    assert check["taken_minor"] <= check["missing_minor"]
    assert (check["traced_minor"] + unseen, check["traced_major"]) == kernel
    assert check["missing_minor"] == unseen and check["missing_major"] == 0
    assert sum(r["minor"] for r in f.of("mapping")) + unseen == kernel[0]
    assert sum(r["major"] for r in f.of("mapping")) == kernel[1]
    kinds = by_kind(f)
    for key, n in exact.items():
        assert kinds.get(key) == n, kinds
    # What is left are the few pages that any code touches.
    assert sum(kinds.values()) - sum(exact.values()) <= 150, kinds


# The same where the number of pages of the victim is not the number of faults.
@pytest.mark.parametrize("case,pages,mapping,cause,least,most", [
    ("stack", 1000, "stack", "first touch", 1000, 1016),
    ("thread-stack", 1000, "thread stack", "first touch", 1000, 1016),
    ("file-warm", 512, "file", "file map", 32, 40),
    # Merged by the kernel with the mapping of a thread's stack, a few may count as that.
    ("threads", 500, None, "first touch", 40000, 40016),
    ("uffd", 100, "anon", "userfaultfd", 100, 100),
    ("storm", 20000, "anon", "first touch", 20000, 20000),
])
def test_exact_by_process(trace, case, pages, mapping, cause, least, most):
    f, _, kernel = trace(case, pages, "--by", "mapping,cause")
    check = f.one("check")
    assert (check["traced_minor"], check["traced_major"]) == kernel
    assert check["missing_minor"] == check["missing_major"] == 0
    kinds = by_kind(f)
    n = sum(v for (m, c), v in kinds.items() if c == cause and mapping in (None, m))
    assert least <= n <= most, kinds


def test_huge_pages(trace):
    if "never" in pathlib.Path(
            "/sys/kernel/mm/transparent_hugepage/enabled").read_text().split("[")[1][:6]:
        pytest.skip("transparent huge pages are off")
    f, _, kernel = trace("thp", 16, "--by", "mapping,cause")
    assert by_kind(f).get(("anon", "huge page")) == 16, by_kind(f)
    assert f.one("check")["traced_minor"] == kernel[0]


def test_hugetlb(trace):
    knob = pathlib.Path("/proc/sys/vm/nr_hugepages")
    before = knob.read_text()
    try:
        knob.write_text(str(int(before) + 4))
        if int(knob.read_text()) < int(before) + 4:
            pytest.skip("the kernel gives no hugetlb pages")
        f, _, kernel = trace("hugetlb", 4, "--by", "mapping,cause")
    finally:
        knob.write_text(before)
    assert by_kind(f).get(("hugetlb", "hugetlb")) == 4, by_kind(f)
    assert f.one("check")["traced_minor"] == kernel[0]


def test_fork_copies_in_the_child_and_reuses_in_the_parent(trace):
    f, _, _ = trace("fork-cow", 2000, "--by", "process,cause", "--follow")
    check = f.one("check")
    assert check["missing_minor"] == 0 and check["traced_minor"] == check["kernel_minor"]
    counts = sorted((r["top_cause"], r["minor"]) for r in f.of("process"))
    # Parent: first touch and reuse; child: the copies.
    assert [c for c in counts if c[0] == "first touch" and 2000 <= c[1] <= 2010], counts
    assert [c for c in counts if c[0] == "copy-on-write copy" and 2000 <= c[1] <= 2010], counts
    # Before v5.18 the kernel copies, for the parent too, a page that still waits to be put on an
    # LRU list, where every CPU has 15 of them at most ("mm: optimize do_wp_page() for fresh pages in local LRU pagevecs").
    parent = max((r for r in f.of("process") if r["top_cause"] == "copy-on-write reuse"),
                 key=lambda r: r["minor"])
    copied = sum(r["minor"] for r in f.of("process") if r["pid"] == parent["pid"]
                 and r["top_cause"] == "copy-on-write copy")
    assert parent["minor"] >= 2000 - 15 * os.cpu_count(), counts
    assert 2000 <= parent["minor"] + copied <= 2010, counts
    assert len({r["pid"] for r in f.of("process")}) == 2


def test_a_million_faults_by_address_without_loss(trace):
    f, truth, kernel = trace("storm", 1000000, "--by", "address-range", "--range-size", "4K")
    assert kernel[0] >= 1000000
    assert f.one("check")["traced_minor"] == kernel[0]
    storm = {r["address"]: r["minor"] for r in f.of("range")
             if truth["mapped"] <= int(r["address"], 16) < truth["mapped"] + 512 * 4096}
    assert sum(storm.values()) == 1000000
    assert len(storm) == 512
    # 1953 whole rounds of 512 pages and one of 64.
    assert sorted(set(storm.values())) == [1953, 1954]


def test_process_row(trace):
    f, _, kernel = trace("anon", 2000)
    row = f.one("process")
    assert (row["minor"], row["major"]) == kernel
    assert row["comm"] == "faults_table-o2" and row["uid"] == os.getuid()
    assert row["cause"]["first touch"] >= 2000 and row["mapping"]["anon"] >= 2000
    f.bpf.assert_gone()
    latency = row["latency_us"]
    assert 0 < latency["p50"] <= latency["p99"] <= latency["max"]


def test_stack_row_names_the_toucher(trace):
    f, _, _ = trace("anon", 2000, "--by", "stack")
    row = max(f.of("stack"), key=lambda r: r["minor"])
    assert row["minor"] == 2000 and row["kind"] == "fault" and row["count"] == 2000
    assert [frame_name(x) for x in row["frames"]][:3] == [
        "touch_write", "case_anon", "main"]
    assert row["stack_status"] == "complete"


def test_kernel_mode_fault_has_the_user_stack(trace):
    f, _, _ = trace("kernel-read", 2000, "--by", "stack")
    row = max(f.of("stack"), key=lambda r: r["minor"])
    names = [frame_name(x) for x in row["frames"]]
    assert row["minor"] == 2000
    assert "case_kernel_read" in names and "main" in names, names


def test_thread_rows(trace):
    f, _, kernel = trace("threads", 500, "--by", "thread")
    big = [r for r in f.of("thread") if r["minor"] >= 10000]
    assert len(big) == 4 and len({r["tid"] for r in big}) == 4
    assert sum(r["minor"] for r in f.of("thread")) == kernel[0]


def test_cold_file_is_named_with_the_time_it_cost(trace, tmp_path):
    f, _, _ = trace("file-cold", 512, "--by", "mapping", "--major", "--sort", "time")
    row = f.of("mapping")[0]
    assert row["top_mapping"] == str(tmp_path / "file") and row["kind"] == "file"
    assert row["major"] == 512 and row["minor"] == 0
    assert f.one("check")["failed"] == 0, "what is not looked at has not failed"
    assert row["major_ms"] > 0 and row["inode"] == os.stat(tmp_path / "file").st_ino


def test_histogram_adds_up(trace):
    f, _, _ = trace("zero", 2000, "--hist")
    slots = [h for h in f.of("hist") if h["by"] == "cause"]
    assert sum(h["count"] for h in slots if h["name"] == "zero page") == 2000
    assert sum(h["count"] for h in slots) == f.one("process")["minor"]
    assert all(h["from_us"] < h["to_us"] for h in slots)


@functools.cache
def has_task_iterators():
    return json.loads(memtally("--json", command="features").stdout)["task-iterators"]


@pytest.fixture(params=["kernel-counters", "perf-software-events"])
def count_method(request, monkeypatch):
    """Both ways to a bare count."""
    if request.param != "kernel-counters":
        monkeypatch.setenv("MEMTALLY_WITHOUT", "task-iterators")
    elif not has_task_iterators():
        pytest.skip("no task iterators here")
    return request.param


def test_less_detail_counts_the_same(trace):
    f, _, kernel = trace("anon", 2000, "--detail", "time")
    row = f.one("process")
    assert (row["minor"], row["major"]) == kernel
    assert "cause" not in row and "latency_us" in row


# All that is in the kernel's own counters, with what it takes for the process.
@pytest.mark.parametrize("case,pages,taken", [
    *[(case, pages, unseen) for case, pages, _, unseen in TABLE],
    ("stack", 1000, 0), ("thread-stack", 1000, 0), ("threads", 500, 0), ("uffd", 100, 0),
    ("storm", 20000, 0), ("thp", 4, 0),
])
def test_bare_count(trace, count_method, case, pages, taken):
    f, _, kernel = trace(case, pages, "--detail", "count")
    assert f.objects[0]["method"] == count_method
    rows, check = f.of("process"), f.one("check")
    assert all("cause" not in r and "latency_us" not in r for r in rows)
    assert len(rows) == 1 or (not rows and taken), rows
    assert (check["kernel_minor"], check["kernel_major"]) == kernel
    unseen = 0 if count_method == "kernel-counters" else taken
    assert (sum(r["minor"] for r in rows) + unseen, sum(r["major"] for r in rows)) == kernel
    assert check["missing_minor"] == unseen and check["missing_major"] == 0


def test_bare_count_of_threads(trace, count_method):
    f, _, kernel = trace("threads", 500, "--detail", "count", "--by", "thread")
    big = [r for r in f.of("thread") if r["minor"] >= 10000]
    assert len(big) == 4 and len({r["tid"] for r in big}) == 4
    assert sum(r["minor"] for r in f.of("thread")) == kernel[0]


def test_bare_count_of_majors(trace, count_method):
    f, _, kernel = trace("file-cold", 512, "--detail", "count", "--major")
    assert kernel[1] == 512 and (f.one("process")["minor"], f.one("process")["major"]) == (0, 512)


def test_bare_count_of_forks(trace, count_method):
    f, _, _ = trace("fork-cow", 2000, "--detail", "count", "--follow")
    check = f.one("check")
    assert check["missing_minor"] == 0 and check["traced_minor"] == check["kernel_minor"]
    counts = sorted((r["minor"] for r in f.of("process")), reverse=True)
    assert len(counts) == 2 and 4000 <= counts[0] <= 4040 and 2000 <= counts[1] <= 2040, counts


# Threads that end, children by fork and by spawn, an exec by a thread that is not the first.
TREE = """
import os, subprocess, threading
for i in range(40):
    threads = [threading.Thread(target=bytearray, args=(1 << 20,)) for _ in range(4)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    subprocess.run(["/bin/true"])
    if i % 10 == 0:
        pid = os.fork()
        if not pid:
            threading.Thread(target=os.execv, args=("/bin/true", ["true"])).start()
            threading.Event().wait()
        os.waitpid(pid, 0)
"""
WAITER = """
import os, resource, subprocess, sys
subprocess.run(["/usr/bin/python3", "-c", sys.argv[1]])
r = resource.getrusage(resource.RUSAGE_CHILDREN)
open(sys.argv[2], "w").write(f"{os.getpid()} {r.ru_minflt} {r.ru_majflt}")
"""


def test_bare_count_of_a_tree_is_its_rusage(faults, tmp_path):
    if not has_task_iterators():
        pytest.skip("no task iterators here")
    f = faults("--detail", "count", "--follow", "--", "/usr/bin/python3", "-c", WAITER, TREE,
               tmp_path / "ru").stop(None)
    f.assert_clean()
    waiter, *rusage = map(int, (tmp_path / "ru").read_text().split())
    rows = [r for r in f.of("process") if r["pid"] != waiter]
    assert len({r["pid"] for r in rows}) == 45, "itself, 40 spawned, 4 forked"
    assert [sum(r["minor"] for r in rows), sum(r["major"] for r in rows)] == rusage


def test_bare_count_of_the_machine(victim, faults, count_method):
    v = victim("faults_table-o2", "--case", "anon", "--pages", 3000)
    f = faults("--detail", "count").started()
    before = counters(v.pid)
    v.run()
    after = counters(v.pid)
    f.stop()
    f.assert_clean()
    row = [r for r in f.of("process") if r["pid"] == v.pid]
    assert [(r["minor"], r["major"]) for r in row] == [
        tuple(b - a for a, b in zip(before, after))]
    assert f.proc.pid not in {r["pid"] for r in f.of("process")}, "we are not our own subject"


def test_bad_accesses(trace):
    f, truth, _ = trace("bad", 100, "--bad")
    rows = {(r["signal"], r["reason"]): r for r in f.of("bad")}
    assert set(rows) == {("SIGSEGV", "no mapping"), ("SIGSEGV", "permission"),
                         ("SIGBUS", "beyond end of file")}
    for row in rows.values():
        assert row["count"] == 100 and row["stack_status"] == "complete"
        assert [frame_name(x) for x in row["frames"]][:3] == ["bad_access", "bad_try", "case_bad"]
    hole = rows["SIGSEGV", "no mapping"]
    assert int(hole["address"], 16) == truth["hole"] and hole["at"] == "-"
    assert hole["below"].startswith(f"{truth['hole'] - 4096:x}-{truth['hole']:x} rw-p")
    assert hole["above"].startswith(f"{truth['hole'] + 4096:x}-")
    assert " r--p " in rows["SIGSEGV", "permission"]["at"]
    assert rows["SIGBUS", "beyond end of file"]["at"].endswith("/file")
    check = f.one("check")
    assert check["bad"] == 300 and check["failed"] == 100  # EFAULT sends no signal


def test_bad_access_of_a_program_that_dies(faults):
    f = faults("--bad", "--", "/bin/sh", "-c", "kill -SEGV $$").stop(None)
    f.assert_clean()
    assert not f.of("bad"), "a signal from a process is no access"
    assert f.one("end")["program_status"] == 128 + signal.SIGSEGV


def test_program_counts_from_its_exec(faults, tmp_path):
    truth = tmp_path / "truth"
    f = faults("--", victim_path("faults_table-o2"), "--case", "anon", "--no-wait",
               "--truth", truth).stop(None)
    f.assert_clean()
    check = f.one("check")
    # The argument page of the exec is the kernel's own fault.
    assert check["missing_minor"] == 1 and check["missing_major"] == 0, check
    assert f.one("process")["comm"] == "faults_table-o2"
    assert f.one("end")["program_status"] == 0


def test_what_the_kernel_takes_is_seen_in_its_counters(faults):
    f = faults("--", victim_path("faults_table-o2"), "--case", "populate", "--pages", 2000,
               "--no-wait").stop(None)
    f.assert_clean()
    check = f.one("check")
    assert check["missing_minor"] == 6001, check  # and the argument page of the exec
    assert check["missing_minor"] - check["taken_minor"] in (0, 1), check
    assert check["missing_major"] == check["taken_major"] == 0
    assert "not traced: 6001 minor and 0 major, taken by the kernel" in check["message"]


def test_without_error_codes_counts_are_the_same(trace, monkeypatch):
    monkeypatch.setenv("MEMTALLY_WITHOUT", "exceptions,mem-abort")
    f, _, kernel = trace("anon", 2000)
    row = f.one("process")
    assert (row["minor"], row["major"]) == kernel and row["latency_us"]["p50"] > 0
    assert row["mapping"]["anon"] >= 2000 and row["cause"]["first touch"] >= 2000
    assert any("error codes" in s for s in f.objects[0]["skipped"])


@pytest.fixture
def cgroup():
    """A fresh cgroup v2 directory."""
    mounts = [line.split() for line in pathlib.Path("/proc/mounts").read_text().splitlines()]
    roots = [m[1] for m in mounts if m[2] == "cgroup2"]
    if not roots:
        pytest.skip("no cgroup v2 file system is mounted")
    path = pathlib.Path(roots[0]) / f"memtally-test-{os.getpid()}"
    try:
        path.mkdir()
    except OSError as e:
        pytest.skip(f"no cgroup can be made here: {e}")
    yield path
    # Members that are no children of ours leave when they are reaped.
    deadline = time.monotonic() + DEADLINE
    while (path / "cgroup.procs").read_text() and time.monotonic() < deadline:
        for pid in (path / "cgroup.procs").read_text().split():
            (path.parent / "cgroup.procs").write_text(pid)
    path.rmdir()


def test_cgroup_counts_its_members_only(victim, faults, cgroup):
    inside = victim("faults_table-o2", "--case", "anon", "--pages", 2000)
    outside = victim("faults_table-o2", "--case", "anon", "--pages", 3000)
    (cgroup / "cgroup.procs").write_text(str(inside.pid))
    f = faults("--cgroup", cgroup).started()
    before = counters(inside.pid)
    inside.run()
    outside.run()
    after = counters(inside.pid)
    f.stop()
    f.assert_clean()
    row = f.one("process")
    assert row["pid"] == inside.pid
    assert (row["minor"], row["major"]) == tuple(b - a for a, b in zip(before, after))


def test_ended_processes_make_room(faults, count_method):
    """128 rows for 320 images (fork and exec): each is reported, then forgotten."""
    shell = subprocess.Popen(["/bin/sh", "-c", "while read n; do /bin/true; done"],
                             stdin=subprocess.PIPE)
    try:
        f = faults("-p", shell.pid, "--follow", "--by", "process", "--detail", "count",
                   "--max-rows", 128, "0.05").started()
        pids = set()
        for batch in range(1, 21):
            shell.stdin.write(b"x\n" * 8)
            shell.stdin.flush()
            end = time.monotonic() + DEADLINE
            while len(pids) < batch * 8:
                line = f.lines.next()
                assert line, "memtally ended"
                assert time.monotonic() < end, (batch, sorted(pids), line)
                row = json.loads(line)
                assert row["type"] != "process" or "pid" in row, (batch, row)
                if row["type"] == "process" and row["pid"] != shell.pid:
                    pids.add(row["pid"])
    finally:
        shell.stdin.close()
        shell.wait(DEADLINE)
    f.stop(None)
    f.assert_clean()
    total = sum(o["minor"] for o in f.of("process"))
    assert total == f.one("check")["traced_minor"]


def test_ended_processes_stay_in_the_last_report(faults, count_method, tmp_path):
    script = tmp_path / "many.sh"
    script.write_text("for i in $(seq 200); do /bin/true; done\n")
    f = faults("--follow", "--by", "process", "--detail", "count", "--", "/bin/sh",
               script).stop(None)
    f.assert_clean()
    # The shell, seq, and 200 times true.
    assert len({o["pid"] for o in f.of("process")}) == 202
    assert sum(o["minor"] for o in f.of("process")) == f.one("check")["traced_minor"]


RSS_ONE_BY_ONE = ["unmapped", "kept", "moved", "partly", "first", "again", "last"]


def resident_rows(f):
    """{function that touched: bytes}"""
    rows = collections.Counter()
    for row in f.of("stack"):
        rows[frame_name(row["frames"][0]) if row["frames"] else None] += row["bytes"]
    return rows


def test_others_at_their_maps_hide_no_fault(map_readers, victim, faults):
    """The kernel skips programs on faults meanwhile: these count, without time, and it is told."""
    victims = [victim("faults_table-o2", "--case", "anon", "--pages", 20000) for _ in range(2)]
    f = faults("-p", ",".join(str(v.pid) for v in victims), "--by", "process").started()
    before = [counters(v.pid)[0] for v in victims]
    for v in victims:
        v.say()
    for v in victims:
        v.expect("ready")
    truth = {v.pid: counters(v.pid)[0] - b for v, b in zip(victims, before)}
    f.stop()
    rows = {r["pid"]: r["minor"] for r in f.of("process")}
    f.assert_clean(["ends_missed"])
    # Of each thread the last fault is known when the next one comes.
    late = 1 if f.one("losses")["ends_missed"] else 0
    assert all(0 <= truth[pid] - rows[pid] <= late for pid in truth), (truth, rows)
    assert f.one("check")["failed"] == 0


def test_others_at_their_maps_hide_no_cause(map_readers, trace):
    """The pages that a fault allocates are seen: first touches are no zero pages."""
    f, _, _ = trace("zero", 5000, "--by", "mapping,cause", told=["ends_missed"])
    causes = {}
    for row in f.of("mapping"):
        if row["kind"] == "anon":
            for cause, n in row["cause"].items():
                causes[cause] = causes.get(cause, 0) + n
    late = 1 if f.one("losses")["ends_missed"] else 0
    assert causes["zero page"] == 5000
    assert 5000 - late <= causes["copy-on-write copy"] <= 5000
    assert len(causes) == 2, causes


def test_others_at_their_maps_hide_no_page(map_readers, trace):
    """Each page that is resident at the end, and no other: allocated and freed ones are seen."""
    f, truth, _ = trace("", 0, "--rss", name="faults_rss-o2", more=("--huge", 1), told=["ends_missed"])
    unseen = f.one("losses")["ends_missed"] * os.sysconf("SC_PAGESIZE")
    rows = resident_rows(f)
    for name in [*RSS_ONE_BY_ONE, "huge"]:
        site = truth["sites"][name]
        least = site["bytes"] - (unseen if name != "huge" else unseen * 512)
        assert least <= rows.get(site["function"], 0) <= site["bytes"], (name, rows)


def test_others_at_their_maps_hide_no_process(map_readers, faults, tmp_path):
    script = tmp_path / "some.sh"
    script.write_text("for i in $(seq 100); do /bin/true; done\n")
    f = faults("--follow", "--by", "process", "--detail", "count", "--", "/bin/sh", script).stop(None)
    f.assert_clean()
    assert len({o["pid"] for o in f.of("process")}) == 102
    if has_task_iterators():
        assert f.one("check")["missing_minor"] == 0


def test_resident_pages_by_stack(trace):
    f, truth, _ = trace("", 0, "--rss", name="faults_rss-o2", more=("--huge", 1))
    rest = f.one("resident")
    rows = resident_rows(f)
    for name in [*RSS_ONE_BY_ONE, "huge"]:
        site = truth["sites"][name]
        assert rows.get(site["function"], 0) == site["bytes"], (name, rows)
    # What was there before and what the kernel populated is all that is not explained.
    assert 0 <= rest["anonymous_bytes"] - rest["traced_bytes"] - truth["populated"] < 1 << 20


def test_resident_pages_folded(trace, tmp_path):
    _, truth, _ = trace("", 0, "--rss", "--folded", tmp_path / "folded", name="faults_rss-o2")
    lines = (tmp_path / "folded").read_text().splitlines()
    kept = [line for line in lines if line.rsplit(" ", 1)[0].endswith("touch_kept")]
    assert len(kept) == 1 and int(kept[0].rsplit(" ", 1)[1]) == truth["sites"]["kept"]["bytes"]


def test_resident_pages_sampled(trace):
    f, truth, _ = trace("", 0, "--rss", "--sample", 16, name="faults_rss-o2", more=("--huge", 1))
    rows = {}
    for row in f.of("stack"):
        assert row["estimated"]
        rows[frame_name(row["frames"][0])] = row["bytes"]
    # 1536 pages at 1/16: 96 expected, five standard deviations are 50 %.
    for name in ("kept", "moved", "partly"):
        site = truth["sites"][name]
        assert abs(rows[site["function"]] - site["bytes"]) < site["bytes"] * 0.6, rows
    assert "touch_unmapped" not in rows and "touch_first" not in rows


# case, what of 4000 pages is anonymous memory by a touch of the process, and by whom
@pytest.mark.parametrize("case,pages,toucher", [
    ("anon", 4000, "touch_write"),
    ("file-cow", 4000, "touch_write"),
    ("kernel-read", 4000, "case_kernel_read"),
    ("fork-cow", 4000, "touch_write"),
    ("process-vm", 4000, "touch_write"),
    ("populate", 0, None),
    ("file-cold", 0, None),
    ("shm", 0, None),
])
def test_sampled_pages_are_those_of_faults(trace, case, pages, toucher):
    f, _, _ = trace(case, 4000, "--rss", "--sample", 8)
    rows = [r for r in f.of("stack")
            if toucher in [frame_name(x) for x in r["frames"]]] if toucher else []
    # 500 expected: five standard deviations are 21 %.
    assert abs(sum(r["count"] for r in rows) - pages) <= pages * 0.25, f.of("stack")
    # No more than the few pages of any code.
    assert sum(r["count"] for r in f.of("stack")) - sum(r["count"] for r in rows) <= 25 * 8


def test_samples_are_not_biased(victim, faults):
    """4000 samples: five standard deviations are 7.7 %."""
    v = victim("faults_table-o2", "--case", "anon", "--pages", 64000)
    f = faults("-p", v.pid, "--rss", "--sample", 16).started()
    v.run()
    f.stop().assert_clean()
    row = max(f.of("stack"), key=lambda r: r["count"])
    assert abs(row["count"] - 64000) <= 64000 * 5 * (15 / 64000) ** 0.5, row["count"]


def test_interval_shows_what_is_new(victim, faults):
    v = victim("faults_table-o2", "--case", "anon", "--pages", 2000)
    f = faults("-p", v.pid, "0.05").started()
    v.run()
    total = 0
    while total < 2000:
        line = f.lines.next()
        assert line, "memtally ended"
        obj = json.loads(line)
        if obj["type"] == "process":
            total += obj["minor"]
            assert obj["minor_rate"] > 0
    f.stop().assert_clean()
    again = sum(o["minor"] for o in f.of("process"))
    assert f.of("check")[0]["traced_minor"] == again, "ticks do not add up to the run"


@pytest.mark.parametrize("args,word", [
    (("--by", "nothing"), "nothing"),
    (("--bad", "--rss"), "--bad"),
    (("--sample", "3", "--rss"), "power of two"),
    (("--sample", "4"), "--rss"),
    (("--detail", "count", "--by", "cause"), "--detail"),
    (("--folded", "x"), "--rss"),
    (("-p", "1", "--all"), "more than one"),
])
def test_bad_options(args, word):
    run = memtally(*args, command="faults")
    assert run.returncode == USAGE and word in run.stderr.decode()

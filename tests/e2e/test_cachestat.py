# SPDX-License-Identifier: GPL-2.0-or-later
"""
cachestat and cachetop against files whose accesses are known: tests/victims/cachefiles
looks every page up with cachestat(2) before it reads it.
"""
import collections
import json
import os
import re
import shutil
import signal
import subprocess

import pytest

from conftest import (DEADLINE, FAILURE, FINE, INCOMPLETE, MEMTALLY, USAGE, Lines, Victim, features, memtally, methods,
                      victim_path)

PAGES = 4097
SUMS = ("accesses", "hits", "misses", "readahead", "dirties", "evicted", "added",
        "unused_readahead", "read_hits", "read_misses", "read_readahead", "mmap_hits",
        "mmap_misses", "mmap_readahead", "write_added", "direct_reads", "direct_read_bytes",
        "direct_writes", "direct_write_bytes")


class CacheTally:
    """One run of cachestat or cachetop --json; the differences of all ticks added up."""

    def __init__(self, *args, command="cachestat", env=None):
        self.proc = subprocess.Popen([MEMTALLY, command, "--json", "--top", "1000000",
                                      *[str(a) for a in args]], stdin=subprocess.DEVNULL,
                                     stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                     env={**os.environ, **(env or {})})
        self.lines = Lines(self.proc.stdout)
        self.errors = Lines(self.proc.stderr)
        self.command = command
        self.rows = collections.defaultdict(collections.Counter)
        self.paths, self.comms = {}, {}
        self.start = self.end = self.losses = None

    def take(self, line):
        try:
            obj = json.loads(line)
        except ValueError:
            return
        assert obj["command"] == self.command, obj
        kind = obj["type"]
        if kind in ("start", "end", "losses"):
            setattr(self, kind, obj)
            return
        key = {"cache": lambda: "total", "process": lambda: obj["pid"],
               "file": lambda: (obj["device"], obj["inode"]),
               "cgroup": lambda: ("cgroup", obj["id"])}[kind]()
        if obj.get("others"):
            key = "others"
        if kind == "file":
            self.paths[key] = obj["path"]
        if kind == "process":
            self.comms[key] = obj["comm"]
        for name in SUMS:
            self.rows[key][name] += obj[name]

    def started(self):
        while not self.start:
            line = self.lines.next()
            assert line, f"ended with {self.proc.wait()}: {self.stderr()}"
            self.take(line)
        return self

    def stderr(self):
        return b"".join(self.errors.rest()).decode()

    def stop(self, how=signal.SIGINT):
        if how:
            self.proc.send_signal(how)
        for line in self.lines.rest():
            self.take(line)
        self.status = self.proc.wait(DEADLINE)
        assert self.end, f"no end object; status {self.status}: {self.stderr()}"
        return self

    def assert_clean(self):
        lost = {k: v for k, v in self.losses.items()
                if k not in ("type", "command", "time", "tick") and v}
        assert not lost and self.status == FINE, (lost, self.status, self.stderr())


@pytest.fixture(scope="module")
def disk(tmp_path_factory):
    """A directory on a real file system, emptied at the end: the files are large."""
    path = tmp_path_factory.mktemp("cachefiles")
    yield path
    shutil.rmtree(path, ignore_errors=True)


def run_files(directory, *rows, pages=PAGES, options=(), command="cachestat", env=None):
    """cachefiles under cachestat --by file: {row: (truth, counters)}, the run."""
    victim = Victim([victim_path("cachefiles"), directory, pages, *rows])
    try:
        tally = CacheTally("--by", "file", *options, command=command, env=env).started()
        truth = victim.run()
        tally.stop()
    finally:
        victim.kill()
    found = {}
    for row in truth["rows"]:
        key = (row["device"], row["inode"])
        found[row["name"]] = (row, tally.rows.get(key, collections.Counter()), key)
    return found, tally


@pytest.fixture(scope="module")
def everything(disk):
    return run_files(disk)


def read_split(n):
    return n["read_hits"], n["read_readahead"], n["read_misses"]


def test_reads_are_exact(everything):
    """Every read row: HIT, RA and MISS to the last page; rows without reads are zero."""
    found, tally = everything
    wrong = []
    for name, (truth, n, _) in found.items():
        want = (truth["hits"], truth["ra"], truth["misses"])
        got = read_split(n)
        if truth["no_split"]:
            want, got = sum(want), sum(got)
        if got != want:
            wrong.append(f"{name}: got {got}, truth {want}")
    assert len(found) >= 60
    assert not wrong, "\n".join(wrong)
    tally.assert_clean()


def test_direct_io_is_apart(everything):
    """O_DIRECT: every byte in DIRECT, also of aio and io_uring, and not one page."""
    found, tally = everything
    tally.assert_clean()
    wrong = []
    for name, (truth, n, _) in found.items():
        got = (n["direct_read_bytes"], n["direct_write_bytes"])
        want = (truth["direct_reads"], truth["direct_writes"])
        if got != want:
            wrong.append(f"{name}: got {got}, truth {want}")
    assert found["direct_1m"][0]["direct_reads"] > 16 << 20
    assert not wrong, "\n".join(wrong)


def dirties_agree(truth, n):
    """True as well where the kernel has no cachestat(2) to count them with."""
    return not truth["dirties_known"] or n["dirties"] == truth["dirties"]


def test_dirtied_pages(everything):
    """Pages that became dirty, as cachestat(2) counts them; written twice is dirty once."""
    found, _ = everything
    wrong = []
    for name, (truth, n, _) in found.items():
        if name.startswith(("write_", "overwrite_", "mmap_write")):
            if not dirties_agree(truth, n):
                wrong.append(f"{name}: {n['dirties']} dirtied, truth {truth['dirties']}")
    for block in ("4k", "16k", "128k", "1m"):
        n = found[f"write_new_{block}"][1]
        assert (n["dirties"], n["write_added"]) == (2048, 2048), (block, n)
    clean, n, _ = found["overwrite_clean"]
    assert clean["absent"] <= n["write_added"] <= clean["absent"] + n["evicted"], (clean, n)
    assert not wrong, "\n".join(wrong)


MAPPED = ("mmap_random", "mmap_cold", "mmap_warm", "mmap_again")


def assert_faults_are_exact(found):
    """An access per fault; rusage counts a few faults of the process's own memory besides."""
    for name in MAPPED:
        truth, n, _ = found[name]
        accesses = n["mmap_hits"] + n["mmap_misses"] + n["mmap_readahead"]
        assert truth["faults"] - 5 <= accesses <= truth["faults"], (name, truth, n)
    cold = found["mmap_cold"][1]
    assert 1 <= cold["mmap_misses"] <= 1 + cold["evicted"], cold
    for name in ("mmap_warm", "mmap_again"):
        warm, n, _ = found[name]
        assert n["mmap_misses"] <= warm["absent"] + n["evicted"], "absent though nothing was evicted"


def test_faults_on_mappings(everything):
    assert_faults_are_exact(everything[0])


def test_faults_begin_without_tracepoints(disk):
    """Machines that have no exceptions:page_fault_user (arm64): a perf event tells as well."""
    at = disk / "fault_starts"
    at.mkdir()
    found, tally = run_files(at, *MAPPED, "mmap_write",
                             env={"MEMTALLY_WITHOUT": "fault-events"})
    tally.assert_clean()
    assert_faults_are_exact(found)
    truth, n, _ = found["mmap_write"]
    assert dirties_agree(truth, n), (truth, n)


def test_asynchronous_reads_are_said_to_be_approximate(everything):
    tally = everything[1]
    said = any("io_uring" in line and "aio" in line and "approximate" in line
               for line in tally.start["skipped"])
    assert said == (tally.start["method"] == "tracepoints"), tally.start


def test_readahead_for_nothing(everything):
    """Pages prefetched, never used and evicted."""
    truth, n, _ = everything[0]["readahead"]
    assert truth["unused"] == n["unused_readahead"] > 0
    assert n["evicted"] == n["added"]


def test_paths(everything, disk):
    found, tally = everything
    for name, (_, n, key) in found.items():
        if n:
            assert tally.paths[key] == str(disk / name), name


def totals(found, *names):
    truths = [found[name][0] for name in names]
    return tuple(sum(t[k] for t in truths) for k in ("hits", "ra", "misses"))


@pytest.mark.parametrize("command", ["cachestat", "cachetop"])
def test_one_process(disk, command):
    """-p: the process's own reads, whatever others do to the page cache meanwhile."""
    victim = Victim([victim_path("cachefiles"), disk, 300, "cold_4k", "warm_128k"])
    other = Victim([victim_path("cachefiles"), disk, 300, "cold_16k"])
    try:
        tally = CacheTally("--by", "process", "-p", victim.pid, command=command).started()
        other.run()
        truth = {r["name"]: (r, None, None) for r in victim.run()["rows"]}
        tally.stop()
    finally:
        victim.kill()
        other.kill()
    tally.assert_clean()
    assert [k for k in tally.rows if k != "total"] == [victim.pid]
    n = tally.rows[victim.pid]
    assert read_split(n) == totals(truth, "cold_4k", "warm_128k")
    assert tally.comms[victim.pid] == "cachefiles"
    assert tally.start["options"]["by"] == "process"
    assert tally.start["targets"][0]["pid"] == victim.pid
    assert tally.rows["total"] == n


def trace_one(disk, by, *rows):
    """cachefiles under cachestat -p: its pid, the run, the truth as totals() takes it."""
    victim = Victim([victim_path("cachefiles"), disk, 300, *rows])
    try:
        tally = CacheTally("--by", by, "-p", victim.pid).started()
        truth = {r["name"]: (r, None, None) for r in victim.run()["rows"]}
        tally.stop()
    finally:
        victim.kill()
    return victim.pid, tally, truth


def test_others_at_their_maps_hide_no_access(disk, map_readers):
    """The kernel skips programs meanwhile: each hit and each miss is seen."""
    pid, tally, truth = trace_one(disk, "process", "cold_4k", "warm_128k")
    tally.assert_clean()
    assert read_split(tally.rows[pid]) == totals(truth, "cold_4k", "warm_128k")


def test_cgroups(disk):
    """--by cgroup: one row for the cgroup that all of this runs in, with all of it."""
    _, tally, truth = trace_one(disk, "cgroup", "cold_4k")
    keys = [k for k in tally.rows if k != "total"]
    assert len(keys) == 1 and keys[0][1] > 0
    assert read_split(tally.rows[keys[0]]) == totals(truth, "cold_4k")


def make_file(path, pages):
    with open(path, "wb") as f:
        f.write(b"x" * 4096 * pages)
        os.fsync(f.fileno())
        os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return os.stat(path)


def file_key(st):
    return f"{os.major(st.st_dev)}:{os.minor(st.st_dev)}", st.st_ino


def run_program(*argv, options=(), env=None):
    tally = CacheTally("--by", "file", *options, "--", *argv, env=env)
    tally.started().stop(how=None)
    tally.assert_clean()
    return tally, {path: tally.rows[key] for key, path in tally.paths.items()}


def test_program(disk):
    """-- PROGRAM: from its first read to its end; a name with spaces and quotes."""
    path = disk / "a \"name\" with\ttab"
    make_file(path, 1000)
    tally, files = run_program("dd", f"if={path}", "of=/dev/null", "bs=64k", "status=none")
    assert tally.end["program_status"] == 0
    n = files[str(path)]
    assert sum(read_split(n)) == 1000 and n["read_hits"] == 0 and n["read_misses"] >= 16


def test_copy(disk):
    """cp lets the kernel copy (copy_file_range): read there, written here."""
    src, dst = disk / "copy_from", disk / "copy_to"
    make_file(src, 1000)
    _, files = run_program("cp", src, dst)
    assert sum(read_split(files[str(src)])) == 1000 and files[str(src)]["dirties"] == 0
    n = files[str(dst)]
    assert (n["accesses"], n["dirties"], n["write_added"]) == (0, 1000, 1000), n


def test_direct_program(disk):
    """The seed case: what is read with O_DIRECT is in DIRECT, not a hit ratio of 100 %."""
    path = disk / "direct"
    make_file(path, 1024)
    _, files = run_program("dd", f"if={path}", "of=/dev/null", "bs=64k", "iflag=direct",
                           "status=none")
    n = files[str(path)]
    assert n["direct_read_bytes"] == 1024 * 4096 and n["direct_reads"] == 64
    assert n["accesses"] == 0


def test_unlinked_file(disk):
    """A file without a name is its device and inode, and says why."""
    path = disk / "gone"
    st = make_file(path, 10)
    script = f"exec 3< '{path}'; rm '{path}'; cat <&3 > /dev/null"
    tally, _ = run_program("sh", "-c", script, options=("--follow",))
    key = file_key(st)
    assert sum(read_split(tally.rows[key])) == 10
    assert tally.paths[key] in (f"[{key[0]}]:{st.st_ino} (unlinked)", str(path))


READ_EACH = """
import os, sys
os.chdir(sys.argv[1])
for i in range(int(sys.argv[2])):
    fd = os.open(str(i), os.O_RDONLY)
    os.read(fd, 1)
    os.close(fd)
"""


def test_more_files_than_rows(disk):
    """What finds no room is in one row, and said: the sum of all stays exact."""
    at, count = disk / "many", 17000
    at.mkdir()
    keys = set()
    for i in range(count):
        (at / str(i)).write_bytes(b"x")
        keys.add(file_key(os.stat(at / str(i))))
    tally = CacheTally("--by", "file", "--", "/usr/bin/python3", "-c", READ_EACH, at, count)
    tally.started().stop(how=None)
    others = tally.rows["others"]
    # Not by their names: so many at once may be more than a slow machine takes (paths_lost).
    found = [n for key, n in tally.rows.items() if key in keys]
    assert tally.status == INCOMPLETE and tally.losses["rows_full"] >= others["accesses"] > 0
    assert others["accesses"] + sum(n["accesses"] for n in found) == count, others
    assert tally.paths["others"] == "[others]"
    shutil.rmtree(at)  # else another test has no rows for what is evicted while it runs


@pytest.fixture
def loop_mount(disk):
    """mount(kind): a fresh file system on a loop device."""
    mounted = []

    def mount(kind):
        if not shutil.which(f"mkfs.{kind}"):
            pytest.skip(f"no mkfs.{kind} here")
        image, at = disk / f"{kind}.img", disk / f"{kind}.mnt"
        with open(image, "wb") as f:
            f.truncate(512 << 20)
        subprocess.run([f"mkfs.{kind}", "-q", str(image)], check=True)
        at.mkdir()
        done = subprocess.run(["mount", "-o", "loop", str(image), str(at)], check=False,
                              stderr=subprocess.PIPE)
        if done.returncode:
            pytest.skip(f"cannot mount {kind} on a loop device: {done.stderr.decode().strip()}")
        mounted.append(at)
        return at

    yield mount
    for at in mounted:
        subprocess.run(["umount", str(at)], check=True)


WRITES = ("write_new_4k", "write_new_16k", "write_new_128k", "write_new_1m", "overwrite_clean",
          "overwrite_dirty", "write_partial")


@pytest.mark.parametrize("kind", ["ext4", "xfs"])
def test_writes_on_loop(loop_mount, kind):
    found, _ = run_files(loop_mount(kind), *WRITES, "cold_4k", "direct_128k", pages=2100)
    for name in WRITES:
        truth, n, _ = found[name]
        assert dirties_agree(truth, n) and n["dirties"] > 0, (name, n)
        assert name == "write_partial" or read_split(n) == (0, 0, 0)
    assert read_split(found["cold_4k"][1]) == totals(found, "cold_4k")
    assert found["direct_128k"][1]["direct_read_bytes"] == found["direct_128k"][0]["direct_reads"]


def test_overlayfs(disk):
    """Through overlayfs to the real file: its device, inode and path."""
    lower, upper, work, at = (disk / d for d in ("lower", "upper", "work", "merged"))
    for d in (lower, upper, work, at):
        d.mkdir()
    st = make_file(lower / "file", 500)
    options = f"lowerdir={lower},upperdir={upper},workdir={work}"
    done = subprocess.run(["mount", "-t", "overlay", "-o", options, "overlay", str(at)],
                          check=False, stderr=subprocess.PIPE)
    if done.returncode:
        pytest.skip(f"cannot mount overlayfs: {done.stderr.decode().strip()}")
    try:
        tally, _ = run_program("dd", f"if={at}/file", f"of={at}/copy", "bs=64k", "status=none")
    finally:
        subprocess.run(["umount", str(at)], check=True)
    key = file_key(st)
    assert tally.paths[key] == str(lower / "file")
    assert sum(read_split(tally.rows[key])) == 500
    copy = (key[0], os.stat(upper / "copy").st_ino)
    assert tally.rows[copy]["dirties"] == 500 and tally.paths[copy] == str(upper / "copy")


def test_tmpfs_is_said_to_be_missing():
    with open("/proc/self/mountinfo", encoding="utf-8") as f:
        assert any(" /dev/shm " in line and "tmpfs" in line for line in f)
    path = f"/dev/shm/memtally-{os.getpid()}"
    try:
        st = make_file(path, 100)
        tally, files = run_program("dd", f"if={path}", "of=/dev/null", "bs=64k", "status=none")
    finally:
        os.unlink(path)
    assert st and path not in files
    assert any("tmpfs" in line for line in tally.start["skipped"])


def fio(directory, *options):
    if not shutil.which("fio"):
        pytest.skip("no fio here")
    args = ["--name=job", f"--directory={directory}", "--size=8m", "--bs=16k", "--thread",
            "--output-format=json", *options]
    # Laid out before: only the reads are counted.
    subprocess.run(["fio", *args, "--rw=write", "--create_only=1", "--ioengine=psync"], check=True,
                   stdout=subprocess.DEVNULL)
    tally = CacheTally("--by", "file").started()
    out = subprocess.run(["fio", *args], check=True, stdout=subprocess.PIPE).stdout.decode()
    tally.stop()
    tally.assert_clean()
    job = json.loads(out[out.index("{"):])["jobs"][0]
    rows = [tally.rows[k] for k, p in tally.paths.items() if p.startswith(str(directory))]
    total = collections.Counter()
    for row in rows:
        total.update(row)
    return job, total


@pytest.mark.parametrize("engine", ["psync", "libaio", "io_uring", "pvsync"])
@pytest.mark.parametrize("pattern", ["read", "randread"])
def test_fio_buffered(disk, engine, pattern):
    """fio as a witness: the bytes it says it read are our HIT + RA + MISS."""
    at = disk / f"fio-{engine}-{pattern}"
    at.mkdir()
    job, n = fio(at, f"--rw={pattern}", f"--ioengine={engine}", "--invalidate=0")
    assert sum(read_split(n)) * 4096 == job["read"]["io_bytes"] == 8 << 20
    assert n["direct_read_bytes"] == 0


@pytest.mark.parametrize("engine", ["psync", "libaio", "io_uring"])
def test_fio_direct(disk, engine):
    at = disk / f"fio-direct-{engine}"
    at.mkdir()
    job, n = fio(at, "--rw=randrw", f"--ioengine={engine}", "--direct=1", "--iodepth=8")
    assert n["direct_read_bytes"] == job["read"]["io_bytes"] > 0
    assert n["direct_write_bytes"] == job["write"]["io_bytes"] > 0
    assert sum(read_split(n)) == 0


def run_method(disk, method):
    """
    As run_files(). These methods are for kernels that skip no event; one that does may skip their
    programs too, and says so: such a run shows nothing else, and is made again.
    """
    for i in range(5):
        at = disk / f"{method}{i}"
        at.mkdir()
        found, tally = run_files(at, options=("--method", method))
        if not features()["events-skipped"] or not tally.losses["probes_missed"]:
            break
        assert tally.status == INCOMPLETE
    return found, tally


BY_CALLS = ("sendfile", "splice", "aio_", "uring_")


@pytest.mark.parametrize("method", ["functions", "syscalls"])
def test_other_methods(disk, method):
    """What an older kernel gets: every read that the method sees is exact."""
    if method == "functions" and not (features()["fentry"] or features()["kprobe"]):
        done = memtally("--method", method, "1", "1", command="cachestat")
        assert done.returncode == FAILURE and b"neither fentry nor kprobes" in done.stderr
        pytest.skip("this kernel has neither fentry nor kprobes")
    found, tally = run_method(disk, method)
    tally.assert_clean()
    assert tally.start["method"].startswith(method)
    blind = BY_CALLS if method == "syscalls" else ()
    if any("asynchronous direct I/O" in line for line in tally.start["skipped"]):
        blind += ("direct_aio", "direct_uring")
        assert method == "syscalls" and methods()["cachestat"]["direct I/O"] != "typed tracepoints"
    wrong = []
    for name, (truth, n, _) in found.items():
        if name.startswith(blind):
            continue
        want = (truth["hits"], truth["ra"], truth["misses"])
        got = read_split(n)
        if truth["no_split"]:
            want, got = sum(want), sum(got)
        if (got, n["direct_read_bytes"], n["direct_write_bytes"]) != (
                want, truth["direct_reads"], truth["direct_writes"]):
            wrong.append(f"{name}: got {n}, truth {truth}")
        if name.startswith("write_new"):
            assert (n["dirties"], n["write_added"]) == (2048, 2048), (name, n)
    assert not wrong, "\n".join(wrong)
    for said in ("sendfile", "mapped files") if blind else ():
        assert any(said in line for line in tally.start["skipped"]), tally.start


def test_method_by_what_there_is(disk):
    """Without the tracepoints functions, without those too system calls; a program is seen."""
    path = disk / "by_method"
    make_file(path, 1000)
    for without, method in (("", "tracepoints"), ("filemap-events", "functions"),
                            ("filemap-events,fentry", "functions"),
                            ("filemap-events,fentry,kprobe", "syscalls")):
        have = features()
        if method == "tracepoints" and not have["filemap-events"]:
            continue
        if method == "functions" and not (have["kprobe"] or
                                          (have["fentry"] and "fentry" not in without)):
            method = "syscalls"
        tally, files = run_program("dd", f"if={path}", "of=/dev/null", "bs=64k", "status=none",
                                   env={"MEMTALLY_WITHOUT": without})
        assert tally.start["method"].startswith(method), (without, tally.start)
        assert sum(read_split(files[str(path)])) == 1000


def test_text(disk):
    """The columns users know, in their order; times with -T; what is not seen is said."""
    done = memtally("-T", "0.1", "3", command="cachestat")
    lines = done.stdout.decode().splitlines()
    assert done.returncode == FINE, done.stderr
    assert lines[0].split()[:7] == ["TIME", "HITS", "MISSES", "DIRTIES", "HITRATIO",
                                    "BUFFERS_MB", "CACHED_MB"]
    assert len([line for line in lines if re.match(r"\d\d:\d\d:\d\d ", line)]) == 3
    assert b"tmpfs" in done.stderr
    path = disk / "text"
    make_file(path, 10)
    done = memtally("--top", 5, "--", "cat", path, command="cachetop")
    assert b"PID    UID CMD" in done.stdout and b" cat " in done.stdout, done.stdout
    done = memtally("--by", "file", "--", "dd", f"if={path}", "of=/dev/null", command="cachetop")
    assert str(path).encode() in done.stdout


@pytest.mark.parametrize("args", [("-p", "1", "--all"), ("--by", "nonsense"), ("0",),
                                  ("--method", "magic")])
def test_usage(args):
    done = memtally(*args, command="cachestat")
    assert done.returncode == USAGE and done.stderr.count(b"\n") == 1 and not done.stdout


def test_missing_pid():
    done = memtally("-p", 2 ** 22 + 1, "--duration", "1", command="cachetop")
    assert done.returncode == FAILURE and b"cannot trace pid" in done.stderr

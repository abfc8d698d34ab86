# SPDX-License-Identifier: GPL-2.0-or-later
"""Which processes are traced, when a run ends, and what its exit status says."""
import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import time

import pytest
from conftest import (DEADLINE, FAILURE, FINE, INCOMPLETE, PART, Tally, Victim, assert_stacks_complete,
                      assert_truth, host_pid_below, losses_of, memtally, need, preempts, rows_of, victim_path,
                      wait_until)

ENDINGS = [signal.SIGINT, signal.SIGTERM]


def truth_in(file):
    return json.loads(pathlib.Path(file).read_text().splitlines()[-1])


# How a run ends

@pytest.mark.parametrize("how", ENDINGS)
def test_signal_prints_the_report(trace, how):
    t, truth, v = trace("eleven-o2", stop=how)
    assert_truth(t.last, truth)
    t.assert_clean()
    assert len(t.ticks) == 1
    assert v.finish() == 0


def test_duration_prints_the_report(victim, tally):
    v = victim("eleven-o2")
    t = tally("-p", v.pid, "--duration", "2").started()
    truth = v.run()
    t.wait()
    assert_truth(t.last, truth)
    t.assert_clean()
    assert 1.9 <= t.end["duration_s"] < 4


def test_interval_and_count(victim, tally):
    """Three reports, within which the victim comes to its end, then the end."""
    v = victim("eleven-o2")
    t = tally("-p", v.pid, 0.3 * PART, 3).started()
    truth = v.run()
    t.wait()
    assert list(t.ticks) == [0, 1, 2]
    assert t.end["ticks"] == 3
    assert_truth(t.last, truth)
    t.assert_clean()


def test_target_exit_ends_the_run(victim, tally):
    """The report at the end shows what was outstanding, with names."""
    v = victim("eleven-o2", "--status", "5")
    t = tally("-p", v.pid).started()
    truth = v.run()
    assert v.finish() == 5
    t.wait()
    assert_truth(t.last, truth)
    t.assert_clean()


def test_target_killed_ends_the_run(victim, tally):
    v = victim("eleven-o2")
    t = tally("-p", v.pid).started()
    truth = v.run()
    v.proc.send_signal(signal.SIGKILL)
    t.wait()
    assert_truth(t.last, truth)
    t.assert_clean()


def test_start_object(victim, tally):
    v = victim("eleven-o2")
    t = tally("-p", v.pid).started()
    start = t.start
    assert start["targets"] == [{"pid": v.pid, "comm": "eleven-o2",
                                 "exe": str(victim_path("eleven-o2"))}]
    assert start["kernel"] == os.uname().release
    assert start["version"] and start["method"]
    assert any("libc" in f for f in start["found"]), start["found"]
    assert isinstance(start["skipped"], list) and isinstance(start["options"], dict)
    assert start["map_bytes"] > 0
    v.run()
    t.stop()
    assert t.end["ticks"] == 1 and t.end["events"] > 0
    assert 0 <= t.end["tracing_cpu_ratio"] <= 1e6


# Several

def test_several_pids(victim, tally):
    a, b, c = victim("eleven-o2"), victim("cpp-o2"), victim("failing-o0")
    t = tally("-p", f"{a.pid},{b.pid},{c.pid}").started()
    assert {x["pid"] for x in t.start["targets"]} == {a.pid, b.pid, c.pid}
    truths = [(v.pid, v.run()) for v in (a, b, c)]
    t.stop()
    for pid, truth in truths:
        assert_truth(t.last, truth, pid=pid)
    assert {r.pid for r in t.last.rows} == {a.pid, b.pid, c.pid}
    t.assert_clean()


def test_one_of_several_exits(victim, tally):
    """The run goes on with the other; the report has both."""
    a, b = victim("eleven-o2"), victim("eleven-o0")
    t = tally("-p", a.pid, "-p", b.pid, "0.2").started()
    truth_a = a.run()
    assert a.finish() == 0
    truth_b = b.run()
    t.wait_tick(lambda tick: any(r.pid == b.pid for r in tick.rows), "the second target")
    assert t.proc.poll() is None
    t.stop()
    assert_truth(t.last, truth_b, pid=b.pid)
    seen = [tick for tick in t.ticks.values() if any(r.pid == a.pid for r in tick.rows)]
    if seen:
        assert_truth(seen[-1], truth_a, pid=a.pid)
    t.assert_clean()


def test_same_program_not_named_is_not_traced(victim, tally):
    """Probes sit in files that others map too: only the target counts."""
    a, other = victim("eleven-o2"), victim("eleven-o2")
    t = tally("-p", a.pid).started()
    other.run()
    truth = a.run()
    t.stop()
    assert {r.pid for r in t.last.rows} == {a.pid}
    assert_truth(t.last, truth)
    t.assert_clean()


# -- PROGRAM

def test_program(tally, tmp_path):
    """Probes are live before its first instruction; its exit status is reported."""
    file = tmp_path / "truth"
    t = tally("--", victim_path("eleven-o2"), "--no-wait", "--truth", file, "--status", "7").wait()
    assert_truth(t.last, truth_in(file))
    t.assert_clean()
    assert t.end["program_status"] == 7


@pytest.mark.parametrize("shape", ["eleven-static", "eleven-musl", "eleven-musl-static"])
def test_program_shapes(tally, tmp_path, shape):
    file = tmp_path / "truth"
    t = tally("--", victim_path(shape), "--no-wait", "--truth", file).wait()
    truth = truth_in(file)
    assert_truth(t.last, truth, only=False, skip=("l8",) if "musl" in shape else ())
    t.assert_clean()
    assert t.end["program_status"] == 0


def test_program_cpp(tally, tmp_path):
    file = tmp_path / "truth"
    t = tally("--", victim_path("cpp-o2"), "--no-wait", "--truth", file).wait()
    assert_truth(t.last, truth_in(file), only=False)  # libstdc++ keeps a pool from its start
    t.assert_clean()


def test_program_killed(tally, tmp_path):
    file = tmp_path / "truth"
    t = tally("--", victim_path("eleven-o2"), "--no-wait", "--truth", file, "--kill", "9").wait()
    assert_truth(t.last, truth_in(file))
    assert t.status == FINE
    assert t.end["program_status"] == 128 + 9


def test_program_by_path_with_arguments(tally, tmp_path):
    """Found through PATH; arguments with blanks and dashes arrive as they are."""
    t = tally("--", "sh", "-c", 'printf "%s|" "$@" > "$0"', tmp_path / "args",
              "a b", "--json", "-p", "", "--").wait()
    assert (tmp_path / "args").read_text() == "a b|--json|-p||--|"
    assert t.end["program_status"] == 0


def test_program_output_is_untouched(tally):
    t = tally("--", "sh", "-c", "echo out; echo err >&2; exit 3").wait()
    assert t.foreign == [b"out\n"]
    assert "err" in t.error_text.splitlines()
    assert t.end["program_status"] == 3


def test_program_gets_sigint(tmp_path):
    """Ctrl-C goes to the group: the program ends as it would, the report comes."""
    file = tmp_path / "truth"
    t = Tally("--", victim_path("eleven-o2"), "--truth", file, stdin=subprocess.PIPE,
              start_new_session=True)
    try:
        t.started()
        t.proc.stdin.write(b"go\n")
        t.proc.stdin.flush()
        wait_until(lambda: file.exists() and '"ready"' in file.read_text(), "ready")
        os.killpg(t.proc.pid, signal.SIGINT)
        t.wait()
        assert_truth(t.last, truth_in(file))
        assert t.end["program_status"] == 128 + signal.SIGINT
        t.assert_clean()
    finally:
        t.kill()


@pytest.mark.parametrize("program,word", [
    ("/nonexistent/program", "ENOENT"), ("/etc/passwd", "EACCES"), ("/", "EACCES")])
def test_program_that_cannot_start(program, word):
    run = memtally("--json", "--", program)
    text = run.stderr.decode()
    assert run.returncode == FAILURE, text
    assert program in text and (word in text or os.strerror(2 if word == "ENOENT" else 13) in text)
    assert len(text.splitlines()) == 1, text


def test_program_is_ended_with_us(tally, tmp_path):
    """--duration over: the program we started gets SIGTERM, and no orphan stays."""
    file = tmp_path / "truth"
    t = tally("--duration", "1", "--", victim_path("eleven-o2"), "--truth", file,
              stdin=subprocess.PIPE).started()
    t.proc.stdin.write(b"go\n")
    t.proc.stdin.flush()
    t.wait()
    truth = truth_in(file)
    assert_truth(t.last, truth)
    assert not os.path.exists(f"/proc/{truth['pid']}"), "the program lives on"


# fork, exec, spawn

def test_fork_without_follow(trace):
    """The parent only: the child's blocks, and its frees of inherited ones, are its own."""
    t, truth, _ = trace("fork-o2")
    assert_truth(t.last, truth, pid=truth["pid"], skip=("child",))
    assert {r.pid for r in t.last.rows} == {truth["pid"]}
    t.assert_clean()


@pytest.mark.parametrize("variant", ["o0", "o2"])
def test_fork_follow(trace, variant):
    t, truth, _ = trace(f"fork-{variant}", options=["--follow"])
    sites = truth["sites"]
    assert_truth(t.last, {"sites": {n: sites[n] for n in ("parent", "after")}}, pid=truth["pid"])
    child, = rows_of(t.last, sites["child"])
    assert (child.pid, child.bytes, child.count) == (truth["child"], 32000, 1000)
    t.assert_clean()


def test_exec_follow(trace):
    """An exec throws the memory away: only the last image's blocks are left."""
    t, truth, _ = trace("exec-o2", options=["--follow"])
    assert_truth(t.last, truth)
    t.assert_clean()


def test_exec_in_program(tally, tmp_path):
    file = tmp_path / "truth"
    t = tally("--follow", "--", victim_path("exec-o2"), "--no-wait", "--truth", file).wait()
    assert_truth(t.last, truth_in(file))
    t.assert_clean()


def test_exec_of_another_program(victim, tally):
    """The target becomes another program and exits: the run ends, nothing is invented."""
    v = victim("exec-o2", "--stages", "1", "--first", "1", "--exec", "/bin/true")
    t = tally("-p", v.pid).started()
    v.say()
    assert v.proc.wait(DEADLINE) == 0
    t.wait()
    early = {"chain": ["early_leaf"], "via": "", "function": "early_leaf"}
    assert not rows_of(t.last, early), "blocks of an image that is gone"
    t.assert_clean()


def test_exec_other_allocator(victim, tally, tmp_path):
    """A program with a static allocator of its own, reached by exec: nobody knows its file
    before it runs, and it is not stopped for us, so its first calls may pass. That is said."""
    script = tmp_path / "next"
    file = tmp_path / "truth"
    script.write_text(f"#!/bin/sh\nexec {victim_path('eleven-static')} --no-wait --truth {file}\n")
    script.chmod(0o755)
    t = tally("--follow", "--", script).wait()
    assert t.last.losses["probes_late"] == 1
    assert t.status == INCOMPLETE


@pytest.mark.parametrize("options", [[], ["--follow"]])
def test_spawned_children(trace, options):
    """vfork and posix_spawn: children in our memory for a moment change nothing."""
    t, truth, _ = trace("spawn-o2", options=options)
    assert_truth(t.last, truth, pid=truth["pid"])
    if not options:
        assert {r.pid for r in t.last.rows} == {truth["pid"]}
    t.assert_clean()


def test_follow_grandchildren(tally, tmp_path):
    """A shell that starts a shell that starts victims, one after another."""
    files = [tmp_path / f"truth{i}" for i in range(3)]
    script = "; ".join(f"sh -c '{victim_path('eleven-o2')} --no-wait --truth {f}; :'"
                       for f in files)
    t = tally("--follow", "0.2", "--", "sh", "-c", script + "; :").wait()
    for file in files:
        truth = truth_in(file)
        seen = [tick for tick in t.ticks.values()
                if any(r.pid == truth["pid"] for r in tick.rows)]
        assert seen, f"no report shows process {truth['pid']}"
        assert_truth(seen[-1], truth, pid=truth["pid"])
    assert t.end["program_status"] == 0


def test_others_at_their_maps_hide_no_process(map_readers, tally, tmp_path):
    """Where the kernel skips programs meanwhile: each fork and each exec is seen all the same."""
    files = [tmp_path / f"truth{i}" for i in range(30)]
    script = tmp_path / "script"
    script.write_text("".join(f"{victim_path('exec-o2')} --no-wait --truth {f}\n" for f in files))
    t = tally("--follow", "--", "sh", script).wait()
    for file in files:
        truth = truth_in(file)
        assert_truth(t.last, truth, pid=truth["pid"])
    t.assert_clean()


@pytest.fixture
def exec_unread(tally):
    """run(script, done): what a traced shell then runs, while memtally stands still till done()."""
    shells = []

    def run(script, done):
        shell = subprocess.Popen(["/bin/sh", "-c", f"read x; {script}; read x"],
                                 stdin=subprocess.PIPE)
        shells.append(shell)
        t = tally("--follow", "-p", shell.pid).started()
        os.kill(t.proc.pid, signal.SIGSTOP)
        try:
            shell.stdin.write(b"\ngo\n")
            shell.stdin.flush()
            wait_until(done, script)
        finally:
            os.kill(t.proc.pid, signal.SIGCONT)
        return t.stop()
    yield run
    for shell in shells:
        shell.stdin.close()
        shell.wait(DEADLINE)


def test_exec_while_nobody_looks(exec_unread, tmp_path):
    """Each stack through a file that has no table yet waits for it."""
    file = tmp_path / "truth"
    t = exec_unread(f"{victim_path('eleven-o2')} --truth {file}",
                    lambda: file.exists() and '"ready"' in file.read_text())
    truth = truth_in(file)
    assert_truth(t.last, truth, pid=truth["pid"])
    t.assert_clean()


def test_exec_with_more_stacks_than_can_wait(exec_unread, tmp_path):
    """What finds no room to wait is a loss: its stack is guessed."""
    done = tmp_path / "done"
    t = exec_unread(f"PYTHONMALLOC=malloc /usr/bin/python3 -c 'open(\"{done}\", \"w\"); input()'",
                    done.exists)
    assert t.last.losses["stacks_unfinished"] > 0 and t.status == INCOMPLETE


# dlopen

def test_dlopen(victim, tally):
    """Code that arrives between reports has names."""
    lib = victim_path("libleak.so")
    v = victim("dlopen-o2", "--lib", lib)
    t = tally("-p", v.pid, "0.2").started()
    t.wait_tick(lambda tick: True, "a report before the library is loaded")
    v.say()
    v.expect("loaded")
    v.say()
    truth = v.expect("ready")
    t.stop()
    # ld.so allocates for itself: dlopen's own rows are none of the library's
    assert_truth(t.last, truth, only=False)
    row, = rows_of(t.last, truth["sites"]["lib"])
    assert row.frames[0]["object"] == str(lib)
    t.assert_clean()


@pytest.fixture
def leak_unseen(victim, tally, tmp_path):
    """Blocks by a library that memtally has not read yet, while memtally does not run."""
    lib = tmp_path / "libleak.so"  # without build id it is like no other file
    subprocess.run(["objcopy", "--remove-section=.note.gnu.build-id",
                    victim_path("libleak.so"), lib], check=True)

    def leak(*options):
        v = victim("dlopen-o2", "--lib", lib, "--one-step", "1", *options)
        t = tally("-v", "-p", v.pid, "0.2").started()
        t.wait_tick(lambda tick: True, "a report before the library is loaded")
        os.kill(t.proc.pid, signal.SIGSTOP)
        truth = v.run()
        os.kill(t.proc.pid, signal.SIGCONT)
        t.stop()
        return t, truth, str(lib)
    return leak


# As many as one image may have (RAW_PER_IMAGE) where they are short, as a main thread's; of
# threads what the ring holds of the long ones (include/raw_stack.h).
@pytest.mark.parametrize("options", [
    ("--blocks", "250"), ("--blocks", "4000"), ("--blocks", "1750", "--thread", "1")])
def test_dlopen_of_what_nobody_knows(leak_unseen, options):
    """Stacks through a file that memtally has not read yet are finished once it has."""
    t, truth, lib = leak_unseen(*options)
    assert_truth(t.last, truth, only=False)
    row, = rows_of(t.last, truth["sites"]["lib"])
    assert row.frames[0]["object"] == lib
    assert row.obj["stack_status"] == "complete"
    t.assert_clean()


def test_too_many_of_what_nobody_knows(leak_unseen):
    """Those without room in the ring are guessed from where the file begins, and it is said how
    many: they end there, but on arm64, where functions keep frame pointers, the guess is right."""
    t, truth, _ = leak_unseen("--blocks", "3000", "--thread", "1")
    rows = [r for r in t.last.rows if r.names[0] == "libleak_leaf"]
    assert sum(r.count for r in rows) == truth["sites"]["lib"]["count"] == 3000
    cut = sum(r.count for r in rows if r.obj["stack_status"] != "complete")
    unfinished = losses_of(t.last)["stacks_unfinished"]
    assert 0 < unfinished < 3000 - 1750
    assert cut == (0 if os.uname().machine == "aarch64" else unfinished)
    assert t.status == INCOMPLETE


def overflow_process_events():
    """Writes more records of executable mappings than the kernel keeps, on every CPU."""
    for cpu in os.sched_getaffinity(0):
        code = (f"import mmap, os; os.sched_setaffinity(0, [{cpu}])\n"
                "for i in range(40000):\n"
                "    mmap.mmap(-1, 4096, mmap.MAP_PRIVATE, mmap.PROT_EXEC).close()")
        subprocess.run(["/usr/bin/python3", "-c", code], check=True)


def test_dlopen_among_lost_process_events(victim, tally):
    """The kernel lost what it told of mappings: what is mapped is read again."""
    v = victim("dlopen-o2", "--lib", victim_path("libleak.so"))
    t = tally("-p", v.pid, "0.2").started()
    t.wait_tick(lambda tick: True, "a report before the library is loaded")
    os.kill(t.proc.pid, signal.SIGSTOP)
    overflow_process_events()
    v.say()
    v.expect("loaded")
    overflow_process_events()
    os.kill(t.proc.pid, signal.SIGCONT)
    t.wait_tick(lambda tick: True, "a report after the library is loaded")
    v.say()
    truth = v.expect("ready")
    t.stop()
    assert_truth(t.last, truth, only=False)
    row, = rows_of(t.last, truth["sites"]["lib"])
    assert row.frames[0]["object"] == str(victim_path("libleak.so"))
    t.assert_clean()


def test_dlopen_twice(victim, tally, tmp_path):
    """A second library, another file with the same names, one report later."""
    second = shutil.copy(victim_path("libleak.so"), tmp_path / "second.so")
    v = victim("dlopen-o2", "--lib", victim_path("libleak.so"), "--second", second)
    t = tally("-p", v.pid, "0.2").started()
    v.say()
    v.expect("loaded")
    t.wait_tick(lambda tick: any("libleak_leaf" in str(r.names) for r in tick.rows), "the first")
    v.say()
    truth = v.expect("ready")
    t.stop()
    assert_truth(t.last, truth, only=False, rows_per_site=2)
    objects = {r.frames[0]["object"] for r in rows_of(t.last, truth["sites"]["lib"])}
    assert objects == {str(second), str(victim_path("libleak.so"))}
    t.assert_clean()


def test_dlclose_keeps_names(victim, tally):
    """The library is gone when the report is printed; its leak is not."""
    v = victim("dlopen-o2", "--lib", victim_path("libleak.so"), "--close")
    t = tally("-p", v.pid).started()
    v.say()
    v.expect("loaded")
    v.say()
    truth = v.expect("ready")
    t.stop()
    assert_truth(t.last, truth, only=False)
    t.assert_clean()


def test_attach_with_100_objects(victim, tally, tmp_path):
    """Tables for all of them are made before the first report; how fast: tests/bench/bench.py."""
    for i in range(100):
        shutil.copy(victim_path("libleak.so"), tmp_path / f"{i}.so")
    v = victim("dlopen-o2", "--objects", "100", "--dir", tmp_path, "--lib", tmp_path / "0.so")
    t = tally("-p", v.pid, "1")
    t.wait_tick(lambda tick: True, "the first report")
    t.stop()
    t.assert_clean()


# cgroup, all

@pytest.fixture
def cgroup():
    for base in ("/sys/fs/cgroup", "/sys/fs/cgroup/unified"):
        if os.path.exists(f"{base}/cgroup.controllers"):
            break
    else:
        pytest.skip("no cgroup2 mount")
    path = pathlib.Path(base) / f"memtally-test-{os.getpid()}"
    try:
        path.mkdir()
    except OSError as error:
        pytest.skip(f"cannot make a cgroup below {base}: {error}")
    yield path
    for child in [*(p for p in path.iterdir() if p.is_dir()), path]:
        wait_until(lambda c=child: emptied(c), f"{child} to be empty")


def emptied(path):
    """Ends the members, removes the group; False while it is still busy."""
    for pid in (path / "cgroup.procs").read_text().split():
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)
    try:
        path.rmdir()
        return True
    except OSError:
        return False


def put_into(cgroup, pid):
    (cgroup / "cgroup.procs").write_text(str(pid))


def test_cgroup(victim, tally, cgroup):
    """Members only, also in cgroups below, also those that come later."""
    below = cgroup / "below"
    below.mkdir()
    a, b, outside = victim("eleven-o2"), victim("eleven-o0"), victim("eleven-o2")
    put_into(cgroup, a.pid)
    put_into(below, b.pid)
    t = tally("--cgroup", cgroup).started()
    truths = [(v.pid, v.run()) for v in (a, b)]
    outside.run()
    late = victim("eleven-o2")
    put_into(cgroup, late.pid)
    truths.append((late.pid, late.run()))
    t.stop()
    for pid, truth in truths:
        assert_truth(t.last, truth, pid=pid)
    assert {r.pid for r in t.last.rows} == {a.pid, b.pid, late.pid}
    t.assert_clean()


def test_cgroup_process_started_inside(victim, tally, cgroup):
    """A process born in the cgroup after the attach is traced from its first instruction."""
    holder = victim("failing-o0")
    put_into(cgroup, holder.pid)
    t = tally("--cgroup", cgroup).started()
    v = victim("eleven-o2", preexec_fn=lambda: put_into(cgroup, os.getpid()))
    truth = v.run()
    t.stop()
    assert_truth(t.last, truth, pid=v.pid)


@pytest.mark.parametrize("without", ["", "uprobe-session", "uprobe-session,uprobe-multi"])
def test_no_free_is_missed_at_the_start(victim, tally, cgroup, without):
    """Probes go live one by one while the target runs: what releases memory comes first."""
    v = victim("restless-o2", "--idle", "30", preexec_fn=lambda: put_into(cgroup, os.getpid()))
    v.say()
    v.expect("running")
    for _ in range(5):
        t = tally("--cgroup", cgroup, "0.05", env={**os.environ, "MEMTALLY_WITHOUT": without})
        t.wait_tick(lambda tick: len(t.ticks) == 3, "a third report")
        t.stop()
        # Nothing stays but what lies in the victim's 64 places for each of two threads.
        assert sum(r.count for r in t.last.rows) <= 2 * 64, t.last.rows
        losses = losses_of(t.last)
        assert not losses["frees_missed"] and not losses["calls_broken"], losses


def test_all(victim, tally):
    """Every process, also with a C library of its own and also those that start later."""
    before = [victim("eleven-o2"), victim("eleven-static"), victim("cpp-o2")]
    t = tally("--all").started()
    after = victim("eleven-o0")
    truths = [(v.pid, v.run()) for v in (*before, after)]
    t.stop()
    for pid, truth in truths:
        assert_truth(t.last, truth, pid=pid)
    assert not any(r.pid == t.proc.pid for r in t.last.rows), "memtally counts itself"
    # The victims are exact. What else runs on this machine may start a static program
    # (late) or leave an allocator by longjmp (broken): said, and told by the status.
    lost = {name for name, n in losses_of(t.last).items() if n}
    assert lost <= {"probes_late", "calls_broken"}, losses_of(t.last)
    assert t.status == (INCOMPLETE if lost else FINE), t.error_text


# Containers

@pytest.fixture
def root_dir(tmp_path):
    """A root file system with nothing but a victim and copies of what it loads."""
    root = tmp_path / "root"
    root.mkdir()
    program = victim_path("eleven-o2")
    out = subprocess.run(["ldd", str(program)], stdout=subprocess.PIPE, check=True).stdout.decode()
    files = [w for line in out.splitlines() for w in line.split() if w.startswith("/")]
    for file in files:
        copy = root / file.lstrip("/")
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(os.path.realpath(file), copy)
    shutil.copy(program, root / "eleven-o2")
    return root


@pytest.mark.parametrize("prefix", [
    ["chroot"], ["unshare", "-m", "chroot"], ["unshare", "-m", "-p", "-f", "chroot"]],
    ids=["chroot", "mount-namespace", "mount-and-pid-namespace"])
def test_other_root(tally, root_dir, prefix):
    """A process with its own libc: found through its own root, named by its own paths."""
    need(prefix[0])
    v = Victim([*prefix, root_dir, "/eleven-o2"])
    t = None
    try:
        pid = host_pid_below(v.pid, "eleven-o2")
        t = tally("-p", pid).started()
        truth = v.run()
        t.stop()
        assert_truth(t.last, truth, pid=pid)
        objects = {f["object"] for r in t.last.rows for f in r.frames}
        assert "/eleven-o2" in objects or str(root_dir / "eleven-o2") in objects, objects
        t.assert_clean()
    finally:
        v.kill()


def test_memtally_in_a_pid_namespace(tally, tmp_path):
    """Run inside a pid namespace, pids are those of that namespace."""
    need("unshare")
    file = tmp_path / "truth"
    t = tally("--", victim_path("eleven-o2"), "--no-wait", "--truth", file,
              prefix=["unshare", "-p", "-f", "--mount-proc"]).wait()
    truth = truth_in(file)
    assert truth["pid"] < 100, "not in a namespace of its own"
    assert_truth(t.last, truth, pid=truth["pid"])
    assert t.status == FINE, t.error_text


def test_deleted_program(victim, tally, tmp_path):
    """Its file is unlinked, as by an upgrade, before we come: still traced and named."""
    program = tmp_path / "eleven-o2"
    shutil.copy(victim_path("eleven-o2"), program)
    v = victim("eleven-o2", path=program)
    program.unlink()
    t = tally("-p", v.pid).started()
    truth = v.run()
    t.stop()
    assert_truth(t.last, truth)
    t.assert_clean()


# Older kernels: the same numbers by other ways

# What kernels 5.10 and 5.14 lack.
V5_10 = ("task-storage,callbacks,exchange,uprobe-cookie,uprobe-multi,uprobe-multi-pid,"
         "uprobe-session,find-vma")
V5_14 = "uprobe-cookie,uprobe-multi,uprobe-multi-pid,uprobe-session,find-vma"


@pytest.mark.parametrize("options", [[], ["-z", "1"]], ids=["all", "filtered"])
@pytest.mark.parametrize("without", ["", "uprobe-session", "uprobe-multi", "uprobe-multi-pid", "task-storage",
                                     "uprobe-multi,task-storage", "uprobe-cookie", "callbacks",
                                     "exchange", V5_14, V5_10])
def test_without_feature(victim, tally, without, options):
    """Threads and nested calls, as a kernel without these features would be traced."""
    if preempts() and {"callbacks", "exchange"} & set(without.split(",")):
        pytest.skip("programs for kernels before v5.13 are not made to be preempted, as they are here")
    v = victim("threads-o2")
    env = {**os.environ, "MEMTALLY_WITHOUT": without}
    t = tally("-p", v.pid, *options, env=env).started()
    truth = v.run()
    t.stop()
    assert_truth(t.last, truth)
    has = json.loads(memtally("--json", command="features", env=env).stdout)
    multi = has["uprobe-cookie"] and has["uprobe-multi"] and has["uprobe-multi-pid"]
    session = multi and has["uprobe-session"] and options  # pays where returns are skipped
    assert t.start["method"] == ("uprobe-session" if session else
                                 "uprobe-multi" if multi else "uprobe-perf")
    t.assert_clean()


@pytest.mark.parametrize("name", ["eleven-o2", "cpp-o2", "realloc-o2"])
def test_as_on_v5_10(victim, tally, name):
    """Every kind of allocator function, told apart by name."""
    v = victim(name)
    t = tally("-p", v.pid, env={**os.environ, "MEMTALLY_WITHOUT": V5_10}).started()
    truth = v.run()
    t.stop()
    assert_truth(t.last, truth)
    assert_stacks_complete(t.last, truth)
    t.assert_clean()


def test_without_cookies_and_names(victim):
    v = victim("threads-o2")
    run = memtally("-p", v.pid, "--duration", "1",
                   env={**os.environ, "MEMTALLY_WITHOUT": "uprobe-cookie,uprobe-name"})
    assert run.returncode == FAILURE
    assert "cookies" in run.stderr.decode() and len(run.stderr.splitlines()) == 1

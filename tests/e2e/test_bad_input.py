# SPDX-License-Identifier: GPL-2.0-or-later
"""
Whatever is wrong: one clear line on stderr, nothing on stdout, the documented exit
status, no probe left behind.
"""
import os
import pathlib
import re
import signal
import subprocess
import sys

import pytest
from conftest import (DEADLINE, FAILURE, FINE, MEMTALLY, USAGE, assert_message_shape, memtally,
                      need, victim_path, wait_until)

NO_PID = "4194303"


def refused(run, status, pattern):
    text = run.stderr.decode(errors="replace")
    assert run.returncode == status, (run.returncode, text)
    assert len(text.splitlines()) == 1, f"not one line:\n{text}"
    assert_message_shape(text)
    assert re.search(pattern, text, re.I), text
    assert not run.stdout, run.stdout


USAGE_CASES = [
    ([], r"no target"),
    (["-p", ""], r"pid"),
    (["-p", "abc"], r"abc"),
    (["-p", "0"], r"\b0\b"),
    (["-p", "-1"], r"-1"),
    (["-p", "1,"], r"pid"),
    (["-p", "1,,2"], r"pid"),
    (["-p", "1 2"], r"pid"),
    (["-p", "99999999999"], r"99999999999"),
    (["-p", "18446744073709551617"], r"18446744073709551617"),
    (["-p"], r"pid|-p"),
    (["-p", "1", "--all"], r"more than one"),
    (["-p", "1", "--", "true"], r"more than one"),
    (["--all", "--cgroup", "/sys/fs/cgroup"], r"more than one"),
    (["--"], r"no target|program"),
    (["-p", "1", "abc"], r"abc"),
    (["-p", "1", "--", ""], r"more than one|program"),
    (["-p", "1", "-1"], r"-1"),
    (["-p", "1", "1e3"], r"1e3"),
    (["-p", "1", "nan"], r"nan"),
    (["-p", "1", "inf"], r"inf"),
    (["-p", "1", "1."], r"1\."),
    (["-p", "1", "0"], r"\b0\b|interval"),
    (["-p", "1", "99999999999999999999"], r"9999"),
    (["-p", "1", "1", "-2"], r"-2"),
    (["-p", "1", "1", "x"], r"x"),
    (["-p", "1", "1", "2", "3"], r"3|too many"),
    (["-p", "1", "-T", "0"], r"top|-T"),
    (["-p", "1", "-T", "ten"], r"ten"),
    (["-p", "1", "-T", "99999999999"], r"top|-T"),
    (["-p", "1", "-z", "10", "-Z", "5"], r"min-size"),
    (["-p", "1", "-z", "-1"], r"-1"),
    (["-p", "1", "-z", "10Q"], r"10Q"),
    (["-p", "1", "-z", "1KK"], r"1KK"),
    (["-p", "1", "-z", "99999999999999999999"], r"9999"),
    (["-p", "1", "-z", "17179869184G"], r"17179869184G"),
    (["-p", "1", "-o", "1.5x"], r"1\.5x"),
    (["-p", "1", "-o", "-1"], r"-1"),
    (["-p", "1", "-o", "18446744073709551615"], r"18446744073709551615"),
    (["-p", "1", "-s", "0"], r"sample|-s"),
    (["-p", "1", "--max-blocks", "99999999999999"], r"max-blocks"),
    (["-p", "1", "--max-blocks", "-1"], r"-1"),
    (["-p", "1", "--max-stacks", "99999999999999"], r"max-stacks"),
    (["-p", "1", "--duration", "0"], r"duration"),
    (["-p", "1", "--duration", "1e99"], r"1e99"),
    (["-p", "1", "--duration", "99999999999"], r"duration"),
    (["-p", "1", "--sort", "name"], r"name"),
    (["-p", "1", "--by", "cpu"], r"cpu"),
    (["-p", "1", "--unwind", "magic"], r"magic"),
    (["-p", "1", "--nonsense"], r"--nonsense"),
    (["-p", "1", "-y"], r"-y"),
    (["-p", "1", "--json=yes"], r"json"),
    (["-p", "1", "-T", "\xff\xfe"], r"top|-T"),
]


@pytest.mark.parametrize("args,pattern", USAGE_CASES, ids=[" ".join(c[0]) or "nothing"
                                                           for c in USAGE_CASES])
def test_usage(args, pattern):
    refused(memtally(*args), USAGE, pattern)


@pytest.mark.parametrize("args,pattern", [([], "no command"), (["leek"], "leek"),
                                          (["lea"], "lea"), (["--nonsense"], "--nonsense"),
                                          ([""], "command")])
def test_usage_of_the_program(args, pattern):
    refused(memtally(*args, command=None), USAGE, pattern)


# Targets that are none

def test_no_such_pid():
    assert not os.path.exists(f"/proc/{NO_PID}")
    refused(memtally("-p", NO_PID), FAILURE, rf"{NO_PID}.*no such process|ESRCH")


def test_one_of_two_does_not_exist(victim):
    """The line names the bad one; nothing is attached to the good one."""
    v = victim("eleven-o2")
    refused(memtally("-p", f"{v.pid},{NO_PID}"), FAILURE, NO_PID)
    v.run()
    assert v.finish() == 0


def test_own_pid():
    run = subprocess.run(["sh", "-c", f'exec "{MEMTALLY}" leak -p $$'], stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE, timeout=DEADLINE, check=False)
    refused(run, FAILURE, r"itself|own|memtally")


def test_kernel_thread():
    refused(memtally("-p", "2"), FAILURE, r"kernel thread")


def test_zombie():
    child = subprocess.Popen(["true"])
    stat = pathlib.Path(f"/proc/{child.pid}/stat")
    try:
        wait_until(lambda: ") Z " in stat.read_text(), "a zombie")
        refused(memtally("-p", child.pid), FAILURE, rf"{child.pid}")
    finally:
        child.wait()


def test_thread_id(victim):
    """The id of a thread that is no process: refused."""
    code = ("import threading,sys\n"
            "e=threading.Event(); t=threading.Thread(target=e.wait); t.start()\n"
            "print(t.native_id, flush=True); sys.stdin.readline(); e.set()")
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as p:
        tid = int(p.stdout.readline())
        try:
            refused(memtally("-p", tid), FAILURE, r"is a thread")
        finally:
            p.stdin.close()


def test_32_bit(victim):
    v = victim("hold32")
    refused(memtally("-p", v.pid), FAILURE, r"32.bit")
    v.say()
    assert v.proc.wait(DEADLINE) == 7


def test_32_bit_program():
    """It exits with 7 by itself once its stdin ends; tracing it is what fails."""
    run = memtally("--", victim_path("hold32"))
    assert run.returncode == FAILURE
    assert re.search(r"32.bit", run.stderr.decode())


def test_pid_that_exits_during_attach():
    """Whenever it goes: a report or one line, and no hang."""
    outcomes = set()
    for _ in range(15):
        child = subprocess.Popen([victim_path("eleven-o2"), "--no-wait"],
                                 stdout=subprocess.DEVNULL)
        run = memtally("-p", child.pid, "--duration", "5")
        child.wait()
        text = run.stderr.decode()
        assert run.returncode in (FINE, FAILURE), (run.returncode, text)
        assert_message_shape(text)
        if run.returncode == FAILURE:
            assert len(text.splitlines()) == 1, text
        outcomes.add(run.returncode)
    assert outcomes


def test_nothing_found(tmp_path):
    """A process without any allocator: an error that says what to do."""
    need("gcc")
    source = tmp_path / "bare.c"
    source.write_text("void _start(void) { for (;;) __asm__ volatile(\"\"); }\n")
    program = tmp_path / "bare"
    subprocess.run(["gcc", "-O0", "-nostdlib", "-static", "-o", program, source], check=True)
    child = subprocess.Popen([program])
    try:
        wait_until(lambda: os.readlink(f"/proc/{child.pid}/exe") == str(program), "exec")
        refused(memtally("-p", child.pid), FAILURE, r"--alloc")
    finally:
        child.kill()
        child.wait()


# Rights

@pytest.mark.parametrize("prefix,missing", [
    (["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all"],
     r"CAP_BPF.*CAP_PERFMON.*CAP_SYS_PTRACE"),
    (["setpriv", "--bounding-set=-sys_ptrace"], r"CAP_SYS_PTRACE"),
    (["setpriv", "--bounding-set=-sys_admin,-bpf"], r"CAP_BPF"),
    (["setpriv", "--bounding-set=-sys_admin,-perfmon"], r"CAP_PERFMON"),
], ids=["nobody", "no-ptrace", "no-bpf", "no-perfmon"])
def test_capabilities(victim, tmp_path, prefix, missing):
    """The line names what is missing, and only that."""
    need("setpriv")
    program = tmp_path / "memtally"
    program.write_bytes(pathlib.Path(MEMTALLY).read_bytes())
    program.chmod(0o755)
    os.chmod(tmp_path, 0o755)
    for parent in tmp_path.parents:
        if not os.stat(parent).st_mode & 1:
            program = pathlib.Path(f"/tmp/memtally-e2e-{os.getpid()}")
            program.write_bytes(pathlib.Path(MEMTALLY).read_bytes())
            program.chmod(0o755)
            break
    v = victim("eleven-o2")
    try:
        run = subprocess.run([*prefix, program, "leak", "-p", str(v.pid)], stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, timeout=DEADLINE, check=False,
                             stdin=subprocess.DEVNULL)
    finally:
        if program.parent != tmp_path:
            program.unlink()
    refused(run, FAILURE, missing)
    others = {"CAP_BPF", "CAP_PERFMON", "CAP_SYS_PTRACE"} - set(re.findall(r"CAP_\w+", missing))
    assert not any(name in run.stderr.decode() for name in others), run.stderr


def test_help_needs_no_rights():
    need("setpriv")
    run = subprocess.run(["setpriv", "--bounding-set=-all", MEMTALLY, "leak", "--help"],
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=DEADLINE,
                         check=False)
    assert run.returncode == FINE and run.stdout


def test_no_btf(victim):
    """Without the kernel's type information: said so."""
    need("unshare")
    v = victim("eleven-o2")
    run = subprocess.run(
        ["unshare", "-m", "sh", "-c",
         'mount -t tmpfs none /sys/kernel/btf && exec "$0" leak -p "$1" --duration 1',
         MEMTALLY, str(v.pid)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=DEADLINE, check=False,
        stdin=subprocess.DEVNULL)
    if b"mount" in run.stderr and b"denied" in run.stderr:
        pytest.skip("cannot mount over /sys/kernel/btf here")
    refused(run, FAILURE, r"BTF")


# Files

def broken_files(directory):
    """Executable mappings of files that are no good ELF."""
    libc = pathlib.Path(os.path.realpath("/lib/x86_64-linux-gnu/libc.so.6")
                        if os.path.exists("/lib/x86_64-linux-gnu/libc.so.6")
                        else os.path.realpath(sys.executable)).read_bytes()
    cases = {"empty-header": b"\x7fELF", "one-page": libc[:4096], "half": libc[:len(libc) // 2],
             "all-ff": b"\x7fELF\x02\x01\x01" + b"\xff" * 4089,
             "text": b"#!/bin/sh\n" * 500, "zeros": bytes(8192)}
    for field, at, size in (("phoff", 32, 8), ("shoff", 40, 8), ("phnum", 56, 2), ("shnum", 60, 2),
                            ("shstrndx", 62, 2)):
        cases[f"bad-{field}"] = libc[:at] + b"\xff" * size + libc[at + size:len(libc) // 4]
    for name, data in cases.items():
        (directory / name).write_bytes(data)
    return [str(directory / name) for name in cases]


MAPPER = r"""
import ctypes, os, sys
libc = ctypes.CDLL(None)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t] + [ctypes.c_int] * 3 + [ctypes.c_long]
for path in sys.argv[1:]:
    fd = os.open(path, os.O_RDONLY)
    assert libc.mmap(None, max(4096, os.path.getsize(path)), 5, 2, fd, 0) not in (None, 2**64 - 1)
    os.close(fd)
print("mapped", flush=True)
sys.stdin.readline()
"""


def test_broken_objects(tally, tmp_path):
    """A target that maps truncated and nonsensical ELF files is traced all the same."""
    with subprocess.Popen([sys.executable, "-c", MAPPER, *broken_files(tmp_path)],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE) as p:
        assert p.stdout.readline() == b"mapped\n"
        t = tally("-p", p.pid).started()
        p.stdin.close()
        t.wait()
        assert t.status == FINE, t.error_text
        assert_message_shape(t.error_text)


def test_library_truncated_under_us(victim, tally, tmp_path):
    """The file shrinks after it was mapped: names may go, the run does not."""
    lib = tmp_path / "libleak.so"
    lib.write_bytes(victim_path("libleak.so").read_bytes())
    v = victim("dlopen-o2", "--lib", lib)
    t = tally("-p", v.pid).started()
    v.say()
    v.expect("loaded")
    v.say()
    truth = v.expect("ready")
    with open(lib, "r+b") as f:
        f.truncate(100)
    t.stop()
    assert t.status == FINE, t.error_text
    site = truth["sites"]["lib"]
    rows = [r for r in t.last.rows if r.frames and r.frames[0]["object"] == str(lib)]
    assert (sum(r.bytes for r in rows), sum(r.count for r in rows)) == (site["bytes"],
                                                                        site["count"])


def test_program_that_is_no_program(tmp_path):
    bad = tmp_path / "bad"
    bad.write_bytes(victim_path("eleven-o2").read_bytes()[:64])
    bad.chmod(0o755)
    run = memtally("--", bad)
    refused(run, FAILURE, r"ENOEXEC|exec format|bad")


@pytest.mark.parametrize("args", [["leak"], ["faults"], ["faults", "--bad"], ["cachestat", "1", "1"]],
                         ids="-".join)
def test_every_command_says_what_it_cannot_run(args):
    run = memtally(*args, "--", "/nonexistent/program", command=None)
    assert run.returncode == FAILURE
    text = run.stderr.decode()
    assert_message_shape(text)
    assert text.endswith(f"{args[0]}: cannot run '/nonexistent/program': ENOENT\n"), text


@pytest.mark.parametrize("path", ["/nonexistent", "/etc/passwd", "/tmp", ""])
def test_bad_cgroup(path):
    run = memtally("--cgroup", path)
    refused(run, USAGE if not path else FAILURE, r"cgroup")


# Output that can't be written

def test_stdout_full(victim):
    v = victim("eleven-o2")
    with open("/dev/full", "wb") as full:
        p = subprocess.Popen([MEMTALLY, "leak", "-p", str(v.pid), "--json", "0.2"], stdout=full,
                             stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
    assert p.wait(DEADLINE) == FAILURE
    assert re.search(r"ENOSPC|no space", p.stderr.read().decode(), re.I)
    v.run()
    assert v.finish() == 0


@pytest.mark.parametrize("args", [
    ["faults", "--all", "--duration", "0.1"], ["kmem", "--duration", "0.1"], ["kmem", "--account"],
    ["kmem", "--watch", "--duration", "0.1"], ["cachestat", "0.1", "1"], ["resident", "--top", "1"],
    ["features"], ["features", "--json"]], ids="-".join)
def test_every_command_says_that_it_cannot_write(args):
    with open("/dev/full", "wb") as full:
        run = subprocess.run([MEMTALLY, *args], stdout=full, stderr=subprocess.PIPE, timeout=DEADLINE,
                             stdin=subprocess.DEVNULL, check=False)
    text = run.stderr.decode()
    assert run.returncode == FAILURE, text
    assert_message_shape(text)
    assert re.search(r": ENOSPC\n$", text), text


def test_reader_goes_away(victim, tally):
    """A closed pipe ends the run, not the detach."""
    v = victim("eleven-o2")
    p = subprocess.Popen([MEMTALLY, "leak", "-p", str(v.pid), "--json", "0.2"],
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
    p.stdout.readline()
    p.stdout.close()
    assert p.wait(DEADLINE) in (FINE, FAILURE)
    assert p.returncode != -signal.SIGPIPE
    v.run()
    assert v.finish() == 0


def test_stdout_closed(victim):
    v = victim("eleven-o2")
    run = subprocess.run(["sh", "-c", f'exec "{MEMTALLY}" leak -p {v.pid} --duration 1 >&-'],
                         stderr=subprocess.PIPE, timeout=DEADLINE, check=False)
    assert run.returncode == FAILURE, run.stderr
    assert_message_shape(run.stderr.decode())


def test_bad_folded_file(victim):
    v = victim("eleven-o2")
    refused(memtally("-p", v.pid, "--folded", "/nonexistent/dir/file", "--duration", "1"), FAILURE,
            r"/nonexistent/dir/file")


# Two at once

def test_same_pid_twice(victim, tally):
    """One target, not two."""
    v = victim("eleven-o2")
    t = tally("-p", f"{v.pid},{v.pid}").started()
    truth = v.run()
    t.stop()
    assert len(t.start["targets"]) == 1
    total = sum(s["bytes"] for s in truth["sites"].values())
    assert sum(r.bytes for r in t.last.rows) == total

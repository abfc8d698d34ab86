# SPDX-License-Identifier: GPL-2.0-or-later
"""The target is not harmed: not while it is traced, not by how tracing ends."""
import os
import pathlib
import re
import shutil
import signal
import subprocess

import pytest
from conftest import (DEADLINE, FINE, MEMTALLY, Tally, assert_truth, drop_libgcc_tables, load, losses_of,
                      shared_library, victim_path, wait_until)


def status_field(pid, name):
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return re.search(rf"^{name}:\s*(.*)$", text, re.M).group(1)


def has_ended(pid):
    try:
        return status_field(pid, "State").startswith("Z")
    except (FileNotFoundError, ProcessLookupError):
        return True


def changed_code(pid, path):
    """Offsets in a program's file where the code in memory differs: probes."""
    data = pathlib.Path(path).read_bytes()
    changed = []
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as mem:
        for line in pathlib.Path(f"/proc/{pid}/maps").read_text().splitlines():
            found = re.match(r"(\w+)-(\w+) r-xp (\w+) \S+ \d+\s+(.*)", line)
            if not found or found[4] != str(path):
                continue
            start, end, offset = (int(x, 16) for x in found.group(1, 2, 3))
            mem.seek(start)
            code = mem.read(end - start)
            file = data[offset:offset + len(code)]
            if code[:len(file)] != file:
                changed += [offset + i for i, (a, b) in enumerate(zip(code, file)) if a != b]
    return changed


@pytest.fixture
def own_program(tmp_path):
    """A static copy: no other tracer on this machine has probes in this file."""
    return pathlib.Path(shutil.copy(victim_path("eleven-static"), tmp_path / "own"))


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV,
                                 signal.SIGHUP])
def test_no_probe_stays(victim, tally, own_program, how):
    """However memtally ends, its kernel objects go and the code is as it was; then again."""
    v = victim("eleven-static", path=own_program)
    t = tally("-p", v.pid).started()
    assert changed_code(v.pid, own_program), "no probe to be seen while tracing"
    assert t.bpf.ids["prog"]
    t.proc.send_signal(how)
    t.proc.wait(DEADLINE)
    t.bpf.assert_gone()
    wait_until(lambda: not changed_code(v.pid, own_program), "the code to be restored", 15)
    again = tally("-p", v.pid).started()
    truth = v.run()
    again.stop()
    assert_truth(again.last, truth)
    again.assert_clean()
    assert v.finish() == 0


def test_killed_in_the_middle(victim, tally):
    """kill -9 while the target allocates in eight threads: it ends well."""
    v = victim("churn-o2", "--loops", load(100000))
    t = tally("-p", v.pid).started()
    v.say()
    wait_until(lambda: int(status_field(v.pid, "Threads")) > 8, "the threads")
    t.proc.kill()
    t.proc.wait(DEADLINE)
    v.expect("ready")
    assert v.finish() == 0


def test_attach_and_detach_again_and_again(victim):
    """Ten runs over one busy target, each begun and ended anywhere in its calls."""
    v = victim("churn-o2", "--loops", load(300000))
    v.say()
    for _ in range(10):
        t = Tally("-p", v.pid)
        try:
            t.started()
            if v.proc.poll() is not None:
                break
            t.stop()
            assert t.status == FINE, (t.error_text, losses_of(t.last))
        finally:
            t.kill()
    v.expect("ready")
    assert v.finish() == 0


def test_target_is_never_stopped(victim, tally):
    """Not traced by ptrace; a target that somebody stopped stays so, and is traced."""
    v = victim("eleven-o2")
    os.kill(v.pid, signal.SIGSTOP)
    wait_until(lambda: status_field(v.pid, "State").startswith("T"), "the stop")
    t = tally("-p", v.pid).started()
    assert status_field(v.pid, "State").startswith("T")
    assert status_field(v.pid, "TracerPid") == "0"
    os.kill(v.pid, signal.SIGCONT)
    truth = v.run()
    assert status_field(v.pid, "TracerPid") == "0"
    t.stop()
    assert_truth(t.last, truth)
    t.assert_clean()
    assert v.finish() == 0


def test_two_tracers(victim, tally):
    """Two runs over one target: both exact; the end of one does not disturb the other."""
    v = victim("eleven-o2")
    a = tally("-p", v.pid).started()
    b = tally("-p", v.pid).started()
    truth = v.run()
    a.stop()
    assert_truth(a.last, truth)
    a.assert_clean()
    b.stop()
    assert_truth(b.last, truth)
    b.assert_clean()


# not mimalloc: Debian builds it as C, its operator new aborts where it should throw
@pytest.mark.parametrize("allocator", [None, "libjemalloc.so.2", "libtcmalloc_minimal.so.4"])
@pytest.mark.parametrize("shape", ["o0", "o2", "static"])
def test_bad_alloc_is_survived(victim, tally, shape, allocator):
    """Exceptions out of operator new, many thousand times, under the probes."""
    if allocator and shape == "static":
        pytest.skip("nothing can be preloaded into a static program")
    env = {"LD_PRELOAD": shared_library(allocator)} if allocator else {}
    v = victim(f"cpp-{shape}", "--throws", "20000", env=env)
    t = tally("-p", v.pid).started()
    truth = v.run()
    assert (truth["caught"], truth["refused"]) == (20000, 20000)
    t.stop()
    if shape == "static":
        drop_libgcc_tables(t.last)
    assert_truth(t.last, truth)
    assert v.finish() == 0


def test_output_and_status_are_the_programs_own(tmp_path):
    """With -- the program's stdin, stdout, stderr, environment and status are as without."""
    script = tmp_path / "s"
    script.write_text("#!/bin/sh\ncat; echo err >&2; env | sort; ulimit -a; trap; exit 3\n")
    script.chmod(0o755)
    env = {"PATH": os.environ["PATH"], "LANG": "C"}
    plain = subprocess.run([script], input=b"in\n", stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                           env=env, check=False)
    traced = subprocess.run([MEMTALLY, "leak", "--json", "--", script], input=b"in\n", env=env,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False,
                            timeout=DEADLINE)
    own = b"".join(x + b"\n" for x in traced.stdout.splitlines() if b'"command":' not in x)
    assert own == plain.stdout
    assert plain.stderr in traced.stderr
    assert b'"program_status":3' in traced.stdout.replace(b" ", b"")
    assert traced.returncode == FINE


def test_program_inherits_nothing(tmp_path):
    """No descriptor of ours, default signal handling, an empty signal mask."""
    code = ("import os,sys\n"
            "fds=sorted(int(x) for x in os.listdir('/proc/self/fd'))\n"
            "s=open('/proc/self/status').read()\n"
            "open(sys.argv[1],'w').write(repr(fds[:-1])+'\\n'+'\\n'.join(l for l in "
            "s.splitlines() if l.startswith(('SigBlk','SigIgn'))))\n")
    argv = ["/usr/bin/python3", "-S", "-c", code]
    subprocess.run([*argv, str(tmp_path / "plain")], check=True, stdin=subprocess.DEVNULL)
    subprocess.run([MEMTALLY, "leak", "--json", "--", *argv, str(tmp_path / "traced")], check=True,
                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, timeout=DEADLINE)
    assert (tmp_path / "traced").read_text() == (tmp_path / "plain").read_text()


def test_held_program_dies_with_us(tmp_path):
    """kill -9 of memtally before the program was let go: it never runs."""
    mark = tmp_path / "ran"
    t = Tally("--", "sh", "-c", f"echo $$ > {mark}; exec cat", stdin=subprocess.PIPE)
    try:
        children = pathlib.Path(f"/proc/{t.proc.pid}/task/{t.proc.pid}/children")
        child = int(wait_until(children.read_text, "the held child").split()[0])
        t.proc.kill()
        t.proc.wait(DEADLINE)
        t.proc.stdin.close()
        wait_until(lambda: has_ended(child), "the child to end")
    finally:
        t.kill()


def test_memory_stays_bounded(victim, tally):
    """Reports over 200000 blocks and 50 ticks do not make memtally grow."""
    v = victim("overflow-o2", "--small", load(200000), "--large", "0")
    t = tally("-p", v.pid, "0.05").started()
    v.run()
    sizes = []
    for _ in range(50):
        t.wait_tick(lambda tick: True, "a report")
        sizes.append(int(status_field(t.proc.pid, "VmRSS").split()[0]))
    t.stop()
    assert sizes[-1] <= sizes[20] * 1.05 + 512, sizes

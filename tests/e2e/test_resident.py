# SPDX-License-Identifier: GPL-2.0-or-later
"""resident against files whose cached pages were asked for one by one with mincore(2)."""
import ctypes
import json
import mmap
import os
import subprocess

import pytest

from conftest import FAILURE, FINE, USAGE, memtally

PAGE = mmap.PAGESIZE
pytestmark = pytest.mark.skipif(not os.path.exists("/proc/self/map_files"), reason="no map_files")


def resident(*args, status=FINE):
    done = memtally("--json", *args, command="resident")
    assert done.returncode == status, done.stderr
    objects = [json.loads(line) for line in done.stdout.splitlines()]
    assert all(o["command"] == "resident" for o in objects)
    return {o["path"]: o for o in objects if o["type"] == "file"}, objects


def residency(path):
    """The cached pages, by mincore on a mapping that is never touched."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    size = os.path.getsize(path)
    fd = os.open(path, os.O_RDONLY)
    at = libc.mmap(None, ctypes.c_size_t(size), 1, 1, fd, ctypes.c_long(0))
    vec = (ctypes.c_ubyte * ((size + PAGE - 1) // PAGE))()
    assert libc.mincore(ctypes.c_void_p(at), ctypes.c_size_t(size), vec) == 0
    libc.munmap(ctypes.c_void_p(at), ctypes.c_size_t(size))
    os.close(fd)
    return [b & 1 for b in vec]


@pytest.fixture
def sparse_file(tmp_path):
    """600 pages and a bit, of which every other run of 10 was read."""
    path = tmp_path / "half cached"
    with open(path, "wb") as f:
        f.write(b"x" * (600 * PAGE + 123))
        os.fsync(f.fileno())
    fd = os.open(path, os.O_RDONLY)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)
    for page in range(0, 600, 20):
        os.pread(fd, 10 * PAGE, page * PAGE)
    os.close(fd)
    return path


def test_file(sparse_file):
    before = residency(sparse_file)
    files, objects = resident("--map", sparse_file)
    found = files[str(sparse_file)]
    assert found["cached_pages"] == sum(before) == 300
    assert (found["size_bytes"], found["pages"]) == (600 * PAGE + 123, 601)
    told = 0 if found["method"] == "cachestat" else None
    assert found["dirty_pages"] == told and found["writeback_pages"] == told
    assert [o["type"] for o in objects] == ["start", "file", "losses", "end"]
    cells = len(found["map"])
    want = [sum(before[i * 601 // cells:(i + 1) * 601 // cells]) for i in range(cells)]
    assert [bool(c) for c in found["map"]] == [bool(w) for w in want]
    assert residency(sparse_file) == before, "looking changed what is cached"


def test_dirty_pages(tmp_path):
    path = tmp_path / "dirty"
    path.write_bytes(b"y" * 50 * PAGE)
    found = resident(path)[0][str(path)]
    if found["method"] == "mincore":
        pytest.skip("the kernel has no cachestat(2) (v6.5), nothing else tells dirty pages")
    assert found["dirty_pages"] + found["writeback_pages"] == found["cached_pages"] == 50


def test_directory(tmp_path, sparse_file):
    (tmp_path / "d").mkdir()
    for i in range(20):
        (tmp_path / "d" / f"f{i}").write_bytes(b"z" * PAGE * (i + 1))
    os.symlink("/usr/lib", tmp_path / "link")
    os.mkfifo(tmp_path / "fifo")
    os.link(sparse_file, tmp_path / "second name")
    (tmp_path / "empty").touch()
    files, _ = resident(tmp_path)
    assert len(files) == 20, "20 rows are the default"
    files, _ = resident("--top", 1000, "--sort", "size", tmp_path)
    assert len(files) == 22, "a hard link counts once; links and FIFOs do not"
    sizes = [f["size_bytes"] for f in files.values()]
    assert sizes == sorted(sizes, reverse=True)
    assert sum(f["cached_pages"] for f in files.values()) == 300 + 210


def test_process_and_machine(sparse_file):
    """Open but not mapped, mapped but closed, and deleted: a process has them all."""
    script = ("import mmap, os, sys; f = open(sys.argv[1], 'rb'); g = open('/proc/self/exe', 'rb');"
              "m = mmap.mmap(g.fileno(), 0, prot=mmap.PROT_READ); g.close();"
              "os.unlink(sys.argv[1]); print('ready', flush=True); sys.stdin.read()")
    proc = subprocess.Popen(["/usr/bin/python3", "-c", script, str(sparse_file)],
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        proc.stdout.readline()
        for args in (("-p", proc.pid), ()):
            files, _ = resident("--top", 1000000, *args)
            assert files[f"{sparse_file} (deleted)"]["cached_pages"] == 300
            assert os.path.realpath("/usr/bin/python3") in files
    finally:
        proc.stdin.close()
        proc.wait()


def test_text(sparse_file):
    done = memtally("--map", sparse_file, command="resident")
    lines = done.stdout.decode().splitlines()
    assert lines[0].split() == ["SIZE", "PAGES", "CACHED", "PERCENT", "DIRTY", "WRITEBACK",
                                "EVICTED", "RECENT", "FILE"]
    assert lines[1].split()[1:4] == ["601", "300", "49.92%"]
    assert lines[2].startswith("\t[") and lines[2].count("#") + lines[2].count("o") > 20


def test_errors(tmp_path):
    assert memtally(tmp_path / "none", command="resident").returncode == FAILURE
    assert memtally("-p", 2 ** 22 + 1, command="resident").returncode == FAILURE
    assert memtally("-p", 1, tmp_path, command="resident").returncode == USAGE
    assert memtally("--sort", "x", command="resident").returncode == USAGE

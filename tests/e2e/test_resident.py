# SPDX-License-Identifier: GPL-2.0-or-later
"""resident against files whose cached pages were asked for one by one with mincore(2)."""
import contextlib
import ctypes
import json
import mmap
import os
import resource
import shutil
import subprocess
import tempfile

import pytest

from conftest import (DEADLINE, FAILURE, FINE, INCOMPLETE, MEMTALLY, USAGE, load, memtally, methods, need,
                      wait_until)

PAGE = mmap.PAGESIZE
pytestmark = pytest.mark.skipif(not os.path.exists("/proc/self/map_files"), reason="no map_files")


def resident(*args, status=FINE):
    done = memtally("--json", *args, command="resident")
    assert done.returncode == status, done.stderr
    objects = [json.loads(line) for line in done.stdout.splitlines()]
    assert all(o["command"] == "resident" for o in objects)
    return {o["path"]: o for o in objects if o["type"] == "file"}, objects


LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.mmap.restype = ctypes.c_void_p


@contextlib.contextmanager
def mapped(path):
    """Its address, for what takes no more than that; not touched."""
    size = ctypes.c_size_t(os.path.getsize(path))
    fd = os.open(path, os.O_RDONLY)
    at = LIBC.mmap(None, size, mmap.PROT_READ, mmap.MAP_SHARED, fd, ctypes.c_long(0))
    os.close(fd)
    try:
        yield at
    finally:
        LIBC.munmap(ctypes.c_void_p(at), size)


def residency(path):
    """The cached pages, by mincore."""
    size = os.path.getsize(path)
    vec = (ctypes.c_ubyte * ((size + PAGE - 1) // PAGE))()
    with mapped(path) as at:
        assert LIBC.mincore(ctypes.c_void_p(at), ctypes.c_size_t(size), vec) == 0
    return [b & 1 for b in vec]


@contextlib.contextmanager
def locked(path, pages=None):
    """These pages, or all, stay cached: the machine may reclaim others at any time (DAMON does)."""
    with mapped(path) as at:
        size = ctypes.c_size_t(os.path.getsize(path))
        assert LIBC.madvise(ctypes.c_void_p(at), size, mmap.MADV_RANDOM) == 0
        for page in range((size.value + PAGE - 1) // PAGE) if pages is None else pages:
            assert LIBC.mlock(ctypes.c_void_p(at + page * PAGE), ctypes.c_size_t(PAGE)) == 0
        yield


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

    def fill():
        for page in range(0, 600, 20):
            os.pread(fd, 10 * PAGE, page * PAGE)
        return sum(residency(path)) == 300
    wait_until(fill, "600 pages, half of them cached")
    os.close(fd)
    with locked(path, [page for page in range(600) if page % 20 < 10]):
        yield path


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
    small = [tmp_path / "d" / f"f{i}" for i in range(20)]
    small[0].parent.mkdir()
    for i, path in enumerate(small):
        path.write_bytes(b"z" * PAGE * (i + 1))
    os.symlink("/usr/lib", tmp_path / "link")
    os.mkfifo(tmp_path / "fifo")
    os.link(sparse_file, tmp_path / "second name")
    (tmp_path / "empty").touch()
    files, _ = resident(tmp_path)
    assert len(files) == 20, "20 rows are the default"
    with contextlib.ExitStack() as stack:
        for path in small:
            stack.enter_context(locked(path))
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


# ---- kinds of files ----

def open_in(*paths, program="import sys; files = [open(p, 'rb') for p in sys.argv[1:]]"):
    """A process that has these files open until its stdin is closed."""
    script = f"{program}; print('ready', flush=True); sys.stdin.read()"
    proc = subprocess.Popen(["/usr/bin/python3", "-c", script, *map(str, paths)],
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert proc.stdout.readline() == b"ready\n"
    return proc


def finish(proc):
    proc.stdin.close()
    proc.stdout.close()
    proc.wait(DEADLINE)


@pytest.mark.parametrize("without", ["", "cachestat"])
def test_sparse_beyond_4_gib(tmp_path, without):
    """Holes that were read are cached pages like others; numbers beyond 32 bits."""
    path = tmp_path / "huge"
    with open(path, "wb") as f:
        f.truncate((5 << 30) + 1)
    fd = os.open(path, os.O_RDONLY)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)
    for at in (0, 3 << 30, 5 << 30):
        os.pread(fd, PAGE, at)
    os.close(fd)
    env = {**os.environ, "MEMTALLY_WITHOUT": without}
    done = memtally("--json", "--map", path, command="resident", env=env)
    found = [json.loads(line) for line in done.stdout.splitlines()][1]
    assert (found["size_bytes"], found["pages"]) == ((5 << 30) + 1, (5 << 30) // PAGE + 1)
    assert found["cached_pages"] == 3
    assert found["method"] == "mincore" or not without
    assert len(found["map"]) == 60 and max(found["map"]) < 0.01


def test_mincore_says_what_it_cannot(sparse_file):
    env = {**os.environ, "MEMTALLY_WITHOUT": "cachestat"}
    before = residency(sparse_file)
    done = memtally("--json", sparse_file, command="resident", env=env)
    start, found = [json.loads(line) for line in done.stdout.splitlines()][:2]
    assert start["method"] == found["method"] == "mincore"
    assert any("dirty" in text for text in start["skipped"])
    assert found["cached_pages"] == 300 and found["dirty_pages"] is None
    assert found["evicted_pages"] is None and residency(sparse_file) == before
    done = memtally(sparse_file, command="resident", env=env)
    assert b"by mincore" in done.stderr and done.stdout.splitlines()[1].split()[4] == b"-"


MADV_PAGEOUT = 21


def test_evicted(tmp_path):
    """Pages that were reclaimed leave their shadows, those that were dropped leave nothing."""
    reclaimed, dropped = tmp_path / "reclaimed", tmp_path / "dropped"
    for path in (reclaimed, dropped):
        path.write_bytes(b"x" * 20 * PAGE)
        with open(path, "r+b") as f:
            os.fsync(f.fileno())
            with mmap.mmap(f.fileno(), 0) as m:

                def leave(path=path, f=f, m=m):
                    if path is dropped:
                        os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
                    else:
                        assert m[::PAGE] == b"x" * 20  # only mapped pages are reclaimed
                        m.madvise(MADV_PAGEOUT)
                    return not any(residency(path))
                wait_until(leave, "no page cached")
    files = resident(reclaimed, dropped)[0]
    assert [f["cached_pages"] for f in files.values()] == [0, 0]
    if files[str(dropped)]["method"] == "mincore":
        assert files[str(reclaimed)]["evicted_pages"] is None
        return
    assert files[str(dropped)]["evicted_pages"] == 0
    found = files[str(reclaimed)]
    assert found["evicted_pages"] == 20 >= found["recently_evicted_pages"] > 0


def test_names(tmp_path):
    """Newlines, control characters and bytes that are no UTF-8: one JSON line, one text line."""
    name = os.fsencode(tmp_path) + b"/a\nb\x1b[31m\xff\"c"
    with open(name, "wb") as f:
        f.write(b"x" * PAGE)
    files, _ = resident(tmp_path)
    assert list(files) == [f"{tmp_path}/a\nb\x1b[31m\ufffd\"c"]
    text = memtally(tmp_path, command="resident").stdout
    assert b"\x1b" not in text and len(text.splitlines()) == 2
    assert f"{tmp_path}/a\ufffdb\ufffd[31m\ufffd\"c".encode() in text


@pytest.mark.parametrize("path", ["/dev/null", "/proc/self/status", "/sys/kernel/notes"])
def test_no_page_cache(path):
    """Named, that is an error; found on the way, it is passed over."""
    done = memtally(path, command="resident")
    assert done.returncode == FAILURE and b"EOPNOTSUPP" in done.stderr
    files = resident(os.path.dirname(path))[0]
    assert [p for p in files if not p.startswith(("/dev/shm/", "/dev/hugepages/"))] == []


def test_not_opened(tmp_path):
    """A pipe would wait for a writer; a device does what it does when opened."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").write_bytes(b"x")
    assert list(resident(tmp_path)[0]) == [str(tmp_path / "file")]


def as_nobody(*args):
    """As a user who owns nothing; the binary may be where nobody may look."""
    binary = "/tmp/memtally-resident-test"
    shutil.copy(MEMTALLY, binary)
    try:
        return subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
                               binary, "resident", *map(str, args)], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=DEADLINE, check=False)
    finally:
        os.unlink(binary)


@pytest.mark.parametrize("without", ["", "cachestat"])
def test_unreadable(tmp_path_factory, without, monkeypatch):
    """What this user may not be told is an error, never '100 %' or '0 %'."""
    monkeypatch.setenv("MEMTALLY_WITHOUT", without)
    need("setpriv")
    directory = tmp_path_factory.mktemp("unreadable")
    secret, others = directory / "secret", directory / "others"
    for path in (secret, others):
        path.write_bytes(b"x" * PAGE)
    secret.chmod(0o600)
    for parent in (directory, *directory.parents[:2]):
        parent.chmod(0o755)
    done = as_nobody("--json", secret)
    assert done.returncode == INCOMPLETE and b'"files_unreadable":1' in done.stdout
    assert b"EACCES" in done.stderr and b"root" in done.stderr
    done = as_nobody("--json", others)  # may be read, but not written: cachestat(2) says EPERM
    if done.returncode == FINE and not without:
        pytest.skip("this kernel's cachestat(2) tells every reader (before v6.12.?)")
    assert done.returncode == INCOMPLETE and b"EPERM" in done.stderr
    assert b'"cached_pages"' not in done.stdout


def test_tmpfs_and_memfd():
    path = f"/dev/shm/memtally-resident-{os.getpid()}"
    try:
        with open(path, "wb") as f:
            f.write(b"x" * 30 * PAGE)
        assert resident(path)[0][path]["cached_pages"] == 30
        proc = open_in(program="import os, sys; fd = os.memfd_create('mem fd'); "
                               f"os.write(fd, b'x' * {7 * PAGE})")
        try:
            files, _ = resident("-p", proc.pid)
            assert files["/memfd:mem fd (deleted)"]["cached_pages"] == 7
        finally:
            finish(proc)
    finally:
        os.unlink(path)


@pytest.mark.parametrize("without", ["", "cachestat"])
def test_hugetlbfs(tmp_path, without, monkeypatch):
    """Huge pages are no page cache; a file of them has what it has allocated."""
    monkeypatch.setenv("MEMTALLY_WITHOUT", without)
    with open("/proc/meminfo", encoding="utf-8") as f:
        info = dict(line.split()[:2] for line in f)
    if int(info.get("HugePages_Free:", 0)) < 1:
        pytest.skip("no free huge pages on this machine")
    size = int(info["Hugepagesize:"]) << 10
    subprocess.run(["mount", "-t", "hugetlbfs", "none", str(tmp_path)], check=True)
    try:
        path = tmp_path / "huge"
        fd = os.open(path, os.O_RDWR | os.O_CREAT)
        os.ftruncate(fd, 2 * size)
        with mmap.mmap(fd, size) as m:
            m[0] = 1
            found = resident(path)[0][str(path)]
        os.close(fd)
        assert (found["cached_pages"], found["method"]) == (size // PAGE, "blocks")
        os.unlink(path)
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_block_device(tmp_path):
    """Named, it has a page cache too: what /proc/meminfo calls Buffers."""
    image = tmp_path / "image"
    with open(image, "wb") as f:
        f.truncate(4 << 20)
    done = subprocess.run(["losetup", "-f", "--show", str(image)], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, check=False)
    if done.returncode:
        pytest.skip(f"no loop device: {done.stderr.decode().strip()}")
    device = done.stdout.decode().strip()
    try:
        with open(device, "rb") as f:
            os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_RANDOM)
            os.pread(f.fileno(), 5 * PAGE, 1 << 20)
            found = resident(device)[0][device]
        assert (found["size_bytes"], found["pages"]) == (4 << 20, 1024)
        assert 5 <= found["cached_pages"] < 1024
    finally:
        subprocess.run(["losetup", "-d", device], check=True)


def test_overlayfs(tmp_path, sparse_file):
    """Through overlayfs: the real file's pages, in its map too."""
    lower, upper, work, at = (tmp_path / d for d in ("lower", "upper", "work", "merged"))
    for d in (lower, upper, work, at):
        d.mkdir()
    os.rename(sparse_file, lower / "file")
    options = f"lowerdir={lower},upperdir={upper},workdir={work}"
    done = subprocess.run(["mount", "-t", "overlay", "-o", options, "overlay", str(at)],
                          check=False, stderr=subprocess.PIPE)
    if done.returncode:
        pytest.skip(f"cannot mount overlayfs: {done.stderr.decode().strip()}")
    proc = None
    try:
        before = residency(lower / "file")
        found = resident("--map", at / "file")[0][str(at / "file")]
        assert found["cached_pages"] == sum(before) == 300 and any(found["map"])
        assert residency(lower / "file") == before
        proc = open_in(at / "file", lower / "file")
        files, objects = resident("--top", 1000000)
        assert objects[0]["method"] == methods()["resident"]["all files"]
        for path in (at / "file", lower / "file"):
            assert files[str(path)]["cached_pages"] == 300, path
        assert files[str(lower / "file")]["inode"] == os.stat(lower / "file").st_ino
    finally:
        if proc:
            finish(proc)
        subprocess.run(["umount", str(at)], check=True)


# ---- the machine ----

def tells_dirty():
    """mincore(2) does not."""
    return methods()["resident"]["pages"] == "cachestat(2)"


def machine(monkeypatch, without, *args):
    monkeypatch.setenv("MEMTALLY_WITHOUT", without)
    files, objects = resident("--top", 1000000, *args)
    assert objects[0]["method"] == ("/proc" if without else methods()["resident"]["all files"])
    assert any("closed files" in text for text in objects[0]["skipped"])
    return files


@pytest.mark.parametrize("without", ["", "task-iterators"])
def test_machine_ways(sparse_file, without, monkeypatch):
    """Iterators and /proc tell the same of a file, and neither changes what is cached."""
    uncached = sparse_file.parent / "uncached"
    with open(uncached, "wb") as f:
        f.truncate(10 * PAGE)
    before = residency(sparse_file)
    proc = open_in(sparse_file, uncached)
    try:
        files = machine(monkeypatch, without, "--map")
    finally:
        finish(proc)
    found = files[str(sparse_file)]
    assert (found["cached_pages"], found["pages"]) == (300, 601)
    assert found["dirty_pages"] == (0 if tells_dirty() else None)
    assert f"{found['method']}(2)" == methods()["resident"]["pages"] and any(found["map"])
    assert found["inode"] == os.stat(sparse_file).st_ino
    assert str(uncached) not in files, "nothing of it is cached"
    assert residency(sparse_file) == before, "looking changed what is cached"
    assert all(f["cached_pages"] for f in files.values())


def test_machine_dirty_first(tmp_path):
    """Ordered by dirty pages, every file is asked, not only the printed ones."""
    path = tmp_path / "dirty"
    proc = open_in(path, program="import sys; f = open(sys.argv[1], 'wb'); "
                                 f"f.write(b'x' * {2000 * PAGE}); f.flush()")
    try:
        files, objects = resident("--sort", "dirty", "--top", 1000000)
    finally:
        finish(proc)
    order = [o["dirty_pages"] or 0 for o in objects if o["type"] == "file"]
    assert order == sorted(order, reverse=True)
    found = files[str(path)]
    if tells_dirty():
        assert found["dirty_pages"] + found["writeback_pages"] <= 2000
    else:
        assert found["dirty_pages"] is None and found["cached_pages"] <= 2000


def processor_time(who):
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime


def test_many_files():
    """Asking about 100 000 files costs little more than making them (1.5 times): nothing is done
    for each file that grows with their number."""
    number = load(100000)
    directory = tempfile.mkdtemp(dir="/dev/shm", prefix="memtally-many-")
    try:
        began = processor_time(resource.RUSAGE_SELF)
        for i in range(number):
            os.close(os.open(f"{directory}/{i}", os.O_CREAT | os.O_WRONLY))
        making = processor_time(resource.RUSAGE_SELF) - began
        for i in range(0, number, 1000):
            with open(f"{directory}/{i}", "wb") as f:
                f.write(b"x" * PAGE)
        began = processor_time(resource.RUSAGE_CHILDREN)
        files, _ = resident("--top", 1000000, directory)
        asking = processor_time(resource.RUSAGE_CHILDREN) - began
        assert len(files) == number
        assert sum(f["cached_pages"] for f in files.values()) == number // 1000
        assert asking < 10 * making, f"{asking} s of CPU for what was made in {making} s"
    finally:
        shutil.rmtree(directory)

# SPDX-License-Identifier: GPL-2.0-or-later
"""
Exact numbers: every ground-truth case, attached before its first allocation. The last
report must hold the truth and nothing else, with all losses zero.
"""
import itertools
import json
import os
import shutil
import subprocess

import pytest
from conftest import (INCOMPLETE, VICTIMS, assert_no_losses, assert_stacks_complete, assert_truth,
                      build_id_of, drop_libgcc_tables, frame_name, load, losses_of, rows_of, shared_library, symbols_of,
                      victim_path)

VARIANTS = ["o0", "o2fp", "o2"]
PRELOADS = {"jemalloc": "libjemalloc.so.2", "tcmalloc": "libtcmalloc_minimal.so.4",
            "mimalloc": "libmimalloc.so.2"}

# Debian builds mimalloc as C: its operator new aborts where it should throw, traced or not.
THROWS = {"jemalloc": 1000, "tcmalloc": 1000, "mimalloc": 0}

# musl's library has no unwind tables: behind its strdup no walk finds the caller.
MUSL_BLIND = ("l8",)

# jemalloc keeps its thread data in static TLS, which dlopen has little of by default.
JEMALLOC_ENV = {"GLIBC_TUNABLES": "glibc.rtld.optional_static_tls=16384"}


@pytest.mark.parametrize("shape", [*VARIANTS, "static", "nopie", "clang"])
def test_eleven(trace, shape):
    t, truth, _ = trace(f"eleven-{shape}")
    assert_truth(t.last, truth)
    assert_stacks_complete(t.last, truth)
    t.assert_clean()


@pytest.mark.parametrize("shape", VARIANTS)
def test_eleven_threads(trace, shape):
    """Four threads through all sites: every number times four, and no arena."""
    t, truth, _ = trace(f"eleven-{shape}", "--threads", "4")
    assert_truth(t.last, truth)
    assert_stacks_complete(t.last, truth, bottom=None)
    t.assert_clean()


@pytest.mark.parametrize("shape", ["musl", "musl-static"])
def test_eleven_musl(trace, shape):
    t, truth, _ = trace(f"eleven-{shape}")
    assert_truth(t.last, truth, skip=MUSL_BLIND, only=False)
    blind = [r for r in t.last.rows if r.names and r.names[0] == "strdup"]
    assert [(r.bytes, r.count) for r in blind] == [(2460, 60)], blind
    sites = [s for n, s in truth["sites"].items() if n not in MUSL_BLIND]
    explained = {id(r) for s in sites for r in rows_of(t.last, s)} | {id(r) for r in blind}
    assert all(id(r) in explained for r in t.last.rows), t.last.rows
    t.assert_clean()


def test_eleven_stripped(trace):
    """No names: object, offset in the file and build id, good enough to find them later."""
    stripped = victim_path("eleven-stripped")
    t, truth, _ = trace("eleven-stripped", symbols=symbols_of(victim_path("eleven-o2"), stripped))
    assert_truth(t.last, truth)
    for row in t.last.rows:
        own = [f for f in row.frames if f["object"] == str(stripped)]
        assert own, row
        assert {f["build_id"] for f in own} == {build_id_of(stripped)}
        assert all(f["function"] is None for f in own)
        assert row.obj["stack_status"] == "complete", row
    t.assert_clean()


def test_static_stripped_says_so(victim, tally):
    """An allocator without a name can't be found: an error that says what to do."""
    v = victim("eleven-static-stripped")
    t = tally("-p", v.pid).wait()
    assert t.status == 1, t.error_text
    assert "--alloc" in t.error_text, t.error_text
    v.run()
    assert v.finish() == 0


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("name,options", [
    ("realloc", {}), ("nested", {}), ("churn", {}), ("failing", {}),
    ("ranges", {"source": 2}),  # two calls of mmap in its leaf
])
def test_semantics(trace, name, options, variant):
    t, truth, _ = trace(f"{name}-{variant}")
    assert_truth(t.last, truth, rows_per_site=options)
    t.assert_clean()


@pytest.mark.parametrize("shape", ["realloc-musl", "realloc-clang"])
def test_realloc_elsewhere(trace, shape):
    t, truth, _ = trace(shape)
    assert_truth(t.last, truth)
    t.assert_clean()


@pytest.mark.parametrize("variant", VARIANTS)
def test_threads(trace, variant):
    """80000 blocks in four threads; 30 short threads and all arenas are no leak."""
    t, truth, _ = trace(f"threads-{variant}")
    assert truth["sites"]["leak"]["bytes"] == load(80000) * 88
    assert_truth(t.last, truth)
    assert_stacks_complete(t.last, truth, bottom=None)
    t.assert_clean()


def test_threads_musl(trace):
    t, truth, _ = trace("threads-musl")
    assert_truth(t.last, truth)
    t.assert_clean()


def test_threads_with_mapped_stacks(trace):
    """Thread stacks that the C library keeps are mapped by pthread_create, nothing else is."""
    t, truth, _ = trace("threads-o2", "--mapped")
    assert_truth(t.last, truth, only=False)
    site = truth["sites"]["leak"]
    explained = {id(r) for r in rows_of(t.last, site)}
    for row in t.last.rows:
        if id(row) not in explained:
            assert any("pthread_create" in str(n) for n in row.names), row
            assert row.bytes < 40 << 20, f"more than the stack cache of glibc: {row}"
    t.assert_clean()


@pytest.mark.parametrize("small,large", [(1000000, 50000)])
def test_a_million_blocks(trace, small, large):
    t, truth, _ = trace("overflow-o2", "--small", load(small), "--large", load(large),
                        "--temporary", load(20000))
    assert_truth(t.last, truth)
    t.assert_clean()


def test_full_table_is_said(trace):
    """Room for 1000 blocks: the rest is counted as lost, exit 3."""
    t, truth, _ = trace("overflow-o2", "--small", "5000", "--large", "500", "--temporary", "3000",
                        options=["--max-blocks", "1000"])
    assert t.status == INCOMPLETE
    lost = losses_of(t.last)
    assert any(lost.values())
    rows = {n: rows_of(t.last, s) for n, s in truth["sites"].items()}
    assert not rows["temporary"], f"phantom: {rows['temporary']}"
    kept = sum(r.count for r in t.last.rows)
    # no allocation is both kept and lost, none is neither (3000 temporary ones may be lost)
    assert kept <= 1024
    assert 5500 <= kept + max(lost.values()) <= 8500
    for name, size in (("small", 16), ("large", 4096)):
        assert all(r.bytes == r.count * size for r in rows[name])


@pytest.mark.parametrize("variant", VARIANTS)
def test_unique_stacks(trace, variant):
    """8000 stacks of ten blocks each: all there, each once, decoded from their frames."""
    number = load(8000)
    t, truth, _ = trace(f"stacks-{variant}", "--stacks", number)
    assert len(t.last.rows) == number
    seen = set()
    for row in t.last.rows:
        assert (row.bytes, row.count) == (320, 10), row
        assert row.obj["stack_status"] == "complete", row
        bits = [n[3] for n in row.names if n in ("bit0", "bit1")]
        assert len(bits) == 13, row
        assert [n for n, _ in itertools.groupby(row.names)][:2] == ["stack_leaf", "next"]
        seen.add(int("".join(bits), 2))
    assert seen == set(range(number))
    t.assert_clean()


@pytest.mark.parametrize("variant", ["o2fp", "o2"])
def test_deep_stack(trace, variant):
    """110 frames are kept whole; of 1000 the leaf's side, and it says that it was cut."""
    t, truth, _ = trace(f"stacks-{variant}", "--stacks", "0", "--deep", "110")
    row = rows_of(t.last, truth["sites"]["deep"])[0]
    assert row.names.count("deep") == 110 and "main" in row.names
    assert row.obj["stack_status"] == "complete"
    t.assert_clean()
    t, truth, _ = trace(f"stacks-{variant}", "--stacks", "0", "--deep", "1000")
    row = rows_of(t.last, truth["sites"]["deep"])[0]
    assert row.obj["stack_status"] == "depth"
    assert row.names.count("deep") >= 100
    assert (row.bytes, row.count) == (48, 1)


# C++

@pytest.mark.parametrize("shape", [*VARIANTS, "static"])
def test_cpp(trace, shape):
    """Each user of operator new has a row of its own, and catching bad_alloc still works."""
    t, truth, v = trace(f"cpp-{shape}")
    assert (truth["caught"], truth["refused"]) == (1000, 1000)
    if shape == "static":
        drop_libgcc_tables(t.last)
    assert_truth(t.last, truth)
    assert_stacks_complete(t.last, truth)
    t.assert_clean()
    assert v.finish() == 0


def test_cpp_names_are_demangled(trace):
    t, truth, _ = trace("cpp-o2")
    row = rows_of(t.last, truth["sites"]["node"])[0]
    names = [f["function"] for f in row.frames]
    assert any(n.endswith("node_leaf(long)") for n in names if n), names
    assert not any(n.startswith("_Z") for n in names if n), names
    node, = rows_of(t.last, truth["sites"]["node"])
    array, = rows_of(t.last, truth["sites"]["array"])
    assert [frame_name(f) for f in node.frames] != [frame_name(f) for f in array.frames]


# Other allocators

@pytest.mark.parametrize("variant", ["o0", "o2"])
@pytest.mark.parametrize("allocator", PRELOADS)
@pytest.mark.parametrize("name", ["eleven", "realloc", "nested", "churn", "failing", "threads"])
def test_preloaded(trace, name, allocator, variant):
    env = {"LD_PRELOAD": shared_library(PRELOADS[allocator])}
    t, truth, _ = trace(f"{name}-{variant}", env=env)
    assert_truth(t.last, truth)
    assert any(allocator in f for f in t.start["found"]), t.start["found"]
    t.assert_clean()


@pytest.mark.parametrize("allocator", PRELOADS)
def test_preloaded_cpp(trace, allocator):
    """operator new of these libraries does not pass through malloc, and it may throw."""
    env = {"LD_PRELOAD": shared_library(PRELOADS[allocator])}
    throws = THROWS[allocator]
    t, truth, v = trace("cpp-o2", "--throws", str(throws), env=env)
    assert (truth["caught"], truth["refused"]) == (throws, throws)
    assert_truth(t.last, truth)
    t.assert_clean()
    assert v.finish() == 0


def is_of_linker(row):
    """Allocated before main(), by a library's constructor that the dynamic linker calls."""
    return any(os.path.basename(f["object"] or "").startswith("ld-") for f in row.frames)


@pytest.mark.parametrize("allocator", PRELOADS)
def test_preloaded_from_start(tally, allocator, tmp_path):
    """Traced from its first instruction: what the allocator maps for itself is no leak."""
    file = tmp_path / "truth"
    t = tally("--", victim_path("eleven-o2"), "--no-wait", "--truth", file,
              env={**os.environ, "LD_PRELOAD": shared_library(PRELOADS[allocator])}).wait()
    truth = json.loads(file.read_text().splitlines()[-1])
    # jemalloc and tcmalloc bring libstdc++, which makes a pool at its start
    t.last.rows = [r for r in t.last.rows if not is_of_linker(r)]
    assert_truth(t.last, truth)
    t.assert_clean()


@pytest.mark.parametrize("allocator", PRELOADS)
def test_preloaded_by_env(tally, allocator, tmp_path):
    """The usual command line: the library comes with an exec after the attach."""
    file = tmp_path / "truth"
    lib = shared_library(PRELOADS[allocator])
    t = tally("-v", "--", "env", f"LD_PRELOAD={lib}", victim_path("eleven-o2"), "--truth", file,
              stdin=subprocess.PIPE).started()
    while not said(t.errors, lib):
        pass
    t.proc.stdin.write(b"go\n\n")
    t.proc.stdin.flush()
    t.wait()
    truth = json.loads(file.read_text().splitlines()[-1])
    assert_truth(t.last, truth, only=False)
    own = {id(r) for s in truth["sites"].values() for r in rows_of(t.last, s)}
    strange = [r for r in t.last.rows if r.kind == "mmap" and id(r) not in own]
    assert not strange, strange
    t.assert_clean()


def said(lines, path):
    """Waits for a -v line that says this allocator is probed."""
    line = lines.next()
    assert line is not None, "memtally ended before it noticed the allocator"
    return os.path.realpath(path).encode() in line or path.encode() in line


@pytest.mark.parametrize("preload", [False, True], ids=["beside-glibc", "preloaded"])
@pytest.mark.parametrize("variant", ["o0", "o2"])
def test_jemalloc_api(trace, variant, preload):
    lib = shared_library(PRELOADS["jemalloc"])
    env = {"LD_PRELOAD": lib} if preload else JEMALLOC_ENV
    t, truth, _ = trace(f"jemalloc_api-{variant}", "--lib", lib, env=env)
    assert_truth(t.last, truth)
    t.assert_clean()


def test_jemalloc_loaded_late(victim, tally):
    """An allocator that comes by dlopen after the attach is noticed."""
    lib = shared_library(PRELOADS["jemalloc"])
    v = victim("jemalloc_api-o2", "--lib", lib, "--late", "1", env=JEMALLOC_ENV)
    t = tally("-p", v.pid, "0.2").started()
    v.say()
    v.expect("poked")
    poke = {"chain": ["poke_leaf", "poke_mid", "poke_top"], "via": "", "function": "poke_leaf"}
    ticks = 0
    while True:
        tick = t.wait_tick(lambda tick: True, "a report")
        if rows_of(tick, poke):
            break
        ticks += 1
        assert ticks < 100, "the new allocator was not noticed"
        v.say("poke")
        v.expect("poked")
    v.say("go")
    truth = v.expect("ready")
    t.stop()
    assert_truth(t.last, truth, only=False)
    t.assert_clean()


# Paths and names

@pytest.mark.parametrize("length", [40, 230])
def test_long_paths(trace, tmp_path, length):
    """No path buffer is too short: program and library in a directory of this length."""
    directory = tmp_path / ("d" * 20)
    while len(str(directory)) < length:
        directory = directory / ("e" * min(100, length - len(str(directory))))
    directory.mkdir(parents=True)
    program = directory / "dlopen-o2"
    shutil.copy(victim_path("dlopen-o2"), program)
    lib = shutil.copy(victim_path("libleak.so"), directory / "libleak.so")
    t, truth, _ = trace("dlopen-o2", "--lib", lib, "--one-step", path=program)
    row, = rows_of(t.last, truth["sites"]["lib"])
    assert row.frames[0]["object"] == str(lib)
    assert any(f["object"] == str(program) for f in row.frames)
    t.assert_clean()


@pytest.mark.parametrize("comm", [b"\xff\xfe\x80name", b"quote\"back\\", b"tab\tnl\n", b"\xc3("])
def test_odd_process_names(trace, comm):
    """JSON stays UTF-8: bad bytes become U+FFFD. (Lines parses every line as UTF-8.)"""
    t, truth, v = trace("failing-o2", "--comm", comm)
    want = comm.decode(errors="replace")
    assert {r.obj["comm"] for r in t.last.rows} == {want}
    assert [x["comm"] for x in t.start["targets"]] == [want]
    assert_truth(t.last, truth)
    t.assert_clean()


def test_source_lines(trace):
    """-g: each frame of the victim has its file and a plausible line."""
    t, truth, _ = trace("eleven-o0")
    row, = rows_of(t.last, truth["sites"]["l1"])
    source = (VICTIMS.parent.parent / "tests/victims/eleven.c")
    if not source.exists():
        pytest.skip(f"{source} is not where the victims were built from")
    text = source.read_text().splitlines()
    leaf = row.frames[0]
    assert os.path.basename(leaf["file"]) == "eleven.c"
    assert "malloc(100)" in text[leaf["line"] - 1], (leaf, text[leaf["line"] - 1])


def test_inlined_frames(trace):
    """map() is inlined into half_leaf(): both are named, and only one is a real frame."""
    t, truth, _ = trace("ranges-o2")
    row, = rows_of(t.last, truth["sites"]["half"])
    names = [(frame_name(f), bool(f["inlined"])) for f in row.frames]
    assert names[:2] == [("map", True), ("half_leaf", False)], names


def test_debug_file_by_build_id(trace, tmp_path):
    """A stripped program gets its names back from /usr/lib/debug/.build-id."""
    program = tmp_path / "eleven-split"
    shutil.copy(victim_path("eleven-o2"), program)
    build_id = build_id_of(program)
    # an id of its own, so that no other test's program finds this file
    data = program.read_bytes()
    own = bytes.fromhex(build_id)[::-1]
    assert data.count(bytes.fromhex(build_id)) == 1
    program.write_bytes(data.replace(bytes.fromhex(build_id), own))
    directory = f"/usr/lib/debug/.build-id/{own.hex()[:2]}"
    existed = os.path.isdir(directory)
    os.makedirs(directory, exist_ok=True)
    debug = f"{directory}/{own.hex()[2:]}.debug"
    try:
        subprocess.run(["objcopy", "--only-keep-debug", str(program), debug], check=True)
        subprocess.run(["strip", str(program)], check=True)
        t, truth, _ = trace("eleven-o2", path=program)
        assert_truth(t.last, truth)
        t.assert_clean()
    finally:
        os.unlink(debug)
        if not existed:
            os.rmdir(directory)


def test_freed_before_attach_is_no_loss(trace):
    """Frees of blocks from before the attach are no error and no loss."""
    t, truth, _ = trace("realloc-o2")
    assert_no_losses(t.last)
    assert not rows_of(t.last, truth["sites"]["pre"])

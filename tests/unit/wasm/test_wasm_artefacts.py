"""Compiled modules on disk: kept, checked, limited, thrown away."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import stat
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from wasm_guests import LIMITS, Bench, wat

from ipvm_queue.errors import UsageError
from ipvm_queue.ipld import Link
from ipvm_queue.plan import canvas
from ipvm_queue.wasm import artefacts
from ipvm_queue.wasm.artefacts import CompileLimits

ADD = wat('(module (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1))))')
SUBTRACT = wat('(module (func (export "add") (param i32 i32) (result i32) (i32.sub (local.get 0) (local.get 1))))')
BOMB = wat(f'(module (func $a) (func (export "f") {"call $a " * 400_000}))')
INVALID = wat('(module (func (export "f") (result i32) i64.const 1))')


def artefact(cache: Path, module: bytes) -> Path:
    """Return the file of a compiled module."""
    (found,) = cache.glob(f"*/{Link.of(module).key}.cwasm")
    return found


def compilers(cache: Path) -> list[int]:
    """Return the processes that compile into a cache."""
    found = []
    for each in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = each.read_text()
        except OSError:
            continue
        if "compile.py" in words and str(cache) in words:
            found.append(int(each.parent.name))
    return found


def wait_for(cache: Path, count: int) -> list[int]:
    """Return the processes that compile into a cache as soon as there are so many."""
    end = time.monotonic() + 20
    while len(found := compilers(cache)) != count:
        assert time.monotonic() < end
        time.sleep(0.02)
    return found


def cpu_seconds(process: int) -> float:
    """Return how long a process has computed."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def aged(path: Path, days: float) -> Path:
    """Make a file look as old as that."""
    then = time.time() - days * 86400
    os.utime(path, (then, then))
    return path


def test_a_module_is_compiled_once(tmp_path: Path):
    """A second executor loads what the first one compiled."""
    Bench(tmp_path).run(ADD, "add", 1, 2)
    before = artefact(tmp_path, ADD).stat()
    outcome = Bench(tmp_path, compile_limits=CompileLimits(wall=0.0)).run(ADD, "add", 1, 2)

    assert outcome.out == {"ok": 3}
    assert artefact(tmp_path, ADD).stat().st_ino == before.st_ino


@pytest.mark.parametrize("position", [0, 31, 32, 200, -1])
def test_a_flipped_bit_is_found_and_the_module_compiled_again(tmp_path: Path, position: int):
    """An artefact that is not as it was written is never loaded; the call works all the same."""
    Bench(tmp_path).run(ADD, "add", 1, 2)
    path = artefact(tmp_path, ADD)
    whole = bytearray(path.read_bytes())
    good = bytes(whole)
    whole[position] ^= 4
    path.write_bytes(whole)

    assert Bench(tmp_path).run(ADD, "add", 1, 2).out == {"ok": 3}
    assert path.read_bytes() == good


@pytest.mark.parametrize("size", [0, 10, 32, 1000])
def test_a_file_cut_short_is_compiled_again(tmp_path: Path, size: int):
    """What a full disk leaves behind is replaced."""
    Bench(tmp_path).run(ADD, "add", 1, 2)
    path = artefact(tmp_path, ADD)
    path.write_bytes(path.read_bytes()[:size])

    assert Bench(tmp_path).run(ADD, "add", 1, 2).out == {"ok": 3}


def test_another_modules_artefact_is_not_taken(tmp_path: Path):
    """The digest covers the CID, so that a good file under another module's name is found out."""
    bench = Bench(tmp_path)
    bench.run(ADD, "add", 5, 2)
    bench.run(SUBTRACT, "add", 5, 2)
    artefact(tmp_path, ADD).write_bytes(artefact(tmp_path, SUBTRACT).read_bytes())

    assert Bench(tmp_path).run(ADD, "add", 5, 2).out == {"ok": 7}


def test_an_artefact_of_another_engine_is_compiled_again(tmp_path: Path):
    """Code whose digest is right and which the engine will not load is replaced, too."""
    bench = Bench(tmp_path)
    bench.run(ADD, "add", 1, 2)
    path = artefact(tmp_path, ADD)
    digest = bench.executor._artefacts._digest
    path.write_bytes(digest(Link.of(ADD), b"code of an older engine") + b"code of an older engine")

    assert Bench(tmp_path).run(ADD, "add", 1, 2).out == {"ok": 3}


def test_the_directory_is_the_users_own(tmp_path: Path):
    """Native code lies where nobody else can write, whatever the directory's mode was before."""
    cache = tmp_path / "cache"
    Bench(cache)
    (private,) = cache.iterdir()
    private.chmod(0o777)
    Bench(cache)

    assert stat.S_IMODE(private.stat().st_mode) == 0o700


def test_a_directory_that_is_a_link_is_refused(tmp_path: Path):
    """A cache that someone has pointed elsewhere is not used."""
    Bench(tmp_path / "a")
    (private,) = (tmp_path / "a").iterdir()
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / private.name).symlink_to(private)

    with pytest.raises(UsageError, match="not yours"):
        Bench(tmp_path / "b")


def test_a_compile_bomb_is_stopped_and_remembered(tmp_path: Path):
    """A small module that compiles for minutes is stopped by its CPU limit; the next worker does not even try."""
    limits = CompileLimits(cpu=1)
    first = Bench(tmp_path, compile_limits=limits).run(BOMB, "f")
    second = Bench(tmp_path, compile_limits=CompileLimits(wall=0.0)).run(BOMB, "f")

    assert first.out["error"]["code"] == "wasm/compile-limit"
    assert "1 s of CPU" in first.out["error"]["message"]
    assert not first.cacheable
    assert second.out == first.out


def test_compiling_has_a_limit_on_memory(tmp_path: Path):
    """A compiler that wants more memory than it may have ends as an error."""
    adds = "i32.const 1 i32.add " * 200_000
    module = wat(f'(module (func (export "f") (result i32) i32.const 0 {adds}))')
    outcome = Bench(tmp_path, compile_limits=CompileLimits(address_space=160 << 20)).run(module, "f")

    assert outcome.out["error"]["code"] == "wasm/compile-limit"


def test_compiling_has_a_limit_on_time(tmp_path: Path):
    """A compiler that hangs is stopped by the clock."""
    outcome = Bench(tmp_path, compile_limits=CompileLimits(wall=0.01)).run(ADD, "add", 1, 2)

    assert outcome.out["error"]["code"] == "wasm/compile-limit"


def test_a_remembered_failure_expires(tmp_path: Path):
    """What failed is tried again after a while: the limits may have been raised, or the machine less busy."""
    Bench(tmp_path, compile_limits=CompileLimits(wall=0.01, failure_lifetime=0.0)).run(ADD, "add", 1, 2)

    assert Bench(tmp_path).run(ADD, "add", 1, 2).out == {"ok": 3}


def test_an_invalid_module_says_why(tmp_path: Path):
    """What the engine refuses comes with the engine's own words."""
    error = Bench(tmp_path).run(INVALID, "f").out["error"]

    assert error["code"] == "wasm/invalid-module"
    assert "type mismatch" in error["message"]


def test_the_oldest_artefacts_go_when_there_are_too_many_bytes(tmp_path: Path):
    """The directory stays within its size: what was not used for longest is deleted first."""
    bench = Bench(tmp_path)
    bench.run(ADD, "add", 1, 2)
    path = artefact(tmp_path, ADD)
    os.utime(path, (1, 1))
    Bench(tmp_path, compile_limits=CompileLimits(cache_bytes=path.stat().st_size + 100)).run(SUBTRACT, "add", 1, 2)

    assert not path.exists()
    assert artefact(tmp_path, SUBTRACT).exists()


def test_nothing_is_left_lying_about(tmp_path: Path):
    """Neither locks nor half-written files stay behind."""
    Bench(tmp_path).run(ADD, "add", 1, 2)
    Bench(tmp_path).run(INVALID, "f")

    assert {path.suffix for path in tmp_path.glob("*/*")} == {".cwasm", ".failed"}


def test_a_module_that_is_not_in_the_store_is_a_missing_block(tmp_path: Path):
    """Without its block a module cannot run, and the error names it."""
    outcome = Bench(tmp_path).executor.run(Link.of(b"nowhere"), "f", [], LIMITS)

    assert outcome.out["error"]["code"] == "wasm/missing-block"
    assert outcome.out["error"]["cid"] == Link.of(b"nowhere")
    assert not outcome.cacheable


def test_a_block_with_other_bytes_is_not_run(tmp_path: Path):
    """Bytes that do not hash to the module's CID are the runner's fault."""
    bench = Bench(tmp_path)
    bench.blocks[Link.of(ADD)] = SUBTRACT

    error = bench.executor.run(Link.of(ADD), "add", [1, 2], LIMITS).out["error"]

    assert error["code"] == "wasm/host"
    assert error["fault"] == "runner"


def test_a_machine_that_cannot_write_is_not_the_guests_fault(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    """A full disk is the runner's fault, told without its paths, and forgotten as soon as there is room."""
    bench = Bench(tmp_path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, limits[1]))
    try:
        error = bench.run(ADD, "add", 1, 2).out["error"]
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    assert (error["code"], error["fault"]) == ("wasm/host", "runner")
    assert "/" not in error["message"]
    assert "File too large" in caplog.text
    assert bench.run(ADD, "add", 1, 2).out == {"ok": 3}


def test_a_compiler_that_somebody_kills_is_not_the_guests_fault(tmp_path: Path):
    """Only the signals of the limits themselves are blamed on the module."""
    with ThreadPoolExecutor() as pool:
        outcome = pool.submit(Bench(tmp_path).run, BOMB, "f")
        for process in wait_for(tmp_path, 1):
            os.kill(process, signal.SIGKILL)
        error = outcome.result(20).out["error"]

    assert (error["code"], error["fault"]) == ("wasm/host", "runner")
    assert not list(tmp_path.glob("*/*.failed"))


def test_a_cache_that_cannot_be_used_is_not_the_guests_fault(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    """The receipt does not say where the worker keeps its files; the log does."""
    bench = Bench(tmp_path)
    (directory,) = tmp_path.iterdir()
    directory.rmdir()
    directory.write_bytes(b"")
    error = bench.run(ADD, "add", 1, 2).out["error"]

    assert (error["code"], error["fault"]) == ("wasm/host", "runner")
    assert str(tmp_path) not in error["message"]
    assert str(tmp_path) in caplog.text


def test_the_cache_can_be_deleted_at_any_time(tmp_path: Path):
    """A worker that runs makes its directory anew."""
    bench = Bench(tmp_path)
    shutil.rmtree(tmp_path)

    assert bench.run(ADD, "add", 1, 2).out == {"ok": 3}


def test_a_compiler_ends_with_its_worker(tmp_path: Path):
    """A worker that is killed leaves nothing that computes on for nobody."""
    tests = str(__file__).rpartition("/unit/")[0]
    code = "import sys; sys.path.insert(0, sys.argv[1]); from wasm_guests import *; "
    code += "Bench(Path(sys.argv[2])).run(sys.stdin.buffer.read(), 'f')"
    with subprocess.Popen([sys.executable, "-c", code, tests, str(tmp_path)], stdin=subprocess.PIPE) as worker:
        assert worker.stdin
        worker.stdin.write(BOMB)
        worker.stdin.close()
        (compiling,) = wait_for(tmp_path, 1)
        while cpu_seconds(compiling) < 0.5:  # it has read the module, whose end would end it too
            time.sleep(0.02)
        worker.kill()

    wait_for(tmp_path, 0)
    assert not list(tmp_path.glob("*/tmp-*/code"))  # it has not come to its own end


def test_what_nobody_needs_any_more_goes(tmp_path: Path):
    """Forgotten failures, traces of killed workers and engines long unused; nothing that is in use, or not ours."""
    Bench(tmp_path)
    (own,) = tmp_path.iterdir()
    old, new = [own / "old.failed", own / "old.lock"], [own / "new.failed", own / "new.lock"]
    for path in (*old, *new):
        path.write_bytes(b"")
    for path in old:
        aged(path, 1)
    directories = {name: tmp_path / name for name in ("wasmtime-1-unused", "wasmtime-1-used", "others")}
    directories["killed"], directories["compiling"] = own / "tmp-killed", own / "tmp-compiling"
    for path in directories.values():
        path.mkdir()
    for name, days in (("wasmtime-1-unused", 60.0), ("wasmtime-1-used", 1.0), ("others", 60.0), ("killed", 1.0)):
        (directories[name] / "code").write_bytes(b"")
        aged(directories[name] / "code", days)
        aged(directories[name], 60)
    Bench(tmp_path)

    assert not [path for path in old if path.exists()]
    assert [path for path in new if path.exists()] == new
    assert {name for name, path in directories.items() if path.exists()} == {"wasmtime-1-used", "others", "compiling"}


def test_failures_go_while_a_worker_runs(tmp_path: Path):
    """One that never restarts does not keep a file for each invalid module that it has ever seen."""
    bench = Bench(tmp_path, compile_limits=CompileLimits(failure_lifetime=0.0))
    for number in range(3):
        bench.run(f'(module (func (export "f") (result i32) i64.const {number}))', "f")

    assert len(list(tmp_path.glob("*/*.failed"))) == 1


def test_who_compiles_lives_to_remember_that_it_took_too_long():
    """The clock stops a compiler before the worker itself is stopped, which has this long beside the task's time."""
    limits = CompileLimits()

    assert limits.cpu < limits.wall
    assert limits.wall + artefacts._LOCK_PATIENCE < canvas._GRACE

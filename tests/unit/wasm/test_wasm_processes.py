"""Executors among processes: forks, and several at once on one directory."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from wasm_guests import LIMITS, Bench, Child, wat

from ipvm_queue.ipld import Link
from ipvm_queue.wasm import executor

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

ANSWER = wat('(module (func (export "f") (result i32) i32.const 42))')

FORK = """
import os, sys, warnings
from pathlib import Path
sys.path.insert(0, sys.argv[2])
warnings.simplefilter("ignore")
from wasm_guests import Bench, Limits
bench = Bench(Path(sys.argv[1]))
ANSWER = '(module (func (export "f") (result i32) i32.const 42))'
LOOP = '(module (func (export "f") (loop br 0)))'
NEW = '(module (func (export "f") (result i32) i32.const 43))'
assert bench.run(ANSWER, "f").out == {"ok": 42}
child = os.fork()
if child == 0:
    assert bench.run(ANSWER, "f").out == {"ok": 42}
    assert bench.run(NEW, "f").out == {"ok": 43}
    assert bench.run(LOOP, "f", limits=Limits(1 << 60, 1 << 20, 0.2)).out["error"]["code"] == "wasm/time-limit"
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
assert bench.run(LOOP, "f", limits=Limits(1 << 60, 1 << 20, 0.2)).out["error"]["code"] == "wasm/time-limit"
"""


def test_a_forked_child_starts_afresh(tmp_path: Path):
    """An executor that a child inherits compiles and keeps its time limits there."""
    tests = str(__file__).rpartition("/unit/")[0]
    done = subprocess.run([sys.executable, "-c", FORK, str(tmp_path), tests], check=False, timeout=60)

    assert done.returncode == 0


def test_workers_that_start_together_share_one_artefact(tmp_path: Path):
    """Several processes that need the same new module all get it, and one file stays."""
    children = [Child(tmp_path) for _ in range(3)]
    with ThreadPoolExecutor() as pool:
        outs = list(pool.map(lambda child: child.run(ANSWER, "f")[0], children))
    for child in children:
        child.close()

    assert outs == [{"ok": 42}] * 3
    assert [path.name for path in tmp_path.glob("*/*")] == [f"{Link.of(ANSWER).key}.cwasm"]


def test_closing_lets_go_of_the_modules(tmp_path: Path):
    """After `close` nothing is warm, and a further call still works."""
    bench = Bench(tmp_path)
    bench.run(ANSWER, "f")
    bench.executor.close()
    bench.run(ANSWER, "f")

    assert bench.reads == [Link.of(ANSWER)] * 2


def test_only_so_many_modules_stay_warm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """What was called least recently is dropped from memory, not from disk."""
    monkeypatch.setattr(executor, "WARM_MODULES", 2)
    modules = [wat(f'(module (func (export "f") (result i32) i32.const {number}))') for number in range(3)]
    bench = Bench(tmp_path)
    outs = [bench.run(module, "f").out for module in modules]
    bench.run(modules[0], "f")
    bench.run(modules[2], "f")

    assert outs == [{"ok": number} for number in range(3)]
    assert len(bench.reads) == 4


def test_a_store_that_breaks_is_the_runners_fault(tmp_path: Path):
    """Whatever `get_block` raises, there is an outcome."""
    bench = Bench(tmp_path)
    bench.blocks = None  # type: ignore[assignment]

    outcome = bench.executor.run(Link.of(ANSWER), "f", [], LIMITS)

    assert outcome.out["error"]["code"] == "wasm/host"
    assert outcome.out["error"]["fault"] == "runner"
    assert not outcome.cacheable

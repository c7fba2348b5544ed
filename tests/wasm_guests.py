"""Guests for tests, written as text, and the two ways to run them: here, or in a process that they may try to kill."""

from __future__ import annotations

import subprocess
import sys
from ast import literal_eval
from pathlib import Path
from typing import Any

import wasmtime

from ipvm_queue.errors import MissingBlockError
from ipvm_queue.ipld import Link
from ipvm_queue.wasm import Executor, Limits

LIMITS = Limits(gas=100_000_000, memory=64 << 20, time=30.0)

PAD = "(tuple " + "u8 " * 17 + ")"
ZEROS = [0] * 17

ALLOCATOR = """
  (global $top (mut i32) (i32.const 1024))
  (func $claim (param $size i32) (result i32) (local $start i32)
    (local.set $start (i32.and (i32.add (global.get $top) (i32.const 15)) (i32.const -16)))
    (global.set $top (i32.add (local.get $start) (local.get $size)))
    (block $enough
      (loop $more
        (br_if $enough (i32.le_u (global.get $top) (i32.mul (memory.size) (i32.const 65536))))
        (br_if $more (i32.ge_s (memory.grow (i32.const 16)) (i32.const 0)))
        unreachable))
    local.get $start)
"""
MEMORY = (
    '(memory (export "memory") 2)'
    + ALLOCATOR
    + '(func (export "realloc") (param i32 i32 i32 i32) (result i32) (call $claim (local.get 3)))'
)
LIFT = '(memory (core memory $m "memory")) (realloc (core func $m "realloc"))'


def wat(text: str) -> bytes:
    """Assemble a module or a component."""
    return bytes(wasmtime.wat2wasm(text))


def exporting(names: list[str], params: int = 0) -> bytes:
    """Return a core module that exports functions by these names, each of a type of its own with so many parameters."""

    def vector(items: list[bytes]) -> bytes:
        return leb128(len(items)) + b"".join(items)

    places = range(len(names))
    types = [b"\x60" + vector([b"\x7f"] * params) + b"\0"] * len(names)
    exports = [vector([bytes([each]) for each in name.encode()]) + b"\0" + leb128(i) for i, name in enumerate(names)]
    bodies = [b"\x02\0\x0b"] * len(names)
    sections = {1: vector(types), 3: vector([*map(leb128, places)]), 7: vector(exports), 10: vector(bodies)}
    return b"\0asm\1\0\0\0" + b"".join(
        bytes([each]) + leb128(len(sections[each])) + sections[each] for each in sections
    )


def leb128(number: int) -> bytes:
    """Return an unsigned number as Wasm has it."""
    low, rest = number & 0x7F, number >> 7
    return bytes([low | 0x80]) + leb128(rest) if rest else bytes([low])


def component(core: str, kind: str = "", *, types: str = "") -> bytes:
    """Wrap a core module's `f` as the component's function `f` of a WIT type, `(param …) (result …)`."""
    return wat(
        f"(component {types} (core module $M {core}) (core instance $m (instantiate $M)) "
        f'(func (export "f") {kind} (canon lift (core func $m "f") {LIFT})))'
    )


def echoes(kinds: dict[str, str], types: str = "") -> bytes:
    """Return a component with a function for each WIT type that gives back what it gets.

    Each takes the value and seventeen bytes, too much for registers, so that it comes in memory; and returns a tuple
    of the same, which lies in memory in the same way. So one core function that returns its argument serves all.
    """
    functions = "".join(
        f'(func (export "{name}") (param "x" {kind}) (param "pad" {PAD}) (result (tuple {kind} {PAD})) '
        f'(canon lift (core func $m "echo") {LIFT}))'
        for name, kind in kinds.items()
    )
    echo = '(func (export "echo") (param i32) (result i32) local.get 0)'
    return wat(f"(component {types} (core module $M {MEMORY} {echo}) (core instance $m (instantiate $M)) {functions})")


BYTES_ABI = (
    '(memory (export "memory") 2)'
    + ALLOCATOR
    + """
  (func (export "ipvm_alloc") (param i32) (result i32) (call $claim (local.get 0)))
  (func $pack (param i32 i32) (result i64)
    (i64.or (i64.shl (i64.extend_i32_u (local.get 0)) (i64.const 32)) (i64.extend_i32_u (local.get 1))))
"""
)


class Bench:
    """An executor over blocks in memory."""

    def __init__(self, cache: Path, **options: Any) -> None:
        self.blocks: dict[Link, bytes] = {}
        self.reads: list[Link] = []
        self.executor = Executor(self._get, cache, **options)

    def _get(self, link: Link) -> bytes:
        self.reads.append(link)
        if link not in self.blocks:
            raise MissingBlockError(f"no block {link}")
        return self.blocks[link]

    def put(self, data: bytes) -> Link:
        """Add a block."""
        link = Link.of(data)
        self.blocks[link] = data
        return link

    def run(self, module: bytes | str, func: str, *params: Any, limits: Limits = LIMITS) -> Any:
        """Run a function of a module, given as bytes or text, and return the outcome."""
        return self.executor.run(
            self.put(module if isinstance(module, bytes) else wat(module)), func, list(params), limits
        )


class Child:
    """A process with an executor that lives through many calls, as a worker's does."""

    def __init__(self, cache: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__, str(cache)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def run(self, module: bytes, func: str, *params: Any, limits: Limits = LIMITS) -> tuple[dict[str, Any], bool]:
        """Run a function there; return what came out and whether it is cacheable. Fails if the process died."""
        assert self._process.stdin
        assert self._process.stdout
        request = [module, func, list(params), limits.gas, limits.memory, limits.time]
        self._process.stdin.write(ascii(request) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, f"the process died with {self._process.wait(10)}"
        out, cacheable = literal_eval(answer)
        return out, cacheable

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.terminate()
        self._process.wait(10)


def main() -> None:
    """Answer requests until stdin ends."""
    bench = Bench(Path(sys.argv[1]))
    for line in sys.stdin:
        module, func, params, gas, memory, time = literal_eval(line)
        outcome = bench.run(module, func, *params, limits=Limits(gas, memory, time))
        sys.stdout.write(ascii([outcome.out, outcome.cacheable]) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()

"""How a WASI guest asks its worker for effects: two pipes, a frame (four bytes of length, then bytes) each way.

The guest's side is `ipvm:host/effects` `call(ptr: i32, len: i32) -> i64`: it sends `len` bytes at `ptr`, waits, and
gets the answer where the guest's own `ipvm_alloc` says, as `ptr << 32 | len`. What the bytes mean, the worker decides.
"""

from __future__ import annotations

import os
from contextlib import suppress
from threading import Thread
from typing import TYPE_CHECKING, Any, Final, Self

import wasmtime

from ipvm_queue.wasm.outcome import CallError

if TYPE_CHECKING:
    from collections.abc import Callable

EFFECTS: Final = ("ipvm:host/effects", "call")
MAX_ASKED: Final = 1 << 20
MAX_ANSWER: Final = 64 << 20
_U32: Final = 0xFFFFFFFF


class Effects:
    """The guest's side: `ask` and `hear` are descriptors."""

    def __init__(self, ask: int, hear: int) -> None:
        self._ask = ask
        self._hear = hear

    def call(self, caller: wasmtime.Caller, pointer: int, length: int) -> int:
        """Do what the guest's import does; raises `CallError` for memory that is not the guest's."""
        memory, allocate = caller["memory"], caller["ipvm_alloc"]
        assert isinstance(memory, wasmtime.Memory)  # noqa: S101 - a guest without them was not started
        assert isinstance(allocate, wasmtime.Func)  # noqa: S101
        begin = _within(memory, caller, pointer, length)
        if length & _U32 > MAX_ASKED:
            raise CallError("bad-abi", f"at most {MAX_ASKED} bytes are asked with", "guest")
        write_frame(self._ask, bytes(memory.read(caller, begin, begin + (length & _U32))))
        answer = read_frame(self._hear, MAX_ANSWER)
        if answer is None:
            raise CallError("host", "the worker answers no more", "runner")
        target = _within(memory, caller, int(allocate(caller, len(answer))), len(answer))
        memory.write(caller, answer, target)
        packed = target << 32 | len(answer)
        return packed - (1 << 64) if packed >> 63 else packed


def _within(memory: wasmtime.Memory, caller: Any, pointer: int, length: int) -> int:
    """Return where a piece of memory begins; raises `CallError` where it is not all the guest's."""
    pointer &= _U32
    if pointer + (length & _U32) > memory.data_len(caller):
        raise CallError("bad-pointer", f"{length & _U32} bytes at {pointer} are outside the module's memory", "guest")
    return pointer


class Desk:
    """The worker's side, in a thread for as long as the block lasts; without `answer` there is nothing to ask."""

    def __init__(self, answer: Callable[[bytes], bytes] | None) -> None:
        self._answer = answer
        self.descriptors: list[int] = []
        self._own: list[int] = []

    def __enter__(self) -> Self:
        if self._answer is not None:
            (hear, ask), (heard, tell) = os.pipe(), os.pipe()
            self.descriptors, self._own = [ask, heard], [hear, tell]
            Thread(target=self._serve, args=(hear, tell, self._answer), name="wasi-effects", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for descriptor in self.descriptors:  # then nobody can write, and the thread comes to its end
            os.close(descriptor)

    def _serve(self, hear: int, tell: int, answer: Callable[[bytes], bytes]) -> None:
        with suppress(OSError):
            while (asked := read_frame(hear, MAX_ASKED)) is not None:
                write_frame(tell, answer(asked))
        os.close(hear)
        os.close(tell)


def write_frame(descriptor: int, data: bytes) -> None:
    """Write a frame; raises `OSError` where nobody reads."""
    rest = memoryview(len(data).to_bytes(4, "big") + data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def read_frame(descriptor: int, most: int) -> bytes | None:
    """Return a frame, None at the end; one of more than `most` bytes is an end too."""
    head = _exactly(descriptor, 4)
    length = int.from_bytes(head or b"", "big")
    return None if head is None or length > most else _exactly(descriptor, length)


def _exactly(descriptor: int, count: int) -> bytes | None:
    data = bytearray()
    while len(data) < count:
        piece = os.read(descriptor, min(count - len(data), 1 << 16))
        if not piece:
            return None
        data += piece
    return bytes(data)

"""Reading the binary format of Wasm: bounded steps over untrusted bytes, no recursion, nothing allocated by claim."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ipvm_queue.errors import ModuleError

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_SECTIONS: Final = 10_000
MAX_ITEMS: Final = 100_000  # in all vectors of a module together: a gate reads them before anybody has paid for it
_LEB_BYTES: Final = 5
_U32_MAX: Final = (1 << 32) - 1


class Reader:
    """A cursor over `data[pos:end]`; every step raises `ModuleError` instead of leaving it."""

    __slots__ = ("_items", "data", "end", "pos")

    def __init__(self, data: bytes, pos: int, end: int, items: list[int]) -> None:
        self.data = data
        self.pos = pos
        self.end = end
        self._items = items

    def byte(self) -> int:
        """Read one byte."""
        if self.pos >= self.end:
            raise ModuleError(f"the module is cut short at byte {self.pos}")
        value = self.data[self.pos]
        self.pos += 1
        return value

    def u32(self) -> int:
        """Read an unsigned LEB128 number of at most 32 bits."""
        value = self.byte()
        if value < 0x80:  # noqa: PLR2004 - one byte, the common case
            return value
        value &= 0x7F
        for index in range(1, _LEB_BYTES):
            byte = self.byte()
            value |= (byte & 0x7F) << (7 * index)
            if not byte & 0x80:
                if value > _U32_MAX:
                    break
                return value
        raise ModuleError(f"a number is too long at byte {self.pos}")

    def leb64(self) -> None:
        """Step over a LEB128 number of at most 64 bits."""
        for _ in range(10):
            if not self.byte() & 0x80:
                return
        raise ModuleError(f"a number is too long at byte {self.pos}")

    def skip(self, count: int) -> None:
        """Step over `count` bytes."""
        if count > self.end - self.pos:
            raise ModuleError(f"the module is cut short: {count} bytes wanted at byte {self.pos}")
        self.pos += count

    def count(self, what: str) -> int:
        """Read the length of a vector, refusing one that the remaining bytes cannot hold."""
        count = self.u32()
        self._items[0] -= count
        if self._items[0] < 0:
            raise ModuleError(f"the module has too many {what}: {count}, and at most {MAX_ITEMS} items in all")
        if count > self.end - self.pos:
            raise ModuleError(f"the module claims {count} {what} in {self.end - self.pos} bytes")
        return count

    def name(self) -> str:
        """Read a name."""
        start = self.pos
        length = self.u32()
        begin = self.pos
        self.skip(length)
        try:
            return self.data[begin : self.pos].decode()
        except UnicodeDecodeError as error:
            raise ModuleError(f"a name is not UTF-8 at byte {start}") from error


def sections(data: bytes, start: int = 8) -> Iterator[tuple[int, Reader]]:
    """Yield (id, reader of its contents) for each section after the eight bytes of magic and version."""
    items = [MAX_ITEMS]  # that are left
    reader = Reader(data, start, len(data), items)
    for _ in range(MAX_SECTIONS):
        if reader.pos >= reader.end:
            return
        identity = reader.byte()
        size = reader.u32()
        begin = reader.pos
        reader.skip(size)
        yield identity, Reader(data, begin, reader.pos, items)
    raise ModuleError(f"the module has more than {MAX_SECTIONS} sections")

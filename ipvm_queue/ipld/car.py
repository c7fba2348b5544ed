"""CAR v1: blocks in a row, in one file.

Layout: `varint length, DAG-CBOR {version: 1, roots: [link]}`, then for each block `varint length, CID, bytes`.
"""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Final, Protocol

from ipvm_queue.errors import CodecError, LimitError
from ipvm_queue.ipld.block import Block
from ipvm_queue.ipld.dagcbor import decode, encode
from ipvm_queue.ipld.link import Link

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_VARINT_BYTES: Final = 9
_CONTINUES: Final = 0x80
_CHUNK: Final = 1 << 20
_V2: Final = 2


@dataclass(frozen=True, slots=True)
class CarLimits:
    """How much of a CAR is read: bytes of the header, of one section (CID and data), of all, and number of blocks."""

    header: int = 64 * 1024
    section: int = 64 * 1024 * 1024
    total: int = 1024 * 1024 * 1024
    blocks: int = 1_000_000


class Readable(Protocol):
    """What a CAR is read from: a binary stream, or anything that gives its next bytes."""

    def read(self, size: int, /) -> bytes:
        """Return at most `size` bytes, none at the end."""


class Car:
    """A CAR that is being read: `roots` are known at once, iterating gives its verified blocks one by one."""

    def __init__(self, source: Readable, limits: CarLimits) -> None:
        self._source = source
        self._limits = limits
        self._offset = 0
        self._count = 0
        self.roots = self._read_roots()

    def __iter__(self) -> Iterator[Block]:
        return self

    def __next__(self) -> Block:
        start = self._offset
        length = self._read_varint()
        if length is None:
            raise StopIteration
        self._count += 1
        if self._count > self._limits.blocks:
            raise LimitError(f"a CAR of more than {self._limits.blocks} blocks")
        section = self._read(self._bounded(length, self._limits.section, "block"))
        try:
            cid, data = Link.split(section)
        except CodecError as error:
            raise CodecError(f"CAR block at byte {start}: {error.message}", hint=error.hint) from error
        return Block(cid, data).verify()

    def _read_roots(self) -> tuple[Link, ...]:
        length = self._read_varint()
        if length is None:
            raise CodecError("an empty file is not a CAR")
        header = decode(self._read(self._bounded(length, self._limits.header, "header")))
        version = header.get("version") if isinstance(header, dict) else None
        if type(version) is int and version == _V2:
            raise CodecError("this is a CAR of version 2", hint="convert it first: CAR v1 is read here")
        if type(version) is not int or version != 1:
            raise CodecError("not a CAR: its header names no version 1")
        roots = header.get("roots")
        if len(header) != 2 or type(roots) is not list or not all(isinstance(root, Link) for root in roots):  # noqa: PLR2004 - version and roots
            raise CodecError("not a CAR: its header is not {version, roots: [link]}")
        return tuple(roots)

    def _bounded(self, length: int, limit: int, what: str) -> int:
        if length == 0:
            raise CodecError(f"CAR {what} of no bytes at byte {self._offset}")
        if length > limit:
            raise LimitError(f"CAR {what} of {length} bytes at byte {self._offset}, at most {limit} are read")
        return length

    def _read_varint(self) -> int | None:
        """Return the next length, None at the end of the file."""
        start = self._offset
        number = 0
        for position in range(_VARINT_BYTES):
            byte = self._source.read(1)
            self._offset += len(byte)
            if not byte:
                if position == 0:
                    return None
                raise CodecError(f"the CAR ends within the length at byte {start}")
            number |= (byte[0] & ~_CONTINUES) << (7 * position)
            if byte[0] < _CONTINUES:
                if position and byte[0] == 0:
                    raise CodecError(f"the length at byte {start} of the CAR is not minimal")
                return number
        raise CodecError(f"the length at byte {start} of the CAR has more than {_VARINT_BYTES} bytes")

    def _read(self, length: int) -> bytes:
        """Return exactly `length` bytes; memory grows with what is there, not with what is claimed."""
        if self._offset + length > self._limits.total:
            raise LimitError(f"a CAR of more than {self._limits.total} bytes")
        chunks: list[bytes] = []
        missing = length
        while missing:
            chunk = self._source.read(min(missing, _CHUNK))
            if not chunk:
                raise CodecError(f"the CAR ends {missing} bytes too early, in the part at byte {self._offset}")
            chunks.append(chunk)
            missing -= len(chunk)
        self._offset += length
        return b"".join(chunks)


def read_car(source: bytes | Readable, *, limits: CarLimits | None = None) -> Car:
    """Read a CAR v1 from bytes or a binary stream: `.roots`, and an iterator of blocks, each verified.

    The header is read at once, blocks as they are asked for. Raises `CodecError` for what is no CAR v1, `LimitError`
    for what is over `limits`, `BlockError` for a block that does not hash to its CID. Whether roots are among the
    blocks is for the caller to see.
    """
    stream = BytesIO(source) if isinstance(source, bytes) else source
    return Car(stream, limits or CarLimits())


def car_parts(roots: Sequence[Link], blocks: Iterable[Block]) -> Iterator[bytes]:
    """Yield a CAR v1 piece by piece, for writing to a stream; raises `BlockError` for a block that does not match."""
    header = encode({"version": 1, "roots": list(roots)})
    yield _varint(len(header)) + header
    for block in blocks:
        block.verify()
        yield _varint(len(block.cid.bytes) + len(block.data)) + block.cid.bytes
        yield block.data


def write_car(roots: Sequence[Link], blocks: Iterable[Block]) -> bytes:
    """Return a CAR v1 of `blocks`; raises `BlockError` for a block that does not match its CID."""
    return b"".join(car_parts(roots, blocks))


def _varint(number: int) -> bytes:
    out = bytearray()
    while number >= _CONTINUES:
        out.append(number & 0x7F | _CONTINUES)
        number >>= 7
    out.append(number)
    return bytes(out)

"""What a user names on the command line: job documents and blocks."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ipvm_queue.errors import LimitError, UsageError
from ipvm_queue.ipld import Block, CarLimits, read_car

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_CAR_HEADER: Final = b"\xa2\x65roots"  # {roots, version} in DAG-CBOR, after its length


@dataclass(frozen=True, slots=True)
class Document:
    """The bytes of a job document, what messages call it, and where the files that it names are."""

    name: str
    data: bytes
    folder: Path


def read_job(job: str, limit: int) -> Document:
    """Return the document in a file, or on standard input for `-`; raises `UsageError`, `LimitError`."""
    name = "<stdin>" if job == "-" else job
    data = sys.stdin.buffer.read(limit + 1) if job == "-" else read_file(Path(job), limit + 1)
    if len(data) > limit:
        raise LimitError(f"{name} is larger than {limit} bytes", hint="put large values into blocks and link to them")
    return Document(name, data, Path() if job == "-" else Path(job).parent)


def read_blocks(paths: Iterable[Path], limit: int) -> Iterator[Block]:
    """Yield each file as a raw block, each CAR as the blocks in it."""
    for path in paths:
        if is_car(path):
            with path.open("rb") as file:
                yield from read_car(file, limits=CarLimits(section=limit))
            continue
        data = read_file(path, limit + 1)
        if len(data) > limit:
            raise LimitError(f"{path} is larger than a block may be, {limit} bytes")
        yield Block.of(data)


def is_car(path: Path) -> bool:
    """Whether a file begins as a CAR does."""
    return read_file(path, 16)[1 : 1 + len(_CAR_HEADER)] == _CAR_HEADER


def read_file(path: Path, limit: int) -> bytes:
    """Return the first `limit` bytes of a file; raises `UsageError`."""
    try:
        with path.open("rb") as file:
            return file.read(limit)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error

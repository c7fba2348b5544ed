"""What a user names on the command line: job documents and blocks."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from ipvm_queue.errors import DocumentError, Fault, LimitError, UsageError
from ipvm_queue.ipld import Block, CarLimits, read_car
from ipvm_queue.workflow import DocumentLimits, place, read

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ipvm_queue.settings import Settings
    from ipvm_queue.workflow import Workflow

_CAR_HEADER: Final = b"\xa2\x65roots"  # {roots, version} in DAG-CBOR, after its length


@dataclass(frozen=True, slots=True)
class Document:
    """A checked job: what messages call it, where the files that it names are, and the blocks given with it."""

    name: str
    data: bytes
    workflow: Workflow
    folder: Path
    blocks: list[Block]


def load(job: str, blocks: Iterable[Path], settings: Settings) -> Document:
    """Return the job in a file, or on standard input for `-`, without asking a broker.

    Raises `DocumentError` with every fault of the job, `UsageError` for files that cannot be read.
    """
    name = "<stdin>" if job == "-" else job
    limits = DocumentLimits(settings.max_document_bytes, settings.max_tasks, settings.max_depth)
    data = _bytes(job, limits.size)
    workflow = read(data, name=name, limits=limits)
    given = list(read_blocks(blocks, settings.max_block_bytes))
    return Document(name, data, workflow, Path() if job == "-" else Path(job).parent, given)


@contextmanager
def named(document: Document) -> Iterator[None]:
    """Let faults that are found on the way to the queue say where in the document they are."""
    try:
        yield
    except DocumentError as error:
        raise DocumentError(place(error.faults, document.data), name=document.name) from error


def _bytes(job: str, limit: int) -> bytes:
    data = sys.stdin.buffer.read(limit + 1) if job == "-" else read_file(Path(job), limit + 1)
    if len(data) > limit:
        hint = "put large values into blocks and link to them"
        raise DocumentError([Fault("too-large", f"{job} is larger than {limit} bytes", hint=hint)], name=job)
    return data


def read_blocks(paths: Iterable[Path], limit: int) -> Iterator[Block]:
    """Yield each file as a raw block, each CAR as the blocks in it; a pipe is as good as a file."""
    for path in paths:
        with _opened(path) as file:
            yield from _blocks_in(file, path, limit)


def _blocks_in(file: BinaryIO, path: Path, limit: int) -> Iterator[Block]:
    head = file.read(1 + len(_CAR_HEADER))
    if head[1:] == _CAR_HEADER:
        yield from read_car(_Begun(head, file), limits=CarLimits(section=limit))
        return
    data = head + file.read(limit)
    if len(data) > limit:
        raise LimitError(f"{path} is larger than a block may be, {limit} bytes")
    yield Block.of(data)


class _Begun:
    """A stream whose first bytes have been looked at, from its start: of a pipe they do not come twice."""

    def __init__(self, head: bytes, rest: BinaryIO) -> None:
        self._head = head
        self._rest = rest

    def read(self, size: int) -> bytes:
        """Return at most `size` bytes, none at the end."""
        found, self._head = self._head[:size], self._head[size:]
        return found or self._rest.read(size)


def read_file(path: Path, limit: int) -> bytes:
    """Return the first `limit` bytes of a file; raises `UsageError`."""
    with _opened(path) as file:
        return file.read(limit)


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """Open a file; raises `UsageError` where that, or reading it, fails."""
    try:
        with path.open("rb") as file:
            yield file
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error

"""What a user names on the command line: job documents and blocks."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ipvm_queue.errors import DocumentError, LimitError, UsageError
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
        raise LimitError(f"{job} is larger than {limit} bytes", hint="put large values into blocks and link to them")
    return data


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

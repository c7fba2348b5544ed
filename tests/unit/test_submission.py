"""What is remembered of modules between one job and the next."""

from __future__ import annotations

import json
import tracemalloc

import pytest
from wasm_guests import exporting

from ipvm_queue.errors import DocumentError
from ipvm_queue.ipld import Link
from ipvm_queue.store import MemoryBlocks
from ipvm_queue.submission import ModuleBook, complete
from ipvm_queue.ucan.memo import Memo
from ipvm_queue.workflow import read

ROOM = 1024 * 1024


class Shelf(MemoryBlocks):
    """Blocks in memory that say which were asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[Link] = []

    def get(self, cid: Link) -> bytes:
        """Return a block's bytes."""
        self.asked.append(cid)
        return super().get(cid)


def test_a_module_is_looked_into_once():
    """From one job to the next it is known what a module exports, without its bytes."""
    shelf, known = Shelf(), Memo()
    cid = shelf.put(exporting(["only"]))
    first = ModuleBook(known, {}, shelf).info(cid)

    assert ModuleBook(known, {}, shelf).info(cid) == first
    assert (first.choose("any"), shelf.asked) == ("only", [cid])


def test_a_module_that_is_too_large_to_be_remembered_is_looked_into_once_a_job():
    """Tasks that name two such modules in turn cost two looks; what is wrong is said in the document's order."""
    shelf = Shelf()
    cids = [shelf.put(exporting([name])) for name in ("one", "two")]
    jobs = {f"t{i}": {"type": "wasm/1.0", "with": str(cids[i % 2]), "input": []} for i in range(10)}

    done = complete(read(json.dumps(jobs)), ModuleBook(Memo(0), {}, shelf))

    assert [done.tasks[f"t{i}"].func for i in range(10)] == ["one", "two"] * 5
    assert (len(shelf.asked), set(shelf.asked)) == (2, set(cids))
    wrong = {label: {**job, "func": "none"} for label, job in jobs.items()}
    with pytest.raises(DocumentError) as caught:
        complete(read(json.dumps(wrong)), ModuleBook(Memo(0), {}, shelf))
    assert [fault.path.partition(".")[0] for fault in caught.value.faults] == list(jobs)


SHAPES = {"many names": (8, 2500, 1), "wide types": (8, 2, 25_000), "small": (1500, 1, 1)}


@pytest.mark.parametrize("shape", SHAPES)
def test_what_is_remembered_of_modules_has_an_end(shape):
    """However many modules there are and whatever they are made of, what is kept stays within its room, roughly."""
    modules, exports, params = SHAPES[shape]
    known = Memo(ROOM)
    tracemalloc.start()
    try:
        for number in range(modules):
            module = exporting([f"{number}.{each}" for each in range(exports)], params)
            ModuleBook(known, {Link.of(module): module}, MemoryBlocks()).info(Link.of(module))
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert kept < 1.5 * ROOM
    assert 0 < len(known) < modules

"""Content handles: no written form, and the three faults kept apart (effects 3)."""

from __future__ import annotations

import copy
import copyreg
import json
import marshal
import pickle
import shelve

import cbor2
import dag_cbor
import kombu.serialization
import pytest
import yaml
from handlers import Given, call_of, error_of, run
from shelf import shelf

from ipvm_queue.effects import EffectError
from ipvm_queue.effects.handle import ContentHandle, resolve
from ipvm_queue.ipld import Link, dagcbor, encode, encode_own, to_json, to_plain
from ipvm_queue.store import MemoryBlocks

DATA = b"content at hand"
CID = Link.of(DATA)


@pytest.fixture
def context():
    """Return a worker that has the block."""
    given = Given({"ipfs": {}}, blocks=MemoryBlocks())
    given.blocks.put(DATA)
    return given


@pytest.fixture
def handle(context):
    """Return a handle as the runtime makes it."""
    made, _ = resolve(context, call_of(f"cid:{CID}", "handle/resolve"))
    return made


def test_a_cid_becomes_a_link_that_is_guaranteed(context):
    """The receipt says the CID, and that it is pinned here; what goes on to other tasks is the link."""
    outcome = run(context, f"cid:{CID}", "handle/resolve")

    assert outcome.out == {"ok": CID}
    assert outcome.evidence == {"cid": CID, "pinned": True, "blocks": 1, "bytes": len(DATA), "from": "store"}


def test_the_runtime_reads_through_it(handle):
    """A handle gives its block, and its link says nothing more than the CID."""
    assert handle.read() == DATA
    assert handle.link == CID


def to_shelf(value):
    """Write with shelve."""
    with shelve.open("/dev/null/never") as book:  # noqa: S301 - nothing is ever read from it
        book["x"] = value


WRITERS = {
    **{f"pickle {number}": lambda value, number=number: pickle.dumps(value, number) for number in range(6)},
    "pickle by slots": lambda value: copyreg.__reduce_ex__(value, 2),
    "reduce": lambda value: value.__reduce_ex__(4),
    "state": lambda value: value.__getstate__(),
    "vars": vars,
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "replace": lambda value: copy.deepcopy([value]),
    "marshal": marshal.dumps,
    "json": json.dumps,
    "yaml": yaml.dump,
    "cbor2": cbor2.dumps,
    "dag-cbor, the reference": dag_cbor.encode,
    "DAG-CBOR": encode,
    "DAG-CBOR, own": encode_own,
    "DAG-CBOR, codec": lambda value: dagcbor.codec.encode(value, 64),
    "DAG-JSON": to_json,
    "DAG-JSON, plain": lambda value: json.dumps(to_plain(value)),
    **{
        f"kombu {name}": lambda value, name=name: kombu.serialization.dumps(value, serializer=name)
        for name in ("json", "yaml", "pickle")
    },
    "bytes": bytes,
    "memoryview": memoryview,
}


@pytest.mark.parametrize("wrapped", [lambda value: value, lambda value: {"args": [value]}], ids=["bare", "in a value"])
@pytest.mark.parametrize("name", WRITERS)
def test_it_has_no_serialized_form(handle, name, wrapped):
    """Every way of writing a value that is in use here fails for a handle, bare or inside another value."""
    if name in ("pickle by slots", "reduce", "state", "vars", "bytes", "memoryview", "copy"):
        wrapped = lambda value: value  # noqa: E731 - they look at the value itself alone
    with pytest.raises(Exception):  # noqa: B017, PT011 - each has an error of its own
        WRITERS[name](wrapped(handle))


def test_every_writer_writes_something_else():
    """The writers above do write what can be written, so their errors are about the handle."""
    for name, write in WRITERS.items():
        value = {"vars": EffectError("a", "b", "world"), "memoryview": b"x", "bytes": b"x"}
        if name not in ("pickle by slots", "state", "reduce"):
            write(value.get(name, {"a": [1]}))


def test_its_words_say_nothing(handle):
    """In a log, a traceback or a message it is a content handle, and no more."""
    assert {repr(handle), str(handle), f"{handle}", f"{[handle]}"[1:-1]} == {"<content handle>"}
    assert not hasattr(handle, "__dict__")


def test_it_is_made_by_the_runtime_alone():
    """Nobody else makes one, nor a kind of one that could be written."""
    for attempt in (ContentHandle, lambda: ContentHandle(CID), lambda: ContentHandle.__new__(ContentHandle, CID)):
        with pytest.raises(TypeError, match="runtime alone"):
            attempt()
    with pytest.raises(TypeError, match="one kind"):
        type("Sly", (ContentHandle,), {})


def test_a_malformed_cid_is_the_requestors_fault(context):
    """400."""
    error = error_of(context, "cid:Qm12345", "handle/resolve")

    assert (error.code, error.fault, error.evidence["status"]) == ("handle/malformed", "requestor", 400)


def test_no_answer_in_time_is_the_networks_fault(context):
    """408: the CID is well formed, and nobody gave its block in time."""
    other = Link.of(b"far away")
    with shelf() as slow:
        slow.things[f"/ipfs/{other}?format=raw"] = b"far away"
        slow.pause = 0.2
        context.tables["ipfs"] = {"gateways": [slow.url]}
        error = error_of(context, f"cid:{other}", "handle/resolve", seconds=0.3)
        absent = error_of(context, f"cid:{Link.of(b'nowhere')}", "handle/resolve")

    assert (error.code, error.fault, error.evidence["status"]) == ("handle/timeout", "network", 408)
    assert (absent.code, absent.fault, absent.evidence["status"]) == ("handle/absent", "network", 408)


def test_a_lost_block_is_the_runners_fault(context, handle):
    """500: what was resolved and cannot be provided is the runner's failure, not the requestor's."""
    context.blocks._blocks.clear()
    with pytest.raises(EffectError) as lost:
        handle.read()

    assert (lost.value.code, lost.value.fault, lost.value.evidence) == ("handle/missing", "runner", {"status": 500})

"""Jobs that cannot run are refused whole: one clear error, and not a key of them on the broker."""

from __future__ import annotations

import json

import pytest
from modules import numbers, salt
from stack import Stack

from ipvm_queue import Client
from ipvm_queue.crypto import Signer
from ipvm_queue.errors import DocumentError, IpvmError, LimitError, SignatureError, UnavailableError
from ipvm_queue.ipld import Link, decode
from ipvm_queue.run import Tick
from ipvm_queue.settings import Settings
from ipvm_queue.workflow import sign

pytestmark = pytest.mark.integration

NUMBERS = Link.of(numbers())


def job(**fields):
    """Return a job of `add` with some fields otherwise."""
    return {"type": "wasm/1.0", "with": NUMBERS, "func": "add", "input": [1, 2], **fields}


def circle(length):
    """Return jobs that wait for each other in a circle."""
    return {f"t{i}": job(input=[{"from": f"t{(i + 1) % length}"}, 1]) for i in range(length)}


def text(jobs):
    """Return jobs as JSON text."""
    return json.dumps(jobs, default=lambda link: {"/": str(link)})


REFUSED = {
    "empty file": (b"", "empty"),
    "not JSON": (b"{jobs", None),
    "not text": (b"\xff\xfe\xfd", None),
    "50 MB": (b" " * 50_000_000, "50"),
    "no jobs": ({}, "job"),
    "duplicate labels": (f'{{"a": {text(job())}, "a": {text(job())}}}', "'?\"?a"),
    "unknown field": ({"a": job(inptu=[])}, "inptu"),
    "unknown type": ({"a": job(type="wasm/9.0")}, "wasm/9.0"),
    "self-reference": ({"a": job(input=[{"from": "a"}, 1])}, "waits for itself"),
    "cycle of 3": (circle(3), "t0 → t1|t0 → t2"),
    "cycle of 10,000": (circle(10_000), "more"),
    "promise to nobody": ({"a": job(input=[{"from": "nobody"}, 1])}, "nobody"),
    "branch to nobody": ({"a": job(on={"error": ["nobody"]})}, "nobody"),
    "negative out": ({"a": job(), "b": job(input=[{"from": "a", "out": -1}, 1])}, "out"),
    "bad CID": ({"a": job(**{"with": "bafybad"})}, "bafybad|CID"),
    "missing block": ({"a": job(**{"with": Link.of(b"not stored")})}, str(Link.of(b"not stored"))),
    "missing export": ({"a": job(func="multiply")}, "multiply"),
    "no function chosen": ({"a": {"type": "wasm/1.0", "with": NUMBERS, "input": [1, 2]}}, "add"),
    "too few arguments": ({"a": job(input=[1])}, "2"),
    "too many arguments": ({"a": job(input=[1, 2, 3])}, "2"),
    "text for a number": ({"a": job(input=["one", 2])}, "one|string"),
    "number out of range": ({"a": job(input=[1 << 65, 2])}, None),
    "gas 0": ({"a": job(maxGas=0)}, "more than 0"),
    "negative gas": ({"a": job(maxGas=-5)}, "more than 0"),
    "negative time": ({"a": job(**{"ipvm/config": {"time": -1}})}, "more than 0"),
    "bad unit": ({"a": job(**{"ipvm/config": {"time": [3, "fortnights"]}})}, "fortnights"),
    "an effect": ({"a": {"type": "ipvm/effect", "with": "gopher://x.org", "do": "crud/read"}}, "gopher"),
    "a file that is not there": ({"a": job(**{"with": "file:nonesuch.wasm"})}, "nonesuch"),
    "a good job beside a bad one": ({"a": job(), "b": job(func="multiply")}, "multiply"),
}


@pytest.fixture(scope="module")
def known(client):
    """Return the session's client, which has the module and its key already."""
    client.blocks.put(numbers())
    client.submit({"a": job(input=[salt(), 1])}).wait(60)
    return client


def snapshot(stack):
    """Return every key that jobs leave behind."""
    names = {key.decode() for key in stack.redis.scan_iter(count=10_000)}
    return {name for name in names if any(part in name for part in (":run:", ":block:", ":runs", ":live", ":receipt:"))}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_and_nothing_enqueued(known, stack, name):
    """A job that cannot run raises one error that says what is wrong, with exit code 2, and leaves nothing behind."""
    document, words = REFUSED[name]
    before = snapshot(stack)

    with pytest.raises(IpvmError, match=words) as raised:
        known.submit(document)

    assert raised.value.exit_code == 2
    assert snapshot(stack) == before


def test_a_block_that_is_no_wasm(known, stack):
    """A `with` whose block is not Wasm is refused."""
    text = known.blocks.put(b"plain text")
    before = snapshot(stack)

    with pytest.raises(DocumentError, match=r"Wasm|module"):
        known.submit({"a": job(**{"with": text})})

    assert snapshot(stack) == before


def test_a_changed_signed_document(known, stack):
    """A document that was changed after signing is refused before anything else is looked at."""
    signed = decode(sign(known.read({"a": job()}), known.signer).document)
    signed["jobs"]["a"]["input"] = [3, 4]
    before = snapshot(stack)

    with pytest.raises(SignatureError, match="signature"):
        known.submit(signed)

    assert snapshot(stack) == before


def test_a_document_signed_for_somebody_else(known, stack):
    """A job whose requestor is another is not signed with one's own key."""
    before = snapshot(stack)
    header = {"v": "0.1.0", "requestor": Signer.generate().did}

    with pytest.raises(SignatureError, match="did:key"):
        known.submit({"header": header, "jobs": {"a": job()}})

    assert snapshot(stack) == before


def test_too_deep_a_document(known, stack):
    """A document nested deeper than the limit is refused without recursion."""
    before = snapshot(stack)

    with pytest.raises((LimitError, DocumentError), match=r"deep|nest"):
        known.submit(b'{"a":' * 100_000 + b"1" + b"}" * 100_000)

    assert snapshot(stack) == before


def test_no_broker_at_submit(tmp_path):
    """Where no broker answers, the error says where it was looked for, with exit code 6."""
    keys = {name: tmp_path / f"{name}.pem" for name in ("key", "worker_key", "queue_key")}
    settings = Settings(broker_url="redis://127.0.0.1:1/0", data_dir=tmp_path, cache_dir=tmp_path, **keys)

    with Client(settings=settings) as client, pytest.raises(UnavailableError, match=r"127\.0\.0\.1:1") as raised:
        client.submit({"a": job()})

    assert raised.value.exit_code == 6


def test_a_broker_that_dies_while_waiting(idle):
    """A wait whose broker goes away ends with an error instead of waiting for ever."""
    with idle.client() as client:
        client.blocks.put(numbers())
        going = client.submit({"a": job()})
        idle.kill("valkey")

        with pytest.raises(UnavailableError, match="no broker answers"):
            going.wait(60)


@pytest.fixture
def durable(tmp_path):
    """Return a queue whose Valkey keeps what it holds over its own death."""
    stack = Stack(tmp_path / "durable", aof=True, lease=1.0)
    try:
        stack.start_valkey()
        yield stack
    finally:
        stack.stop()


def test_a_broker_that_comes_back_while_waiting(durable):
    """A wait goes on over a broker that is started anew with what it kept, and says meanwhile that it is away."""
    with durable.client() as client:
        client.blocks.put(numbers())
        going = client.submit({"a": job()})
        events = going.events(timeout=60)
        next(events)
        durable.kill("valkey")
        away = next(event for event in events if event.away)
        durable.start_valkey()
        durable.start_worker("late")
        ended = [event.label for event in events if not isinstance(event, Tick)]

    assert away.idle == ()
    assert ended == ["a"]


def test_a_broker_that_comes_back_empty_while_waiting(idle):
    """A wait ends with an error where the broker has lost the run, instead of waiting for ever."""
    with idle.client() as client:
        client.blocks.put(numbers())
        going = client.submit({"a": job()})
        idle.redis.flushall()

        with pytest.raises(UnavailableError, match=f"lost run {going.id}"):
            going.wait(60)


def test_no_worker_is_said_while_waiting(idle):
    """Where no worker consumes a queue that a run needs, the ticks of its events name the queue."""
    with idle.client() as client:
        client.blocks.put(numbers())
        going = client.submit({"a": job()})

        tick = next(iter(going.events(timeout=30)))

    assert tick.idle == ("ipvm.wasm",)

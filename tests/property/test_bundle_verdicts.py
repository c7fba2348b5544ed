"""Bundles of anything: verification says something of each, and never fails over one."""

from __future__ import annotations

import pytest
from bundles import REGISTRY, World, task
from hypothesis import given, settings
from hypothesis import strategies as st
from principals import forge, principal

from ipvm_queue.ipld import DAG_CBOR, Link, decode, encode
from ipvm_queue.queue.bundle import verify
from ipvm_queue.ucan import Container

WORLD = World({"a": task(1), "b": task({"from": "a"}, 2)})
MEMBERS = WORLD.members()
LINKS = [Link.of(data, DAG_CBOR) for data in MEMBERS.values()]
SIGNERS = {each.did: each for each in map(principal, ("queue", "service", "worker", "user"))}

links = st.sampled_from(LINKS)
scalars = st.none() | st.booleans() | st.integers(-9, 2**53 - 1) | st.binary(max_size=8) | st.text(max_size=8) | links
names = st.sampled_from(["ran", "out", "ok", "error", "inv", "push", "pop", "cmd", "rcpt", "job", "lease", "x"])
anything = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3), max_leaves=8
)


def judged(members, asked=None):
    """Return the first flaw of a bundle of these members, None where it holds."""
    return verify(Container.of(members).write(), REGISTRY, asked).flaw


def test_nothing_changed_is_no_flaw():
    """The bundle that all the others are made from holds, and answers its own job."""
    assert judged(MEMBERS.values()) is None
    assert judged(MEMBERS.values(), WORLD.tokens["8"].link) is None


@settings(max_examples=150, deadline=None)
@given(
    name=st.sampled_from([name for name in MEMBERS if name != "document"]),
    field=st.sampled_from(["args", "meta", "cause", "iat", "exp", "prf", "sub", "cmd", "nonce"]),
    value=anything,
    asked=st.none() | links,
)
def test_a_member_signed_by_its_own_issuer_may_say_anything(name, field, value, asked):
    """Whoever may sign may write what it likes into a token: the verdict is about that, and no exception."""
    _, body = decode(MEMBERS[name])
    tag = next(key for key in body if key != "h")
    payload = {**body[tag], field: value}
    changed = forge(SIGNERS[payload["iss"]], tag, payload)
    judged({**MEMBERS, name: changed}.values(), asked)


@settings(max_examples=150, deadline=None)
@given(args=anything, meta=st.dictionaries(names, anything, max_size=3))
def test_a_service_s_word_may_say_anything(args, meta):
    """Also the args of 13s as a whole, and the meta of a receipt."""
    _, body = decode(MEMBERS["13s.b"])
    word = forge(SIGNERS[WORLD.worker.did], "ucan/inv@1.0.0", {**body["ucan/inv@1.0.0"], "args": args})
    _, body = decode(MEMBERS["13r.b"])
    receipt = forge(SIGNERS[WORLD.worker.did], "ucan/inv@1.0.0", {**body["ucan/inv@1.0.0"], "meta": meta})

    judged([*MEMBERS.values(), word, receipt])


@settings(max_examples=100, deadline=None)
@given(name=st.sampled_from([*MEMBERS]), place=st.integers(0, 4000), byte=st.integers(1, 255))
def test_any_changed_byte_is_noticed(name, place, byte):
    """No byte of any member can be changed without the bundle's failing."""
    data = bytearray(MEMBERS[name])
    data[place % len(data)] ^= byte

    assert judged({**MEMBERS, name: bytes(data)}.values()) is not None


@settings(max_examples=60, deadline=None)
@given(document=anything)
def test_a_document_may_be_anything(document):
    """A block in the job's place is none."""
    assert judged({**MEMBERS, "document": encode(document)}.values()) is not None


@pytest.mark.parametrize("count", [1, 2, 3])
def test_bundles_in_one_are_judged_each_for_itself(count):
    """Several jobs' receipts may travel together."""
    worlds = [World({f"n{index}": task(index)}) for index in range(count)]
    data = Container.of(member for world in worlds for member in world.members(label="z").values()).write()

    report = verify(data, REGISTRY)

    assert report.flaw is None, report.flaw
    assert len(report.findings) == count

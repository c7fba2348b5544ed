"""Bundles with anything beneath a receipt: verification says something of each, and never fails over one."""

from __future__ import annotations

from bundles import REGISTRY
from further_bundles import FURTHER, VALUES, Nested
from hypothesis import given, settings
from hypothesis import strategies as st

from ipvm_queue.ipld import DAG_CBOR, Link
from ipvm_queue.queue.bundle import verify

GOOD = Nested()
LINKS = [Link.of(data, DAG_CBOR) for data in GOOD.members().values()]

links = st.sampled_from(LINKS)
scalars = st.none() | st.booleans() | st.integers(-9, 9) | st.binary(max_size=4) | st.text(max_size=4) | links
labels = st.sampled_from(["b", "c", "ok", "error", "code", "failed"])
anything = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(labels, inner, max_size=3), max_leaves=8
)


@settings(max_examples=60, deadline=None)
@given(inv=links, receipts=st.lists(anything, max_size=4))
def test_anything_may_be_named_beneath(inv, receipts):
    """A receipt may name what it likes: it holds with the receipts that belong there, and with no fewer."""
    report = verify(Nested(names={"inv": inv, "receipts": receipts}).bundle(), REGISTRY)

    owed = {each.link for each in GOOD.below.receipts.values()}
    if inv == GOOD.below.tokens["8"].link and owed <= {each for each in receipts if isinstance(each, Link)}:
        return  # whatever else it names holds by itself, or does not
    assert report.flaw is not None


@settings(max_examples=60, deadline=None)
@given(out=st.dictionaries(st.sampled_from(["ok", "error"]), anything, max_size=2))
def test_a_result_may_say_anything(out):
    """What a worker says is `ok` is what stands beneath it, or does not hold."""
    report = verify(Nested(out=out).bundle(), REGISTRY)

    assert report.flaw is not None or out.keys() == {"error"} or out == {"ok": VALUES}


@settings(max_examples=60, deadline=None)
@given(value=anything)
def test_a_further_job_may_be_asked_for_with_anything(value):
    """The job that a task asks for is a document of that kind, or the receipt does not hold."""
    asks = {**FURTHER, "b": {**FURTHER["b"], "input": value}}
    try:
        nested = Nested(asks=asks)
    except (TypeError, ValueError):  # no JSON
        return
    assert verify(nested.bundle(), REGISTRY).flaw is not None or value == [1]

"""Workers whose clocks differ from the gate's: by less than a minute nothing comes of it, by more they do not work."""

from __future__ import annotations

import pytest
from bundles import REGISTRY
from modules import numbers, salt
from stack import Stack

from ipvm_queue.ipld import Link
from ipvm_queue.queue.bundle import verify
from ipvm_queue.store import Keys

pytestmark = pytest.mark.integration

KEYS = Keys("tests")


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    """Return a queue without workers."""
    stack = Stack(tmp_path_factory.mktemp("clocks"))
    try:
        stack.start_valkey()
        yield stack
    finally:
        stack.stop()


@pytest.mark.parametrize("skew", [-45.0, 45.0])
def test_clocks_may_differ_by_less_than_a_minute(stack, skew):
    """Every token is taken a minute around its time: a worker that is a little early or late works, and is believed."""
    stack.start_worker("w", "-P", "solo", skew=skew)
    with stack.client() as client:
        client.blocks.put(numbers())
        job = {"type": "wasm/1.0", "with": Link.of(numbers()), "func": "add", "input": [salt(), 1]}
        done = client.submit({"a": job}).wait(60)

        assert done.status == "ok", done.reason
        assert verify(client.bundle([done["a"].receipt]), REGISTRY).holds
        assert set(stack.redis.hkeys(KEYS.workers)) == {b"gate@tests", b"w@tests"}
    stack.groups.pop("w").stop(30)


@pytest.mark.parametrize(
    ("skew", "reason"), [(-900.0, "Expired"), (900.0, "over before it begins")], ids=["behind", "ahead"]
)
def test_a_worker_whose_clock_is_wrong_does_not_work(stack, skew, reason):
    """Its pop is over when it comes, or its lease when it is given: it says so, once, and ends."""
    group = stack.start_worker("wrong", "-P", "solo", ready=False, skew=skew)

    assert group.process.wait(60) == 77
    (line,) = stack.told("wrong", "hands this worker nothing")
    assert reason in line
    assert stack.redis.hkeys(KEYS.workers) == [b"gate@tests"]
    stack.groups.pop("wrong").stop(0)

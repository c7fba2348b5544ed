"""Who is there."""

from __future__ import annotations

from time import time

from ipvm_queue.ipld import encode
from ipvm_queue.store import Keys, Registry, Worker, connect


def test_slots_add_up_over_live_workers(stack):
    """Scripts see how many processes consume a queue; who has not spoken lately is forgotten."""
    keys = Keys("registry")
    registry = Registry(connect(stack.url), keys)
    old = Worker("old@a", "did:key:o", ["q"], 9, time() - 60)
    stack.redis.hset(keys.workers, old.name, encode(list(old)))
    for name, queues, slots in (("one@a", ["q"], 2), ("two@b", ["q", "r"], 3)):
        registry.beat(Worker(name, "did:key:w", queues, slots))

    assert [worker.name for worker in registry.workers()] == ["one@a", "two@b"]
    assert not stack.redis.hexists(keys.workers, old.name)
    assert stack.redis.get(keys.slots("q")) == b"5"
    assert stack.redis.get(keys.slots("r")) == b"3"

    registry.leave("two@b")

    assert [worker.name for worker in registry.workers()] == ["one@a"]


def test_the_gate_says_whose_the_queue_is(stack):
    """A queue has the DID that its gate has said last; before that, none."""
    registry = Registry(connect(stack.url), Keys("subject"))

    assert registry.queue() is None
    registry.establish("did:key:first")
    assert registry.queue() == "did:key:first"


def test_workers_are_heard_by_whose_clock_is_wrong(stack, monkeypatch):
    """A worker has spoken by the broker's time, and is there by the broker's time."""
    keys = Keys("registry-clock")
    registry = Registry(connect(stack.url), keys)
    registry.beat(Worker("w1", "did:key:z", ["q"], 1))
    monkeypatch.setattr("ipvm_queue.store.registry.time", lambda: 4_000_000_000.0, raising=False)

    assert [worker.name for worker in registry.workers()] == ["w1"]

"""What a sweep repairs, and what it leaves alone: messages that wait are not lost."""

from __future__ import annotations

import time

import pytest
from openings import PLAN, opening

from ipvm_queue.plan.canvas import message
from ipvm_queue.store import Keys, NewRun, RedisRuns, connect
from ipvm_queue.store import runs as module

pytestmark = pytest.mark.integration
KEYS = Keys("sweeps")
PATIENCE = 0.02  # seconds; a list that is not empty is given ten times as much


@pytest.fixture
def runs(stack, monkeypatch):
    """Give runs on a queue of their own that count as standing still after a moment."""
    monkeypatch.setattr(module, "_STANDSTILL_MS", int(PATIENCE * 1000))
    broker = connect(stack.url)
    yield RedisRuns(broker, KEYS, lease=60, receipt_lifetime=None)
    broker.delete(*broker.keys(f"{KEYS.prefix}*"))
    broker.close()


@pytest.fixture
def sweep(runs, stack):
    """Return a function that sweeps once, after a time."""

    def swept(after):
        time.sleep(after)
        stack.redis.delete(KEYS.sweep)
        runs.sweep()

    return swept


def waiting(stack, name="q"):
    """Return how many messages are in a list."""
    return stack.redis.llen(KEYS.list(name))


def test_messages_that_nobody_takes_are_not_published_again_and_again(runs, sweep, stack):
    """A run that stands still in a long list is given twice the time with each repair: what is added stays little."""
    for number in range(20):
        runs.open(NewRun(f"run{number}", opening(), 60))

    sweep(PATIENCE)
    assert waiting(stack) == 20  # they have only just come
    began = time.monotonic()
    while time.monotonic() - began < 60 * PATIENCE:
        sweep(PATIENCE)

    assert 20 < waiting(stack) <= 4 * 20


def test_a_lost_message_is_published_again(runs, sweep, stack):
    """At once where the list is empty, later where others are in it."""
    runs.open(NewRun("run", opening(), 60))
    stack.redis.delete(KEYS.list("q"))
    sweep(2 * PATIENCE)
    assert waiting(stack) == 1

    stack.redis.delete(KEYS.list("q"))
    stack.redis.lpush(KEYS.list("q"), "another's")
    sweep(PATIENCE)
    assert waiting(stack) == 1
    sweep(11 * PATIENCE)
    assert waiting(stack) == 2


def test_one_queue_s_work_does_not_hide_what_another_has_lost(runs, sweep, stack):
    """A run that goes on with its Wasm has the lost message of its effect published again."""
    messages = {name: message(name, PLAN, 1.0) for name in ("q", "r")}
    runs.open(NewRun("run", opening(40, messages=messages, ready={0: range(39), 1: [39]}), 60))
    stack.redis.delete(KEYS.list("r"))

    for number in range(4):
        time.sleep(PATIENCE)
        assert runs.begin("run", "me/1", "q", 1, number).nodes
    sweep(0)

    assert waiting(stack, "r") == 1


def test_a_plan_stays_for_a_run_that_goes_on(runs, sweep, stack):
    """Two runs of one plan: when the first is over its blocks get a lifetime, and the second keeps them."""
    for run in ("one", "two"):
        runs.open(NewRun(run, opening(), 60, {PLAN: b"plan"}))
    runs.cancel("one", "enough")
    assert stack.redis.pttl(KEYS.block(PLAN)) > 0

    sweep(0)

    assert stack.redis.pttl(KEYS.block(PLAN)) == -1
    runs.cancel("two", "enough")
    sweep(0)
    assert stack.redis.pttl(KEYS.block(PLAN)) > 0


def test_a_withdrawn_run_keeps_what_it_is_opened_again_with(runs, stack):
    """Its header, its records, its blocks and its papers stay; what was going on is gone, and nothing of it settles."""
    new = NewRun("run", opening(2, handed={PLAN: b"hand-out"}), 60, {PLAN: b"plan"})
    runs.open(new)
    assert runs.begin("run", "me/1", "q", 1, 0).nodes == [(0, 0)]

    runs.withdraw("run")

    kept = sorted(key.decode().rpartition("run:run")[2] for key in stack.redis.keys(f"{KEYS.run('run')}*"))
    assert kept == ["", ":blocks", ":handed"]
    assert runs.header("run").status == "cancelled"
    assert runs.begin("run", "me/1", "q", 1, 0).nodes == []
    assert runs.open(new)
    assert runs.begin("run", "me/1", "q", 1, 0).nodes == [(0, 0)]

"""Runs lapse, each with all that it had; that they were is forgotten by the sweep, a part of them at a time."""

from __future__ import annotations

import pytest
from openings import opening

from ipvm_queue.store import Keys, NewRun, RedisRuns, connect

pytestmark = pytest.mark.integration

KEYS = Keys("remembered")


@pytest.fixture
def redis(stack):
    """Return a connection; nothing is left on the queue afterwards."""
    broker = connect(stack.url)
    yield broker
    broker.delete(*broker.keys(f"{KEYS.prefix}*"))
    broker.close()


def test_what_has_lapsed_is_forgotten_by_and_by(redis):
    """Reading the list changes nothing; sweeps take out what has lapsed, a hundred at most, and keep the rest."""
    runs = RedisRuns(redis, KEYS, lease=1.0, receipt_lifetime=None)
    kept = {f"{number:03}" for number in range(0, 250, 5)}
    for run in kept:
        runs.open(NewRun(run, opening(), 60))
    redis.zadd(KEYS.runs, {f"{number:03}": number for number in range(250)})
    redis.delete(KEYS.run("245"))

    assert {header.run for header in runs.recent(1000)} == kept - {"245"}
    counts = [redis.zcard(KEYS.runs)]
    while counts[-1] > len(kept) - 1:
        redis.delete(KEYS.sweep)
        runs.sweep()
        counts.append(redis.zcard(KEYS.runs))

    assert counts == [250, 170, 90, 49]
    assert {name.decode() for name in redis.zrange(KEYS.runs, 0, -1)} == kept - {"245"}

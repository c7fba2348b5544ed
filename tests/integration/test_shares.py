"""How many nodes a process is handed at a time: its share of what is ready, but not the last ones one by one."""

from __future__ import annotations

import pytest
from openings import opening

from ipvm_queue.store import Keys, NewRun, RedisRuns, connect

pytestmark = pytest.mark.integration

KEYS = Keys("shares")
READY, SLOTS = 40, 4


@pytest.fixture
def runs(stack):
    """Give runs on a queue of the test's own, which four processes consume, with one of forty ready nodes open."""
    broker = connect(stack.url)
    store = RedisRuns(broker, KEYS, lease=10.0, receipt_lifetime=None)
    broker.set(KEYS.slots("q"), SLOTS)
    store.open(NewRun("run", opening(READY), 60))
    yield store
    broker.delete(*broker.keys(f"{KEYS.prefix}*"))
    broker.close()


def handed(runs, want):
    """Return how many nodes each of those who come gets, until none is left."""
    counts = []
    while not counts or counts[-1]:
        counts.append(len(runs.begin("run", f"p/{len(counts)}", "q", want, 0).nodes))
    return counts[:-1]


def test_small_nodes_go_by_shares_that_do_not_become_tiny(runs):
    """Whoever runs 128 of them between two settlements gets a quarter of what is ready, and at least eight."""
    assert handed(runs, 128) == [10, 8, 8, 8, 6]


def test_large_nodes_go_one_by_one(runs):
    """Whoever wants one gets one, however many are ready."""
    assert handed(runs, 1) == [1] * READY


def test_what_a_crash_has_spoiled_goes_one_by_one(runs):
    """Once a guest has killed its worker, each who comes is told so and gets one node: the guilty one is found."""
    first = runs.begin("run", "p/0", "q", 128, 0)
    assert (first.careful, len(first.nodes)) == (False, 10)
    runs.abandon("run", "p/0", crashed=True)

    for number in range(READY):
        grant = runs.begin("run", f"p/{number + 1}", "q", 128, number)
        assert (grant.careful, len(grant.nodes)) == (True, 1)

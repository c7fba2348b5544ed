"""What a worker may still do with a node whose lease it has lost: nothing that others notice."""

from __future__ import annotations

import time

import pytest
from openings import opening

from ipvm_queue.ipld import DAG_CBOR, Link
from ipvm_queue.store import Ask, Keys, NewRun, Record, RedisRuns, Settlement, connect

pytestmark = pytest.mark.integration

LEASE = 0.05
TASK = Link.of(b"task", DAG_CBOR)


@pytest.fixture
def runs(stack):
    """Give runs whose leases are short, on a queue of their own, with one of a single node open."""
    broker, keys = connect(stack.url), Keys("lost")
    store = RedisRuns(broker, keys, lease=LEASE, receipt_lifetime=None)
    store.open(NewRun("run", opening(), 1))
    yield store
    broker.delete(*broker.keys(f"{keys.prefix}*"))
    broker.close()


@pytest.mark.parametrize("mode", ["work", "await"])
def test_a_node_that_is_lost_is_not_put_aside(runs, stack, mode):
    """Asking late whether to run, or what to wait for, leaves a node where the sweep has put it."""
    assert [node for node, _ in runs.begin("run", "late/1", 0, 1, 0).nodes] == [0]
    time.sleep(1.5 * LEASE)
    runs.sweep()

    (answer,) = runs.enter("run", "late/1", 0, [Ask(0, mode, [TASK], 60.0)])

    assert answer.verdict == "wait"
    assert stack.redis.zrange("{ipvm:lost}:run:run:waiting", 0, -1) == []
    assert [node for node, _ in runs.begin("run", "next/2", 0, 1, 0).nodes] == [0]
    assert runs.enter("run", "next/2", 0, [Ask(0, "work", [TASK])])[0].verdict == "run"


def test_what_a_dead_worker_had_of_a_cancelled_run_is_let_go(runs, stack):
    """It is not ready again, and no message says that there is work."""
    assert [node for node, _ in runs.begin("run", "late/1", 0, 1, 0).nodes] == [0]
    messages = stack.redis.llen("{ipvm:lost}:q")
    runs.cancel("run", "enough")

    assert runs.abandon("run", "late/1", crashed=True) == 1

    left = [stack.redis.exists(f"{{ipvm:lost}}:run:run:{part}") for part in ("ready:0", "leases", "claims")]
    assert left == [0, 0, 0]
    assert stack.redis.llen("{ipvm:lost}:q") == messages


def test_a_node_has_the_record_that_it_had_first(runs, stack):
    """Whoever settles it again changes nothing, even with a claim to it that nobody can have any more."""
    first, second = (Record(Link.of(name, DAG_CBOR), "ok", cached=False, out=b"\xf6") for name in (b"first", b"second"))
    runs.begin("run", "me/1", 0, 1, 0)
    for record in (first, second):
        stack.redis.hset("{ipvm:lost}:run:run:claims", "0", "0|me/1")
        settled = Settlement(0, record, b"", [], reusable=True, fails=False, ahead=False, targets=[])
        runs.settle("run", "me/1", 0, [settled])

    assert runs.records("run", [0]) == [first]
    assert runs.header("run").left == 0

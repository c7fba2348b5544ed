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
    assert [node for node, _ in runs.begin("run", "late/1", "q", 1, 0).nodes] == [0]
    time.sleep(1.5 * LEASE)
    runs.sweep()

    (answer,) = runs.enter("run", "late/1", 0, [Ask(0, mode, [TASK], 60.0)])

    assert answer.verdict == "wait"
    assert stack.redis.zrange("{ipvm:lost}:run:run:waiting", 0, -1) == []
    assert [node for node, _ in runs.begin("run", "next/2", "q", 1, 0).nodes] == [0]
    assert runs.enter("run", "next/2", 0, [Ask(0, "work", [TASK])])[0].verdict == "run"


def test_what_a_dead_worker_had_of_a_cancelled_run_is_let_go(runs, stack):
    """It is not ready again, and no message says that there is work."""
    assert [node for node, _ in runs.begin("run", "late/1", "q", 1, 0).nodes] == [0]
    messages = stack.redis.llen("{ipvm:lost}:q")
    runs.cancel("run", "enough")

    assert runs.abandon("run", "late/1", crashed=True) == 1

    left = [stack.redis.exists(f"{{ipvm:lost}}:run:run:{part}") for part in ("ready:0", "leases", "claims")]
    assert left == [0, 0, 0]
    assert stack.redis.llen("{ipvm:lost}:q") == messages


def test_a_node_has_the_record_that_it_had_first(runs, stack):
    """Whoever settles it again changes nothing, even with a claim to it that nobody can have any more."""
    first, second = (Record(Link.of(name, DAG_CBOR), "ok", cached=False, out=b"\xf6") for name in (b"first", b"second"))
    runs.begin("run", "me/1", "q", 1, 0)
    for record in (first, second):
        stack.redis.hset("{ipvm:lost}:run:run:claims", "0", "0|me/1")
        settled = Settlement(0, record, b"", [], reusable=True, fails=False, ahead=False, targets=[])
        runs.settle("run", "me/1", 0, [settled])

    assert runs.records("run", [0]) == [first]
    assert runs.header("run").left == 0


def test_a_task_that_its_owner_has_let_lapse_is_another_s(runs, stack):
    """What somebody computes is theirs for a lease, and for as long as they say so and nobody else has come."""
    patient = RedisRuns(connect(stack.url), Keys("lost"), lease=60.0, receipt_lifetime=None)
    runs.open(NewRun("other", opening(), 1))
    for run, owner in (("run", "late/1"), ("other", "next/2")):
        runs.begin(run, owner, "q", 1, 0)
    ask = [Ask(0, "ahead", [TASK])]

    assert runs.enter("run", "late/1", 0, [Ask(0, "work", [TASK])])[0].verdict == "run"
    assert runs.enter("run", "late/1", 0, ask)[0].verdict == "twin"
    time.sleep(1.5 * LEASE)
    patient.renew("run", "late/1", 0, [], [TASK])
    assert runs.enter("other", "next/2", 0, ask)[0].verdict == "busy"
    runs.renew("run", "late/1", 0, [], [TASK])
    time.sleep(1.5 * LEASE)
    assert runs.enter("other", "next/2", 0, ask)[0].verdict == "run"
    runs.renew("run", "late/1", 0, [], [TASK])
    assert stack.redis.hget("{ipvm:lost}:flights", TASK.key).endswith(b"|next/2")


def test_equal_nodes_in_one_step_are_computed_once(runs, stack):
    """The first of them runs, the others are its twins; settling it frees the Task."""
    runs.open(NewRun("twins", opening(3), 1))
    runs.begin("twins", "me/1", "q", 3, 0)

    answers = runs.enter("twins", "me/1", 0, [Ask(0, "work", [TASK]), Ask(1, "ahead", [TASK]), Ask(2, "ahead", [TASK])])

    assert [answer.verdict for answer in answers] == ["run", "twin", "twin"]
    record = Record(Link.of(b"receipt", DAG_CBOR), "ok", cached=False, out=b"\xf6")
    runs.settle("twins", "me/1", 0, [Settlement(0, record, b"", [TASK], True, False, False, [])])  # noqa: FBT003
    assert stack.redis.exists("{ipvm:lost}:flights") == 0


def test_what_the_dead_were_computing_is_forgotten_by_and_by(runs, stack):
    """Sweeps take out claims to Tasks that have lapsed, whoever asks for those, and leave the others."""
    flights, hour = "{ipvm:lost}:flights", int(time.time() * 1000) + 3_600_000
    stack.redis.hset(
        flights, mapping={f"{number:080}": f"{hour if number % 9 == 0 else 1}|x/1" for number in range(900)}
    )

    for _ in range(60):
        stack.redis.delete("{ipvm:lost}:sweep")
        runs.sweep()

    assert {int(name) for name in stack.redis.hkeys(flights)} == set(range(0, 900, 9))

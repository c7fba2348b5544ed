"""Runs that come by a request, on a real server: what is remembered of it, the opening and its answer are one step."""

from __future__ import annotations

import time

import pytest
from openings import opening

from ipvm_queue.ipld import DAG_CBOR, Link
from ipvm_queue.store import ByRequest, Inbox, Keys, Known, NewRun, Opened, RedisRuns, Repeated, connect
from ipvm_queue.store.replays import WITHDRAWN

pytestmark = pytest.mark.integration
GATE, ONE, TWO = "gate@x", "a" * 32, "b" * 32
TASKS = [Link.of(b"one", DAG_CBOR), Link.of(b"two", DAG_CBOR)]
RECEIPT = Link.of(b"receipt", DAG_CBOR)


@pytest.fixture
def keys(request):
    """Return the keys of a queue of the test's own."""
    return Keys(request.node.name.replace("_", "-")[:64])


@pytest.fixture
def inbox(stack, keys):
    """Return its inbox; a gate has taken two requests from it."""
    inbox = Inbox(connect(stack.url), keys, max_bytes=1000)
    for request in (ONE, TWO):
        inbox.leave(request, b"container", {})
    assert [taken.request for taken in inbox.take(GATE, 1, 2)] == [ONE, TWO]
    return inbox


@pytest.fixture
def runs(stack, keys):
    """Return its runs."""
    return RedisRuns(connect(stack.url), keys, lease=10, receipt_lifetime=60)


def brought(request=ONE, *invocations, run="run", nodes=1, tasks=()):
    """Return a run that comes by a request with these invocations."""
    until = int(time.time()) + 60
    by = ByRequest(request, GATE, dict.fromkeys(invocations or (b"8", b"9"), until), tasks)
    return NewRun(run, opening(nodes, answer=b"let in"), 60, by=by)


def test_a_job_is_remembered_opened_and_answered_at_once(runs, inbox, stack, keys):
    """Nothing is left of the request but its answer, and what was signed is known from then on."""
    assert runs.open_all([brought()]) == [Opened(new=True, answered=True)]

    assert runs.header("run").status == "running"
    assert inbox.answer(ONE, 1) == b"let in"
    assert inbox.left_over(GATE) == [TWO.encode()]
    assert not stack.redis.exists(keys.request(ONE))
    assert all(stack.redis.get(keys.replay(each)) == ONE.encode() for each in (b"8", b"9"))


def test_what_has_come_before_is_not_opened(runs, inbox, stack, keys):
    """Of several that come together the first has it; the other is told which, and nothing of it is remembered."""
    twice = [brought(), brought(TWO, b"7", b"8", run="other")]

    assert runs.open_all(twice) == [Opened(new=True, answered=True), Repeated(b"8")]
    assert [header.run for header in runs.live()] == ["run"]
    assert not stack.redis.exists(keys.replay(b"7"))
    assert inbox.left_over(GATE) == [TWO.encode()]  # it is refused, which is an answer of its own


def test_what_was_taken_back_is_not_opened(runs, inbox, stack, keys):
    """To open is to look again, whether somebody still waits for it."""
    assert inbox.withdraw(ONE)

    assert runs.open_all([brought()]) == [Repeated(WITHDRAWN)]
    assert runs.live() == []
    assert not stack.redis.exists(keys.replay(b"8"), keys.reply(ONE))


@pytest.mark.usefixtures("inbox")
def test_what_is_known_of_its_tasks_comes_first(runs, stack, keys):
    """With a receipt that may be taken instead, a run is not opened before it starts from that; any other is none."""
    stack.redis.set(keys.receipt(TASKS[1]), b"n" + RECEIPT.bytes)
    opened = runs.open_all([brought(tasks=TASKS)])
    stack.redis.set(keys.receipt(TASKS[1]), b"c" + RECEIPT.bytes)
    (known,) = runs.open_all([brought(TWO, b"7", run="other", tasks=TASKS)])

    assert opened == [Opened(new=True, answered=True)]
    assert isinstance(known, Known)
    assert [entry and (entry.receipt, entry.reusable) for entry in known.entries] == [None, (RECEIPT, True)]
    assert [header.run for header in runs.live()] == ["run"]
    assert runs.open_all([brought(TWO, b"7", run="other")]) == [Opened(new=True, answered=True)]  # its own, still


def test_what_does_not_go_along_is_answered_when_all_of_it_is_stored(runs, inbox):
    """A large run is staged, and its answer is the gate's to give; a gate that dies before it opens nothing twice."""
    large = brought(nodes=3000)

    assert runs.open_all([large]) == [Opened(new=True, answered=False)]
    assert inbox.left_over(GATE) == [ONE.encode(), TWO.encode()]
    assert runs.open_all([large]) == [Opened(new=False, answered=False)]
    assert runs.header("run").left == 3000

"""Further runs in the store: noted once, waited for by nobody, ended with the run that they are for."""

from __future__ import annotations

import pytest
from openings import opening
from stack import Stack

from ipvm_queue.errors import LimitError
from ipvm_queue.ipld import DAG_CBOR, Link
from ipvm_queue.store import Keys, NewRun, Note, Place, RedisFurther, RedisRuns, connect
from ipvm_queue.store.further import MOST_FURTHER

pytestmark = pytest.mark.integration

LINK = Link.of(b"whatever", DAG_CBOR)
KEYS = Keys("further")
PARENT, CHILD = "a" * 16, "b" * 16
AT = Place(PARENT, 0, 0)
NOTE = Note(CHILD, LINK, LINK, LINK, 2_000_000_000)
HERE, THERE = "here/1", "there/2"


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    """Return a connection to a Valkey."""
    stack = Stack(tmp_path_factory.mktemp("further"))
    try:
        stack.start_valkey(gate=False)
        with connect(stack.url) as broker:
            yield broker
    finally:
        stack.stop()


@pytest.fixture
def runs(broker):
    """Return the store of runs with one run, of two nodes, of which `HERE` works on the first."""
    broker.flushall()
    runs = RedisRuns(broker, KEYS, lease=60, receipt_lifetime=None)
    begin(runs, PARENT)
    assert runs.begin(PARENT, HERE, "q", 1, 0).nodes == [(0, 0)]
    return runs


@pytest.fixture
def further(broker, runs):
    """Return further runs as `HERE` deals with them."""
    assert runs.header(PARENT).left == 2
    return RedisFurther(broker, KEYS, HERE)


def begin(runs, run):
    """Open a run of two nodes that wait for nothing."""
    assert runs.open(NewRun(run, opening(2), 60))


def test_the_first_note_stands(further):
    """Whoever comes to a node again, by the same key, finds what was noted first; another key has a note of its own."""
    assert further.noted(AT, "did:a") is None
    assert further.note(AT, "did:a", NOTE) == NOTE
    other = NOTE._replace(run="c" * 16)

    assert further.note(AT, "did:a", other) == NOTE
    assert further.noted(AT, "did:a") == NOTE
    assert further.note(AT, "did:b", other) == other
    assert further.noted(AT._replace(node=1), "did:a") is None


def test_only_who_works_on_a_node_notes(broker, further, runs):
    """A node that is another's, or nobody's, or of a run that is over, gets no further run."""
    assert RedisFurther(broker, KEYS, THERE).note(AT, "did:a", NOTE) is None
    assert further.note(AT._replace(node=1), "did:a", NOTE) is None
    assert further.note(AT._replace(run=CHILD), "did:a", NOTE) is None
    runs.cancel(PARENT, "enough")
    assert further.note(AT, "did:a", NOTE) is None
    assert not broker.exists(KEYS.further(CHILD))


def test_a_run_has_only_so_many(broker, further):
    """One more than a run may have is refused; those that it has stay as they are."""
    further.note(AT, "did:a", NOTE)
    broker.hset(KEYS.further(PARENT), mapping={f"{node}|x": NOTE.pack() for node in range(1, MOST_FURTHER)})

    with pytest.raises(LimitError, match="at most 1024 further runs"):
        further.note(AT, "did:b", NOTE)
    assert further.note(AT, "did:a", NOTE) == NOTE


def test_a_node_is_put_aside_until_its_further_run_is_over(broker, further, runs):
    """Nobody holds it meanwhile; the end of the further run makes it ready, and says so to the workers."""
    assert further.wait(AT, CHILD, 60) == "unknown"
    begin(runs, CHILD)
    assert further.wait(AT, CHILD, 60) == "wait"
    assert further.wait(AT, CHILD, 60) == "lost"
    assert runs.begin(PARENT, THERE, "q", 9, 0).nodes == [(1, 0)]
    broker.delete(KEYS.list("q"))

    runs.cancel(CHILD, "done")

    assert broker.llen(KEYS.list("q")) == 1
    assert runs.begin(PARENT, THERE, "q", 9, 0).nodes == [(0, 0)]
    assert RedisFurther(broker, KEYS, THERE).wait(AT, CHILD, 60) == "over"


def test_a_node_waits_no_longer_than_its_time(broker, further, runs):
    """A node whose time is up is ready again by itself, and is told that it is late."""
    begin(runs, CHILD)
    assert further.wait(AT, CHILD, 0.001) == "wait"

    def back():
        runs.sweep()
        return runs.begin(PARENT, HERE, "q", 1, 0).nodes

    while not (nodes := back()):
        broker.delete(KEYS.sweep)
    assert nodes[0][0] in (0, 1)
    assert further.wait(AT._replace(node=nodes[0][0]), CHILD, 0) == "late"


def test_what_a_run_has_asked_for_ends_with_it(broker, further, runs):
    """A run that is cancelled takes its further runs along, and they say why; what is remembered of it lapses."""
    further.note(AT, "did:a", NOTE)
    begin(runs, CHILD)
    further.wait(AT, CHILD, 60)

    runs.cancel(PARENT, "enough")

    assert runs.header(CHILD).status == "cancelled"
    assert runs.header(CHILD).reason == "the run that it was for is over"
    assert 0 < broker.ttl(KEYS.further(PARENT)) <= 60
    assert runs.live() == []


def test_a_run_that_ended_first_has_nothing_left(further, runs):
    """A further run that is let in when the one that it is for has ended already ends at once."""
    further.note(AT, "did:a", NOTE)
    runs.cancel(PARENT, "enough")
    begin(runs, CHILD)

    assert further.wait(AT, CHILD, 60) == "lost"
    assert runs.header(CHILD).status == "cancelled"


def test_a_run_that_is_opened_again_asks_again(further, runs):
    """What its tasks had asked for before is forgotten."""
    further.note(AT, "did:a", NOTE)
    runs.cancel(PARENT, "enough")

    runs.withdraw(PARENT)

    assert further.noted(AT, "did:a") is None

"""The highest number that was seen of something, kept in a real Valkey."""

from __future__ import annotations

import pytest
from stack import Stack

from ipvm_queue.store import Keys, Marks, connect

pytestmark = pytest.mark.integration
DAY = 24 * 60 * 60


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    """Return a server."""
    stack = Stack(tmp_path_factory.mktemp("marks"))
    stack.start_valkey(gate=False)
    yield stack
    stack.stop()


@pytest.fixture
def marks(stack):
    """Return the marks of an empty queue."""
    stack.redis.flushall()
    return Marks(connect(stack.url), Keys("marks"))


def left(stack):
    """Return how long the one mark has, in seconds."""
    (key,) = stack.redis.keys("{ipvm:marks}:mark:*")
    return stack.redis.pttl(key) / 1000


def now(stack):
    """Return the server's time."""
    return stack.redis.time()[0]


def test_the_highest_number_stands(marks, stack):
    """Whoever says it, in whatever order; also where numbers have 64 bits."""
    end = now(stack) + 60
    said = [5, 3, 7, 2**64 - 2, 2**64 - 1, 2**64 - 3]

    assert [marks.raised("a", number, end, now=end) for number in said] == [5, 5, 7, 2**64 - 2, 2**64 - 1, 2**64 - 1]
    assert marks.raised("b", 1, end, now=end) == 1


def test_it_stands_a_day_longer_than_the_longest_time_that_was_said(marks, stack):
    """An old record may be good for longer than a newer one, which has to be known as long."""
    marks.raised("a", 5, now(stack) + 10 * DAY, now=now(stack))
    marks.raised("a", 6, now(stack) + DAY, now=now(stack))

    assert 11 * DAY - 60 < left(stack) <= 11 * DAY + 60


def test_it_stands_for_a_year_at_most(marks, stack):
    """Whoever says that a record is good for ever costs no memory for ever."""
    marks.raised("a", 5, 2**40, now=now(stack))

    assert 360 * DAY < left(stack) <= 366 * DAY


def test_a_key_does_not_show_what_is_marked(marks, stack):
    """A name may be a secret of a job's."""
    marks.raised("ipns:canary", 5, now(stack), now=now(stack))

    assert not stack.redis.keys("*canary*")

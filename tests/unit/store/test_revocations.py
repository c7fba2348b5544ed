"""What has been revoked: read when there is more of it, and forgotten when it is over."""

from __future__ import annotations

import pytest

from ipvm_queue.ipld import cid_of
from ipvm_queue.store import Keys, Revocations, connect

ONE, TWO, THREE = map(cid_of, (1, 2, 3))


@pytest.fixture
def redis(stack):
    """Return a connection, and leave nothing behind."""
    redis = connect(stack.url)
    yield redis
    redis.delete(Keys("revocations").revoked)
    redis.close()


def test_a_reader_sees_what_was_added_while_as_much_was_forgotten(redis):
    """There are as many as before, and other ones."""
    gate, worker = (Revocations(redis, Keys("revocations")) for _ in range(2))
    assert worker.all() == frozenset()
    gate.add(ONE, 1000)
    assert worker.all() == {ONE}

    gate.forget(1001)
    gate.add(TWO, None)

    assert worker.all() == {TWO}


def test_what_is_read_is_kept_until_there_is_more(redis):
    """Nothing is read again for what was forgotten, and nothing at all where the version is told."""
    gate, worker = (Revocations(redis, Keys("revocations")) for _ in range(2))
    gate.add(ONE, 1000)
    version = redis.hget(Keys("revocations").revoked, "version")
    known = worker.all(version)

    gate.forget(1001)

    assert worker.all() is known
    assert worker.all(version) is known


def test_only_what_is_over_is_forgotten(redis):
    """What was taken back for good stays, and what could still be used."""
    revocations = Revocations(redis, Keys("revocations"))
    for link, expires in ((ONE, 999), (TWO, None), (THREE, 1000)):
        revocations.add(link, expires)

    revocations.forget(1000)

    assert Revocations(redis, Keys("revocations")).all() == {TWO, THREE}


def test_many_are_forgotten_a_part_at_a_time(redis):
    """However many there are, each look at them is a short one, and all looks together come to the end."""
    revocations = Revocations(redis, Keys("revocations"))
    redis.hset(Keys("revocations").revoked, mapping={cid_of(number).key: 1 for number in range(3000)})
    revocations.add(ONE, None)
    left = []
    while not left or left[-1] > 2:
        revocations.forget(1000)
        left.append(redis.hlen(Keys("revocations").revoked))
        assert len(left) < 100

    assert left[0] > 2000
    assert revocations.all() == {ONE}

"""What has come before, on a real server: each invocation is one request's."""

from __future__ import annotations

import time

import pytest

from ipvm_queue.store import Keys, RedisReplays, connect
from ipvm_queue.store.replays import WITHDRAWN

pytestmark = pytest.mark.integration
ONE, TWO = "a" * 32, "b" * 32


@pytest.fixture
def keys(request):
    """Return the keys of a queue of the test's own."""
    return Keys(request.node.name.replace("_", "-")[:64])


@pytest.fixture
def replays(stack, keys):
    """Return what is remembered there; two requests are in its inbox."""
    for request in (ONE, TWO):
        stack.redis.hset(keys.request(request), "c", b"x")
    return RedisReplays(connect(stack.url), keys)


def until() -> int:
    """Return in a minute, in Unix seconds."""
    return int(time.time()) + 60


def remembered(stack, keys, *invocations):
    """Return which invocations are remembered."""
    return [each for each in invocations if stack.redis.exists(keys.replay(each))]


def test_an_invocation_is_its_first_request_s(stack, keys, replays):
    """Of a request that repeats one, none is remembered; looking at the first again is no replay."""
    first = {b"8": until(), b"9": until()}

    assert replays.claim(ONE, first) is None
    assert replays.claim(TWO, {b"7": until(), b"8": until()}) == b"8"
    assert replays.claim(ONE, first) is None
    assert remembered(stack, keys, b"7", b"8", b"9") == [b"8", b"9"]


def test_a_request_that_was_taken_back_claims_nothing(stack, keys, replays):
    """A gate that had read a request before it was taken back enters nothing of it: to claim is to look again."""
    stack.redis.delete(keys.request(ONE))

    assert replays.claim(ONE, {b"8": until()}) == WITHDRAWN
    assert remembered(stack, keys, b"8") == []

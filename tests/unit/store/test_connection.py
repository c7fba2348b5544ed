"""Connections: errors that a user can read."""

from __future__ import annotations

import pytest

from ipvm_queue.errors import UnavailableError, UsageError
from ipvm_queue.store import connect, hide_password


def test_a_broker_that_is_not_there_is_said_to_be_away():
    """A refused connection is one sentence with the address, without the password."""
    redis = connect("redis://user:secret@127.0.0.1:1/0", retries=1)

    with pytest.raises(UnavailableError, match=r"no broker answers at redis://user:…@127\.0\.0\.1:1/0") as caught:
        redis.get("x")
    with pytest.raises(UnavailableError):
        redis.pipeline(transaction=False).get("x").execute()

    assert "secret" not in str(caught.value)
    redis.close()


def test_a_kept_connection_says_so_too():
    """One that connects at once has the same sentence for a broker that is away."""
    with pytest.raises(UnavailableError, match=r"no broker answers at redis://127\.0\.0\.1:1/0"):
        connect("redis://127.0.0.1:1/0", retries=0, kept=True)


@pytest.mark.integration
def test_a_kept_connection_that_breaks_is_made_again(stack):
    """All commands go over one connection; when the server ends it, the next command goes over another."""
    redis = connect(stack.url, retries=8, kept=True)
    first = redis.client_id()
    assert redis.client_id() == first

    stack.redis.client_kill_filter(_id=first)

    assert redis.client_id() != first
    redis.close()


@pytest.mark.parametrize("url", ["amqp://localhost", "unix:///run/valkey.sock"])
def test_another_kind_of_url_is_refused(url):
    """Only Redis is spoken, over TCP, as the settings say."""
    with pytest.raises(UsageError, match="not a Redis URL"):
        connect(url)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://h:1/0", "redis://h:1/0"),
        ("redis://:p@h:1/0", "redis://:…@h:1/0"),
        ("redis://u:p@h/0", "redis://u:…@h/0"),
    ],
)
def test_passwords_are_hidden(url, shown):
    """What is shown of a URL has no password."""
    assert hide_password(url) == shown


def test_what_was_to_be_stored_is_not_in_an_error(stack):
    """redis-py says the whole command that failed in a pipeline; its arguments may be secret, and need not be text."""
    pipeline = connect(stack.url).pipeline(transaction=True)
    pipeline.set("a list", "x")
    pipeline.lpush("a list", b"\xffhidden\n(")

    with pytest.raises(UnavailableError) as raised:
        pipeline.execute()

    assert "hidden" not in raised.value.message
    assert "WRONGTYPE" in raised.value.message

"""What is no request, in the inbox of a real gate: anybody may write it there, and it costs the others nothing."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.integration


def rubbish(count):
    """Return ids that are none: no text, of the right length and not."""
    shapes = (b"\xff" * 28 + b"%04x", b"\xfe\xff%x", b"F" * 28 + b"%04x", b"%040x", b"\0%031x")
    return [shapes[number % len(shapes)] % number for number in range(count)]


@pytest.mark.parametrize("where", ["inbox", "taken"])
def test_what_is_no_id_is_gone_at_once(parties, where):
    """Thousands of ids that are none, left now or taken by the gate long ago, hold nobody up and do not stay."""
    redis, keys = parties.stack.redis, parties.keys
    taken = keys.at("gate@tests")
    redis.lpush({"inbox": keys.inbox, "taken": taken}[where], *rubbish(5000))

    name = parties.leave(parties.push())

    assert parties.stack.wait_for(lambda: redis.exists(keys.reply(name)), patience=10)
    assert "ok" in parties.answer(name).out
    assert parties.stack.wait_for(lambda: redis.llen(keys.inbox) == redis.llen(taken) == 0, patience=10)

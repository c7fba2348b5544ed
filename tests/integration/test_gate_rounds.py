"""Many requests that a gate finds at once: each has its own answer, as if they had come one by one."""

from __future__ import annotations

from secrets import token_hex

import pytest
from gates import HOUR, Parties, Request, cid, delegation, invocation
from stack import Stack

from ipvm_queue.ucan import read

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def parties(tmp_path_factory):
    """Return those who stand before a gate."""
    stack = Stack(tmp_path_factory.mktemp("gate"), pop_lease=float(HOUR))
    try:
        stack.start_valkey()
        yield Parties(stack)
    finally:
        stack.stop()


def ask_at_once(parties, requests):
    """Leave requests in the inbox in one step; return their answers in order."""
    redis, names = parties.stack.redis, [token_hex(16) for _ in requests]
    pipeline = redis.pipeline(transaction=True)
    for name, request in zip(names, requests, strict=True):
        blocks = {link.key: data for link, data in request.blocks.items()}
        pipeline.hset(parties.keys.request(name), mapping={"c": request.container(), **blocks})
        pipeline.lpush(parties.keys.inbox, name)
    pipeline.execute()
    return [read(redis.blpop([parties.keys.reply(name)], 30)[1]).out for name in names]


def test_each_of_many_has_its_own_answer(parties):
    """Good jobs run, a bad one and one that comes twice are refused, and none of them for another."""
    good = [parties.push() for _ in range(20)]
    bad = parties.push(flip="nine")
    nonsense = Request({}, raw=b"no container")

    answers = ask_at_once(parties, [*good[:10], bad, good[0], nonsense, *good[10:]])

    rules = [answer.get("error", {}).get("rule") for answer in answers]
    assert rules[10:13] == ["InvalidSignature", "Replay", "Malformed"]
    assert rules[:10] + rules[13:] == [None] * 20
    assert len({answer["ok"]["run"] for answer in answers if "ok" in answer}) == 20
    assert parties.stack.redis.keys(f"{parties.keys.prefix}inbox:*") == []


def test_what_is_revoked_among_them_holds_for_those_after_it(parties):
    """A revocation between pushes that stand on the same delegation: those in front run, those behind do not."""
    work = delegation(parties.service, parties.user.did, parties.service.did, "/")
    pushes = [parties.push(work=work) for _ in range(6)]
    witness = {"revoked": work}
    asked = invocation(
        parties.service, parties.service.did, "/ucan/revoke", {"revoke": cid(work)}, [], nonce=b"", exp=None
    )

    answers = ask_at_once(parties, [*pushes[:3], Request({"asked": asked, **witness}), *pushes[3:]])

    assert sorted(answers[3]["ok"]["runs"]) == sorted(answer["ok"]["run"] for answer in answers[:3])
    assert [answer["error"]["rule"] for answer in answers[4:]] == ["Revoked"] * 3


def test_two_gates_let_in_once_what_comes_twice(parties):
    """Whichever of several gates a copy comes to, one of the two is run and the other is a replay."""
    parties.stack.start_gate("second")
    try:
        pushes = [parties.push() for _ in range(30)]

        answers = ask_at_once(parties, [each for push in pushes for each in (push, push)])
    finally:
        parties.stack.groups.pop("second").stop(30)

    pairs = zip(answers[::2], answers[1::2], strict=True)
    rules = [sorted(answer.get("error", {}).get("rule", "ok") for answer in pair) for pair in pairs]
    assert rules == [["Replay", "ok"]] * 30

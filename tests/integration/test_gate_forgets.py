"""What a real gate remembers of revocations: whose, and for how long. Who is a stranger has it remember nothing."""

from __future__ import annotations

import pytest
from gates import HOUR, cid, delegation, now
from test_gate_revoke import revocation

from ipvm_queue.ipld import Link
from ipvm_queue.store import Revocations

pytestmark = pytest.mark.integration
PUSH = "/queue/push"


def again(parties, **changes):
    """Return a new 1 passed on: the service lets the user push."""
    return delegation(parties.service, parties.user.did, parties.queue.did, PUSH, **changes)


def further(parties, subject=..., **changes):
    """Return what the user passes on in turn, to another."""
    subject = parties.queue.did if subject is ... else subject
    return delegation(parties.user, parties.other.did, subject, PUSH, **changes)


def own(p, subject, **changes):
    """Return the revocation of a delegation that Mallory has made up."""
    return revocation(p.mallory, delegation(p.mallory, p.other.did, subject, PUSH, **changes))


def on_a_path(p, *path, subject=...):
    """Return the same, with a path to it."""
    made = delegation(p.mallory, p.other.did, p.queue.did if subject is ... else subject, PUSH)
    return revocation(p.mallory, made, *path, made)


STRANGERS = {
    "about oneself": lambda p: own(p, p.mallory.did),
    "about oneself, lapsed": lambda p: own(p, p.mallory.did, exp=1),
    "about oneself, for ever": lambda p: own(p, p.mallory.did, exp=None),
    "about the queue": lambda p: own(p, p.queue.did),
    "about the service": lambda p: own(p, p.service.did),
    "about anything": lambda p: own(p, None),
    "behind another's": lambda p: on_a_path(p, p.one, again(p)),
    "behind one's own": lambda p: on_a_path(p, delegation(p.mallory, p.mallory.did, p.mallory.did, "/"), subject=None),
    "behind a forged one": lambda p: on_a_path(p, delegation(p.mallory, p.mallory.did, p.queue.did, PUSH)),
    "behind what is for anybody": lambda p: on_a_path(p, delegation(p.service, p.mallory.did, None, PUSH)),
}


@pytest.mark.parametrize("name", STRANGERS)
def test_who_has_nothing_takes_nothing_back(parties, name):
    """What hangs on nothing of this queue, nor of a service that it serves, is refused and not remembered."""
    parties.refuses(STRANGERS[name](parties), "InvalidClaim", "InvalidAudience", "InvalidSubject")


@pytest.mark.parametrize("subject", [..., None], ids=["about the queue", "powerline"])
def test_who_was_let_in_takes_back_what_they_passed_on(parties, subject):
    """With the path from the queue to it; a powerline is about whatever that is about. Twice does no harm."""
    before = again(parties)
    mine = further(parties, subject)
    path = [parties.one, before, mine]
    push = {"by": parties.other, "again": before, "nine": {"proofs": path}}
    first, second = parties.push(**push), parties.push(**push)
    first.members["mine"] = second.members["mine"] = mine
    assert "ok" in parties.ask(first)
    parties.refuses(revocation(parties.user, mine), "InvalidClaim")

    for _ in range(2):
        assert parties.ask(revocation(parties.user, mine, *path))["ok"]["revoked"] == cid(mine)

    assert parties.refuses(second, "Revoked")["token"] == str(cid(mine))
    assert int(parties.stack.redis.hget(parties.keys.revoked, cid(mine).key)) > now()


def test_what_nobody_can_use_is_not_taken_back(parties):
    """It has lapsed, or what it hangs on has, or that has been taken back itself: the answer says which."""
    lapsed = further(parties, exp=now() - HOUR)
    error = parties.refuses(revocation(parties.user, lapsed, parties.one, again(parties), lapsed), "Expired")
    assert error["token"] == str(cid(lapsed))
    assert error["message"].startswith("nobody can use it any more")
    over, mine = again(parties, exp=now() - HOUR), further(parties)
    error = parties.refuses(revocation(parties.user, mine, parties.one, over, mine), "Expired")
    assert error["token"] == str(cid(over))
    gone = again(parties)
    assert "ok" in parties.ask(revocation(parties.service, gone))
    error = parties.refuses(revocation(parties.user, mine, parties.one, gone, mine), "Revoked")
    assert error["token"] == str(cid(gone))


@pytest.mark.parametrize("who", ["queue", "service"])
def test_the_queue_and_its_services_take_back_for_good(parties, who):
    """Also what has lapsed, for old receipts hang on it; only others' revocations are forgotten, each in its time."""
    signer, redis, key = getattr(parties, who), parties.stack.redis, parties.keys.revoked
    lapsed = delegation(signer, parties.other.did, signer.did, "/", exp=now() - HOUR)
    over, later = Link.of(b"over" + who.encode()), Link.of(b"later" + who.encode())
    revocations = Revocations(redis, parties.keys)
    assert parties.ask(revocation(signer, lapsed))["ok"]["revoked"] == cid(lapsed)
    revocations.add(later, now() + HOUR)
    revocations.add(over, now() - HOUR)

    parties.stack.wait_for(lambda: not redis.hexists(key, over.key))

    assert redis.hmget(key, cid(lapsed).key, later.key)[0] == b""
    assert redis.hexists(key, later.key)

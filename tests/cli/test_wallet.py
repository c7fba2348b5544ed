"""`ipvm ucan mint` and `exchange`: JWTs for older wallets, and what a gate gives for them."""

from __future__ import annotations

from pathlib import Path

import pytest

from ipvm_queue.ucan import Container, Delegation
from ipvm_queue.ucan.jwt import Jwt

integration = pytest.mark.integration


def test_a_jwt_is_minted_passed_on_and_shown(call, write):
    """With the queue's key; what comes from it names it as its proof."""
    queue, alice, bob = (call("ipvm", "key", "new", f"{name}.pem").out.strip() for name in ("queue", "alice", "bob"))
    one = call("ipvm", "ucan", "mint", alice, "--key", "queue.pem", "--days", "1")
    write("one.jwt", one.out)
    two = call(
        "ipvm", "ucan", "mint", bob, "--key", "alice.pem", "--queue", queue, "--proof", "one.jwt", "--days", "0.5"
    )

    read = Jwt.parse(two.out.strip())
    assert (one.code, two.code) == (0, 0)
    assert (read.iss, read.aud, read.prf) == (alice, bob, (one.out.strip(),))
    assert read.att == ((f"queue:{queue}", "queue/push"),)
    assert 'jwt (UCAN "0.8.1")' in call("ipvm", "ucan", "inspect", two.out.strip()).out


def test_what_cannot_be_minted_says_why(call):
    """A key that is not there, an audience that older wallets do not know, a proof that is no JWT: bad usage, each."""
    did = call("ipvm", "key", "new", "queue.pem").out.strip()

    assert call("ipvm", "ucan", "mint", did, "--key", "none.pem").code == 2
    assert call("ipvm", "ucan", "mint", f"{did}#key", "--key", "queue.pem").code == 2
    nothing = call("ipvm", "ucan", "mint", did, "--key", "queue.pem", "--proof", "none.jwt")
    assert "cannot read the JWT none.jwt: No such file or directory\n" in nothing.err


@pytest.mark.parametrize("who", [["alice"], ["DID", "--queue", "foo"]])
def test_a_jwt_is_minted_for_dids_alone(call, who):
    """Whom it is for and the queue that it is about are DIDs; for anything else it would be good for nothing."""
    did = call("ipvm", "key", "new", "queue.pem").out.strip()

    minted = call("ipvm", "ucan", "mint", *(did if each == "DID" else each for each in who), "--key", "queue.pem")

    assert (minted.code, minted.out) == (2, "")
    assert f"not a DID that can be used here: '{who[-1]}'" in minted.err


@pytest.mark.parametrize("days", ["nan", "inf", "1e300"])
def test_a_jwt_ends_some_day(call, days):
    """A lifetime that no calendar has is bad usage."""
    did = call("ipvm", "key", "new", "queue.pem").out.strip()

    assert call("ipvm", "ucan", "mint", did, "--key", "queue.pem", "--days", days).code == 2


def test_what_is_no_jwt_is_not_brought_to_the_gate(call, write):
    """A file that holds something else is named, and nobody is asked."""
    write("job.json", {})

    answer = call("ipvm", "ucan", "exchange", "job.json", "--broker", "redis://127.0.0.1:1/0")

    assert answer.code == 2
    assert "job.json cannot be exchanged" in answer.err


@integration
@pytest.mark.usefixtures("up")
def test_a_jwt_is_exchanged_at_the_gate(call, stack):
    """By the one whom it is for; what is given is kept among the proofs. By another it is refused, with the rule."""
    did = call("ipvm", "key", "new", "wallet.pem").out.strip()
    assert call("ipvm", "run", "list").code == 0  # by then the stack has its keys
    jwt = call("ipvm", "ucan", "mint", did, "--key", stack["IPVM_QUEUE_KEY"]).out.strip()
    refused = call("ipvm", "ucan", "exchange", jwt, "--json")
    given = call("ipvm", "ucan", "exchange", jwt, "--key", "wallet.pem", "--json")

    assert (refused.code, refused.json["error"]["rule"]) == (3, "InvalidAudience")
    assert (given.code, given.json["aud"]) == (0, did)
    tokens = Container.read(Path(stack["IPVM_PROOFS"]).read_bytes()).tokens
    assert did in {Delegation.parse(token).aud for token in tokens.values()}

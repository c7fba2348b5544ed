"""`ipvm delegate` and `ipvm revoke`: what an operator makes by hand."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from principals import principal

from ipvm_queue.crypto import save_signer
from ipvm_queue.ipld import cid_of
from ipvm_queue.queue import Proofs
from ipvm_queue.ucan import Command, Container, Delegation, Invocation, Validator, read_revocation
from ipvm_queue.ucan.meter import Meter

Q, S, W, U, MALLORY = map(principal, ("queue", "service", "worker", "user", "mallory"))


@pytest.fixture
def keys(home):
    """Return the folder with everybody's key."""
    for name, signer in {"queue": Q, "service": S, "worker": W, "user": U, "mallory": MALLORY}.items():
        save_signer(signer, home / f"{name}.pem")
    return home


@pytest.fixture
def delegate(call, keys):
    """Return a function that delegates with somebody's key into somebody's container."""

    def run(issuer, audience, *options, proof=None, output="out"):
        files = ["--proof", str(keys / f"{proof}.ucan")] if proof else []
        into = ["-o", str(keys / f"{output}.ucan")] if output else []
        key = ["--key", str(keys / f"{issuer}.pem")]
        return call("ipvm", "delegate", audience.did, *key, *files, *into, *options, "--json")

    return run


def proofs(keys, name="out"):
    """Return what stands in a container."""
    return Proofs.load([keys / f"{name}.ucan"])


def test_a_queue_is_set_up_by_hand(delegate, keys):
    """The delegations 1 to 7 lead where they have to, each container with all that its owner needs."""
    delegate("service", Q, "--sign", output="queue")
    delegate("queue", W, "--pop", "--sign", proof="queue", output="worker")
    delegate("queue", S, "--push", output="service")
    done = delegate("service", U, "--push", "--run", proof="service", output="user")

    now = int(time.time())
    assert len(proofs(keys, "worker").chain(S.did, W.did, "/ucan/proxy/sign", now=now)) == 2
    assert len(proofs(keys, "worker").chain(Q.did, W.did, "/queue/pop", now=now)) == 1
    assert len(proofs(keys, "user").chain(Q.did, U.did, "/queue/push", now=now)) == 2
    assert len(proofs(keys, "user").chain(S.did, U.did, "/wasm/run", now=now)) == 1
    assert [each["cmd"] for each in done.json["delegations"]] == ["/queue/push", "/"]
    assert [each["sub"] for each in done.json["delegations"]] == [Q.did, S.did]
    assert all(each["exp"] - now in range(89 * 86400, 91 * 86400) for each in done.json["delegations"])
    assert (keys / "user.ucan").stat().st_mode & 0o077 == 0


def test_terms_are_as_they_are_given(delegate, keys):
    """Command, subject, policy and end stand in the delegation."""
    until = int(time.time()) + 60
    options = ["--command", "/crud/read", "--policy", '[["like", ".uri", "dns:*"]]', "--until", str(until)]
    delegate("service", U, *options)

    (made,) = proofs(keys).delegations
    assert (made.sub, made.cmd, made.exp) == (S.did, Command.parse("/crud/read"), until)
    assert made.pol.judge({"uri": "http:x"}, Meter(promises=False)) is False
    assert delegate("service", U, "--run", "--powerline", "--forever", output="power").code == 0
    (line,) = proofs(keys, "power").delegations
    assert (line.sub, line.exp) == (None, None)


def test_a_container_keeps_what_it_holds(delegate, keys):
    """A file that is there gets the new delegations beside the others; without a file they are printed."""
    delegate("service", U, "--run")
    delegate("service", U, "--command", "/msg/send")

    assert {str(each.cmd) for each in proofs(keys).delegations} == {"/", "/msg/send"}
    printed = delegate("service", U, "--run", output=None)
    assert len(Container.read(printed.json["container"].encode()).tokens) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "what may they do"),
        (["--run", "--powerline", "--subject", S.did], "powerline"),
        (["--run", "--until", "99999999999", "--forever"], "two answers"),
        (["--run", "--days", "3", "--forever"], "two answers"),
        (["--run", "--days", "3", "--until", "99999999999"], "two answers"),
        (["--run", "--until", "-5"], "over before it begins"),
        (["--run", "--until", "1000"], "over before it begins"),
        (["--run", "--until", "99999999999999999999999"], "--until"),
        (["--run", "--days", "nan"], "'nan' is not a number"),
        (["--run", "--days", "inf"], "--days"),
        (["--run", "--days", "1e300"], "--days"),
        (["--run", "--days", "1e-9"], "over before it begins"),
        (["--run", "--policy", "{"], "no JSON"),
        (["--run", "--policy", "{}"], "list of statements"),
        (["--run", "--policy", '[["≈", ".x", 1]]'], "cannot be delegated"),
        (["--command", "crud"], "slash"),
        (["--push", "--subject", Q.did], "may not pass /queue/push"),
    ],
)
def test_what_cannot_be_delegated_is_refused(delegate, keys, options, message):
    """Nothing is written that would grant nothing, or something else."""
    done = delegate("service", U, *options)

    assert done.code == 2
    assert message in done.err
    assert not (keys / "out.ucan").exists()


@pytest.mark.parametrize("given", ["{", "{}"])
def test_the_policy_that_is_suggested_lets_something_be_done(delegate, keys, given):
    """The hint is a policy that `ipvm delegate` takes, and that holds of a call of the function that it names."""
    hint = delegate("service", U, "--command", "/wasm/run", "--policy", given).json["error"]["hint"]

    assert delegate("service", U, "--command", "/wasm/run", "--policy", hint).code == 0
    (made,) = proofs(keys).delegations
    assert made.pol.judge({"fun": "resize", "mod": "x", "args": []}, Meter(promises=False)) is True


def test_what_one_has_lost_cannot_be_passed_on(delegate, keys):
    """A proof that is over is complained of, and not worked around."""
    lost = Delegation.issue(Q, S.did, Q.did, "/queue/push", expiration=1000)
    (keys / "service.ucan").write_bytes(Container.of([lost.data]).write())

    done = delegate("service", U, "--push", proof="service")

    assert done.code == 2
    assert "expired" in done.err


def test_who_is_no_did_gets_nothing(call, keys):
    """An audience has to be a DID that can be verified."""
    done = call("ipvm", "delegate", "did:web:example.com", "--run", "--key", str(keys / "user.pem"))

    assert done.code == 2
    assert "not a DID that can be used here: 'did:web:example.com'" in done.err


@pytest.mark.parametrize("name", ["service", "queue"])
def test_a_revocation_has_its_witness_with_it(call, delegate, keys, name):
    """The issuer of a delegation, and of one before it, may take it back; the chain is in the file."""
    delegate("service", Q, "--sign", output="queue")
    delegate("queue", W, "--sign", proof="queue", output="worker")
    (last,) = [each for each in proofs(keys, "worker").delegations if each.aud == W.did]
    into, key = keys / "revocation.ucan", keys / f"{name}.pem"

    done = call(
        "ipvm",
        "revoke",
        str(last.link),
        "--proof",
        str(keys / "worker.ucan"),
        "--key",
        str(key),
        "-o",
        str(into),
        "--json",
    )

    tokens = Container.read(into.read_bytes()).tokens
    validator = Validator()
    (asked,) = [data for data in tokens.values() if b"/ucan/revoke" in data]
    found = read_revocation(validator.invocation(asked, tokens, now=int(time.time())), tokens, validator)
    assert found.revoked == last.link
    assert done.json["revoked"] == {"/": str(last.link)}


@pytest.mark.parametrize("options", [[], ["--powerline"]], ids=["about the queue", "powerline"])
def test_an_issuer_says_what_it_was_let_do_itself(call, delegate, keys, options):
    """The path from the subject goes along, by what holds now: else the queue would not know what it is about."""
    delegate("queue", S, "--push", output="service")
    for terms in (["--until", "1000"], []):
        delegate("service", U, "--push", *terms, proof="service", output="user")
    delegate("user", W, "--push", *options, proof="user", output="worker")
    files = [word for name in ("user", "worker") for word in ("--proof", str(keys / f"{name}.ucan"))]
    given = Proofs.load(map(Path, files[1::2])).delegations
    (good,) = [each for each in given if each.aud == U.did and each.exp > 1000]
    (last,) = [each for each in given if each.aud == W.did]

    call("ipvm", "revoke", str(last.link), *files, "--key", str(keys / "user.pem"), "-o", str(keys / "r.ucan"))

    (asked,) = [
        Invocation.parse(data)
        for data in Container.read((keys / "r.ucan").read_bytes()).tokens.values()
        if b"/ucan/revoke" in data
    ]
    assert asked.args["path"][1:] == [good.link, last.link]


def test_a_stranger_takes_nothing_back(call, delegate, keys):
    """Who issued nothing on the way may not, and is told before anybody is asked."""
    delegate("service", Q, "--sign", output="queue")
    (only,) = proofs(keys, "queue").delegations
    files = ["--proof", str(keys / "queue.ucan"), "-o", str(keys / "r.ucan")]

    stranger = call("ipvm", "revoke", str(only.link), *files, "--key", str(keys / "mallory.pem"))
    assert stranger.code == 2
    assert "issued neither" in stranger.err
    elsewhere = call("ipvm", "revoke", str(cid_of("nothing")), *files, "--key", str(keys / "service.pem"))
    assert elsewhere.code == 2
    assert "in none of the files" in elsewhere.err

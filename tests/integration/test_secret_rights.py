"""Who may have which secret: policies of delegations see the URI, at the gate and again where a promise brought it."""

from __future__ import annotations

import time

import pytest
from stack import Stack
from wasm_guests import BYTES_ABI, wat

from ipvm_queue import Client
from ipvm_queue.crypto import Signer, load_signer, save_signer
from ipvm_queue.errors import RefusedError
from ipvm_queue.queue.requests import PUSH, RUN
from ipvm_queue.ucan import Container, Delegation

pytestmark = pytest.mark.integration

KEY = Signer.generate()
OURS, THEIRS = "ipvm:secret:shop?secret=OURS", "ipvm:secret:bank?secret=THEIRS"
SAME = wat(f"""(module {BYTES_ABI}
  (func (export "same") (param i32 i32) (result i64)
    (i64.or (i64.shl (i64.extend_i32_u (i32.add (local.get 0) (i32.const 1))) (i64.const 32))
            (i64.extend_i32_u (i32.sub (local.get 1) (i32.const 1))))))""")


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Return a queue whose worker has two secrets and a key."""
    directory = tmp_path_factory.mktemp("rights")
    for scope, name in (("shop", "OURS"), ("bank", "THEIRS")):
        (directory / "own" / scope).mkdir(parents=True)
        (directory / "own" / scope / name).write_text(f"{scope}'s password")
    save_signer(KEY, directory / "keys-of-jobs" / "key.pem")
    config = directory / "effects.toml"
    config.write_text(f'[secrets]\nfiles = "{directory / "own"}"\n[keys]\ndirectory = "{directory / "keys-of-jobs"}"\n')
    stack = Stack(directory, effects_config=config)
    try:
        stack.start_valkey()
        stack.start_worker("w", "-P", "prefork", "-c", "1", program="ipvm_queue.worker")
        yield stack
    finally:
        stack.stop()


@pytest.fixture(scope="module")
def same(world):
    """Return the CID of a module that gives what it takes."""
    with world.client() as owner:
        return owner.blocks.put(SAME)


@pytest.fixture
def clerk(world, same, tmp_path):  # noqa: ARG001 - the module is stored by the owner
    """Return the client of one who may have the shop's secrets, and short texts signed; nothing else of the world."""
    signer = Signer.generate()
    queue, service = load_signer(world.settings.queue_key), load_signer(world.settings.service_key)
    later = int(time.time()) + 3600

    def may(issuer, command, *policy):
        return Delegation.issue(issuer, signer.did, issuer.did, command, list(policy), expiration=later)

    given = [
        may(queue, PUSH),
        may(service, RUN),
        may(service, "/wasm/run"),
        may(service, "/secret/get", ["like", ".uri", "ipvm:secret:shop?secret=*"]),
        may(service, "/crypto/sign", ["==", ".uri", KEY.did], ["like", ".value", "invoice *"]),
    ]
    path = tmp_path / "clerk.ucan"
    path.write_bytes(Container.of(each.data for each in given).write())
    with Client(settings=world.settings, signer=signer, proofs=[path]) as client:
        yield client


def effect(uri, ability, **more):
    """Return an effect job."""
    return {"type": "ipvm/effect", "with": uri, "do": ability, **more}


def test_a_secret_is_given_to_who_may_have_it(clerk):
    """The policy covers the URI, and the answer is for the one who asked."""
    done = clerk.submit({"a": effect(OURS, "secret/get")}).wait(60)

    assert done["a"].ok == "shop's password"
    assert done["a"].secret


@pytest.mark.parametrize(
    "job",
    [
        effect(THEIRS, "secret/get"),
        effect(KEY.did, "crypto/sign", value="a will"),
        effect("did:key:z6MkvSmkzKydEi3PxFw4sTWspw2C1w2QZJRmSPqmCrJUuF1d", "crypto/sign", value="invoice 1"),
        effect(KEY.did, "crypto/decrypt", value=b"x"),
    ],
    ids=["another scope", "another text", "another key", "another ability"],
)
def test_what_a_policy_does_not_cover_is_refused_at_the_gate(clerk, job):
    """Nothing of such a job runs."""
    with pytest.raises(RefusedError):
        clerk.submit({"a": job})


def test_a_promise_is_no_way_around_a_policy(clerk, same):
    """Where a job computes which secret it wants, or what is to be signed, the worker judges what came out."""

    def made(value):
        return {"type": "wasm/1.0", "with": same, "func": "same", "input": [value]}

    done = clerk.submit(
        {
            "ours": made(OURS),
            "theirs": made(THEIRS),
            "will": made("a will"),
            "bill": made("invoice 7"),
            "right": effect({"from": "ours"}, "secret/get"),
            "wrong": effect({"from": "theirs"}, "secret/get"),
            "signed": effect(KEY.did, "crypto/sign", value={"from": "bill"}),
            "forged": effect(KEY.did, "crypto/sign", value={"from": "will"}),
        }
    ).wait(60)

    assert done["right"].ok == "shop's password"
    assert len(done["signed"].ok) == 64
    for label in ("wrong", "forged"):
        assert (done[label].error["code"], done[label].error["rule"]) == ("refused", "MatchError")

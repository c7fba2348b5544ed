"""Classic wallets at the real gate: a JWT of UCAN 0.8 for a delegation of UCAN 1.0, and nothing for a bad one."""

from __future__ import annotations

import json
import time
from base64 import b64encode
from collections import Counter as Count

import pytest
from modules import numbers, salt
from stack import Stack

from ipvm_queue import Client
from ipvm_queue.crypto import Signer, load_signer, save_signer
from ipvm_queue.errors import RefusedError
from ipvm_queue.ipld import DAG_CBOR, Link
from ipvm_queue.queue import Request
from ipvm_queue.queue.requests import exchange
from ipvm_queue.settings import Settings
from ipvm_queue.store import Keys
from ipvm_queue.ucan import Container, Delegation, Invocation, revoke
from ipvm_queue.ucan.classic import exchange as give
from ipvm_queue.ucan.classic import mint
from ipvm_queue.ucan.jwt import HEADER, encode_part

pytestmark = pytest.mark.integration


class Wallets:
    """A queue with a gate and a worker, and those who come with JWTs."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.queue = load_signer(stack.settings.queue_key)
        self.service = load_signer(stack.settings.service_key)
        self.resource = f"queue:{self.queue.did}"
        self.later = int(time.time()) + 600

    def mint(self, audience: str, *, by: Signer | None = None, **more) -> str:
        """Return a JWT that lets somebody push."""
        return mint(by or self.queue, audience, self.resource, expiration=self.later, **more)

    def granted(self, signer: Signer) -> Delegation:
        """Return the same in UCAN 1.0."""
        return Delegation.issue(self.queue, signer.did, self.queue.did, "/queue/push", expiration=self.later)

    def client(self, signer: Signer, name: str) -> Client:
        """Return the client of a user who may have work done by the service, and has no word of the queue's."""
        folder = self.stack.directory / name
        folder.mkdir(exist_ok=True)
        work = Delegation.issue(self.service, signer.did, self.service.did, "/", expiration=self.later)
        proofs = folder / "proofs.ucan"
        proofs.write_bytes(Container.of([work.data]).write())
        if not (folder / "key.pem").exists():
            save_signer(signer, folder / "key.pem")
        given = {"queue": "tests", "data_dir": folder / "data", "cache_dir": folder / "cache", "proofs": proofs}
        return Client(settings=Settings(broker_url=self.stack.url, key=folder / "key.pem", **given))

    def left(self) -> Count:
        """Return how many keys of each lasting kind the queue has."""
        keys = Keys("tests")
        kinds = ("run:", "lease", "revoked", "inbox", "live")
        names = [key.decode().removeprefix(keys.prefix) for key in self.stack.redis.scan_iter(match=f"{keys.prefix}*")]
        return Count(kind for name in names for kind in kinds if name.startswith(kind) and name != "inbox")


@pytest.fixture(scope="module")
def wallets(tmp_path_factory):
    """Return a queue whose gate and worker run."""
    stack = Stack(tmp_path_factory.mktemp("wallets"))
    try:
        stack.start_valkey()
        stack.start_worker("w", "-P", "solo")
        yield Wallets(stack)
    finally:
        stack.stop()


def job(client):
    """Return a job that nobody has had before."""
    module = str(client.blocks.put(numbers()))
    return {"a": {"type": "wasm/1.0", "with": module, "func": "add", "input": [salt(), 1]}}


def forged(audience: str, wallets: Wallets, signature: bytes) -> str:
    """Return a JWT that the queue has never signed, and that bare py-ucan takes."""
    att = [{"with": wallets.resource, "can": "queue/push"}]
    payload = {"iss": wallets.queue.did, "aud": audience, "exp": wallets.later, "att": att, "prf": []}
    parts = [encode_part(json.dumps(part).encode()) for part in (HEADER, payload)]
    return ".".join([*parts, encode_part(signature)])


def test_who_has_a_jwt_alone_gets_to_push(wallets):
    """Refused before; let in by what the gate gives for the JWT; the job is run."""
    user = Signer.generate()
    with wallets.client(user, "user") as client:
        with pytest.raises(RefusedError) as refused:
            client.submit(job(client))
        assert refused.value.fields["rule"] == "InvalidClaim"

        given = client.exchange(wallets.mint(user.did))
        assert (given.iss, given.aud, str(given.cmd)) == (wallets.queue.did, user.did, "/queue/push")
        assert client.submit(job(client)).wait(60).status == "ok"
    with wallets.client(user, "again") as client:  # without what was kept
        client.exchange(wallets.mint(wallets.queue.did, by=user, proofs=[wallets.mint(user.did)]))
        assert client.submit(job(client)).wait(60).status == "ok"


@pytest.mark.parametrize(
    ("make", "rule"),
    [
        (lambda w, user, _: forged(user.did, w, bytes(64)), "InvalidSignature"),
        (lambda w, user, _: forged(user.did, w, b"\x07" * 64), "InvalidSignature"),
        (lambda w, user, mallory: w.mint(user.did, by=mallory, proofs=[w.mint(user.did)]), "InvalidAudience"),
        (lambda w, user, mallory: w.mint(user.did, by=mallory), "InvalidClaim"),
        (lambda w, _, mallory: w.mint(mallory.did), "InvalidAudience"),
        (lambda w, user, _: w.mint(user.did, ability="queue/pop"), "ImpossibleAttenuation"),
        (lambda w, user, _: w.mint(user.did, not_before=w.later - 1), "TooEarly"),
        (lambda w, user, _: w.mint(user.did).replace(".", ".A", 1), "Malformed"),
        (lambda w, user, _: b64encode(w.granted(user).data).decode(), "Malformed"),
        (lambda *_: "x" * 60_000, "Malformed"),
        (lambda *_: {"a": "map"}, "MalformedArguments"),
    ],
    ids=["zeros", "sevens", "stolen proof", "no root", "another's", "pop", "early", "cut", "1.0", "long", "no text"],
)  # fmt: skip
def test_a_bad_jwt_gets_nothing(wallets, make, rule):
    """Forged and stolen ones, which bare py-ucan takes, and all others: the rule, logged once, and nothing is left."""
    user, mallory = Signer.generate(), Signer.generate()
    before, logged = wallets.left(), len(wallets.stack.told("gate", "refused"))
    with wallets.client(user, "bad") as client:
        client.counter.trust(wallets.queue.did)
        with pytest.raises(RefusedError) as refused:
            client.request(exchange(user, wallets.queue.did, make(wallets, user, mallory), now=int(time.time())))

    assert refused.value.fields["rule"] == rule
    assert wallets.left() == before
    (line,) = wallets.stack.told("gate", "refused")[logged:]
    assert f"rule={rule}" in line


def test_a_jwt_is_no_proof_at_the_gate(wallets):
    """In the place of a delegation it is what it is: no token of UCAN 1.0."""
    user = Signer.generate()
    jwt = wallets.mint(user.did).encode()
    link = Link.of(jwt, DAG_CBOR)
    with wallets.client(user, "slot") as client:
        client.counter.trust(wallets.queue.did)
        asked = Invocation.issue(
            user, wallets.queue.did, "/queue/push", {"inv": link}, [link], expiration=wallets.later
        )
        with pytest.raises(RefusedError) as refused:
            client.request(Request(asked, Container.of([asked.data, jwt])))

    assert refused.value.fields["rule"] in ("Malformed", "UnavailableProof")


def test_what_is_revoked_is_not_given_again(wallets):
    """The queue takes back what it gave; the JWT, wrapped or not, is of no more use, and its neighbour's still is."""
    alice, bob = Signer.generate(), Signer.generate()
    jwt = wallets.mint(alice.did)
    with wallets.client(alice, "alice") as client:
        given = client.exchange(wallets.mint(wallets.queue.did, by=alice, proofs=[jwt]))
        asked = revoke(wallets.queue, given.link)
        client.counter.trust(wallets.queue.did)
        client.request(Request(asked, Container.of([asked.data, given.data])))
        for text in (jwt, wallets.mint(wallets.queue.did, by=alice, proofs=[jwt])):
            with pytest.raises(RefusedError) as refused:
                client.exchange(text)
            assert refused.value.fields["rule"] == "Revoked"
        with pytest.raises(RefusedError):
            client.submit(job(client))
    with wallets.client(bob, "bob") as client:
        assert client.exchange(wallets.mint(bob.did)).aud == bob.did


def test_a_jwt_is_taken_back_by_what_was_given_for_it_long_ago(wallets):
    """What was given lapses after an hour, and the JWT does not: the queue may revoke the one to end the other."""
    user, now = Signer.generate(), int(time.time())
    jwt = wallets.mint(user.did)
    given = give(jwt, wallets.queue, now - 7200)
    with wallets.client(user, "long ago") as client:
        assert client.exchange(jwt).aud == user.did
        asked = revoke(wallets.queue, given.link)
        client.request(Request(asked, Container.of([asked.data, given.data])))

        with pytest.raises(RefusedError) as refused:
            client.exchange(jwt)

    assert refused.value.fields["rule"] == "Revoked"

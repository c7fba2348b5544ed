"""Pops that break a rule at a gate that makes users of the broker: none is made, none is taken from another worker."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from deployment import Deployment
from gates import Parties, cid, delegation
from redis import Redis

from ipvm_queue.crypto import open_sealed
from ipvm_queue.ipld import DAG_CBOR, Link, decode, encode
from ipvm_queue.settings import Settings
from ipvm_queue.store import Leases

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def parties(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parties]:
    """Return those who stand before the gate of a broker with users."""
    deployment = Deployment(tmp_path_factory.mktemp("users"))

    def wait_for(happened):
        found = []
        deployment.wait_for("gate", lambda: found.append(happened()) or bool(found[-1]))
        return found[-1]

    try:
        deployment.start_broker()
        deployment.start_gate()
        with deployment.redis("gate") as redis:
            log = SimpleNamespace(log=deployment.directory / "gate.log")
            stack = SimpleNamespace(settings=Settings(**deployment.files()), redis=redis, groups={"gate": log})
            stack.wait_for, stack.port, stack.deployment = wait_for, deployment.port, deployment
            yield Parties(stack)
    finally:
        deployment.stop_all()


def users(parties: Parties) -> set[str]:
    """Return the users that the gate has made."""
    return {name for name in parties.stack.redis.acl_users() if name.startswith("w-")}


class Worker:
    """A worker of the queue's that has popped under a name, and a connection as the user that it was given."""

    def __init__(self, parties: Parties, signer, name: str, **args) -> None:
        queue, service = parties.queue.did, parties.service.did
        self.grants = {
            "three": delegation(parties.queue, signer.did, queue, "/queue/pop"),
            "four": delegation(parties.queue, signer.did, service, "/ucan/proxy/sign"),
        }
        request = parties.pop(by=signer, args={"name": name, **args}, **self.grants)
        self.answer, self.pop = parties.ask(request)["ok"], cid(request.members["ten"])
        self.user = self.answer["user"]
        password = open_sealed(signer, self.answer["secret"]).decode()
        self.redis = Redis(port=parties.stack.port, username=self.user, password=password, socket_timeout=10)


ATTACKS = {
    "without 2": (lambda p: p.pop(without=("two",)), "InvalidClaim"),
    "without 3": (lambda p: p.pop(without=("three",)), "UnavailableProof"),
    "without 4": (lambda p: p.pop(without=("four",)), "InvalidClaim"),
    "2 with a turned bit": (lambda p: p.pop(flip="two"), "InvalidSignature"),
    "3 with a turned bit": (lambda p: p.pop(flip="three"), "InvalidSignature"),
    "4 with a turned bit": (lambda p: p.pop(flip="four"), "InvalidSignature"),
    "10 with a turned bit": (lambda p: p.pop(flip="ten"), "InvalidSignature"),
    "another worker's grants": (lambda p: p.pop(by=p.mallory), "InvalidAudience"),
    "a grant to push": (
        lambda p: p.pop(three=delegation(p.queue, p.other.did, p.queue.did, "/queue/push")),
        "ImpossibleAttenuation",
    ),
    "signing for the queue": (
        lambda p: p.pop(four=delegation(p.queue, p.other.did, p.queue.did, "/ucan/proxy/sign")),
        "InvalidClaim",
    ),
    "popall": (lambda p: p.pop(ten={"command": "/queue/popall"}), "Malformed"),
    "without an end": (lambda p: p.pop(ten={"exp": None}), "InvalidClaim"),
    "over": (lambda p: p.pop(ten={"exp": 1_600_000_000}), "Expired"),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_a_refused_pop_makes_no_user(parties, name):
    """It leaves no lease and no user either, beside what every refusal leaves nothing of."""
    make, rule = ATTACKS[name]
    before = users(parties)

    parties.refuses(make(parties), rule)

    assert users(parties) == before


def test_a_pop_that_came_before_makes_no_user(parties):
    """Replayed, by whomever, it neither makes a user nor ends the lease that it once gave."""
    request = parties.pop()
    given = parties.ask(request)["ok"]

    parties.refuses(request, "Replay")

    assert given["user"] in users(parties)
    assert given["pop"] in {lease.pop for lease in Leases(parties.stack.redis, parties.keys).all()}


def test_a_worker_takes_no_other_s_place(parties):
    """A worker that pops under another's name, and says that it has its user, gets a user of its own; both work."""
    victim = Worker(parties, parties.other, "victim@tests")

    thief = Worker(parties, parties.mallory, "victim@tests", user=victim.user)

    assert thief.user != victim.user
    assert victim.redis.ping()
    assert thief.redis.ping()
    leases = Leases(parties.stack.redis, parties.keys).all()
    assert {each.pop for each in leases if each.name == "victim@tests"} == {victim.pop, thief.pop}
    victim.redis.close()
    thief.redis.close()


def test_a_worker_has_no_other_run_what_the_queue_did_not_let_in(parties):
    """Its user may write runs and messages; a plan or a run of its own making is refused by the others all the same."""
    hostile = Worker(parties, parties.mallory, "hostile@tests").redis
    run = parties.ask(parties.push())["ok"]["run"]
    key, made_up, wasm = parties.keys.run(run), parties.keys.run("f" * 16), parties.keys.list("ipvm.wasm")
    plan = Link(hostile.hget(key, "plan"))
    root = decode(hostile.get(parties.keys.block(plan)))
    root["bounds"][0][0] += 1.0
    forged = Link.of(encode(root), DAG_CBOR)
    hostile.set(parties.keys.block(forged), encode(root))
    fields = hostile.hgetall(key)
    template = fields[b"message:0"].replace(str(plan).encode(), str(forged).encode())
    hostile.hset(key, mapping={"plan": forged.bytes, "message:0": template})
    hostile.hset(made_up, mapping={**fields, "plan": forged.bytes, "message:0": template})
    hostile.sadd(parties.keys.live, "f" * 16)
    for each in (key, made_up):
        hostile.zadd(f"{each}:ready:0", {"0": 0})
    assert hostile.rpop(wasm) is not None
    for each in (run, "f" * 16):
        hostile.lpush(wasm, template.replace(b"@RUN@", each.encode()).replace(b"@NODE@", b"0"))
    hostile.close()

    parties.stack.deployment.start_worker("good")

    for each in (key, made_up):
        parties.stack.wait_for(lambda each=each: parties.stack.redis.hget(each, "status") == b"cancelled")
        assert parties.stack.redis.hget(each, "reason").startswith(b"InvalidClaim")
        assert not parties.stack.redis.exists(f"{each}:settled")
    parties.stack.deployment.stop("good")

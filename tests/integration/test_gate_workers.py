"""Workers with leases, on a broker that enforces them: what a revocation, a lapse and a dead gate do to a worker."""

from __future__ import annotations

import json
from signal import SIGKILL
from time import monotonic, time
from typing import TYPE_CHECKING

import pytest
from deployment import ROOT, Deployment

from ipvm_queue.crypto import load_signer
from ipvm_queue.ipld import decode
from ipvm_queue.queue import Proofs, Request
from ipvm_queue.queue.counter import Counter
from ipvm_queue.store import Inbox, Keys, Registry, connect
from ipvm_queue.ucan import Container, revoke

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.integration
GUESTS = ROOT / "examples" / "guests"
LEASES = "{ipvm:default}:leases"


@pytest.fixture
def deployment(tmp_path) -> Iterator[Deployment]:
    """Return a broker and a gate that gives short leases."""
    running = Deployment(tmp_path)
    try:
        running.start_broker()
        running.start_gate(IPVM_POP_LEASE="8")
        yield running
    finally:
        running.stop_all()


def job(deployment: Deployment, name: str, chunks: int = 16):
    """Write a job of some tasks that nobody has had before; return its path."""
    start = int(time() * 1000) % 10**9
    tasks = {
        f"chunk-{i}": {
            "type": "wasm/1.0",
            "with": f"file:{GUESTS}/primes.wasm",
            "func": "count-primes",
            "input": [{"start": start + i * 500}, {"end": start + (i + 1) * 500}],
        }
        for i in range(chunks)
    }
    path = deployment.directory / f"{name}.json"
    path.write_text(json.dumps(tasks))
    return path


def take_back(deployment: Deployment, worker: str) -> None:
    """Revoke the delegation by which a worker pops, as the queue."""
    queue = load_signer(deployment.files()["queue_key"])
    own = load_signer(deployment.directory / worker / "ipvm" / "keys" / "worker.pem").did
    proofs = Proofs.load([deployment.directory / worker / "ipvm" / "proofs" / "worker.ucan"])
    (pop,) = proofs.chain(queue.did, own, "/queue/pop")
    asked = revoke(queue, pop.link)
    with connect(deployment.url("submitter")) as redis:
        keys = Keys("default")
        counter = Counter(queue, Proofs({}), Inbox(redis, keys, max_bytes=1000), Registry(redis, keys))
        counter.trust(queue.did)
        assert counter.ask(Request(asked, Container.of([asked.data, pop.data])))["leases"] == 1


def user_of(deployment: Deployment, worker: str) -> str:
    """Return the broker's user that a worker has."""
    with deployment.redis("gate") as redis:
        leases = [decode(data) for data in redis.hvals(LEASES)]
    (user,) = [lease[6] for lease in leases if lease[3].startswith(f"{worker}@")]
    return str(user)


def connections(deployment: Deployment, user: str) -> int:
    """Return how many connections a user of the broker has."""
    with deployment.redis("gate") as redis:
        return sum(each["user"] == user for each in redis.client_list())


def ended(deployment: Deployment, worker: str) -> int:
    """Wait for a worker to end by itself; return its exit code."""
    return deployment.processes.pop(worker).wait(60)


def test_a_revoked_worker_is_out_within_seconds(deployment: Deployment):
    """The broker drops its connections at once, it says why and exits; the other worker does all the work."""
    deployment.start_worker("good")
    deployment.start_worker("bad")
    user = user_of(deployment, "bad")
    assert connections(deployment, user) > 0
    revoked = monotonic()
    take_back(deployment, "bad")

    while connections(deployment, user):
        assert monotonic() - revoked < 5
    assert ended(deployment, "bad") == 77
    assert "Revoked" in (deployment.directory / "bad.log").read_text()
    answer = deployment.submit(job(deployment, "after"))
    assert answer["status"] == "ok"
    assert len({task["worker"] for task in answer["tasks"].values()}) == 1


def test_a_lease_is_renewed_for_as_long_as_the_gate_agrees(deployment: Deployment):
    """A worker outlives several leases, by pops of their own each, and keeps its user while it does."""
    deployment.start_worker("steady")
    user, pops = user_of(deployment, "steady"), set()
    with deployment.redis("gate") as redis:
        deployment.wait_for("steady", lambda: pops.update(redis.hkeys(LEASES)) or len(pops) > 3)

    assert user_of(deployment, "steady") == user
    assert deployment.submit(job(deployment, "later"))["status"] == "ok"


def test_without_a_gate_a_worker_stops(deployment: Deployment):
    """A lease that nobody renews ends: the worker consumes nothing more and exits, so that it is seen."""
    deployment.start_worker("lonely")
    deployment.stop("gate", SIGKILL)

    assert ended(deployment, "lonely") == 77
    assert "lease" in (deployment.directory / "lonely.log").read_text()


def test_a_gate_may_be_away_for_a_while(deployment: Deployment):
    """A gate that is killed and started again within the lease is missed by nobody: the next one knows who has what."""
    deployment.stop("gate")
    deployment.start_gate(IPVM_POP_LEASE="120")
    deployment.start_worker("patient")
    user = user_of(deployment, "patient")
    deployment.stop("gate", SIGKILL)
    deployment.start_gate(IPVM_POP_LEASE="120")

    assert deployment.submit(job(deployment, "again"))["status"] == "ok"
    assert user_of(deployment, "patient") == user


def test_what_a_dead_worker_had_is_taken_away(deployment: Deployment):
    """A worker that is killed renews nothing: its lease ends, and its user is deleted with it."""
    deployment.start_worker("dead")
    user = user_of(deployment, "dead")
    deployment.stop("dead", SIGKILL)
    with deployment.redis("gate") as redis:
        deployment.wait_for("gate", lambda: user not in redis.acl_users() and not redis.hlen(LEASES))


def test_a_worker_gets_a_new_user_when_the_broker_has_forgotten_it(deployment: Deployment):
    """Users that the gate makes are in no file: after a restart of the broker every worker pops again."""
    deployment.start_worker("back")
    before = user_of(deployment, "back")
    deployment.stop("valkey")
    deployment.start_broker()

    assert deployment.submit(job(deployment, "after-restart"))["status"] == "ok"
    assert user_of(deployment, "back") != before

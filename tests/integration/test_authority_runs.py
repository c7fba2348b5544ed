"""Real workers look at a run's authority themselves: on resolved arguments, by the clock, by what has been revoked."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from bundles import REGISTRY
from modules import numbers, salt
from openings import opening

from ipvm_queue import Client
from ipvm_queue.crypto import Signer, load_signer
from ipvm_queue.ipld import DAG_CBOR, Link
from ipvm_queue.plan import WASM_QUEUE
from ipvm_queue.plan.canvas import message
from ipvm_queue.queue.bundle import verify
from ipvm_queue.queue.requests import PUSH, RUN, Request
from ipvm_queue.store import Keys, NewRun, RedisRuns, Revocations, connect
from ipvm_queue.ucan import Container, Delegation, Invocation, read, revoke

pytestmark = pytest.mark.integration

WASM = "/wasm/run"
SECOND = 300_000_000  # loops: about that long
LEEWAY = 60
NUMBERS = Link.of(numbers())


def job(func, *args, **more):
    """Return a job of a function on numbers."""
    return {"type": "wasm/1.0", "with": NUMBERS, "func": func, "input": list(args), "maxGas": 10**11, **more}


class Guest:
    """A user whom the service lets have jobs run, and some of their tasks."""

    def __init__(self, stack, directory, policy=()) -> None:
        self.stack = stack
        self.signer = Signer.generate()
        self.service = load_signer(stack.settings.service_key)
        queue = load_signer(stack.settings.queue_key)
        later = int(time.time()) + 3600
        push = Delegation.issue(queue, self.signer.did, queue.did, PUSH, expiration=later)
        self.run = Delegation.issue(self.service, self.signer.did, self.service.did, RUN, expiration=later)
        self.work = Delegation.issue(
            self.service, self.signer.did, self.service.did, WASM, list(policy), expiration=later
        )
        self._proofs = directory / f"{self.signer.did[-8:]}.ucan"
        self._proofs.write_bytes(Container.of(each.data for each in (push, self.run, self.work)).write())

    def client(self, **changes):
        """Return a client of this user's."""
        settings = self.stack.settings.model_copy(update=changes)
        return Client(settings=settings, signer=self.signer, proofs=[self._proofs])

    def revoke(self, client, delegation):
        """Have the service take a delegation back."""
        token = revoke(self.service, delegation.link)
        return client.request(Request(token, Container.of([token.data, delegation.data])))


@pytest.fixture
def guest(stack, client, tmp_path):
    """Return a function that makes a user of the session's queue."""
    client.blocks.put(numbers())
    return lambda policy=(): Guest(stack, tmp_path, policy)


def store_of(stack):
    """Return the runs as the store has them."""
    return RedisRuns(connect(stack.url), Keys(stack.settings.queue), lease=1.0, receipt_lifetime=None)


def test_a_policy_is_judged_on_what_a_promise_brought(guest, stack, client):
    """The gate lets a promise pass, the worker refuses the value that it became; the receipt is for this user alone."""
    base = salt()
    jobs = {"a": job("add", base, 1), "b": job("add", {"from": "a"}, 3), "c": job("add", base, 5)}
    before = stack.groups["w"].tail(10_000).count("a task was refused")
    with guest([["!=", ".params[0]", base + 1]]).client() as theirs:
        done = theirs.submit(jobs).wait(60)

        assert (done["a"].ok, done["c"].ok) == (base + 1, base + 5)
        error = done["b"].error
        assert (done.status, error["code"], error["rule"]) == ("error", "refused", "MatchError")
        assert (error["fault"], "pol[0]" in error["message"]) == ("requestor", True)
    assert client.receipts.of_tasks([done["b"].task]) == [None]
    assert client.submit(jobs).wait(60)["b"].ok == base + 4
    assert stack.groups["w"].tail(10_000).count("a task was refused") == before + 1


def test_a_receipt_of_another_s_is_no_way_around_a_policy(guest, client):
    """What has been computed for somebody else is refused all the same to who may not have it computed."""
    base = salt()
    jobs = {"a": job("add", base, 1), "b": job("add", {"from": "a"}, 3)}
    assert client.submit(jobs).wait(60)["b"].ok == base + 4

    with guest([["!=", ".params[0]", base + 1]]).client() as theirs:
        done = theirs.submit(jobs).wait(60)

    assert (done["a"].ok, done["a"].cached) == (base + 1, True)
    assert done["b"].error["rule"] == "MatchError"


def test_a_chain_that_runs_ahead_is_judged_link_by_link(guest):
    """The policy of the fifth link is looked at when the fourth has its value; what follows misses its input."""
    base = salt()
    jobs = {f"t{i}": job("add", {"from": f"t{i - 1}"} if i else base, 1) for i in range(8)}
    with guest([["<", ".params[0]", base + 5]]).client() as theirs:
        done = theirs.submit(jobs).wait(60).results()

    assert [done[f"t{i}"].ok for i in range(5)] == [base + i + 1 for i in range(5)]
    assert done["t5"].error["rule"] == "MatchError"
    assert done["t6"].error["reason"] == "branch mismatch"


def test_an_invocation_that_lapsed_on_the_queue_is_not_begun(idle, tmp_path):
    """A job that was good when it was let in, and over when a worker comes to it, ends with the rule as its reason."""
    with idle.client() as own:
        own.blocks.put(numbers())
    with Guest(idle, tmp_path).client(job_ttl=2.0 - LEEWAY) as theirs:
        pushed = time.time()
        going = theirs.submit({"a": job("add", salt(), 1)})
        idle.wait_for(lambda: time.time() > pushed + 4)
        assert going.status == "running"

        idle.start_worker()
        idle.wait_for(lambda: going.status != "running")

        assert (going.status, going.reason.partition(":")[0]) == ("cancelled", "Expired")
        assert going["a"].state == "waiting"


def test_what_is_revoked_between_hand_out_and_execution_does_not_run(guest, stack):
    """A task's own delegation is taken back while the one before it runs: the worker refuses it, the run goes on."""
    base = salt()
    theirs = guest()
    with theirs.client() as client:
        going = client.submit({"a": job("slow", 2 * SECOND, base), "b": job("add", {"from": "a"}, 1)})
        stack.wait_for(lambda: stack.redis.hlen(f"{{ipvm:tests}}:run:{going.id}:claims"))

        answer = theirs.revoke(client, theirs.work)

        assert answer["runs"] == []  # the job itself does not stand on it
        going.wait(60)
        assert going["a"].ok == base
        assert (going["b"].error["code"], going["b"].error["rule"]) == ("refused", "Revoked")


def test_a_worker_knows_what_is_revoked_without_the_gate(guest, stack):
    """A run whose own authority is taken back ends at the worker's next lease, whether or not the gate ends it."""
    theirs = guest()
    with theirs.client() as client:
        going = client.submit({"a": job("slow", 2 * SECOND, salt()), "b": job("add", {"from": "a"}, 1)})
        stack.wait_for(lambda: stack.redis.hlen(f"{{ipvm:tests}}:run:{going.id}:claims"))

        Revocations(connect(stack.url), Keys("tests")).add(theirs.run.link, None)
        going.wait(60)

        assert (going.status, going.reason.partition(":")[0]) == ("cancelled", "Revoked")
        assert going["b"].state == "waiting"


def test_a_run_that_passed_no_gate_is_ended(guest, stack):
    """A run that was written into the store, past the gate, ends before anything of it runs."""
    with guest().client() as client:
        ours = client.submit({"a": job("add", salt(), 1)}).wait(60)
        header, store = store_of(stack).header(ours.id), store_of(stack)
        plan = client.plan(client.read({"a": job("add", salt(), 2)}))[0]
        client.blocks.put(plan.data, DAG_CBOR)
        told = {WASM_QUEUE: message(WASM_QUEUE, plan.link, plan.longest)}
        forged = opening(plan=plan.link, document=header.document, requestor=header.requestor, messages=told)
        assert store.open(NewRun("f" * 16, forged, 60))

        stack.wait_for(lambda: store.header("f" * 16).status != "running")

        assert (store.header("f" * 16).status, store.header("f" * 16).left) == ("cancelled", 1)
        assert "passed no gate" in store.header("f" * 16).reason


def test_each_receipt_of_a_batch_verifies_alone(guest, stack):
    """Receipts that share a signature have each a bundle of their own, which holds with nothing else at hand."""
    base = salt()
    theirs = guest()
    with theirs.client() as client, ThreadPoolExecutor(4) as pool:
        done = client.submit({f"t{i}": job("add", base + i, 1) for i in range(24)}).wait(60).results()
        bundles = [client.bundle([each.receipt]) for each in done.values()]
        store = store_of(stack)
        tokens = {store.attestation(each.receipt) for each in done.values()}

        assert len(tokens) < len(done)
        for report, each in zip(pool.map(lambda data: verify(data, REGISTRY), bundles), done.values(), strict=True):
            assert report.flaw is None, report.flaw
            assert [(found.out, found.requestor) for found in report.findings] == [(each.out, theirs.signer.did)]


def test_a_refusal_is_signed_like_any_result(guest, stack):
    """The receipt of a task that did not run names the hand-out too, and the service stands by it."""
    base = salt()
    with guest([["!=", ".params[0]", base + 1]]).client() as client:
        done = client.submit({"a": job("add", base, 1), "b": job("add", {"from": "a"}, 3)}).wait(60)
        receipt = read(client.blocks.get(done["b"].receipt))
        token = Invocation.parse(client.blocks.get(store_of(stack).attestation(receipt.link)))
        handed = read(client.blocks.get(receipt.cause))

        assert receipt.link in token.args["rcpt"]
        assert token.sub == load_signer(stack.settings.service_key).did
        assert handed.issuer == load_signer(stack.settings.queue_key).did
        assert Invocation.parse(client.blocks.get(handed.out["ok"]["pop"])).iss == receipt.issuer

"""A worker whose right is taken back, on a broker that keeps nobody from anything: it stops by itself, at once."""

from __future__ import annotations

import pytest
from bundles import REGISTRY
from modules import numbers, salt
from stack import Stack

from ipvm_queue.crypto import load_signer
from ipvm_queue.errors import RefusedError
from ipvm_queue.ipld import Link
from ipvm_queue.queue import Proofs, Request
from ipvm_queue.queue.bundle import verify
from ipvm_queue.queue.requests import POP, PROXY_SIGN
from ipvm_queue.ucan import Container, revoke

pytestmark = pytest.mark.integration

HOUR = 3600.0
GAS = 10**13


@pytest.fixture
def stack(tmp_path):
    """Return a queue whose leases are renewed three times an hour, with a worker that stays."""
    stack = Stack(tmp_path / "stack", pop_lease=HOUR, lease=1.0)
    try:
        stack.start_valkey()
        stack.start_worker("good", "-P", "solo")
        yield stack
    finally:
        stack.stop()


def job(func, *args):
    """Return a job of a function on numbers."""
    return {"type": "wasm/1.0", "with": Link.of(numbers()), "func": func, "input": list(args), "maxGas": GAS}


def take_back(stack, client, right):
    """Revoke a delegation of the worker that was started last, as the queue; return the gate's answer."""
    settings = stack.settings
    queue, worker = load_signer(settings.queue_key), load_signer(settings.worker_key).did
    subject = {POP: settings.queue_key, PROXY_SIGN: settings.service_key}[right]
    granted = Proofs.load([settings.worker_proofs]).chain(load_signer(subject).did, worker, right)[-1]
    token = revoke(queue, granted.link)
    return client.request(Request(token, Container.of([token.data, granted.data])))


@pytest.mark.parametrize("right", [POP, PROXY_SIGN])
def test_a_revoked_worker_does_not_wait_for_its_next_pop(stack, right):
    """It pops at once, says why it is refused, once, and ends; what it was at goes to the other worker."""
    stack.rekey("bad")
    bad = stack.start_worker("bad", "-P", "prefork", "-c", "2")
    with stack.client() as client:
        client.blocks.put(numbers())
        going = client.submit({f"t{i}": job("slow", 50_000_000, salt() + i) for i in range(30)})
        stack.wait_for(lambda: any(each.worker for each in going.results().values()))

        assert take_back(stack, client, right)["leases"] == 1

        assert bad.process.wait(60) == 77
        lines = bad.log.read_text().splitlines()
        (line,) = [line for line in lines if "the lease is lost" in line]
        assert "Revoked" in line
        assert going.wait(60).status == "ok"
        after = client.submit({f"t{i}": job("add", salt(), i) for i in range(30)}).wait(60).results()
        good = load_signer(stack.directory / "keys" / "worker_key.pem").did
        assert {each.worker for each in after.values()} == {good}
        assert not bad.alive


def test_a_result_under_what_was_revoked_meanwhile_holds_offline_alone(stack):
    """The service takes back what lets the queue sign for it while a task runs: it is finished, and nothing more is.

    The bundle of that task proves as much as it can offline; a gate that knows what was revoked does not take it.
    """
    with stack.client() as client:
        client.blocks.put(numbers())
        base = salt()
        going = client.submit({"a": job("slow", 1_000_000_000, base), "b": job("add", {"from": "a"}, 1)})
        task = going.plan.node(0).task.key
        stack.wait_for(lambda: stack.redis.hexists("{ipvm:tests}:flights", task))
        settings = stack.settings
        service, queue = load_signer(settings.service_key), load_signer(settings.queue_key)
        (two,) = Proofs.load([settings.queue_proofs]).chain(service.did, queue.did, PROXY_SIGN)
        token = revoke(service, two.link)
        assert client.request(Request(token, Container.of([token.data, two.data])))["leases"] == 1

        assert stack.groups["good"].process.wait(60) == 77
        assert (going["a"].ok, going["b"].state) == (base, "waiting")
        bundle = client.bundle([going["a"].receipt])
        assert verify(bundle, REGISTRY).holds
        with pytest.raises(RefusedError) as refused:
            client.hand_over(bundle)
        assert (refused.value.fields["rule"], refused.value.fields["token"]) == ("Revoked", str(two.link))
        with pytest.raises(RefusedError) as refused:
            client.submit({"c": job("add", base, 2)})
        assert refused.value.fields["rule"] == "Revoked"

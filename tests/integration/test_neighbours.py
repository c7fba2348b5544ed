"""Two queues with keys of their own: a task at one awaits a task at the other, by its CID."""

from __future__ import annotations

import time

import pytest
from bundles import REGISTRY
from modules import numbers, salt, values
from stack import Stack

from ipvm_queue import Client
from ipvm_queue.crypto import load_signer
from ipvm_queue.errors import RefusedError
from ipvm_queue.ipld import Link
from ipvm_queue.queue.bundle import verify
from ipvm_queue.queue.requests import PUSH, RUN
from ipvm_queue.ucan import Container, Delegation

pytestmark = pytest.mark.integration

NUMBERS = Link.of(numbers())


def add(left, right):
    """Return a job of `add`."""
    return {"type": "wasm/1.0", "with": NUMBERS, "func": "add", "input": [left, right]}


@pytest.fixture
def queues(tmp_path):
    """Return two queues with keys of their own on one broker, each with a gate, a worker and a client."""
    first = Stack(tmp_path / "a", queue="first")
    second = Stack(tmp_path / "b", queue="second", neighbours="first")
    second.port, second.url = first.port, first.url
    clients = []
    try:
        first.start_valkey()
        second.start_gate()
        for stack in (first, second):
            stack.start_worker("w", "-P", "solo")
            clients.append(Client(settings=stack.settings))
            clients[-1].blocks.put(numbers())
        yield clients
    finally:
        for client in clients:
            client.close()
        second.stop()
        first.stop()


def test_a_task_awaits_a_task_of_a_queue_next_door(queues):
    """The second queue fetches what it awaits from the first, verifies it and goes on; nobody carries it over."""
    a, b = queues
    base = salt()
    there = a.plan(a.read({"a": add(base, 1)}))[0].node(0).task
    here = b.submit({"b": add({"await/ok": there}, 10)})

    a.submit({"a": add(base, 1)}).wait(60)

    done = here.wait(60)["b"]
    assert done.ok == base + 11
    assert a.subject != b.subject
    report = verify(b.bundle([done.receipt]), REGISTRY)
    assert report.flaw is None, report.flaw
    assert {each.queue for each in report.findings} == {a.subject, b.subject}


def test_a_bundle_is_handed_over(queues):
    """A bundle of one queue's receipt lets a task at another go on; an altered one is refused, and says where."""
    a, b = queues
    base = salt()
    done = a.submit({"a": add(base, 2)}).wait(60)
    bundle = a.bundle([done["a"].receipt])
    altered = Container.of(
        data[:-1] + bytes([data[-1] ^ 1]) if link == done["a"].receipt else data
        for link, data in Container.read(bundle).tokens.items()
    ).write()

    with pytest.raises(RefusedError, match="bundle does not hold") as refused:
        b.hand_over(altered)
    taken = b.hand_over(bundle)

    assert refused.value.fields["rule"] == "InvalidClaim"
    assert taken == [done["a"].receipt]
    assert b.submit({"b": add({"await/ok": done["a"].task}, 20)}).wait(60)["b"].ok == base + 22


def test_what_a_receipt_carries_goes_with_it(tmp_path):
    """A task next door that had a further job run is awaited like any other, and all beneath it comes along."""
    first, second = Stack(tmp_path / "a", queue="first"), Stack(tmp_path / "b", queue="second", neighbours="first")
    second.port, second.url = first.port, first.url
    try:
        first.start_valkey()
        second.start_gate()
        first.start_worker("w", "-P", "solo", program="ipvm_queue.worker")
        second.start_worker("w", "-P", "solo")
        owner, worker = load_signer(first.settings.key), load_signer(first.settings.worker_key)
        queue, service = load_signer(first.settings.queue_key), load_signer(first.settings.service_key)
        later = int(time.time()) + 3600
        lets = [
            Delegation.issue(owner, worker.did, subject.did, command, expiration=later)
            for subject, command in ((queue, PUSH), (service, RUN), (service, "/wasm/run"))
        ]
        path = tmp_path / "lets.ucan"
        path.write_bytes(Container.of(each.data for each in lets).write())
        with Client(settings=first.settings, proofs=[path]) as a, Client(settings=second.settings) as b:
            a.blocks.put(numbers())
            b.blocks.put(numbers())
            base = salt()
            more = {
                "type": "ipvm/effect",
                "with": "ipvm:queue",
                "do": "job/run",
                "inputs": {"job": {"x": add(base, 1)}},
            }
            there = a.submit({"more": more}).wait(60)["more"]
            told = {"type": "wasm/1.0", "with": b.blocks.put(values()), "func": "first"}

            done = b.submit({"b": {**told, "input": [{"await/ok": there.task}]}}).wait(60)["b"]

            assert done.ok == {"x": base + 1}
            report = verify(b.bundle([done.receipt]), REGISTRY)
            assert report.flaw is None, report.flaw
            assert {label for each in report.findings for label in each.labels} == {"b", "more", "x"}
    finally:
        second.stop()
        first.stop()

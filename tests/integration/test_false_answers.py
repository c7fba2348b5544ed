"""Whoever can write to the inbox's answers is not the queue: clients and workers believe what its key has signed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from time import time

import pytest
from modules import numbers, salt
from stack import Stack

from ipvm_queue.crypto import Signer, load_signer
from ipvm_queue.errors import UnavailableError
from ipvm_queue.ipld import DAG_CBOR, Link
from ipvm_queue.queue import establish
from ipvm_queue.queue.accept import find_request
from ipvm_queue.store import Keys
from ipvm_queue.ucan import Container, issue

pytestmark = pytest.mark.integration

KEYS = Keys("tests")
NUMBERS = Link.of(numbers())
ELSE = Link.of(b"another request", DAG_CBOR)
ACCEPTED = {"ok": {"run": "0" * 16, "plan": ELSE, "inv": ELSE}}
REFUSED = {"error": {"code": "refused", "rule": "Replay", "message": "this has come before"}}


@pytest.fixture
def stack(tmp_path):
    """Return a broker on which somebody else is faster than the gate."""
    stack = Stack(tmp_path / "stack")
    try:
        stack.start_valkey(gate=False)
        establish(stack.settings)
        yield stack
    finally:
        stack.stop()


def intercept(stack, make):
    """Answer the next request in the place of the gate."""
    _, name = stack.redis.brpop([KEYS.inbox], timeout=60)
    tokens = Container.read(stack.redis.hget(KEYS.request(name.decode()), "c")).tokens
    asked = find_request(tokens, load_signer(stack.settings.queue_key).did)
    stack.redis.rpush(KEYS.reply(name.decode()), make(stack, asked))


def said(signer, ran, out):
    """Return a receipt."""
    return issue(signer, ran, out, {}, int(time()))[1]


ANSWERS = {
    "no receipt": (lambda _, __: b"your job was let in", "not signed as it should be"),
    "a queue of Mallory's": (lambda _, asked: said(Signer.generate(), asked.task, ACCEPTED), "not the queue's"),
    "the worker": (
        lambda stack, asked: said(load_signer(stack.settings.worker_key), asked.task, ACCEPTED),
        "not the queue's",
    ),
    "the queue, to another": (
        lambda stack, _: said(load_signer(stack.settings.queue_key), ELSE, ACCEPTED),
        "to another request",
    ),
    "the queue, refusing another": (
        lambda stack, _: said(load_signer(stack.settings.queue_key), ELSE, REFUSED),
        "to another request",
    ),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_a_client_believes_the_queue(stack, name):
    """An answer by another, or to another request, is said to be that: no run is taken for let in, or refused."""
    make, message = ANSWERS[name]
    with stack.client() as client, ThreadPoolExecutor(1) as pool:
        client.blocks.put(numbers())
        job = {"a": {"type": "wasm/1.0", "with": NUMBERS, "func": "add", "input": [salt(), 1]}}
        going = pool.submit(client.submit, job)
        intercept(stack, make)

        with pytest.raises(UnavailableError, match=message):
            going.result(60)


@pytest.mark.parametrize("name", ANSWERS)
def test_a_worker_believes_the_queue(stack, name):
    """A lease by another, or to another pop, is none: the worker says whose it is, consumes nothing and ends."""
    make, message = ANSWERS[name]
    group = stack.start_worker("w", "-P", "solo", ready=False)
    intercept(stack, make)

    assert group.process.wait(60) == 77
    assert len(stack.told("w", message)) == 1
    assert not stack.redis.exists(KEYS.workers)

"""A worker may write to runs, and cannot have others work by a plan that the queue has not made."""

from __future__ import annotations

from time import time
from typing import NamedTuple

import pytest
from modules import numbers, salt

from ipvm_queue.crypto import load_signer
from ipvm_queue.ipld import DAG_CBOR, Link, decode, encode
from ipvm_queue.plan.model import PAGE
from ipvm_queue.queue.let_in import LetIn
from ipvm_queue.store import Keys
from ipvm_queue.ucan import issue, task_link

pytestmark = pytest.mark.integration

KEYS = Keys("tests")
NUMBERS = Link.of(numbers())
WASM = KEYS.list("ipvm.wasm")


@pytest.fixture
def queue(idle):
    """Return a queue without workers, and a client."""
    with idle.client() as client:
        client.blocks.put(numbers())
        yield idle, client


def submit(client, others=0):
    """Return a run of a task, and some others."""
    add = {"type": "wasm/1.0", "with": NUMBERS, "func": "add"}
    jobs = {f"z{i}": add | {"input": [salt() + i, 3]} for i in range(others)}
    return client.submit({"a": add | {"input": [salt(), 1]}, **jobs})


class Forged(NamedTuple):
    """A plan of somebody's own, and the Task that it has in the place of the job's."""

    plan: Link
    task: Link


def forge(stack, run) -> Forged:
    """Have a run go by another plan of the same job, in which its task gets another argument; all else fits."""
    root = decode(stack.redis.get(KEYS.block(run.plan.link)))
    row = root["pages"][0][0]
    row[2]["params"][1] = 2
    row[4] = task_link(root["sub"], row[1], row[2], row[3])
    return Forged(replace(stack, run, root), row[4])


def replace(stack, run, root) -> Link:
    """Have a run and its messages name another plan, a root or the bytes of one; return its CID."""
    data = root if isinstance(root, bytes) else encode(root)
    plan = Link.of(data, DAG_CBOR)
    key, old, new = KEYS.run(run.id), str(run.plan.link).encode(), str(plan).encode()
    stack.redis.set(KEYS.block(plan), data)
    template = stack.redis.hget(key, "message:0").replace(old, new)
    stack.redis.hset(key, mapping={"plan": plan.bytes, "message:0": template})
    for place, message in enumerate(stack.redis.lrange(WASM, 0, -1)):
        stack.redis.lset(WASM, place, message.replace(old, new))
    return plan


NONSENSE = {
    "no map": lambda _: [1],
    "no DAG-CBOR": lambda _: b"\xff",
    "too little": lambda root: {"v": root["v"]},
    "no lists": lambda root: root | {"pages": 1},
    "no node": lambda root: root | {"pages": [[[1, 2]]]},
    "no pages": lambda root: root | {"pages": []},
    "a page that is not there": lambda root: root | {"pages": [Link.of(b"no page", DAG_CBOR)]},
}


@pytest.mark.parametrize("handed", ["with the push", "when asked for"])
def test_a_plan_that_the_queue_has_not_made_is_refused(queue, handed):
    """Nothing of it runs, the run ends and says why, once; with its own plan it goes on."""
    stack, client = queue
    if handed == "with the push":
        stack.start_worker("w", "-P", "solo")
        stack.withdraw("w", "ipvm.wasm")
    going = submit(client)
    assert stack.redis.hlen(KEYS.handed(going.id)) == (handed == "with the push")
    forged = forge(stack, going)
    if handed == "with the push":
        stack.control("w", "add_consumer", "ipvm.wasm")
    else:
        stack.start_worker("w", "-P", "solo")

    stack.wait_for(lambda: going.status != "running")

    assert (going.status, going.reason.partition(":")[0]) == ("cancelled", "InvalidClaim")
    assert f"the plan {going.plan.link} of this job, not {forged.plan}" in going.reason
    assert len(stack.told("w", "authority does not hold")) == 1
    assert client.receipts.of_tasks([forged.task, going["a"].task]) == [None, None]
    assert not stack.redis.exists(f"{KEYS.run(going.id)}:settled")
    going.resume()
    assert (going.wait(60).status, going.reason) == ("ok", ""), stack.groups["w"].tail(30)


def test_a_forged_plan_is_reported_once(queue):
    """However many processes come to it at once."""
    stack, client = queue
    going = submit(client, 30)
    forge(stack, going)
    stack.start_worker("w", "-P", "prefork", "-c", "4")

    stack.wait_for(lambda: going.status != "running" and not stack.redis.llen(WASM))

    assert len(stack.told("w", "authority does not hold")) == 1
    assert not stack.redis.exists(f"{KEYS.run(going.id)}:settled")


FORGERIES = {
    "none": (lambda _, __: None, "InvalidSignature"),
    "no receipt": (lambda _, __: b"the queue has let it in", "InvalidSignature"),
    "the worker's": (lambda stack, said: sign(stack.settings.worker_key, said), "InvalidClaim"),
    "another run's": (lambda stack, said: sign(stack.settings.queue_key, said._replace(run="f" * 16)), "InvalidClaim"),
    "a task's": (lambda stack, said: sign(stack.settings.queue_key, said, cause=said.inv), "InvalidClaim"),
    "more": (lambda stack, said: sign(stack.settings.queue_key, said, more=1), "InvalidClaim"),
}


def sign(key, said, *, cause=None, **more):
    """Return a receipt that says that a run was let in."""
    out = {"ok": {**said._asdict(), **more}}
    return issue(load_signer(key), Link.of(b"a push", DAG_CBOR), out, {}, int(time()), cause=cause)[1]


def test_a_run_is_handed_out_by_the_queue_s_own_word(queue):
    """What the gate hands out later it has from its own answer to the push; a run whose answer is forged ends."""
    stack, client = queue
    runs = {}
    for name, (make, rule) in FORGERIES.items():
        going = submit(client)
        forged = forge(stack, going)
        job = Link(stack.redis.hget(KEYS.run(going.id), "inv"))
        answer = make(stack, LetIn(going.id, forged.plan, job))
        stack.redis.hdel(KEYS.run(going.id), "answer")
        if answer is not None:
            stack.redis.hset(KEYS.run(going.id), "answer", answer)
        runs[name] = (going, forged, rule)
    stack.start_worker("w", "-P", "solo")

    for name, (going, forged, rule) in runs.items():
        stack.wait_for(lambda going=going: going.status != "running")
        assert (name, going.status, going.reason.partition(":")[0]) == (name, "cancelled", rule)
        assert client.receipts.of_tasks([forged.task, going["a"].task]) == [None, None]
        assert stack.redis.hlen(KEYS.handed(going.id)) == 0
    assert len(stack.told("gate", "refused")) == len(FORGERIES)
    assert submit(client).wait(60).status == "ok"


def test_what_is_no_plan_ends_the_run(queue):
    """Whatever bytes a run's plan is said to be: a worker ends the run, says why, and goes on.

    A root that can be read is not the queue's, so that its pages are not looked at.
    """
    stack, client = queue
    runs = {name: submit(client) for name in NONSENSE}
    for name, make in NONSENSE.items():
        replace(stack, runs[name], make(decode(stack.redis.get(KEYS.block(runs[name].plan.link)))))
    stack.start_worker("w", "-P", "solo")

    for name, going in runs.items():
        stack.wait_for(lambda going=going: going.status != "running")
        reason = (
            "InvalidClaim" if name in {"no node", "no pages", "a page that is not there"} else "its plan cannot be read"
        )
        assert (name, going.reason.partition(":")[0]) == (name, reason)
    assert submit(client).wait(60).status == "ok"


@pytest.mark.parametrize("page", [0, 1])
def test_a_page_that_was_written_over_ends_the_run(queue, page):
    """A page of a plan has other bytes than its CID says: nothing is read into them, the run ends and says so."""
    stack, client = queue
    base = salt()
    add = {"type": "wasm/1.0", "with": NUMBERS, "func": "add"}
    going = client.submit({f"t{i}": add | {"input": [base + i, 1]} for i in range(PAGE + 100)})
    block = KEYS.block(going.plan.pages[page])
    stack.redis.set(block, stack.redis.get(block).replace(b"add", b"sub"))
    stack.start_worker("w", "-P", "solo")

    stack.wait_for(lambda: going.status != "running")

    assert (going.status, going.reason.partition(":")[0]) == ("cancelled", "its plan cannot be read")
    assert len(stack.told("w", "plan cannot be read")) == 1

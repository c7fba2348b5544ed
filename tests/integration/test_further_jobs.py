"""Further jobs: a worker runs a job in the name of who has let it, and its receipt carries the receipts beneath it."""

from __future__ import annotations

import json
import os
import signal
import time

import pytest
from bundles import REGISTRY
from modules import numbers, salt
from sink import Sink
from stack import Stack

from ipvm_queue import Client
from ipvm_queue.crypto import Signer, load_signer
from ipvm_queue.ipld import Link
from ipvm_queue.queue.bundle import verify
from ipvm_queue.queue.requests import PUSH, RUN
from ipvm_queue.ucan import Container, Delegation, Invocation

pytestmark = pytest.mark.integration

NUMBERS = Link.of(numbers())
QUERY = {"type": "ipvm/effect", "with": "ipvm:secret:shop?secret=OURS", "do": "secret/get"}
FURTHER = {"type": "ipvm/effect", "with": "ipvm:queue", "do": "job/run", "inputs": {"job": {}}}
COMMAND = {"type": "ipvm/effect", "with": "https://example.com/", "do": "crud/create", "value": {}}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Return a queue with a worker for guests and one for effects, who share a key."""
    stack = Stack(tmp_path_factory.mktemp("further"))
    try:
        stack.start_valkey()
        stack.start_worker("w", "-P", "solo")
        stack.start_worker("e", "-P", "solo", program="workers.effects")
        with stack.client() as owner:
            owner.blocks.put(numbers())
        yield stack
    finally:
        stack.stop()


def grants_of(world, signer, lets):
    """Return somebody's rights to everything, and what they let the worker do in their name."""
    queue, service = load_signer(world.settings.queue_key), load_signer(world.settings.service_key)
    worker = load_signer(world.settings.worker_key)
    later = int(time.time()) + 3600
    given = [
        Delegation.issue(queue, signer.did, queue.did, PUSH, expiration=later),
        Delegation.issue(service, signer.did, service.did, "/", expiration=later),
    ]
    for command, *policy in lets:
        subject = queue if command == PUSH else service
        given.append(Delegation.issue(signer, worker.did, subject.did, command, policy, expiration=later))
    return given


def alice_of(world, folder, *lets, others=()):
    """Return the client of somebody with all rights; `others` are delegations that she has found somewhere."""
    signer = Signer.generate()
    path = folder / "alice.ucan"
    path.write_bytes(Container.of(each.data for each in [*grants_of(world, signer, lets), *others]).write())
    return Client(settings=world.settings, signer=signer, proofs=[path])


@pytest.fixture
def alice(world, tmp_path):
    """Return the client of one who lets the worker run jobs of guests in her name."""
    with alice_of(world, tmp_path, (PUSH,), (RUN,), ("/wasm/run",)) as client:
        yield client


def add(left, right, **more):
    """Return a job of `add`."""
    return {"type": "wasm/1.0", "with": NUMBERS, "func": "add", "input": [left, right], **more}


def further(job, **more):
    """Return a task that runs a further job."""
    return {**FURTHER, "inputs": {"job": job}, **more}


def text(**jobs):
    """Return a job as text, in which a promise is the further job's own."""
    return json.dumps({label: {**job, "with": {"/": str(NUMBERS)}} for label, job in jobs.items()})


def test_a_receipt_carries_those_beneath_it(alice):
    """Alice has a job run, the worker a further one in her name; her bundle has both, and each holds offline."""
    base = salt()
    done = alice.submit(
        {
            "a": add(base, 1),
            "more": further({"b": add({"from": "a"}, 2)}),
            "chain": further(text(c=add(base, 3), d=add({"from": "c"}, 4))),
        }
    ).wait(60)

    assert done["more"].ok == {"b": base + 3}
    assert done["chain"].ok == {"c": base + 3, "d": base + 7}
    bundle = alice.bundle([done["more"].receipt, done["chain"].receipt])
    report = verify(bundle, REGISTRY)
    assert report.flaw is None, report.flaw
    assert report.unused == ()
    by_label = {label: each for each in report.findings for label in each.labels}
    assert by_label.keys() == {"a", "b", "c", "d", "more", "chain"}
    assert {by_label[label].requestor for label in ("a", "more", "chain")} == {alice.signer.did}
    assert {by_label[label].requestor for label in "bcd"} == {by_label["more"].worker}
    asked = alice.run(done["more"].meta["evidence"]["run"])
    assert alice.read(alice.blocks.get(asked.plan.document)).parent == done.plan.document
    said = next(step for step in by_label["chain"].steps if step.name == "beneath")
    assert f"2 receipts of a further job, which {by_label['chain'].worker} had run" in said.detail
    assert said.detail.endswith(f"in the name of {alice.signer.did}")


def test_what_had_been_computed_stands_beneath_too(alice):
    """A further job whose tasks have receipts already is answered by those, and the bundle still holds."""
    base = salt()
    alice.submit({"early": add(base, 1)}).wait(60)

    done = alice.submit({"more": further({"b": add(base, 1)})}).wait(60)

    assert done["more"].ok == {"b": base + 1}
    assert verify(alice.bundle([done["more"].receipt]), REGISTRY).flaw is None


def test_a_failure_beneath_is_a_failure_above(alice):
    """The error names the task that failed, with its error, and carries the receipts all the same."""
    bad = {"type": "wasm/1.0", "with": NUMBERS, "func": "trap", "input": [salt()]}

    done = alice.submit({"more": further({"good": add(salt(), 1), "bad": bad})}).wait(60)

    assert done["more"].error["code"] == "job/failed"
    assert done["more"].error["failed"] == "bad"
    assert done["more"].error["error"]["code"] == "wasm/unreachable"
    assert verify(alice.bundle([done["more"].receipt]), REGISTRY).flaw is None


def test_nobody_is_let_by_silence(world, tmp_path):
    """Without a delegation of hers the worker runs nothing in Alice's name."""
    with alice_of(world, tmp_path) as alice:
        done = alice.submit({"more": further({"b": add(salt(), 1)})}).wait(60)

        assert done["more"].error["code"] == "job/refused"
        assert "ipvm delegate did:key:" in done["more"].error["message"]
        assert verify(alice.bundle([done["more"].receipt]), REGISTRY).flaw is None


@pytest.mark.parametrize(
    ("lets", "rule"),
    [
        ([(PUSH,), (RUN,)], "InvalidClaim"),
        ([(PUSH,), (RUN,), ("/wasm/run", ["==", ".fun", "other"])], "MatchError"),
        ([(RUN,), ("/wasm/run",)], "InvalidClaim"),
    ],
    ids=["no guests", "another function", "no pushing"],
)
def test_what_was_not_delegated_is_refused(world, tmp_path, lets, rule):
    """Beyond what Alice lets it do, the worker does nothing in her name, whatever she might do herself."""
    with alice_of(world, tmp_path, *lets) as alice:
        done = alice.submit({"more": further({"b": add(salt(), 1)})}).wait(60)

        assert done["more"].error["code"] == "job/refused"
        assert f"({rule})" in done["more"].error["message"]


def test_what_somebody_else_has_let_is_not_one_s_own(world, tmp_path):
    """Mallory sends along what Alice lets the worker do; nothing is done for Mallory in Alice's name."""
    found = grants_of(world, Signer.generate(), [(PUSH,), (RUN,), ("/wasm/run",)])
    with alice_of(world, tmp_path, others=found) as mallory:
        done = mallory.submit({"more": further({"b": add(salt(), 1)})}).wait(60)

        assert done["more"].error["code"] == "job/refused"
        assert f"{mallory.signer.did} lets this worker have no jobs run" in done["more"].error["message"]


@pytest.mark.parametrize(
    ("job", "code", "said"),
    [
        ({"x": COMMAND}, "job/kind", "has a command, 'x'"),
        ({"x": QUERY}, "job/kind", "has secrets"),
        ({"header": {"catch": add(1, 2)}, "jobs": {"x": add(1, 2)}}, "job/kind", "has a 'catch'"),
        ({"x": {**FURTHER, "inputs": {"job": {"y": add(1, 2)}}}}, "job/kind", "has a further job itself"),
        (json.dumps({"x": {**FURTHER, "with": {"from": "y"}}, "y": QUERY}), "job/kind", "has a further job itself"),
        ({"x": {"type": "wasm/1.0"}}, "job/document", "with"),
        ("no job", "job/document", "not JSON"),
    ],
    ids=["command", "secret", "catch", "further", "further by promise", "document", "text"],
)
def test_what_cannot_be_a_further_job(alice, job, code, said):
    """Commands, secrets and `catch` belong into the job itself; what is no job is none."""
    done = alice.submit({"more": further(job)}).wait(60)

    assert done["more"].error["code"] == code
    assert said in done["more"].error["message"]


def test_no_further_job_is_made_of_secrets(alice):
    """The document of a job is a block, and blocks are not sealed."""
    done = alice.submit({"a": add(salt(), 1, public=False), "more": further({"b": add({"from": "a"}, 1)})}).wait(60)

    assert done["more"].error["code"] == "effect/secret-block"


def seconds(count):
    """Return the limit of a task in seconds."""
    return {"ipvm/config": {"time": [count, "seconds"]}}


def spin(count):
    """Return a job that takes as long as it may."""
    return {"type": "wasm/1.0", "with": NUMBERS, "func": "spin", "input": [salt()], "maxGas": 10**15, **seconds(count)}


def test_a_further_job_that_takes_too_long_ends(alice):
    """It is cancelled with the time of the task that asked for it."""
    done = alice.submit({"more": further({"b": spin(4)}, **seconds(1))}).wait(60)

    assert done["more"].error["code"] == "job/time"
    assert {each.status for each in alice.runs(2)} == {"cancelled", "error"}


def test_a_run_that_is_cancelled_takes_its_further_ones_with_it(alice, world):
    """Nobody is left working for a task that is not there any more."""
    going = alice.submit({"more": further({"b": spin(4)}, **seconds(60))})
    further_run = world.wait_for(lambda: next((each for each in alice.runs(1) if each.id != going.id), None))

    going.cancel("enough")

    assert going.wait(60).status == "cancelled"
    assert alice.run(further_run.id).status == "cancelled"


def test_a_run_that_is_resumed_asks_again(alice, world):
    """What was cancelled with it is asked for anew."""
    going = alice.submit({"more": further({"b": spin(2), "c": add(1, 2)}, **seconds(60))})
    first = world.wait_for(lambda: next((each for each in alice.runs(1) if each.id != going.id), None))
    going.cancel("wait a moment")

    going.resume()

    done = going.wait(60)["more"]
    assert done.error["error"]["code"] == "wasm/time-limit"
    assert done.meta["evidence"]["run"] != first.id


def test_no_process_waits_for_a_further_job(tmp_path):
    """One process for everything is enough for many further jobs at once, also where they ask the world."""
    stack, sink = Stack(tmp_path), Sink()
    try:
        stack.start_valkey()
        sink.values["x"] = "hello"
        stack.start_worker("all", "-P", "solo", program="ipvm_queue.worker")
        with alice_of(stack, tmp_path, (PUSH,), ("/",)) as alice:
            alice.blocks.put(numbers())
            base, ask = salt(), {"type": "ipvm/effect", "with": sink.uri("x"), "do": "test/ask"}
            jobs = {f"m{i}": further(text(b=add(base, i), c=add({"from": "b"}, 1))) for i in range(8)}
            done = alice.submit({**jobs, "asked": further({"x": ask})}).wait(60)

            assert [done[f"m{i}"].ok for i in range(8)] == [{"b": base + i, "c": base + i + 1} for i in range(8)]
            assert done["asked"].ok == {"x": "hello"}
            assert verify(alice.bundle([done["asked"].receipt]), REGISTRY).flaw is None
    finally:
        sink.close()
        stack.stop()


def test_a_further_job_is_pushed_once(tmp_path):
    """A worker that dies when it has asked is followed by one that goes on with what was asked for."""
    stack = Stack(tmp_path, lease=1.0)
    try:
        stack.start_valkey()
        first = stack.start_worker("first", "-P", "solo", program="workers.effects")
        stack.start_worker("w", "-P", "solo")
        with alice_of(stack, tmp_path, (PUSH,), (RUN,), ("/wasm/run",)) as alice:
            alice.blocks.put(numbers())
            base = salt()
            os.kill(first.process.pid, signal.SIGSTOP)
            going = alice.submit({"more": further({"b": add(base, 1)})})
            stack.kill("gate")
            os.kill(first.process.pid, signal.SIGCONT)
            stack.wait_for(lambda: stack.redis.llen("{ipvm:tests}:inbox"))
            stack.kill("first")
            stack.start_gate("gate2")
            stack.start_worker("second", "-P", "solo", program="workers.effects")

            assert going.wait(60)["more"].ok == {"b": base + 1}
            assert len(alice.runs()) == 2
            assert verify(alice.bundle([going["more"].receipt]), REGISTRY).flaw is None
    finally:
        stack.stop()


def test_the_worker_answers_for_a_job_that_is_its_own(alice):
    """In the bundle the further job is the worker's: signed by it, and the last proof is Alice's."""
    done = alice.submit({"more": further({"b": add(salt(), 1)})}).wait(60)
    tokens = Container.read(alice.bundle([done["more"].receipt])).tokens
    asked = Invocation.parse(tokens[done["more"].meta["beneath"]["inv"]])

    assert asked.iss == done["more"].worker
    assert Delegation.parse(tokens[asked.prf[-1]]).iss == alice.signer.did

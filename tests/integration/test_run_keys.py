"""The keys of runs with secrets: who has them, and how a worker that comes later gets one."""

from __future__ import annotations

import pytest
from modules import cover, salt, secrets
from stack import Stack

from ipvm_queue import Client
from ipvm_queue.crypto import Signer, save_signer
from ipvm_queue.errors import DocumentError, RefusedError

pytestmark = pytest.mark.integration


@pytest.fixture
def stack(tmp_path):
    """Return a queue without workers."""
    stack = Stack(tmp_path / "stack", aof=True, lease=2.0)
    try:
        stack.start_valkey()
        yield stack
    finally:
        stack.stop()


def jobs_of(client, sink):
    """Return a job whose secret is made by one kind of worker, and needed by the other and then by the first again."""
    wasm = {"type": "wasm/1.0", "with": client.blocks.put(secrets())}
    secret = f"secret {salt()}"
    return secret, {
        "made": {**wasm, "func": "uncover", "input": [cover(secret)], "public": False},
        "post": {"type": "ipvm/effect", "with": sink.uri("x"), "do": "test/act", "value": {"from": "made"}},
        "last": {**wasm, "func": "echo", "input": [{"from": "made"}, {"await/*": {"from": "post"}}]},
    }


def settled(run, label):
    """Whether a task has ended."""
    return run[label].receipt is not None


def test_a_worker_that_comes_later_is_let_in(stack, sink):
    """It asks for the key of a run that began before it came, and a worker that has the key gives it."""
    stack.start_worker("w", "-P", "prefork", "-c", "1")
    with stack.client() as client:
        secret, jobs = jobs_of(client, sink)
        run = client.submit(jobs)
        stack.wait_for(lambda: settled(run, "made"))
        first = {worker.did for worker in client.workers()}
        stack.rekey("late")
        stack.start_worker("late", "-P", "prefork", "-c", "1", program="workers.effects")
        run.wait(60)

        assert len({worker.did for worker in client.workers()} | first) == 2
        assert run["post"].worker not in first
        assert list(sink.bodies.values()) == [secret]
        assert run["last"].ok == [secret, {"ok": f"done: {secret}"}]


def test_a_worker_that_was_away_goes_on(stack, sink):
    """A run whose only worker is gone waits until it is back with its key, for that opens what it had made."""
    stack.start_worker("w", "-P", "prefork", "-c", "1")
    with stack.client() as client:
        secret, jobs = jobs_of(client, sink)
        run = client.submit(jobs)
        stack.wait_for(lambda: settled(run, "made"))
        stack.kill("w")
        own = stack.settings.worker_key, stack.settings.worker_proofs
        stack.rekey("late")
        stack.start_worker("late", "-P", "prefork", "-c", "1", program="workers.effects")
        stack.wait_for(lambda: stack.redis.scard("{ipvm:tests}:keys:wanted"))
        assert not settled(run, "post")

        stack.use_key(*own)
        stack.start_worker("w", "-P", "prefork", "-c", "1", ready=False)
        run.wait(60)

        assert list(sink.bodies.values()) == [secret]
        assert run["last"].ok == [secret, {"ok": f"done: {secret}"}]


def test_a_secret_act_that_is_done_is_not_done_again(stack, sink):
    """The same signed job again finds the receipt, opens it with the key of the run that made it, and goes on."""
    stack.start_worker("w", "-P", "prefork", "-c", "2", program="ipvm_queue.worker")
    with stack.client() as client:
        secret, jobs = jobs_of(client, sink)
        document = {"header": {"nonce": str(salt())}, "jobs": jobs}
        first, second = client.submit(document).wait(60), client.submit(document).wait(60)

        assert first.id != second.id
        assert second["post"].cached
        assert list(sink.acts.values()) == [1]
        assert first["last"].ok == second["last"].ok == [secret, {"ok": f"done: {secret}"}]


def test_who_cannot_read_cannot_have_secrets(stack):
    """Nothing can be sealed to a secp256k1 key, so a job that it signs may have none: refused before anything runs."""
    with stack.client() as client:
        module = client.blocks.put(secrets())
    job = {"type": "wasm/1.0", "with": module, "func": "uncover", "input": [b"x"], "public": False}
    places = {"key": stack.directory / "keys" / "other.pem", "proofs": stack.directory / "proofs" / "other.ucan"}
    save_signer(Signer.generate("secp256k1"), places["key"])
    with (
        Client(settings=stack.settings.model_copy(update=places)) as client,
        pytest.raises(RefusedError, match="nothing can be sealed"),
    ):
        client.submit({"a": job})


def test_publishing_by_slip_is_refused_with_its_place(stack):
    """`public` without `force`, of what is private by nature, is a fault of the document."""
    get = {"type": "ipvm/effect", "with": "ipvm:secret:a?secret=b", "do": "secret/get", "public": True}
    with stack.client() as client, pytest.raises(DocumentError) as caught:
        client.submit({"key": get})

    assert [(fault.code, fault.path) for fault in caught.value.faults] == [("private", "key")]

"""Secret results: sealed before they leave a worker, opened for the tasks that need them and for their owner."""

from __future__ import annotations

import json
from secrets import token_hex

import pytest
from modules import cover, secrets

from ipvm_queue import Client
from ipvm_queue.crypto import Signer
from ipvm_queue.errors import UsageError
from ipvm_queue.ucan import read

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def secrets_cid(client):
    """Return the CID of the module that makes secrets."""
    return client.blocks.put(secrets())


@pytest.fixture
def job(secrets_cid):
    """Return a function that makes a job of the module that makes secrets."""
    return lambda func, *args, **more: {
        "type": "wasm/1.0",
        "with": secrets_cid,
        "func": func,
        "input": list(args),
        **more,
    }


def canary() -> str:
    """Return a text that stands nowhere else."""
    return f"canary-{token_hex(16)}"


def test_its_owner_opens_a_secret(client, job):
    """What was computed is there for the key that signed the job, and the tasks that needed it had it."""
    text = canary()

    done = client.submit(
        {
            "made": job("uncover", cover(text), public=False),
            "taken": job("first", {"from": "made"}),
            "told": job("first", {"from": "taken"}, public=True),
        }
    ).wait(60)

    assert [text, text, text] == [done[label].ok for label in ("made", "taken", "told")]
    assert done["taken"].out == {"ok": {"secret": True}}
    assert {name: each.secret for name, each in done.results().items()} == {"made": True, "taken": True, "told": False}
    assert done["made"].meta.keys() == {"secret", "run"}
    assert "gas" in done["made"].reveal().meta


def test_others_do_not_open_it(client, job, stack):
    """Whoever else may read the queue sees that there is a secret, and whether it went well."""
    run = client.submit({"made": job("uncover", cover(canary()), public=False)}).wait(60)
    with Client(settings=stack.settings, signer=Signer.generate()) as other:
        seen = other.run(run.id)["made"]

        assert (seen.state, seen.out) == ("ok", {"ok": {"secret": True}})
        with pytest.raises(UsageError, match="owner"):
            _ = seen.ok


def test_a_sealed_receipt_is_verified_unopened(client, job):
    """The signature covers the box: anybody can see who made which Task's receipt, and that nothing was changed."""
    run = client.submit({"made": job("uncover", cover(canary()), public=False)}).wait(60)
    receipt = read(client.blocks.get(run["made"].receipt))

    assert receipt.ran == run["made"].task
    assert receipt.meta == {"secret": True, "run": run.id}
    assert receipt.out.keys() == {"ok"}


def test_failures_are_sealed(client, job):
    """The error of a secret task, with a guest's last words in it, is for its owner; that it failed is not hidden."""
    text = canary()

    done = client.submit({"made": job("shout", cover(text), public=False)}).wait(60)

    assert (done.status, done["made"].state) == ("error", "error")
    assert done["made"].out == {"error": {"secret": True}}
    assert text in done["made"].error["stderr"]


def test_large_secrets_stand_in_sealed_blocks(client, job):
    """A result too large for its receipt is sealed and put into a block, like any other."""
    text = canary() * 2000

    done = client.submit({"a": job("uncover", cover(text), public=False), "b": job("first", {"from": "a"})}).wait(60)

    assert text == done["a"].ok == done["b"].ok


def test_secret_work_is_not_remembered(client, job):
    """A secret pure Task is computed again each time, and found by nobody who asks for its Task."""
    jobs = {"made": job("uncover", cover(canary()), public=False)}

    first, second = (client.submit(jobs).wait(60) for _ in range(2))

    assert [first["made"].cached, second["made"].cached] == [False, False]
    assert first["made"].receipt != second["made"].receipt
    assert client.receipts.of_tasks([first["made"].task]) == [None]


def test_what_is_known_in_public_is_not_taken_for_a_secret(client, job):
    """A secret task does not take the receipt of the same work done in public: its result would stand there."""
    work = job("uncover", cover(canary()))
    client.submit({"made": work}).wait(60)

    done = client.submit({"made": {**work, "public": False}, "also": work}).wait(60)

    assert (done["made"].cached, done["made"].secret) == (False, True)
    assert (done["also"].cached, done["also"].secret) == (True, False)


def test_no_task_is_named_by_a_hash_of_secrets(client, job):
    """What takes a secret is known by its promises: a CID of its arguments could be guessed from."""
    done = client.submit(
        {
            "made": job("uncover", cover("1234"), public=False),
            "taken": job("first", {"from": "made"}),
            "told": job("first", {"from": "made"}, public=True),
        }
    ).wait(60)

    for label in ("taken", "told"):
        assert read(client.blocks.get(done[label].receipt)).ran == done[label].task


def test_catch_answers_in_secret(client, job, stack):
    """What `catch` makes of a secret failure is for the owner alone."""
    text = canary()
    handler = {"type": "wasm/1.0", "with": client.blocks.put(secrets()), "func": "first"}
    document = {"header": {"catch": handler}, "jobs": {"made": job("shout", cover(text), public=False)}}

    done = client.submit(document).wait(60)

    assert text in json.dumps(done.outcome, default=str)
    assert done.seen_outcome == {"secret": True}
    with Client(settings=stack.settings, signer=Signer.generate()) as other, pytest.raises(UsageError):
        _ = other.run(done.id).outcome

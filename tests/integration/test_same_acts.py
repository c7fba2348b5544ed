"""Commands of different jobs that come to the same Task: they are one act, whoever asks first and whatever happens."""

from __future__ import annotations

import subprocess
from threading import Event

import pytest
from commands import BIN, ROOT
from modules import numbers
from sink import Sink

from ipvm_queue.store import Keys
from ipvm_queue.ucan import read

pytestmark = pytest.mark.integration
EFFECT = "ipvm/effect"


@pytest.fixture(scope="module")
def client(world):
    """Return a client of that queue."""
    with world.client() as client:
        yield client


@pytest.fixture
def jobs(client, sink, request):
    """Return two jobs whose commands come to the same Task: by a promise, and outright."""
    module = client.blocks.put(numbers())
    added = {"type": "wasm/1.0", "with": module, "func": "add", "input": [1, 2]}

    def told(value):
        return {"type": EFFECT, "with": sink.uri("x"), "do": "test/act", "value": value, "nonce": request.node.name}

    return {"x": added, "a": told({"from": "x"})}, {"a": told(3)}


@pytest.mark.parametrize("first", [0, 1])
def test_a_task_is_done_once_however_its_job_came_to_it(client, sink, jobs, first):
    """By a promise or outright: both jobs have the one receipt, in either order, and so has who comes again."""
    runs = [client.submit(jobs[each]).wait(60) for each in (first, 1 - first, first)]
    receipts = {run["a"].receipt for run in runs}

    assert [run["a"].ok for run in runs] == ["done: 3"] * 3
    assert len(receipts) == 1
    assert read(client.blocks.get(receipts.pop())).ran == runs[1 - first]["a"].task
    assert sink.names == {"x": 1}
    assert list(sink.acts.values()) == [1]


@pytest.mark.parametrize("first", [0, 1])
def test_who_comes_to_a_task_that_is_being_done_waits_for_it(world, client, sink, jobs, first):
    """Both jobs go on at once: the second is put aside until the first knows how it came out."""
    begun, go_on = Event(), Event()

    def before(_key):
        begun.set()
        go_on.wait(60)

    sink.before = before
    one = client.submit(jobs[first])
    assert begun.wait(60)
    other = client.submit(jobs[1 - first])
    waiting = f"{Keys(world.settings.queue).run(other.id)}:waiting"
    try:
        world.wait_for(lambda: world.redis.zcard(waiting) == 1)
    finally:
        go_on.set()

    assert one.wait(60)["a"].receipt == other.wait(60)["a"].receipt
    assert sink.names == {"x": 1}


def test_doubt_of_a_task_is_doubt_for_each_job_that_comes_to_it(world, client, sink, jobs):
    """The second job does not do what the first may have done; an operator's word settles it for both."""
    sink.after = _hang_up
    runs = [client.submit(job).wait(60) for job in jobs]
    doubts = [run["a"].error["code"] for run in runs]
    said = ipvm(world, "effect", "resolve", runs[1]["a"].task, "--done", "--value", "40")

    assert doubts == ["effect/in-doubt"] * 2
    assert said.returncode == 0, said.stderr
    assert [run.wait(60)["a"].ok for run in runs] == [40, 40]
    assert sink.names == {"x": 1}


def test_who_does_what_another_has_left_uses_its_key(world, client, sink, jobs):
    """What the world knows an act by is the same at each attempt, in whosever job: it might refuse a second."""
    keys = []

    def before(key):
        keys.append(key)
        if len(keys) == 1:
            _hang_up(key)

    sink.before = before
    one = client.submit(jobs[0]).wait(60)
    said = ipvm(world, "effect", "resolve", one["a"].error["act"], "--not-done", "--no-resume")
    other = client.submit(jobs[1]).wait(60)

    assert said.returncode == 0, said.stderr
    assert other["a"].ok == "done: 3"
    assert len(keys) == 2
    assert len(set(keys)) == 1
    one.resume()
    assert one.wait(60)["a"].receipt == other["a"].receipt
    assert sink.names == {"x": 1}


def test_two_jobs_that_cannot_be_told_apart_do_nothing(client, sink):
    """Where one job's inputs have changed since, nobody can say whose act it is: it is not done."""
    gone = Sink()
    gone.close()

    def told(value):
        return {"type": EFFECT, "with": gone.uri("x"), "do": "test/act", "value": value, "nonce": "apart"}

    asked = {"type": EFFECT, "with": sink.uri("q"), "do": "test/ask"}
    changing = client.read({"header": {"nonce": "apart"}, "jobs": {"q": asked, "a": told({"from": "q"})}})
    errors = []
    for answer in ("one", "another"):
        sink.values["q"] = answer
        errors.append(client.submit(changing).wait(60)["a"].error["code"])
    errors += [client.submit({"a": told(answer)}).wait(60)["a"].error["code"] for answer in ("one", "another")]

    assert errors == ["witness/unreachable", "witness/unreachable", "effect/two-acts", "witness/unreachable"]


def test_a_task_that_another_has_done_is_not_done_as_an_act_of_its_own(world, client, sink):
    """A command that is an act already, and has come to what another act has done, is not done either."""

    def told(value):
        return {"type": EFFECT, "with": sink.uri("x"), "do": "test/act", "value": value, "nonce": "done already"}

    asked = {"type": EFFECT, "with": sink.uri("q"), "do": "test/ask"}
    changing = client.read({"header": {"nonce": "done already"}, "jobs": {"q": asked, "a": told({"from": "q"})}})
    sink.values["q"], sink.before = "one", _hang_up
    error = client.submit(changing).wait(60)["a"].error
    said = ipvm(world, "effect", "resolve", error["act"], "--not-done", "--no-resume")
    sink.values["q"], sink.before = "another", lambda _key: None
    done = client.submit({"a": told("another")}).wait(60)
    last = client.submit(changing).wait(60)

    assert said.returncode == 0, said.stderr
    assert done["a"].ok == "done: another"
    assert last["a"].error["code"] == "effect/two-acts"
    assert sink.names == {"x": 1}


def ipvm(world, *arguments):
    """Run `ipvm` on that queue."""
    command = [BIN / "ipvm", *map(str, arguments)]
    return subprocess.run(command, env=world.environment(), cwd=ROOT, capture_output=True, text=True, check=False)


def _hang_up(_key):
    """Let the witness's connection die without an answer."""
    raise ConnectionAbortedError

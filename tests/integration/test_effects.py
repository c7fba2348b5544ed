"""Effects, from a job to the witness and back."""

from __future__ import annotations

import json

import pytest
from sink import Sink
from stack import Stack

from ipvm_queue.errors import DocumentError
from ipvm_queue.ipld import encode

EFFECT = "ipvm/effect"


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Return a queue with a worker that takes everything, on a broker that keeps what it promises."""
    stack = Stack(tmp_path_factory.mktemp("world"), aof=True)
    try:
        stack.start_valkey()
        stack.start_worker("w", "-P", "prefork", "-c", "2", program="ipvm_queue.worker")
        yield stack
    finally:
        stack.stop()


@pytest.fixture(scope="module")
def client(world):
    """Return a client of that queue."""
    with world.client() as client:
        yield client


@pytest.fixture
def sink():
    """Return a witness."""
    sink = Sink()
    yield sink
    sink.close()


def effect(sink, ability, name="x", **fields):
    """Return an effect job on the witness."""
    return {"type": EFFECT, "with": sink.uri(name), "do": f"test/{ability}", **fields}


def test_a_query_asks_the_world_and_its_answer_is_attested(client, sink):
    """The receipt says who asked, when, how often, what for, and what answered."""
    sink.values["x"] = "hello"
    run = client.submit({"a": effect(sink, "ask")}).wait(60)

    assert run.status == "ok"
    assert run["a"].ok == "hello"
    meta = run["a"].meta
    assert meta["effect"] == "witness test/ask"
    assert meta["evidence"]["status"] == 200
    assert len(meta["attempts"]) == 1
    assert meta["request"]
    assert run["a"].worker.startswith("did:key:")


def test_a_query_is_asked_anew_in_each_run(client, sink):
    """Its Task is another one each time, so that nobody is given yesterday's answer."""
    job = client.read({"header": {"nonce": "same"}, "jobs": {"a": effect(sink, "ask")}})
    sink.values["x"] = "old"
    first = client.submit(job).wait(60)
    sink.values["x"] = "new"
    second = client.submit(job).wait(60)

    assert (first["a"].ok, second["a"].ok) == ("old", "new")
    assert first["a"].task != second["a"].task
    assert sink.asked["x"] == 2


def test_a_query_is_retried_and_each_attempt_is_told(client, sink):
    """What is transient is asked again after a while."""
    sink.values["x"] = "at last"
    sink.unwilling = 2
    run = client.submit({"a": effect(sink, "ask")}).wait(60)

    assert run["a"].ok == "at last"
    assert [attempt.get("error") for attempt in run["a"].meta["attempts"]] == ["witness/away", "witness/away", None]


def test_what_cannot_be_retried_is_an_error(client, sink):
    """An error that asking again does not help is told at once, with whose fault it is."""
    run = client.submit({"a": effect(sink, "ask", "nothing")}).wait(60)

    assert run.status == "error"
    assert run["a"].error == {"code": "witness/away", "message": "the witness answers 404", "fault": "world"}
    assert len(run["a"].meta["attempts"]) == 1


def test_a_command_acts_once_however_often_its_job_comes(client, sink):
    """The same signed job is the same act; whoever submits it again is given the same receipt."""
    job = client.read({"header": {"nonce": "once"}, "jobs": {"a": effect(sink, "act", value="hi")}})
    runs = [client.submit(job) for _ in range(3)]
    runs = [run.wait(60) for run in runs]

    assert [run["a"].ok for run in runs] == ["done: hi"] * 3
    assert len({run["a"].receipt for run in runs}) == 1
    assert sink.acts == {str(runs[0]["a"].task): 1}


def test_the_same_job_with_another_nonce_is_another_act(client, sink):
    """A job that states no nonce gets one when it is signed."""
    job = {"a": effect(sink, "act", value="hi")}
    first, second = (client.submit(job).wait(60) for _ in range(2))

    assert first["a"].task != second["a"].task
    assert sink.names["x"] == 2


def test_an_act_on_what_a_query_found_is_one_act_too(client, sink):
    """Even where its input is another one in each run, a job's command is done once."""
    jobs = {"q": effect(sink, "ask"), "a": effect(sink, "act", value={"from": "q"})}
    job = client.read({"header": {"nonce": "found"}, "jobs": jobs})
    sink.values["x"] = "first"
    first = client.submit(job).wait(60)
    sink.values["x"] = "second"
    second = client.submit(job).wait(60)

    assert first["a"].ok == second["a"].ok == "done: first"
    assert sink.names["x"] == 1


def test_the_world_s_refusal_ends_an_act(client, sink):
    """A command that was refused is over, with the world's own words."""
    run = client.submit({"a": effect(sink, "act", value="refuse")}).wait(60)

    assert run.status == "error"
    assert run["a"].error == {"code": "witness/refused", "message": "not that", "fault": "world"}


def test_a_command_that_was_never_sent_is_free(client):
    """Where nothing reached the world it is an error, no doubt, and the job may be submitted again."""
    gone = Sink()
    gone.close()
    job = client.read({"header": {"nonce": "free"}, "jobs": {"a": effect(gone, "act", value="hi")}})
    run = client.submit(job).wait(60)

    assert run.status == "error"
    assert run["a"].error["code"] == "witness/unreachable"
    assert client.submit(job).wait(60)["a"].error["code"] == "witness/unreachable"


def test_a_with_may_come_from_a_previous_step(client, sink):
    """What handles it is found when its scheme is known; one that nobody handles is an error."""
    sink.values |= {"where": sink.uri("x"), "nowhere": "dance:hall", "x": "here"}
    promised = {"type": EFFECT, "with": {"from": "where"}, "do": "test/ask"}
    run = client.submit({"where": effect(sink, "ask", "where"), "a": promised}).wait(60)
    lost = client.submit({"where": effect(sink, "ask", "nowhere"), "a": promised}).wait(60)

    assert run["a"].ok == "here"
    assert lost["a"].error["code"] == "effect/unknown"


@pytest.mark.parametrize(
    ("job", "message"),
    [
        ({"with": "witness://x/y", "do": "test/dance"}, "job 'a': no handler here knows test/dance of witness:"),
        ({"with": "dance:hall", "do": "test/ask"}, "job 'a': no handler here knows test/ask of dance:"),
        ({"with": "witness://x/y", "do": "test/act"}, "job 'a': needs 'value'"),
        ({"with": "witness://x/y", "do": "test/act", "value": 1, "args": {"note": 2}},
         "job 'a': note: is string, this is integer"),
    ],
)  # fmt: skip
def test_what_nobody_can_do_is_refused_at_submission(client, job, message):
    """An unknown pair is refused with the near ones, a wrong argument with its name."""
    with pytest.raises(DocumentError) as refused:
        client.submit({"a": {"type": EFFECT, **job}})

    assert [fault.message for fault in refused.value.faults] == [message]
    assert refused.value.faults[0].path == "a" or "a" in refused.value.faults[0].path


def test_one_command_at_a_time_touches_a_resource(client, sink):
    """Where a handler names a resource, others wait for it."""
    sink.before = lambda _key: __import__("time").sleep(0.1)
    runs = [client.submit({"a": effect(sink, "alone", "zone", value=number)}) for number in range(4)]

    assert [run.wait(60).status for run in runs] == ["ok"] * 4
    assert sink.most_at_once == {"zone": 1}
    assert sink.names["zone"] == 4


def test_no_value_is_in_the_list_of_acts(world, client, sink):
    """What guards keep names the act, not what it says."""
    run = client.submit({"a": effect(sink, "act", value="canary-4711")}).wait(60)
    kept = [world.redis.hgetall(key) for key in world.redis.scan_iter("*:act:*", type="hash")]
    told = [b"%r" % fields.get(b"about") for fields in kept]

    assert run.status == "ok"
    assert kept
    assert not [text for text in told if b"canary" in text]
    assert json.dumps(str(encode(run["a"].meta))).find("canary") < 0

"""Effects, from a job to the witness and back."""

from __future__ import annotations

import json
import subprocess

import pytest
from commands import BIN, ROOT
from modules import numbers
from sink import Sink

from ipvm_queue.errors import DocumentError
from ipvm_queue.ipld import encode

EFFECT = "ipvm/effect"


@pytest.fixture(scope="module")
def client(world):
    """Return a client of that queue."""
    with world.client() as client:
        yield client


def effect(sink, ability, name="x", **fields):
    """Return an effect job on the witness."""
    return {"type": EFFECT, "with": sink.uri(name), "do": f"test/{ability}", **fields}


def added(client, left, right):
    """Return a job that adds."""
    return {"type": "wasm/1.0", "with": client.blocks.put(numbers()), "func": "add", "input": [left, right]}


def trap(client):
    """Return a job that traps."""
    return {"type": "wasm/1.0", "with": client.blocks.put(numbers()), "func": "trap", "input": [1]}


def ipvm(world, *arguments):
    """Run `ipvm` on that queue."""
    command = [BIN / "ipvm", *map(str, arguments)]
    return subprocess.run(command, env=world.environment(), cwd=ROOT, capture_output=True, text=True, check=False)


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


def test_what_nobody_knows_is_in_doubt_and_never_done_again(client, sink):
    """A connection lost after the act leaves a doubt: no second act, for this run and for every other."""
    sink.after = _hang_up
    job = client.read({"header": {"nonce": "doubt"}, "jobs": {"a": effect(sink, "act", value="hi")}})
    first = client.submit(job).wait(60)
    sink.after = lambda _key: None
    second = client.submit(job).wait(60)

    for run in (first, second):
        assert run.status == "in-doubt"
        assert run["a"].state == "in-doubt"
        assert run["a"].error["code"] == "effect/in-doubt"
        assert "witness/lost" in run["a"].error["message"]
    assert sink.names["x"] == 1
    (act,) = [act for act in client.acts.all(in_doubt=True) if act.run == first.id]
    assert act.runs == tuple(sorted((first.id, second.id)))


def test_an_operator_is_told_by_what_the_world_knows_a_doubtful_act(world, client, sink):
    """Also where that is not its Task, whose args hang on the answer of a query."""
    sink.values["q"] = "hello"
    sink.after = _hang_up
    run = client.submit({"q": effect(sink, "ask", "q"), "a": effect(sink, "act", value={"from": "q"})}).wait(60)
    shown = json.loads(ipvm(world, "effect", "show", run["a"].error["act"], "--json").stdout)
    ((key, count),) = sink.acts.items()

    assert run.status == "in-doubt"
    assert (shown["key"], count) == ({"/": key}, 1)
    assert shown["key"] != shown["task"]


def test_a_handler_that_can_ask_settles_the_doubt(client, sink):
    """What the witness remembers was done, and is a receipt that says how it is known."""
    sink.after = _hang_up
    run = client.submit({"a": effect(sink, "trace", value="hi")}).wait(60)

    assert run.status == "ok"
    assert run["a"].ok == "done: hi"
    assert run["a"].meta["reconciled"]
    assert sink.names["x"] == 1


def test_what_surely_did_not_happen_is_done_again_only_where_the_world_refuses_a_second(client, sink):
    """Not done *yet* is no reason to act again: whoever was to act may be slow. With a key it is."""
    sink.before = lambda key: _hang_up(key) if sink.asked.update([key]) or sink.asked[key] == 1 else None
    run = client.submit({"a": effect(sink, "once", value="hi"), "b": effect(sink, "trace", "y", value="ho")}).wait(60)

    assert run["a"].ok == "done: hi"
    assert run["b"].state == "in-doubt"
    assert "the world knows nothing of it yet" in run["b"].error["message"]
    assert sink.names == {"once-x": 1}


def test_the_operator_s_word_settles_a_doubt_and_the_run_goes_on(world, client, sink):
    """`ipvm effect resolve --done` signs what came out, and the runs that were told of the doubt go on with it."""
    sink.after = _hang_up
    jobs = {"a": effect(sink, "act", value="hi"), "b": added(client, {"from": "a"}, 2)}
    run = client.submit(jobs).wait(60)
    assert (run.status, run["b"].state) == ("in-doubt", "error")
    task = str(run["a"].task)

    listed = ipvm(world, "effect", "list", "--in-doubt", "--json")
    shown = ipvm(world, "run", "show", run.id)
    done = ipvm(world, "effect", "resolve", task, "--done", "--value", "40", "--reason", "seen", "--json")
    run.wait(60)

    assert task in [each["task"]["/"] for each in json.loads(listed.stdout)["acts"]]
    assert shown.returncode == 4
    assert json.loads(done.stdout)["state"] == "done"
    assert json.loads(done.stdout)["resumed"] == [run.id]
    assert (run.status, run["b"].ok) == ("ok", 42)
    assert run["a"].meta["resolved"]["why"] == "seen"
    assert sink.names["x"] == 1
    assert ipvm(world, "effect", "resolve", task, "--not-done").returncode == 2


def test_what_the_operator_says_was_not_done_is_done_when_the_run_goes_on(world, client, sink):
    """`--not-done` frees the act, and it happens once."""
    sink.before = _hang_up
    run = client.submit({"a": effect(sink, "act", value="hi")}).wait(60)
    sink.before = lambda _key: None
    status = run.status

    said = ipvm(world, "effect", "resolve", run["a"].task, "--not-done")
    run.wait(60)

    assert status == "in-doubt"
    assert said.returncode == 0, said.stderr
    assert run.status == "ok"
    assert sink.names["x"] == 1
    assert "state    done" in ipvm(world, "effect", "show", run["a"].task).stdout


def test_the_table_of_effects_has_those_of_other_packages(world):
    """`ipvm effect kinds` lists every pair with its class."""
    kinds = json.loads(ipvm(world, "effect", "kinds", "--json").stdout)["kinds"]
    (once,) = [kind for kind in kinds if kind["ability"] == "test/once"]

    assert (once["scheme"], once["safety"], once["idempotency_key"], once["reconciles"]) == (
        "witness",
        "command",
        True,
        True,
    )


def test_a_server_that_keeps_nothing_is_refused(idle, sink):
    """Without an append-only file nothing destructive is done, and the error says what to change."""
    idle.start_worker("w", "-P", "solo", program="ipvm_queue.worker")
    sink.values["x"] = "hello"
    with idle.client() as client:
        job = {"a": effect(sink, "act", value="hi"), "b": effect(sink, "ask")}
        run = client.submit(job).wait(60)

    assert run["b"].ok == "hello"
    assert run["a"].error["code"] == "runner/not-durable"
    assert "appendonly yes" in run["a"].error["message"]
    assert "commands will be refused here" in idle.groups["w"].tail(60)
    assert sink.names == {}


def test_commands_wait_until_everything_in_front_has_succeeded(client, sink):
    """The pure part is a transaction: what it fails by is named in the receipt of each command that did not run."""
    jobs = {
        "act": effect(sink, "act", value="hi"),
        "then": effect(sink, "act", "y", value={"from": "act"}),
        "sum": added(client, 1, 2),
    }
    run = client.submit(jobs | {"wrong": trap(client)}).wait(60)
    good = client.submit(jobs).wait(60)

    assert run.status == "error"
    assert run["sum"].ok == 3
    for label in ("act", "then"):
        assert run[label].error["code"] == "transaction/aborted"
        assert run[label].error["message"] == "not run: the transaction was aborted, because 'wrong' failed"
    assert (good.status, good["then"].ok) == ("ok", "done: done: hi")
    assert sink.names == {"x": 1, "y": 1}


def test_an_error_that_is_handled_does_not_abort(client, sink):
    """What has an `on.error` is no failure of the transaction."""
    handled = trap(client) | {"on": {"error": ["sorry"]}}
    run = client.submit({"wrong": handled, "sorry": effect(sink, "act", value="sorry")}).wait(60)

    assert run.status == "ok"
    assert run["sorry"].ok == "done: sorry"


def test_an_aborted_job_may_be_done_later(client, sink):
    """What did not run says nothing of its Task: after a resume that succeeds, it runs."""
    sink.values["x"] = "hi"
    sink.unwilling = 10
    job = client.read(
        {"header": {"nonce": "later"}, "jobs": {"q": effect(sink, "ask"), "a": effect(sink, "act", value=1)}}
    )
    first = client.submit(job).wait(60)
    sink.unwilling = 0
    second = client.submit(job).wait(60)

    assert first["a"].error["code"] == "transaction/aborted"
    assert second["a"].ok == "done: 1"


def _hang_up(_key):
    """Let the witness's connection die without an answer."""
    raise ConnectionAbortedError

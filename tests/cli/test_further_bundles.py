"""`ipvm receipt verify` of a task that had a further job run: each thing that may be wrong beneath it has its words."""

from __future__ import annotations

import pytest
from bundles import MALLORY, OTHER_WORKER, flipped, task
from further_bundles import FURTHER, VALUES, Nested
from principals import NOW

from ipvm_queue.ipld import DAG_CBOR, Link

ANOTHER = {**FURTHER, "b": task(7)}


@pytest.fixture
def verdict(call, write):
    """Return what is said of the step `beneath`, as (verdict, detail), and the exit code."""

    def judge(nested, **changes):
        path = write("nested.ucan", nested.bundle(**changes))
        found = call("ipvm", "receipt", "verify", path, "--json")
        (more,) = (
            each for each in found.json["receipts"] if each["receipt"]["/"] == str(nested.above.receipts["more"].link)
        )
        (step,) = (each for each in more["steps"] if each["name"] == "beneath")
        return step["verdict"], step["detail"], found.code

    return judge


def test_a_further_job_is_verified_with_the_one_above_it(call, write):
    """The step names who had it run, and in whose name; every member of the bundle is needed."""
    nested = Nested()
    path = write("nested.ucan", nested.bundle())

    shown, found = call("ipvm", "receipt", "verify", path), call("ipvm", "receipt", "verify", path, "--json")

    assert shown.code == 0, shown.err
    assert "✓ beneath    2 receipts of a further job, which " in shown.out
    assert f"had run in the name of {nested.above.user.did}" in shown.out
    assert found.json["unused"] == []
    assert [each["input"] for each in found.json["receipts"]] == [False, True, True]


@pytest.mark.parametrize(
    ("made", "said", "why"),
    [
        ({"run": ANOTHER}, "swapped", "is another than the one that the task asks for"),
        ({"out": {"ok": {**VALUES, "b": "b is changed"}}}, "swapped", "says something else of 'b'"),
        ({"out": {"ok": {"b": VALUES["b"]}}}, "missing", "does not tell what came of 'c'"),
        ({"out": {"ok": {**VALUES, "d": 1}}}, "missing", "no receipt beneath it is of 'd'"),
        ({"out": {"ok": "fine"}}, "malformed", "no map of the values"),
        ({"out": {"error": {"code": "job/failed", "failed": "b", "error": {"code": "x"}}}}, "swapped", "else of 'b'"),
        ({"lets": MALLORY}, "wrongly delegated", "was not run in the name of"),
        ({"lets": None}, "wrongly delegated", "was not run in the name of"),
        ({"worker": OTHER_WORKER}, "swapped", "the receipt that names it is"),
        ({"parent": Link.of(b"?", DAG_CBOR)}, "swapped", "is another than the one that the task asks for"),
        ({"nonce": b"of another task"}, "swapped", "was run for another task"),
        ({"at": NOW - 30}, "early", "the receipt that names it"),
        ({"names": {}}, "missing", "names no receipts beneath it"),
        ({"names": {"receipts": []}}, "missing", "no receipt beneath it is of 'b'"),
        ({"names": {"inv": Link.of(b"?")}}, "missing", "the further job (8)"),
    ],
    ids=lambda value: None if isinstance(value, str) else "-".join(f"{name}" for name in value),
)
def test_what_is_wrong_beneath_is_told_apart(verdict, made, said, why):
    """Whatever the worker may sign: another job, another value, a stranger's delegation, another task's further job."""
    found, detail, code = verdict(Nested(**made))

    assert (found, code) == (said, 1)
    assert why in detail


@pytest.mark.parametrize("other", [True, 1.0], ids=["bool", "float"])
def test_numbers_are_what_they_were(verdict, other):
    """One is not the truth, nor a float: a document with another literal is another document."""
    asks = {"b": task(1)}
    found, detail, _ = verdict(Nested(asks=asks, run={"b": task(other)}, out={"ok": {"b": VALUES["b"]}}))

    assert found == "swapped"
    assert "is another than the one" in detail


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("8'", "the further job (8)"),
        ("document'", "what is beneath it,"),
        ("13r.b'", "a receipt beneath it,"),
        ("13s.b'", "what is beneath it,"),
        ("11'", "what is beneath it,"),
        ("9'", "what is beneath it,"),
        ("may too", "a proof of the further job (8),"),
        ("let too", "what is beneath it,"),
    ],
)
def test_a_missing_member_beneath_is_missed(verdict, name, why):
    """Nothing of the further job may be left out; what was changed on the way is said to be."""
    nested = Nested()
    found, detail, code = verdict(nested, without=(name,))
    assert (found, code) == ("missing", 1)
    assert why in detail

    found, detail, code = verdict(nested, instead={name: flipped(nested.members()[name])})
    assert (found, code) == ("altered", 1)


def test_only_a_task_that_runs_jobs_has_something_beneath_it(call, write):
    """A receipt of another kind of task that names a further job does not hold."""
    nested = Nested()
    nested.above.words["more"] = nested.above.say("/wasm/run", *([value] for value in _named(nested)))
    path = write("nested.ucan", nested.bundle())

    found = call("ipvm", "receipt", "verify", path, "--json")

    assert found.code == 1
    verdicts = {step["name"]: step["verdict"] for step in found.json["receipts"][0]["steps"]}
    assert verdicts["beneath"] == "swapped"


def _named(nested):
    receipt = nested.above.receipts["more"]
    return receipt.args["ran"], receipt.link

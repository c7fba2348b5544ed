"""`ipvm receipt export` and `verify` with bundles: what people and programs are told."""

from __future__ import annotations

import io
import json
import sys
from base64 import b64encode
from pathlib import Path

import pytest
from bundles import World, flipped, task
from commands import PIPELINE

WORLD = World()


def test_a_bundle_is_verified_offline(call, write):
    """Every step is printed with its verdict; no broker is asked for, not even one of one's own."""
    path = write("result.ucan", WORLD.bundle())

    shown = call("ipvm", "receipt", "verify", path)

    assert shown.code == 0
    assert "task    c" in shown.out
    for step in ("receipt", "service", "queue", "hand-out", "pop", "push", "job", "task", "grants", "time"):
        assert f"✓ {step:10} " in shown.out
    assert "? revocation unknown" in shown.out
    assert "2 receipts that it rests on hold in the same way" in shown.out


def test_programs_get_steps_and_verdicts(call, write):
    """With --json each receipt has its labels, its parties and its steps."""
    path = write("result.ucan", WORLD.bundle())

    found = call("ipvm", "receipt", "verify", path, "--json").json

    assert found["valid"] is True
    first = found["receipts"][0]
    assert (first["labels"], first["out"], first["input"]) == (["c"], {"ok": "c is done"}, False)
    assert first["worker"] == WORLD.worker.did
    assert {step["verdict"] for step in first["steps"]} == {"ok", "unknown"}
    assert found["unused"] == []


def test_a_fault_is_named_with_its_step(call, write):
    """What does not hold is said in words, on standard error and in the exit code."""
    changed = WORLD.bundle(instead={"13s.c": flipped(WORLD.members()["13s.c"])})
    path = write("result.ucan", changed)

    shown = call("ipvm", "receipt", "verify", path)
    found = call("ipvm", "receipt", "verify", path, "--json")

    assert (shown.code, found.code) == (1, 1)
    assert "✗ service    altered: " in shown.out
    assert "error[bundle]: service: altered: " in shown.err
    assert found.json["valid"] is False
    assert {"name": "service", "verdict": "altered"}.items() <= found.json["receipts"][0]["steps"][1].items()


@pytest.mark.parametrize("form", ["file", "cid", "base64"])
def test_a_question_is_asked_in_three_forms(call, write, form):
    """One's own invocation is a file, a CID or base64; an answer to another one is none."""
    path = write("result.ucan", WORLD.bundle())
    own, other = WORLD.tokens["8"], World({"x": task(9)}).tokens["8"]

    def asked(token):
        forms = {
            "file": lambda: write("8.ucan", token.data),
            "cid": lambda: str(token.link),
            "base64": lambda: b64encode(token.data).decode(),
        }
        return call("ipvm", "receipt", "verify", path, "--for", forms[form]())

    assert asked(own).code == 0
    refused = asked(other)
    assert refused.code == 1
    assert "error[bundle]: asked: " in refused.err


def test_a_bundle_comes_through_a_pipe(call, monkeypatch):
    """`-` is standard input."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(WORLD.bundle())))

    assert call("ipvm", "receipt", "verify", "-").code == 0


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["no-such-file"], 2, "neither a file nor a CID"),
        (["broken.ucan"], 1, "is no bundle"),
        (["result.ucan", "--rerun", "abc"], 2, "offline"),
        (["result.ucan", "--for", "?"], 2, "no file, CID or base64"),
    ],
)
def test_what_is_no_bundle_is_said(call, write, arguments, code, message):
    """Each slip has a message of its own."""
    write("result.ucan", WORLD.bundle())
    write("broken.ucan", WORLD.bundle()[:200])

    done = call("ipvm", "receipt", "verify", *arguments)

    assert done.code == code
    assert message in done.err


def test_nothing_is_exported_of_nothing(call):
    """Which receipts, has to be said."""
    assert "which receipts?" in call("ipvm", "receipt", "export").err


@pytest.mark.integration
@pytest.mark.usefixtures("up")
def test_a_run_is_exported_and_verified(call):
    """From a job to a file that proves its result, for the job that asked for it."""
    run = call("ipvm-submit", PIPELINE, "--json").json
    receipt = run["tasks"]["count"]["receipt"]["/"]

    whole = call("ipvm", "receipt", "export", "--run", run["run"], "-o", "whole.ucan", "--json")
    one = call("ipvm", "receipt", "export", run["tasks"]["count"]["task"]["/"], "-o", "one.ucan")

    assert whole.json["receipts"] == [{"/": receipt}]
    assert "ipvm receipt verify one.ucan" in one.err
    for name in ("whole.ucan", "one.ucan"):
        found = call("ipvm", "receipt", "verify", name, "--json").json
        assert (found["valid"], found["receipts"][0]["out"]) == (True, {"ok": 10})


@pytest.mark.integration
@pytest.mark.usefixtures("up")
def test_what_is_secret_is_not_shown(call, write):
    """Of a sealed result it is said that it is one, and on which branch; what was made public of it is shown."""
    folder = PIPELINE.parent.parent / "guests"
    jobs = json.loads(PIPELINE.read_text())
    for label, public in (("fullName", False), ("count", True)):
        jobs[label] |= {"with": f"file:{folder / Path(jobs[label]['with']).name}", "public": public}
    jobs["fullName"]["input"] = [{"firstName": "Canary"}, {"lastName": "Byrd"}]
    run = call("ipvm-submit", write("job.json", jobs), "--json").json
    made = {label: run["tasks"][label]["receipt"]["/"] for label in jobs}
    call("ipvm", "receipt", "export", made["fullName"], "-o", "sealed.ucan")
    call("ipvm", "receipt", "export", made["count"], "-o", "made.ucan")

    shown = call("ipvm", "receipt", "verify", "sealed.ucan")
    (one,) = call("ipvm", "receipt", "verify", "sealed.ucan", "--json").json["receipts"]
    count, name = call("ipvm", "receipt", "verify", "made.ucan", "--json").json["receipts"]

    assert shown.code == 0
    assert "ok      (secret)" in shown.out.splitlines()
    assert "sealed" not in shown.out.replace("sealed.ucan", "")
    assert (one["secret"], one["out"]) == (True, {"ok": {"secret": True}})
    assert (name["secret"], name["out"]) == (True, {"ok": {"secret": True}})
    assert (count["secret"], count["out"]) == (False, {"ok": 11})


@pytest.mark.integration
@pytest.mark.usefixtures("up")
def test_receipts_of_elsewhere_are_brought_with_a_job(call, write):
    """A bundle that holds is taken in before the job; one that does not is refused, and the job with it."""
    good = write("good.ucan", WORLD.bundle())
    bad = write("bad.ucan", WORLD.bundle(without=["13s.a"]))

    assert call("ipvm-submit", PIPELINE, "--receipts", good).code == 0
    refused = call("ipvm-submit", PIPELINE, "--receipts", bad)

    assert refused.code == 3
    assert "missing" in refused.err

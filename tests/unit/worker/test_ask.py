"""Asking the world: attempts, their end, and what is believed of an answer."""

from __future__ import annotations

from time import monotonic

import pytest

from ipvm_queue.effects import Call, Effect, EffectError, Outcome, Safety
from ipvm_queue.errors import UsageError
from ipvm_queue.ipld import Link
from ipvm_queue.worker.ask import ask, broken


def call(seconds=60.0, **more):
    """Return a call."""
    given = {"max_bytes": 100, "attempt": 1, **more}
    return Call("test:x", "test/ask", {}, Link.of(b"task"), monotonic() + seconds, given["max_bytes"], given["attempt"])


def effect(run):
    """Return a query that is done by a function of the call."""
    return Effect("test", "test/ask", Safety.QUERY, lambda _context, call: run(call), {}, "a test's")


def failing(times, **more):
    """Return a handler that fails so often before it answers."""

    def run(call):
        if call.attempt <= times:
            raise EffectError("test/away", "not now", "network", **more)
        return Outcome({"ok": call.attempt}, {"seen": True})

    return effect(run)


def test_what_is_transient_is_asked_again():
    """Each attempt is told, and its evidence is that of the last."""
    done = ask(failing(1, transient=True), None, call())

    assert done.out == {"ok": 2}
    assert [attempt.get("error") for attempt in done.meta["attempts"]] == ["test/away", None]
    assert done.meta["evidence"] == {"seen": True}
    assert not done.reusable


def test_what_is_not_transient_is_not():
    """One attempt, and the error as the handler says it."""
    done = ask(failing(1, evidence={"code": 5}), None, call())

    assert done.out == {"error": {"code": "test/away", "message": "not now", "fault": "network"}}
    assert done.meta["evidence"] == {"code": 5}
    assert len(done.meta["attempts"]) == 1


def test_no_attempt_begins_after_the_task_s_time():
    """A pause that would go over the deadline is the end."""
    done = ask(failing(9, transient=True), None, call(seconds=0.05))

    assert "error" in done.out
    assert len(done.meta["attempts"]) == 1


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ({"ok": "x" * 10_000}, "the answer has 10007 bytes, at most 100 are allowed"),
        ({"ok": object()}, "the answer is no IPLD"),
        ({"fine": 1}, "its handler answered no Result"),
        ({"ok": 1, "error": 2}, "its handler answered no Result"),
    ],
)
def test_an_answer_that_cannot_stand_in_a_receipt_is_an_error(answer, message):
    """What a handler answers is looked at before anybody believes it."""
    done = ask(effect(lambda _call: Outcome(answer)), None, call())

    assert done.out["error"]["code"] == "effect/answer"
    assert done.out["error"]["message"].startswith(message)


def test_of_a_bug_only_its_kind_is_told():
    """A message of an exception that nobody foresaw may hold a secret."""

    def run(_call):
        raise KeyError("canary")

    done = ask(effect(run), None, call())

    assert done.out["error"]["code"] == "effect/handler"
    assert "KeyError" in done.out["error"]["message"]
    assert "canary" not in str(done)


def test_our_own_errors_say_what_is_wrong():
    """A handler that raises an error of this package's keeps its words."""
    failure = broken(effect(lambda _call: None), UsageError("say which"))

    assert (failure.code, failure.message, failure.fault) == ("effect/usage", "say which", "runner")

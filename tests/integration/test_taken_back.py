"""Requests that nobody waits for any more: they are taken back, and what was told of them stays true."""

from __future__ import annotations

import json
import signal
import subprocess
import time

import pytest
from commands import BIN
from modules import numbers, salt
from stack import Stack

from ipvm_queue.errors import UnavailableError
from ipvm_queue.ipld import Link
from ipvm_queue.queue import establish
from ipvm_queue.store import Inbox, Keys

pytestmark = pytest.mark.integration


@pytest.fixture
def stack(tmp_path):
    """Give a Valkey that no gate serves yet, whose users are set up."""
    stack = Stack(tmp_path)
    stack.start_valkey(gate=False)
    establish(stack.settings)
    with stack.client() as client:
        client.blocks.put(numbers())
    yield stack
    stack.stop()


def job() -> dict:
    """Return a job that nobody has had before."""
    return {"a": {"type": "wasm/1.0", "with": str(Link.of(numbers())), "func": "add", "input": [salt(), 1]}}


def submit(stack: Stack, *options: str) -> subprocess.Popen:
    """Start to submit a new job."""
    path = stack.directory / "job.json"
    path.write_text(json.dumps(job()))
    command = [BIN / "ipvm-submit", "--broker", stack.url, *options, path]
    return subprocess.Popen(command, env=stack.environment(), stdout=-1, stderr=-1, text=True)


def runs_of_the_gate_to_come(stack: Stack) -> list[str]:
    """Start a gate, have it let one job in, and return all runs that it opened before."""
    stack.start_gate()
    with stack.client() as client:
        last = client.submit(job())
        return [each.id for each in client.runs() if each.id != last.id]


def test_a_job_that_no_gate_took_is_not_run_later(stack):
    """Who was told that nobody serves the queue may submit again: the first request is gone when a gate comes."""
    told = "no gate serves this queue: the request is taken back"
    with stack.client() as client, pytest.raises(UnavailableError, match=told):
        client.submit(job(), patience=0.2)

    assert runs_of_the_gate_to_come(stack) == []


def test_a_job_that_was_interrupted_is_not_run_later(stack):
    """Ctrl-C before a gate has let the job in takes it back, and says so."""
    asked = submit(stack)
    keys = Keys(stack.settings.queue)
    stack.wait_for(lambda: stack.redis.llen(keys.inbox))
    asked.send_signal(signal.SIGINT)

    out, told = asked.communicate(timeout=20)
    assert (asked.returncode, out) == (130, "")
    assert told.splitlines()[-1] == "interrupted: the request is taken back"
    assert runs_of_the_gate_to_come(stack) == []


def test_a_timeout_counts_before_the_job_is_let_in_too(stack):
    """`--timeout` ends the wait for a gate, and the reason for waiting is said once."""
    asked = submit(stack, "--timeout", "7")
    _, told = asked.communicate(timeout=50)  # it would be 60 without

    assert asked.returncode == 6
    assert told.count("waiting: no gate serves this queue") == 1


def test_what_a_gate_has_let_in_is_not_called_taken_back(stack):
    """An answer that was under way when Ctrl-C came has let the job in: it goes on, and the user is told so."""
    stack.start_gate()
    gate, keys = stack.groups["gate"].process, Keys(stack.settings.queue)
    gate.send_signal(signal.SIGSTOP)
    asked = submit(stack)
    stack.wait_for(lambda: stack.redis.keys(keys.request("*")))
    asked.send_signal(signal.SIGSTOP)
    asked.send_signal(signal.SIGINT)
    gate.send_signal(signal.SIGCONT)
    (run,) = stack.wait_for(lambda: stack.redis.smembers(keys.live))
    stack.wait_for(lambda: not stack.redis.keys(keys.request("*")))
    asked.send_signal(signal.SIGCONT)

    _, told = asked.communicate(timeout=20)
    assert asked.returncode == 130
    run_told = f"interrupted: run {run.decode()} goes on: ipvm run watch {run.decode()}"
    assert told.splitlines()[-1] in ("interrupted: the gate had answered: ipvm run list", run_told)


def test_a_job_whose_answer_was_lost_is_told_by_its_run(stack, monkeypatch):
    """A gate that dies between letting a job in and answering leaves a run: the submitter gets that, and no error."""
    stack.start_gate()
    monkeypatch.setattr(Inbox, "answer", lambda *_: time.sleep(0.2))  # lost on its way, which no process can arrange
    with stack.client() as client:
        run = client.submit(job(), patience=3)
        assert run.status == "running"
        assert [each.id for each in client.runs()] == [run.id]


def test_a_request_that_was_taken_back_is_not_answered(stack):
    """A gate that finds out when it claims refuses nothing: nobody is told of a fault of theirs."""
    stack.start_gate()
    gate, keys = stack.groups["gate"].process, Keys(stack.settings.queue)
    with stack.client() as client:
        first = client.submit(job())
    stack.wait_for(lambda: any(each["cmd"] == "blmove" for each in stack.redis.client_list()))
    gate.send_signal(signal.SIGSTOP)  # while it waits: what the server gives it, it reads when it goes on
    with stack.client() as client, pytest.raises(UnavailableError, match="is taken back"):
        client.submit(job(), patience=0.1)
    assert stack.redis.llen(keys.inbox) == 0
    gate.send_signal(signal.SIGCONT)
    with stack.client() as client:
        last = client.submit(job())
        assert [each.id for each in client.runs()] == [last.id, first.id]

    assert stack.told("gate", "refused") == []

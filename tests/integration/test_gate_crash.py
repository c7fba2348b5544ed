"""A gate that dies, and attacks that hope for it: nothing is let in twice, nothing that was taken is lost."""

from __future__ import annotations

import pytest
from gates import cid, delegation
from modules import salt, values

from ipvm_queue.ipld import Link
from ipvm_queue.store import Leases

pytestmark = pytest.mark.integration
REQUESTS = 12


def test_what_came_before_a_crash_is_a_replay_after_it(parties):
    """9 and 10 that a dead gate has answered are refused by the next: what was signed is remembered on the broker."""
    push, pop = parties.push(), parties.pop()
    assert "ok" in parties.ask(pop)
    with parties.stack.client() as client:
        assert client.run(parties.ask(push)["ok"]["run"]).wait(60).status == "ok"
    parties.stack.kill("gate")
    parties.stack.start_gate()

    parties.refuses(push, "Replay")
    parties.refuses(pop, "Replay")


@pytest.mark.parametrize("successor", ["another", "gate"])
def test_what_a_dead_gate_had_taken_is_answered_once(parties, successor):
    """It, or a gate of another name, goes on with what it had taken: one answer and one run each, however often."""
    asked = [parties.leave(parties.push()) for _ in range(REQUESTS)]
    before = next(name for name in ("another", "gate") if name in parties.stack.groups)
    parties.stack.kill(before)
    asked += [parties.leave(parties.push()) for _ in range(REQUESTS)]
    parties.stack.start_gate(successor)

    answers = [parties.answer(name).out for name in asked]
    assert all("ok" in answer for answer in answers), answers
    runs = {answer["ok"]["run"] for answer in answers}
    assert len(runs) == len(asked)
    with parties.stack.client() as client:
        assert {client.run(run).wait(60).status for run in runs} == {"ok"}
    assert [name for name in asked if parties.stack.redis.exists(parties.keys.reply(name))] == []


def test_what_a_gate_took_and_did_not_hear_of_is_answered(parties):
    """The broker moved a request to a gate, and its answer was lost on the way: the gate finds it all the same."""
    stack, keys = parties.stack, parties.keys
    serving = next(name for name in ("another", "gate") if name in stack.groups)
    asked = parties.leave(parties.push(), taken_by=f"{serving}@tests")

    assert "ok" in parties.answer(asked).out
    assert stack.redis.llen(keys.at(f"{serving}@tests")) == 0


def test_a_worker_that_lost_its_answer_pops_again(parties):
    """A pop whose answer is lost costs nothing: the next one takes its lease's place."""
    args = {"name": "same@tests"}
    assert [next(iter(parties.ask(parties.pop(args=args)))) for _ in range(3)] == ["ok"] * 3

    leases = Leases(parties.stack.redis, parties.keys).all()
    assert [lease.name for lease in leases if lease.name == args["name"]] == [args["name"]]


def test_a_user_cannot_push_on_the_service_s_word_alone(parties):
    """1 lets the service push; the user needs 1 passed on, and 7 is no such thing."""
    parties.refuses(parties.push(nine={"proofs": [parties.one]}), "InvalidAudience")
    work = delegation(parties.service, parties.user.did, parties.service.did, "/")
    parties.refuses(parties.push(work=work, nine={"proofs": [parties.one, work]}), "InvalidSubject")


def test_a_glob_of_many_stars_is_judged_in_linear_time(parties):
    """A policy that a regular expression would try for hours is judged, and holds for nothing, at once."""
    parties.stack.redis.set(parties.keys.block(Link.of(values())), values())
    glob = "*a" * 400 + "*b"
    ipvm = delegation(parties.service, parties.user.did, parties.service.did, "/ipvm/run")
    wasm = delegation(
        parties.service, parties.user.did, parties.service.did, "/wasm/run", pol=[["like", ".params[0]", glob]]
    )
    task = {"type": "wasm/1.0", "with": str(Link.of(values())), "func": "first", "input": ["a" * 20_000]}
    request = parties.push(document=parties.document(only=task), work=ipvm)
    request.members["wasm"] = wasm

    parties.refuses(request, "MatchError")
    assert "ok" in parties.ask(parties.push(document=parties.document(only=parties.task("add", salt(), 1))))


def test_an_exchange_is_no_way_around(parties):
    """`/queue/exchange` with what is no JWT, for another, or beside another request: nothing is given."""
    parties.refuses(parties.own(parties.user, "/queue/exchange", {}), "MalformedArguments")
    parties.refuses(parties.own(parties.user, "/queue/exchange", {"jwt": "a.b.c", "more": 1}), "MalformedArguments")
    parties.refuses(parties.own(parties.user, "/queue/exchange", {"jwt": "a.b.c"}), "Malformed")
    both = parties.push()
    both.members |= parties.own(parties.user, "/queue/exchange", {"jwt": "a.b.c"}).members
    parties.refuses(both, "Malformed")
    assert cid(both.members["nine"]) != cid(both.members["own"])

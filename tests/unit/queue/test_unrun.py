"""Receipts that say that a task was not run: whom they answer, and what rests on them."""

from __future__ import annotations

import pytest
from bundles import REGISTRY, World, task
from principals import principal

from ipvm_queue.queue.bundle import verify
from ipvm_queue.queue.verdict import Verdict
from ipvm_queue.ucan import Container

ME = principal("another user")
SKIP = {"error": {"code": "skipped", "message": "not run"}}
BRANCH = {"first": task(1, on={"error": ["t"]}), "t": task(2)}
OF_THIS_VERSION, OF_THE_ONE_BEFORE = {"unrun": "skipped"}, {}


def flaw(report):
    """Return name and verdict of the first step that does not hold."""
    return None if report.flaw is None else (report.flaw.name, report.flaw.verdict)


def answers(theirs, mine):
    """Return what somebody else's bundle says to one's own job."""
    members = [*theirs.members(label="z").values(), mine.document]
    return verify(Container.of(members).write(), REGISTRY, mine.tokens["8"].data)


def labels(report):
    """Return the labels of the tasks that receipts answer."""
    return {label for each in report.findings for label in each.labels}


@pytest.mark.parametrize("meta", [OF_THIS_VERSION, OF_THE_ONE_BEFORE])
def test_a_skipped_task_is_an_answer_to_its_own_job(meta):
    """A run with a branch that was not taken is verified like any other, and its receipts answer who asked for it."""
    world = World(BRANCH, came={"t": (SKIP, meta)})
    bundle = world.bundle(label="z")

    assert verify(bundle, REGISTRY).holds
    report = verify(bundle, REGISTRY, world.tokens["8"].data)
    assert report.holds
    assert labels(report) == {"first", "t"}


@pytest.mark.parametrize("meta", [OF_THIS_VERSION, OF_THE_ONE_BEFORE])
def test_a_task_that_another_job_skipped_has_no_answer(meta):
    """Whoever has the same work skipped in a job of their own cannot show that mine came to nothing."""
    theirs = World(BRANCH, came={"t": (SKIP, meta)})

    report = answers(theirs, World({"mine": task(2)}, user=ME))

    assert flaw(report) == ("asked", Verdict.SWAPPED)
    assert [each.addresses for each in report.findings if each.out == SKIP] == [frozenset()]


def test_what_a_guest_says_is_an_answer_whatever_it_says():
    """An error that a guest has given the code of a skipped task is what the task came to, in any job."""
    theirs = World(BRANCH, came={"t": (SKIP, {"gas": 9})})

    report = answers(theirs, World({"mine": task(2)}, user=ME))

    assert report.holds
    assert labels(report) == {"mine"}


def test_what_came_of_a_skipped_task_has_no_other_answer_than_its_own():
    """A task that took the error of one that was skipped is known by that error, and not by its promise to others."""
    jobs = {**BRANCH, "uses": task({"await/*": {"from": "t"}})}
    world = World(jobs, came={"t": (SKIP, OF_THIS_VERSION)})
    mine = World({"t": task(2), "uses": task({"await/*": {"from": "t"}})}, user=ME)

    own = verify(world.bundle(label="z"), REGISTRY, world.tokens["8"].data)
    assert own.holds
    assert labels(own) == {"first", "t", "uses"}
    report = answers(world, mine)
    assert flaw(report) == ("asked", Verdict.SWAPPED)
    (uses,) = [each for each in report.findings if each.out == {"ok": "uses is done"}]
    assert uses.addresses == {uses.ran}


def test_a_task_that_waits_for_nothing_is_never_skipped():
    """A task of no branch and without promises was run or refused; that it was skipped is no answer."""
    skipped = World({"a": task(1)}, came={"a": (SKIP, OF_THIS_VERSION)})
    refused = World({"a": task(1)}, came={"a": ({"error": {"code": "refused"}}, {"unrun": "refused"})})

    assert flaw(verify(skipped.bundle(label="a"), REGISTRY)) == ("task", Verdict.SWAPPED)
    assert verify(refused.bundle(label="a"), REGISTRY, refused.tokens["8"].data).holds


def test_a_skipped_twin_does_not_hide_what_a_task_came_to():
    """Where the same work stands in a job twice and one is skipped, what it came to answers both, the skip its own."""
    world = World({**BRANCH, "twin": task(2)}, came={"t": (SKIP, OF_THIS_VERSION)})
    eight = world.tokens["8"].data

    whole = verify(world.bundle(label="z"), REGISTRY, eight)
    assert whole.holds
    (done,) = [each for each in whole.findings if each.out == {"ok": "twin is done"}]
    assert {*done.labels} == {"t", "twin"}
    without = verify(world.bundle(label="z", without=["13r.twin", "13s.twin"]), REGISTRY, eight)
    assert labels(without) == {"first", "t"}

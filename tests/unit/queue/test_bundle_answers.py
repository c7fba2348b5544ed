"""Bundles that are asked about a job of one's own: which answer it, and which do not."""

from __future__ import annotations

from bundle_attacks import one
from bundles import (
    LONG,
    S,
    U,
    World,
    flaw,
    flipped,
    inv,
    task,
    verify,
)
from principals import principal

from ipvm_queue.queue.verdict import Verdict
from ipvm_queue.ucan import Container

WHOLE = World()


def test_a_bundle_answers_its_own_job():
    """With one's own invocation in hand the labels are those of one's own job."""
    for asked in (WHOLE.tokens["8"].data, WHOLE.tokens["8"].link):
        report = verify(WHOLE.bundle(), asked)
        assert report.holds
        assert {each.labels for each in report.findings} == {("a",), ("b",), ("c",)}


def test_a_bundle_of_another_job_is_no_answer():
    """The same document under another nonce is another job; an honest bundle for it does not answer this one."""
    elsewhere = World({"other": task(99)})
    report = verify(Container.of([*WHOLE.members().values(), elsewhere.document]).write(), elsewhere.tokens["8"].data)

    assert (report.flaw.name, report.flaw.verdict) == ("asked", Verdict.SWAPPED)


def test_equal_pure_work_of_another_user_is_an_answer():
    """What anybody has computed on the queue answers whoever asks for the same; with the reader's job in the bundle."""
    other = principal("another user")
    mine = World({"renamed": task(1)}, user=other)
    data = Container.of([*one().members().values(), mine.document]).write()
    report = verify(data, mine.tokens["8"].data)

    assert report.holds
    assert report.findings[0].labels == ("renamed",)
    assert flaw(one().bundle(), mine.tokens["8"].data) == ("asked", Verdict.MISSING)


def test_what_was_done_in_the_world_for_another_job_is_no_answer():
    """An effect's receipt answers the invocation that it was done for, and is not replayed for a second one."""
    world = World({"a": {"type": "ipvm/effect", "with": "dns://example.com?TYPE=A", "do": "crud/read"}})
    again = inv(U, S, "/ipvm/run", world.tokens["8"].args, world.tokens["7"], nonce=b"another", expiration=LONG)

    assert verify(world.bundle(), world.tokens["8"].data).holds
    assert flaw(world.bundle(), again.data) == ("asked", Verdict.SWAPPED)


def test_effects_are_compiled_as_the_queue_does():
    """Queries have names of their own in each run, commands in each job, and stand behind a barrier."""
    read = {"type": "ipvm/effect", "with": "dns://example.com?TYPE=A", "do": "crud/read"}
    send = {
        "type": "ipvm/effect",
        "with": "mailto:a@example.com",
        "do": "msg/send",
        "input": {"subject": {"from": "b"}},
    }
    world = World({"a": read, "b": task({"from": "a"}), "c": send})

    report = verify(world.bundle(label="z"))

    assert report.flaw is None, report.flaw
    assert {label for each in report.findings for label in each.labels} >= {"a", "b", "c"}


def test_the_job_asked_about_is_signed():
    """A forged invocation is no question."""
    forged = flipped(WHOLE.tokens["8"].data)

    assert flaw(WHOLE.bundle(), forged) == ("asked", Verdict.ALTERED)

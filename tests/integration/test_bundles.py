"""From a run through the gate to a bundle that is verified with nothing else at hand."""

from __future__ import annotations

import pytest
from bundles import REGISTRY
from modules import salt
from principals import principal

from ipvm_queue.queue.bundle import verify
from ipvm_queue.queue.requests import RUN
from ipvm_queue.queue.verdict import Verdict
from ipvm_queue.ucan import Container, Invocation
from ipvm_queue.ucan.receipt import COMMAND

pytestmark = pytest.mark.integration


def invocations(bundle, command):
    """Return the invocations of a command in a bundle."""
    members = [data for data in Container.read(bundle).tokens.values() if b"ucan/inv@" in data]
    return [each for each in map(Invocation.parse, members) if str(each.cmd) == command]


def test_a_result_is_verified_without_the_queue(client, add):
    """What a run gave, and all that it was made of, holds offline; for the job that asked for it, and no other."""
    base = salt()
    done = client.submit({"a": add(base, 1), "b": add({"from": "a"}, 2), "c": add({"from": "a"}, {"from": "b"})}).wait(
        60
    )

    data = client.bundle([done["c"].receipt])
    report = verify(data, REGISTRY)

    assert report.flaw is None, report.flaw
    assert {each.labels for each in report.findings} == {("a",), ("b",), ("c",)}
    assert report.findings[0].out == {"ok": 2 * base + 4}
    assert report.findings[0].requestor == client.signer.did
    assert report.unused == ()
    (asked,) = invocations(data, RUN)
    assert verify(data, REGISTRY, asked.data).holds
    mallory = principal("mallory")
    forged = Invocation.issue(mallory, asked.sub, RUN, asked.args, asked.prf, expiration=asked.exp)
    assert verify(data, REGISTRY, forged.data).flaw.name == "asked"


def test_what_another_run_had_computed_answers_this_one(client, add):
    """A task whose receipt is of an earlier run is in the bundle with that run's job, and answers this run's."""
    base = salt()
    client.submit({"early": add(base, 1)}).wait(60)
    later = client.submit({"x": add(base, 1), "y": add({"from": "x"}, 5)}).wait(60)
    assert later["x"].cached

    data = client.bundle([later["y"].receipt], later.id)
    jobs = invocations(data, RUN)
    assert len(jobs) == 2
    labels = [{each.labels for each in verify(data, REGISTRY, job.link).findings} for job in jobs]
    assert {("y",), ("x",)} in labels


def test_an_error_is_a_result_too(client, numeric, add):
    """The receipt of a task that failed is verified in the same way, also where another did not run because of it."""
    done = client.submit({"bad": numeric("trap", salt()), "after": add({"from": "bad"}, 1)}).wait(60)

    report = verify(client.bundle([done["bad"].receipt, done["after"].receipt]), REGISTRY)

    assert report.flaw is None, report.flaw
    assert all("error" in each.out for each in report.findings)


def test_what_was_not_run_says_so(client, add):
    """Receipts of branches that were not taken are in a bundle of their run, each marked by its worker, and hold."""
    base = salt()
    jobs = {"a": add(base, 1, on={"error": ["b"]}), "b": add(base, 2), "c": add({"from": "b"}, 3)}
    done = client.submit(jobs).wait(60)

    data = client.bundle([done[label].receipt for label in "abc"])

    report = verify(data, REGISTRY)
    assert report.flaw is None, report.flaw
    reasons = {done[label].receipt: "skipped" for label in "bc"}
    assert {each.link: each.meta["unrun"] for each in invocations(data, COMMAND) if "unrun" in each.meta} == reasons
    (asked,) = invocations(data, RUN)
    answered = verify(data, REGISTRY, asked.data)
    assert answered.holds
    assert {each.labels for each in answered.findings} == {("a",), ("b",), ("c",)}


def test_a_bit_changed_on_the_way_is_found(client, add):
    """Whatever was changed between export and verification, the bundle does not hold."""
    done = client.submit({"a": add(salt(), 1)}).wait(60)
    members = [*Container.read(client.bundle([done["a"].receipt])).tokens.values()]

    for place, member in enumerate(members):
        changed = bytes([*member[:-1], member[-1] ^ 1])
        bundle = Container.of([*members[:place], changed, *members[place + 1 :]]).write()
        flaw = verify(bundle, REGISTRY).flaw
        assert flaw is not None
        assert flaw.verdict in (Verdict.ALTERED, Verdict.MALFORMED, Verdict.MISSING)


def test_what_is_secret_is_verified_unopened(client, add):
    """A sealed result, and what was made of it, holds for anybody; what it is stays sealed."""
    base = salt()
    jobs = {"a": add(base, 1, public=False), "b": add({"from": "a"}, 2), "c": add({"from": "b"}, 3, public=True)}
    done = client.submit(jobs).wait(60)

    report = verify(client.bundle([done["c"].receipt]), REGISTRY)

    assert report.flaw is None, report.flaw
    assert report.findings[0].out == {"ok": base + 6}
    sealed = [each for each in report.findings if "ipvm/sealed" in str(each.out)]
    assert {each.labels for each in sealed} == {("a",), ("b",)}

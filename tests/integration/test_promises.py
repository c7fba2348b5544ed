"""Promises across runs, by CID: to tasks that ended, that still run, that never come; and mismatched branches."""

from __future__ import annotations

import pytest
from modules import salt

pytestmark = pytest.mark.integration

SECOND = 300_000_000  # loops: about that long


def test_a_task_of_an_earlier_run(client, add):
    """A promise by CID is kept from the receipt of a run that is over."""
    base = salt()
    earlier = client.submit({"a": add(base, 1)}).wait(60)

    later = client.submit({"b": add({"await/ok": earlier["a"].task}, 2)}).wait(60)

    assert base + 3 == later["b"].ok


def test_a_receipt_names_the_receipts_that_it_rests_on(client, add):
    """From a result a reader walks down, receipt by receipt, to what it was made of, in this run and earlier ones."""
    base = salt()
    earlier = client.submit({"a": add(base, 1)}).wait(60)["a"]

    done = client.submit({"b": add({"await/ok": earlier.task}, 2), "c": add({"from": "b"}, {"from": "b"})}).wait(60)

    assert done["b"].meta["under"] == [earlier.receipt]
    assert done["c"].meta["under"] == [done["b"].receipt]
    assert "under" not in earlier.meta


def test_a_task_of_a_run_that_goes_on(client, numeric, add):
    """A promise to a task that is still running is kept when that ends, also under its promise address."""
    base = salt()
    going = client.submit({"first": numeric("slow", SECOND, base, maxGas=10**11), "second": add({"from": "first"}, 1)})

    waiting = client.submit({"c": add({"await/ok": going["second"].task}, 1)})

    assert base + 2 == waiting.wait(60)["c"].ok
    assert waiting["c"].ok == going.wait(60)["second"].ok + 1


def test_a_task_that_comes_later(client, add):
    """A promise to a Task that nobody has asked for yet is kept when somebody does; no worker is held meanwhile."""
    base = salt()
    plan, _blocks = client.plan(client.read({"a": add(base, 1)}))
    task = plan.node(0).task

    waiting = [client.submit({"b": add({"await/ok": task}, i)}) for i in range(5)]
    client.submit({"a": add(base, 1)}).wait(60)

    assert [base + 1 + i for i in range(5)] == [run.wait(60)["b"].ok for run in waiting]


def test_a_task_that_never_comes(client, add):
    """A promise that nobody keeps ends in an error receipt when the task's time is over."""
    plan, _blocks = client.plan(client.read({"a": add(salt(), 1)}))
    job = add({"await/ok": plan.node(0).task}, 2, **{"ipvm/config": {"time": 0.3}})

    done = client.submit({"b": job}).wait(60)

    assert done["b"].error["code"] == "promise/timeout"
    assert done.status == "error"


def test_a_task_of_this_run_by_its_cid(client, add):
    """A promise by CID to a task of the same document is an edge of its plan, before that has run anywhere."""
    base = salt()
    task = client.plan(client.read({"a": add(base, 1)}))[0].node(0).task

    done = client.submit({"b": add({"await/ok": task}, 2), "a": add(base, 1)}).wait(60)

    assert base + 3 == done["b"].ok


@pytest.mark.parametrize(("branch", "got", "func"), [("ok", "error", "trap"), ("error", "ok", "add")])
def test_the_wrong_branch_is_an_error_that_says_so(client, numeric, valued, branch, got, func):
    """A branch that does not match its selector becomes the error of the task that waits, worded as the spec does."""
    arguments = [salt()] if func == "trap" else [salt(), 1]
    earlier = client.submit({"a": numeric(func, *arguments)}).wait(60)

    done = client.submit({"b": valued("echo", {f"await/{branch}": earlier["a"].task})}).wait(60)

    expected = {"reason": "branch mismatch", "expected": branch, "got": got, "from": earlier["a"].receipt}
    assert expected == done["b"].error


def test_any_branch_is_handed_over_whole(client, numeric, valued, add):
    """`await/*` puts the Result itself in its place, and so handles an error."""
    base = salt()
    star = {"await/*": {"from": "bad"}}

    done = client.submit(
        {
            "bad": numeric("trap", base),
            "good": add(base, 1),
            "both": valued("echo", star, {"await/*": {"from": "good"}}),
        }
    ).wait(60)

    assert [{"error": done["bad"].error}, {"ok": base + 1}] == done["both"].ok
    assert done.status == "ok"


def test_many_awaited_tasks_at_once(client, add, valued):
    """A task may wait for thousands of Tasks of another run."""
    base, many = salt(), 9000
    earlier = client.submit({f"t{i}": add(base, i) for i in range(many)}).wait(60)
    tasks = [result.task for result in earlier.results().values()]

    done = client.submit({"all": valued("echo", *[{"await/ok": task} for task in tasks])}).wait(60)

    assert [base + i for i in range(many)] == done["all"].ok

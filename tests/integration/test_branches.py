"""`on` and `catch`: what runs after a success or a failure, and what a run makes of its failures."""

from __future__ import annotations

import pytest
from modules import salt
from stack import ROOT

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def recover(client):
    """Return the CID of a guest with the three answers that `catch` may give."""
    return client.blocks.put((ROOT / "examples/guests/recover.core.wasm").read_bytes())


def test_the_branch_not_taken_is_skipped(client, numeric, add):
    """Of `on.success` and `on.error` one runs; the others have receipts that say why not, and so have theirs."""
    base = salt()

    done = client.submit(
        {
            "bad": numeric("trap", base, on={"success": ["yes"], "error": ["no"]}),
            "yes": add(base, 1, on={"success": ["further"]}),
            "no": add(base, 2),
            "further": add(base, 3),
            "uses": add({"from": "yes"}, 1),
            "good": add(base, 4, on={"success": ["fine"], "error": ["never"]}),
            "fine": add({"from": "good"}, 1),
            "never": add(base, 6),
        }
    ).wait(60)

    states = {label: result.state for label, result in done.results().items()}
    skipped = {"yes", "further", "uses", "never"}
    assert {label for label, state in states.items() if state == "skipped"} == skipped
    assert (base + 2, base + 5) == (done["no"].ok, done["fine"].ok)
    assert done["yes"].error["code"] == "skipped"
    assert done["yes"].error["from"] == done["bad"].receipt
    assert "'bad'" in done["yes"].error["message"]
    assert done.status == "ok"


def test_a_skipped_task_says_nothing_of_its_work(client, numeric, add):
    """A task that was skipped in one run is computed in the next that asks for it."""
    base = salt()
    client.submit({"bad": numeric("trap", base, on={"success": ["yes"]}), "yes": add(base, 1)}).wait(60)

    done = client.submit({"yes": add(base, 1)}).wait(60)

    assert (base + 1, False) == (done["yes"].ok, done["yes"].cached)


def test_jobs_in_place_follow_their_branch(client, numeric, add):
    """A follower may be written in place of its label."""
    base = salt()

    done = client.submit({"bad": numeric("trap", base, on={"error": [add(base, 1)], "success": [add(base, 2)]})})

    assert sorted(result.state for result in done.wait(60).results().values()) == ["error", "ok", "skipped"]


def catching(recover, func, base, numeric, add):
    """Return a job whose first failure goes to a function of the guest."""
    return {
        "header": {"v": "0.1.0", "catch": {"type": "wasm/1.0", "with": recover, "func": func}},
        "jobs": {"bad": numeric("trap", base), "bad-spare": add(base, 2), "after": add({"from": "bad"}, 1)},
    }


def test_catch_ends_the_run_with_a_value(client, recover, numeric, add):
    """The answer `ok` is the run's outcome, and the run is ok."""
    done = client.submit(catching(recover, "finish", salt(), numeric, add)).wait(60)

    assert (done.status, {"ok": "went on without bad"}) == ("ok", done.outcome)


def test_catch_ends_the_run_with_another_tasks_result(client, recover, numeric, add):
    """The answer `rewire` names the job whose Result is the outcome."""
    base = salt()

    done = client.submit(catching(recover, "divert", base, numeric, add)).wait(60)

    assert (done.status, {"ok": base + 2}) == ("ok", done.outcome)


def test_catch_rewords_the_failure(client, recover, numeric, add):
    """The answer `msg` leaves the run failed, with another message and the rest of the error."""
    done = client.submit(catching(recover, "reword", salt(), numeric, add)).wait(60)

    assert done.status == "error"
    assert done.outcome["error"]["code"] == "wasm/unreachable"
    assert done.outcome["error"]["message"] != done["bad"].error["message"]


def test_a_catch_that_fails_leaves_the_failure(client, values_cid, numeric, add):
    """A handler that traps, or answers something else, is told beside the failure that it was for."""
    for func in ("refuse", "echo"):
        done = client.submit(catching(values_cid, func, salt(), numeric, add)).wait(60)

        assert done.status == "error"
        assert done.outcome["error"]["label"] == "bad"
        assert done.outcome["error"]["catch"]


def test_catch_is_not_asked_where_nothing_failed(client, values_cid, add):
    """Without a failure, and with one that another task handles, `catch` does not run."""
    header = {"v": "0.1.0", "catch": {"type": "wasm/1.0", "with": values_cid, "func": "refuse"}}

    done = client.submit({"header": header, "jobs": {"a": add(salt(), 1)}}).wait(60)

    assert (done.status, done.outcome) == ("ok", None)


def test_a_caught_run_that_is_resumed_ends_again(client, recover, numeric, add):
    """Resuming a run that `catch` has ended asks the handler again and ends."""
    done = client.submit(catching(recover, "finish", salt(), numeric, add)).wait(60)

    done.resume()

    assert done.wait(60).status == "ok"


def test_catch_of_a_job_that_is_known_to_fail(client, recover, numeric, add):
    """A failure that is remembered goes to `catch` as a fresh one does."""
    base = salt()
    client.submit(catching(recover, "finish", base, numeric, add)).wait(60)

    done = client.submit(catching(recover, "finish", base, numeric, add)).wait(60)

    assert (done.status, {"ok": "went on without bad"}) == ("ok", done.outcome)

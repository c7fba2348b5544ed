"""Jobs run: submitted through the client, worked on by a real worker, read back as receipts."""

from __future__ import annotations

import pytest
from modules import salt

from ipvm_queue.errors import UsageError, WaitTimeoutError
from ipvm_queue.store import Keys, RedisRuns
from ipvm_queue.ucan import read

pytestmark = pytest.mark.integration


def run(client, document, timeout=60):
    """Submit a job and wait for its end."""
    return client.submit(document).wait(timeout)


def test_values_flow_along_promises(client, add):
    """A task gets the values of the tasks that it promises itself, and the run ends ok."""
    base = salt()

    done = run(client, {"a": add(base, 1), "b": add({"from": "a"}, 3), "c": add({"from": "a"}, {"from": "b"})})

    assert (base + 1, base + 4, 2 * base + 5) == tuple(done[label].ok for label in "abc")
    assert done.status == "ok"


def test_what_a_wait_was_told_is_not_asked_for_again(client, stack, add, numeric):
    """What a task came to comes with the news of its end; what went wrong is asked for, since it may change."""
    good, bad = run(client, {"a": add(salt(), 1)}), run(client, {"a": numeric("trap", salt())})
    for each in (good, bad):
        assert stack.redis.delete(f"{Keys(stack.settings.queue).run(each.id)}:settled") == 1

    assert (good["a"].state, bad["a"].state) == ("ok", "waiting")


def test_each_task_has_a_receipt_signed_by_the_worker(client, add):
    """A receipt verifies, names the Task that ran, the worker that ran it, and says what it cost."""
    done = run(client, {"a": add(salt(), 1)})

    result = done["a"]
    receipt = read(client.blocks.get(result.receipt))
    assert (result.task, {"ok": result.ok}) == (receipt.ran, receipt.out)
    assert receipt.issuer == client.workers()[0].did == result.worker
    assert result.meta["gas"] > 0
    assert "wasmtime" in result.meta["engine"]


def test_promises_stand_at_any_depth(client, valued, add):
    """Promises in lists and maps are replaced where they stand; what is put in is not looked into."""
    base = salt()

    done = run(client, {"a": add(base, 0), "b": valued("echo", [{"deep": [{"from": "a"}, {"x": {"from": "a"}}]}], 7)})

    assert [[{"deep": [base, {"x": base}]}], 7] == done["b"].ok


def test_func_and_with_may_be_promises(client, valued, numbers_cid, add):
    """The function and the module of a task may be the results of others."""
    base = salt()
    which = valued("first", "add", nonce=b"%d" % base)

    done = run(
        client,
        {
            "name": which,
            "module": valued("first", numbers_cid),
            "sum": add(base, 2) | {"func": {"from": "name"}, "with": {"from": "module"}},
        },
    )

    assert base + 2 == done["sum"].ok


def test_what_a_promised_module_is_not_is_an_error_receipt(client, valued, add):
    """A promise that brings no link to a module, or no name, ends in an error receipt, not in a dead worker."""
    base = salt()

    done = run(
        client,
        {
            "five": valued("first", 5),
            "module": add(base, 2) | {"with": {"from": "five"}},
            "name": add(base, 2) | {"func": {"from": "five"}},
        },
    )

    assert [done[label].error["code"] for label in ("module", "name")] == ["task/module", "task/function"]


def test_out_picks_one_of_several_values(client, numeric, add):
    """`out` counts the return values from 0; past the end is an error of the task that asks."""
    base = salt()

    done = run(
        client,
        {
            "two": numeric("pair", base, 5),
            "second": add({"from": "two", "out": 1}, base),
            "past": add({"from": "two", "out": 2}, base),
            "one": add({"from": "second", "out": 0}, 1),
        },
    )

    assert (base + 5, base + 6) == (done["second"].ok, done["one"].ok)
    assert done["past"].error["code"] == "promise/out"
    assert done.status == "error"


def test_a_large_result_is_a_block(client, valued):
    """A large result is kept as a block of its own that the receipt links to, and flows on like any other."""
    data = b"%d" % salt() * 20_000

    done = run(client, {"a": valued("first", data), "b": valued("echo", {"from": "a"})})

    assert data == done["a"].ok
    assert [data] == done["b"].ok
    assert type(read(client.blocks.get(done["a"].receipt)).out).__name__ == "Link"


def test_fan_out_and_fan_in(client, add, valued):
    """One task feeds 2,000, and one task waits for 2,000."""
    base, many = salt(), 2000
    document = {"source": add(base, 1)}
    document |= {f"t{i}": add({"from": "source"}, i) for i in range(many)}
    document["sink"] = valued("echo", *[{"from": f"t{i}"} for i in range(many)])

    done = run(client, document)

    assert [base + 1 + i for i in range(many)] == done["sink"].ok


def test_a_long_chain(client, add):
    """A line of 3,000 tasks ends, each with its receipt."""
    base, many = salt(), 3000

    done = run(client, {f"t{i}": add({"from": f"t{i - 1}"} if i else base, 1) for i in range(many)})

    results = done.results()
    assert base + many == results[f"t{many - 1}"].ok
    assert len({result.receipt for result in results.values()}) == many


def test_events_tell_each_task_once_and_end(client, add):
    """A run's events name every task once, found or made, and end with the run."""
    base = salt()
    document = {f"t{i}": add(base, i) for i in range(50)}
    run(client, {"t0": document["t0"]})
    going = client.submit(document)

    events = [event for event in going.events(timeout=60) if hasattr(event, "label")]

    assert sorted(document) == sorted(event.label for event in events)
    assert [event.label for event in events if event.cached] == ["t0"]


def test_waiting_ends_before_the_run_does(client, numeric):
    """A wait that times out says so and leaves the run to go on."""
    going = client.submit({"a": numeric("slow", 1_000_000_000, salt(), maxGas=10**11)})

    with pytest.raises(WaitTimeoutError, match=going.id):
        going.wait(0.05)

    assert going.status == "running"
    assert going.wait(60).status == "ok"


def test_a_cancelled_run_begins_nothing_more(client, numeric, add):
    """Cancelling ends a run at once; what had not begun never begins."""
    base = salt()
    document = {"slow": numeric("slow", 300_000_000, base, maxGas=10**11), "after": add({"from": "slow"}, base)}
    going = client.submit(document)

    assert going.cancel("not needed") == "running"

    assert going.wait(10).status == "cancelled"
    assert going["after"].state == "waiting"
    marker = client.submit({"m": add(salt(), 1)})
    assert marker.wait(60).status == "ok"
    assert going["after"].state == "waiting"


def test_a_cancelled_run_can_be_resumed(client, numeric, add):
    """Resuming goes on from the receipts that a run has; what has settled keeps its receipt."""
    base = salt()
    document = {"first": add(base, 1), "slow": numeric("slow", 100_000_000, base, maxGas=10**11)}
    document["after"] = add({"from": "slow"}, {"from": "first"})
    going = client.submit(document)
    going.cancel()
    going.resume()

    assert going.wait(60).status == "ok"
    assert 2 * base + 1 == going["after"].ok


def test_a_resume_that_was_cut_short_is_done_again(stack, client, add):
    """A run whose submitter died between withdrawing it and opening it again counts as cancelled, and is resumed."""
    base = salt()
    done = run(client, {"a": add(base, 1)})
    RedisRuns(stack.redis, Keys(stack.settings.queue), lease=1.0, receipt_lifetime=None).withdraw(done.id)

    cut = client.run(done.id)
    assert cut.status == "cancelled"
    cut.resume()

    assert cut.wait(60).status == "ok"
    assert base + 1 == cut["a"].ok


def test_runs_are_found_again(client, add):
    """A run is read back by its id, listed, and unknown ids are refused."""
    base = salt()
    done = run(client, {"a": add(base, 1)})

    again = client.run(done.id)

    assert base + 1 == again["a"].ok
    assert client.runs()[0].id == done.id
    assert (client.runs()[0].status, client.runs()[0].left) == ("ok", 0)
    with pytest.raises(UsageError, match="nonesuch"):
        client.run("nonesuch")
    with pytest.raises(UsageError, match="no task 'b'"):
        again["b"]


def test_a_job_gets_no_more_memory_than_its_worker_gives(client, add):
    """What it says it wants is compared with what the worker's operator allows, before anything of it runs."""
    greedy = {**add(salt(), 1), "ipvm/config": {"memory": [4097, "mebi", "bytes"]}}
    done = client.submit({"greedy": greedy, "modest": add(salt(), 1)}).wait(60)

    error = done["greedy"].error
    assert (error["code"], error["fault"]) == ("task/memory", "requestor")
    assert "4294967296" in error["message"]
    assert done["modest"].state == "ok"

"""Equal pure work is done once: memo across runs, single flight between them, twins within one."""

from __future__ import annotations

import pytest
from modules import salt, values

from ipvm_queue.ipld import DAG_CBOR, Link, encode

pytestmark = pytest.mark.integration

LOOPS = 200_000_000
SLOW_GAS = 10**11


def messages(stack):
    """Return how many broker messages have been published so far."""
    return stack.redis.info("commandstats").get("cmdstat_lpush", {"calls": 0})["calls"]


def receipts(done):
    """Return a run's receipts by label."""
    return {label: result.receipt for label, result in done.results().items()}


def test_a_finished_job_costs_no_message_again(client, stack, add):
    """Submitting a job again ends it at once, from its receipts, without a worker and without a broker message."""
    base = salt()
    document = {"a": add(base, 1), "b": add({"from": "a"}, 3)}
    first = client.submit(document).wait(60)
    before = messages(stack)

    again = client.submit(document)

    assert again.status == "ok"
    assert messages(stack) == before + 1  # the request to the gate
    assert receipts(again) == receipts(first)
    assert all(result.cached for result in again.results().values())


def test_any_number_of_tasks_is_found_again(client, stack, add):
    """However many Tasks a job has, each that has a receipt is taken from it; one that has none runs, alone."""
    base = salt()
    many = {f"t{number}": add(base, number) for number in range(1200)}
    first = client.submit(many).wait(60)
    before = messages(stack)

    again = client.submit(many)
    more = client.submit({**many, "new": add(base, 1200)}).wait(60)

    assert again.status == "ok"
    assert receipts(again) == receipts(first)
    assert messages(stack) == before + 3  # two requests to the gate, and the one that runs
    assert [label for label, result in more.results().items() if not result.cached] == ["new"]


def test_what_is_remembered_but_lost_is_computed_again(client, stack, valued):
    """A Task whose large result has lapsed from the store runs again, found at submission or by a worker."""
    large = f"{salt()}" * 5000
    job = valued("first", large)
    stored = Link.of(encode({"ok": large}), DAG_CBOR)
    lost = f"{{ipvm:{stack.settings.queue}}}:block:{stored.key}"
    client.submit({"a": job}).wait(60)

    assert stack.redis.delete(lost) == 1
    again = client.submit({"a": job}).wait(60)
    assert stack.redis.delete(lost) == 1
    list_of_it = valued("echo", large)
    promised = client.submit({"list": list_of_it, "a": valued("first", {"from": "list", "out": 0})}).wait(60)

    assert (again["a"].ok, again["a"].cached) == (large, False)
    assert (promised["a"].ok, promised["a"].cached) == (large, False)


def test_a_receipt_that_is_damaged_is_none(client, stack, add):
    """Bytes that are not what their CID says are taken for no receipt: the Task runs again, who awaits it is told."""
    base = salt()
    document = {"a": add(base, 1), "b": add({"from": "a"}, 2)}
    first = client.submit(document).wait(60)
    forged = encode({"ok": "anything"})
    for label in document:
        stack.redis.set(f"{{ipvm:{stack.settings.queue}}}:block:{first[label].receipt.key}", forged)

    waiting = client.submit({"c": add({"await/ok": first["b"].task}, 1)}).wait(60)
    again = client.submit({"x": add(base, 1), "b": add({"from": "x"}, 2)}).wait(60)

    assert waiting["c"].error["code"] == "promise/lost"
    assert (again["b"].ok, again["b"].cached) == (base + 3, False)
    assert client.submit({"c": add({"await/ok": first["b"].task}, 1)}).wait(60)["c"].ok == base + 4


def test_a_result_that_is_lost_on_its_way_is_an_error(idle):
    """A task that needs a result whose block is gone ends with an error that names it; its worker goes on."""
    large = "lost" * 750  # too large for a receipt, too small for a worker's directory of blocks
    block = Link.of(encode({"ok": large}), DAG_CBOR)
    module = Link.of(values())
    job = {"type": "wasm/1.0", "with": module, "func": "first", "input": [large]}
    idle.start_worker("first")
    with idle.client() as client:
        client.blocks.put(values())
        known = client.submit({"a": job}).wait(60)["a"]
        idle.kill("first")
        taker = {"type": "wasm/1.0", "with": module, "func": "echo"}
        jobs = {"a": job, "b": taker | {"input": [{"from": "a"}]}}
        jobs |= {"c": taker | {"input": [{"await/ok": known.task}]}, "d": taker | {"input": [1]}}
        going = client.submit(jobs)
        assert idle.redis.delete(f"{{ipvm:tests}}:block:{block.key}") == 1
        idle.start_worker("second")

        going.wait(60)

        assert [going[label].error["code"] for label in "bc"] == ["promise/lost"] * 2
        assert str(block) in going["b"].error["message"]
        assert going["d"].ok == [1]


def test_a_receipt_is_found_under_both_addresses(client, add):
    """A task with promises is found by what it is made of, too; and after that under its own address."""
    base = salt()
    client.submit({"sum": add(base + 1, 7)}).wait(60)
    document = {"a": add(base, 1), "b": add({"from": "a"}, 7)}

    done = client.submit(document).wait(60)
    again = client.submit(document)

    assert done["b"].cached
    assert again.status == "ok"


def test_twins_in_one_run_share_a_receipt(client, add):
    """Equal tasks of one run are computed once, also where only their values are equal; each is found afterwards."""
    base = salt()
    document = {"x": add(base, 5), "y": add(5, base), "one": add({"from": "x"}, 3), "two": add({"from": "y"}, 3)}
    document |= {f"t{i}": add(base, 9) for i in range(200)}

    done = client.submit(document).wait(60)

    found = receipts(done)
    assert len({found[f"t{i}"] for i in range(200)}) == 1
    assert client.submit(document).status == "ok"


def test_two_runs_compute_a_slow_task_once(client, numeric):
    """Of two runs that need the same task at the same time, one computes it and the other gets its receipt."""
    document = {"slow": numeric("slow", LOOPS, salt(), maxGas=SLOW_GAS)}

    runs = [client.submit(document) for _ in range(4)]
    ended = [run.wait(60) for run in runs]

    assert len({run["slow"].receipt for run in ended}) == 1
    assert sorted(run["slow"].cached for run in ended) == [False, True, True, True]


def test_a_limit_that_was_hit_is_not_remembered(client, numeric):
    """Running out of gas says nothing of the task: with more gas it runs again, and its value is remembered."""
    base = salt()

    poor = client.submit({"t": numeric("slow", 1_000_000, base, maxGas=1000)}).wait(60)
    rich = client.submit({"t": numeric("slow", 1_000_000, base, maxGas=10**9)}).wait(60)

    assert poor["t"].error["code"] == "wasm/out-of-gas"
    assert (base, False) == (rich["t"].ok, rich["t"].cached)
    assert poor["t"].task == rich["t"].task


def test_a_forgotten_task_among_remembered_ones_runs_alone(client, add):
    """Where one receipt in the middle was forgotten, only that task runs, and what stands after it stays settled."""
    base = salt()
    document = {"a": add(base, 1), "b": add({"from": "a"}, 2), "c": add({"from": "b"}, 3)}
    first = client.submit(document).wait(60)
    client.receipts.forget(first["b"].task)

    again = client.submit(document).wait(60)

    assert [again[label].cached for label in "abc"].count(True) >= 2
    assert again["c"].receipt == first["c"].receipt
    assert client.runs()[0].left == 0


def test_what_came_of_a_limit_is_not_remembered_either(client, numeric, valued):
    """A task that took the error of a limit is not found under its promise in a run where the limit is not hit."""
    base, error = salt(), {"await/*": {"from": "t"}}

    def job(gas):
        slow = numeric("slow", 1_000_000, base, maxGas=gas)
        return {"t": slow, "took": valued("echo", error), "next": valued("echo", {"from": "took"})}

    poor = client.submit(job(1000)).wait(60)
    rich = client.submit(job(10**9)).wait(60)

    assert poor["took"].ok == [{"error": poor["t"].error}]
    assert poor["next"].ok == [poor["took"].ok]
    assert rich["took"].ok == [{"ok": base}]
    assert rich["next"].ok == [[{"ok": base}]]
    assert rich["took"].task == poor["took"].task


@pytest.mark.parametrize("first", ["ok", "trap"])
def test_a_branch_that_was_not_taken_is_not_mixed_up_with_one_that_was(client, numeric, valued, add, first):
    """What a task makes of another's skipping is not remembered as what it makes of that Task, and the other way."""
    base = salt()

    def job(how):
        gate = add(base, 7) if how == "ok" else numeric("trap", base)
        after = valued("echo", {"await/*": {"from": "maybe"}})
        return {"gate": gate | {"on": {"success": ["maybe"]}}, "maybe": add(base, 1), "after": after}

    runs = {how: client.submit(job(how)).wait(60) for how in sorted(["ok", "trap"], key=lambda how: how != first)}
    again = {how: client.submit(job(how)).wait(60) for how in runs}

    for done in (runs, again):
        assert done["ok"]["after"].ok == [{"ok": base + 1}]
        assert done["trap"]["maybe"].state == "skipped"
        assert done["trap"]["after"].ok == [{"error": done["trap"]["maybe"].error}]

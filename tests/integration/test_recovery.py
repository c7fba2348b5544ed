"""Workers die, stall and lose messages; runs end, and each task has one receipt."""

from __future__ import annotations

import os
import signal
import time

import pytest
from modules import numbers, salt
from stack import Stack

from ipvm_queue.ipld import Link
from ipvm_queue.store.runs import DEATH_LIMIT

pytestmark = pytest.mark.integration

NUMBERS = Link.of(numbers())
GAS = 10**13


def add(left, right):
    """Return a job of `add`."""
    return {"type": "wasm/1.0", "with": NUMBERS, "func": "add", "input": [left, right]}


def slow(loops, result):
    """Return a job that takes about a second for 300 million loops, and then returns `result`."""
    return {"type": "wasm/1.0", "with": NUMBERS, "func": "slow", "input": [loops, result], "maxGas": GAS}


@pytest.fixture
def queue(idle):
    """Return a queue of short leases with one worker of two processes, and a client."""
    idle.start_worker()
    with idle.client() as client:
        client.blocks.put(numbers())
        yield idle, client


def holders(stack, run):
    """Return which process holds which node of a run."""
    claims = stack.redis.hgetall(f"{{ipvm:tests}}:run:{run.id}:claims")
    return {int(node): int(owner.rpartition(b"/")[2]) for node, owner in claims.items() if b"/" in owner}


def events(stack, run):
    """Return the nodes that a run's events tell of, one entry a settle."""
    entries = stack.redis.xrange(f"{{ipvm:tests}}:run:{run.id}:events")
    told = [pair for _, fields in entries for pair in fields.get(b"s", b"").decode().split(",") if pair]
    return sorted(int(pair.split()[0]) for pair in told)


def test_a_killed_process_costs_one_node_again(queue):
    """A process killed in the middle of a task is replaced, and the task is done by another."""
    stack, client = queue
    base = salt()
    going = client.submit({"slow": slow(400_000_000, base), "after": add({"from": "slow"}, 1)})
    pid = stack.wait_for(lambda: holders(stack, going).get(0))

    os.kill(pid, signal.SIGKILL)

    assert going.wait(60)["after"].ok == base + 1
    assert events(stack, going) == [0, 1]


def test_a_task_that_kills_its_process_ends_as_crashed(queue):
    """A task under which every process dies gets an error receipt after its limit; everyone else goes on."""
    stack, client = queue
    base = salt()
    bystanders = {f"t{i}": add(base, i) for i in range(40)}
    going = client.submit({"bad": slow(10**12, base), **bystanders, "uses": add({"from": "bad"}, 1)})
    bad = going.plan.labels["bad"]
    killed = set()

    def crash():
        pid = holders(stack, going).get(bad)
        if pid is not None and pid not in killed:
            os.kill(pid, signal.SIGABRT)  # wasmtime catches SIGSEGV
            killed.add(pid)
        return going["bad"].state != "waiting"

    stack.wait_for(crash)

    going.wait(60)
    assert going["bad"].error["code"] == "runner/crashed"
    assert 2 <= len(killed) <= DEATH_LIMIT  # two that are told at once; a lease that lapses before counts for less
    assert int(stack.redis.hget(f"{{ipvm:tests}}:run:{going.id}", "crashes")) >= 1
    assert [base + i for i in range(40)] == [going[f"t{i}"].ok for i in range(40)]
    assert going["uses"].error["reason"] == "branch mismatch"
    other = client.submit({"a": add(base, 99)}).wait(60)
    assert other.status == "ok"


def test_a_stalled_worker_is_overtaken(queue):
    """A process that stands still past its lease is overtaken, and what it says afterwards changes nothing."""
    stack, client = queue
    stack.start_worker("second", "-P", "solo")
    base = salt()
    going = client.submit({"slow": slow(300_000_000, base), "after": add({"from": "slow"}, 1)})
    pid = stack.wait_for(lambda: holders(stack, going).get(0))

    os.kill(pid, signal.SIGSTOP)
    try:
        assert going.wait(60)["after"].ok == base + 1
    finally:
        os.kill(pid, signal.SIGCONT)

    receipt = going["slow"].receipt
    client.submit({"t": slow(300_000_000, base + 7)}).wait(60)
    assert going["slow"].receipt == receipt
    assert events(stack, going) == [0, 1]


def test_lost_messages_are_published_again(idle):
    """Messages that vanish from the broker's list are published again from what is ready."""
    with idle.client() as client:
        client.blocks.put(numbers())
        base = salt()
        going = client.submit({f"t{i}": add(base, i) for i in range(100)})
        idle.redis.delete("{ipvm:tests}:ipvm.wasm")
        idle.start_worker()

        assert going.wait(60).status == "ok"


def test_a_killed_worker_is_replaced_by_another(queue):
    """When a whole worker dies, another one that comes takes its nodes over."""
    stack, client = queue
    base = salt()
    going = client.submit({f"t{i}": slow(100_000_000, base + i) for i in range(6)})
    stack.wait_for(lambda: holders(stack, going))

    stack.kill("w")
    stack.start_worker("next")

    assert [base + i for i in range(6)] == [result.ok for result in going.wait(60).results().values()]
    assert events(stack, going) == list(range(6))


def test_a_stopped_worker_ends_what_it_holds(queue):
    """A warm stop gives nothing up: the task at hand gets its receipt before the worker ends."""
    stack, client = queue
    going = client.submit({"slow": slow(400_000_000, salt())})
    stack.wait_for(lambda: holders(stack, going))

    stack.groups.pop("w").stop(30)

    assert going["slow"].state == "ok"


def test_valkey_comes_back_with_what_it_kept(tmp_path):
    """With an append-only file a killed and restarted Valkey goes on where it was, and so do its workers."""
    stack = Stack(tmp_path / "aof", lease=1.0, aof=True)
    try:
        stack.start_valkey()
        stack.start_worker()
        with stack.client() as client:
            client.blocks.put(numbers())
            base = salt()
            document = {f"s{i}": slow(100_000_000, base + i) for i in range(8)}
            document |= {f"t{i}": add({"from": f"s{i}"}, 1) for i in range(8)}
            going = client.submit(document)
            stack.wait_for(lambda: events(stack, going))
            stack.kill("valkey")
            time.sleep(0.5)
            stack.start_valkey()

            assert [base + i + 1 for i in range(8)] == [going.wait(60)[f"t{i}"].ok for i in range(8)]
            assert events(stack, going) == list(range(16))
    finally:
        stack.stop()


def test_long_batches_keep_their_leases(queue):
    """Tasks that turn out dearer than thought are settled and shared as they go, and none is done twice."""
    stack, client = queue
    base = salt()
    going = client.submit({f"t{i}": slow(60_000_000, base + i) for i in range(40)})

    going.wait(100)

    assert events(stack, going) == list(range(40))
    assert stack.redis.hgetall(f"{{ipvm:tests}}:run:{going.id}:deaths") == {}

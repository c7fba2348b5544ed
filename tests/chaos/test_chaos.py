"""Everything is killed, stopped, cut off and lost while runs go on; every run ends, and as it should."""

from __future__ import annotations

import os
import random
import signal
import time
from contextlib import suppress

import pytest
from evaluator import Expected
from modules import numbers, salt, values
from stack import Stack

from ipvm_queue.errors import UnavailableError
from ipvm_queue.ipld import Link

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]

NUMBERS, VALUES = Link.of(numbers()), Link.of(values())
SECONDS = 40.0


class Monkey:
    """Does harm to a queue, one thing at a time."""

    def __init__(self, stack, seed):
        self.stack = stack
        self.chance = random.Random(seed)
        self.number = 0
        self.deeds = [
            self.kill_child,
            self.kill_worker,
            self.stall,
            self.cut_off,
            self.kill_gate,
            self.lose_messages,
            self.kill_valkey,
        ]

    def once(self):
        """Do the next harm."""
        self.number += 1
        self.deeds[self.number % len(self.deeds)]()

    def _workers(self):
        return [name for name in self.stack.groups if name not in ("valkey", "gate")]

    def _child(self):
        found = [pid for name in self._workers() for pid in self.stack.children(name)]
        return self.chance.choice(found) if found else 0

    def kill_child(self):
        """Kill a process at work."""
        if pid := self._child():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def kill_worker(self):
        """Kill a worker with all its processes, and start another in its place."""
        self.stack.kill(self._workers()[0])
        self.stack.start_worker(f"w{self.number}", ready=False)

    def kill_gate(self):
        """Kill the gate and start it again."""
        self.stack.kill("gate")
        self.stack.start_worker("gate", "-P", "solo", program="workers.gate", ready=False)

    def stall(self):
        """Stop a process for longer than its lease."""
        if pid := self._child():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
                time.sleep(1.5)
                os.kill(pid, signal.SIGCONT)

    def cut_off(self):
        """Close every connection to the broker."""
        self.stack.redis.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

    def lose_messages(self):
        """Lose all messages of the work queue."""
        self.stack.redis.delete("{ipvm:tests}:ipvm.wasm")

    def kill_valkey(self):
        """Kill the broker and start it again with what it kept."""
        self.stack.kill("valkey")
        time.sleep(0.3)
        self.stack.start_valkey()


def job(chance):
    """Return a job of mixed shape: dear tasks, chains, joins, traps, branches."""
    base = salt()
    document = {}
    for i in range(60):
        left, right = ({"from": f"t{chance.randrange(max(0, i - 12), i)}"} if i > 2 else base + k for k in range(2))
        document[f"t{i}"] = {"type": "wasm/1.0", "with": NUMBERS, "func": "add", "input": [left, right]}
    for i in range(4):
        document[f"bad{i}"] = {"type": "wasm/1.0", "with": NUMBERS, "func": "trap", "input": [base + i],
                               "on": {"error": [f"sorry{i}"], "success": [f"fine{i}"]}}  # fmt: skip
        document[f"sorry{i}"] = {"type": "wasm/1.0", "with": VALUES, "func": "echo", "input": [base + i]}
        document[f"fine{i}"] = {"type": "wasm/1.0", "with": VALUES, "func": "echo", "input": [base + i, 1]}
    document["join"] = {"type": "wasm/1.0", "with": VALUES, "func": "echo",
                        "input": [{"from": f"t{i}"} for i in range(60)]}  # fmt: skip
    return document


def slow(chance):
    """Return a job of dear tasks, each some tenths of a second long, with one that waits for all."""
    base = salt()
    document = {
        f"s{i}": {"type": "wasm/1.0", "with": NUMBERS, "func": "slow", "maxGas": 10**12,
                  "input": [chance.randrange(20, 120) * 1_000_000, base + i]}
        for i in range(12)
    }  # fmt: skip
    inputs = [{"from": f"s{i}"} for i in range(12)]
    return {**document, "join": {"type": "wasm/1.0", "with": VALUES, "func": "echo", "input": inputs}}, base


def patiently(action, patience=90.0):
    """Do something with a broker that goes away now and then."""
    deadline = time.monotonic() + patience
    while True:
        try:
            return action()
        except UnavailableError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def settled(stack, run):
    """Return the nodes that a run's events tell of."""
    entries = stack.redis.xrange(f"{{ipvm:tests}}:run:{run.id}:events")
    told = [pair for _, fields in entries for pair in fields.get(b"s", b"").decode().split(",") if pair]
    return sorted(int(pair.split()[0]) for pair in told)


@pytest.mark.parametrize("seed", [1])
def test_runs_end_as_they_should_whatever_dies(tmp_path, seed):
    """Under kills, stalls, cuts and losses each run ends with the evaluator's results, and each node settles once."""
    chance = random.Random(seed)
    stack = Stack(tmp_path / "chaos", lease=1.0, aof=True)
    try:
        stack.start_valkey()
        stack.start_worker("w")
        stack.start_worker("v")
        with stack.client() as client:
            patiently(lambda: [client.blocks.put(data) for data in (numbers(), values())])
            monkey = Monkey(stack, seed)
            runs = []
            until = time.monotonic() + SECONDS
            while time.monotonic() < until:
                document = job(chance)
                runs.append((patiently(lambda document=document: client.submit(document)), document))
                dear, base = slow(chance)
                dear_run = patiently(lambda dear=dear: client.submit(dear))
                runs.append((dear_run, base))
                monkey.once()
                time.sleep(chance.uniform(0.2, 1.0))
            for run, document in runs:
                patiently(lambda run=run: run.wait(90))
                results = run.results()
                assert settled(stack, run) == list(range(run.plan.count))
                if isinstance(document, int):
                    assert [document + i for i in range(12)] == run["join"].ok
                    continue
                receipts = {label: result.receipt for label, result in results.items()}
                expected = Expected(document, receipts, results["bad0"].error)
                assert expected.results == {label: result.out for label, result in results.items()}
                assert expected.states == {label: result.state for label, result in results.items()}
            assert not stack.redis.exists("{ipvm:tests}:live")
    finally:
        pids = [group.process.pid for group in stack.groups.values()]
        stack.stop()
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.killpg(pid, 0)

"""Acts under fire: jobs with commands on witnesses, while workers and server die, sleep and are cut off.

The witnesses stand outside of all of it and count. What they counted is compared with what the receipts say.
"""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from proxy import Proxy
from redis.exceptions import RedisError
from stack import Stack
from witnesses import Witnesses

from ipvm_queue.errors import UnavailableError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ipvm_queue.run import Run

LEASE = 1.0
SKEW = Path(__file__).with_name("skew")
_LIST = "{ipvm:tests}:ipvm.effects"


class Behind(Stack):
    """A stack whose workers and gate reach the server through a proxy."""

    def __init__(self, directory: Path, **more: Any) -> None:
        super().__init__(directory, **more)
        self.proxy = Proxy(self.port)

    def environment(self) -> dict[str, str]:
        """Return the environment of a worker or gate; its clock is wrong by less than what tokens forgive."""
        usual = super().environment()
        path = f"{usual['PYTHONPATH']}{os.pathsep}{SKEW}"
        url = f"redis://127.0.0.1:{self.proxy.port}/0"
        return {**usual, "PYTHONPATH": path, "IPVM_BROKER_URL": url, "SKEW": str(random.uniform(-20, 20))}


@dataclass
class Tally:
    """What came of it: how often each fault was done, and each act by how it ended and how often it was counted."""

    faults: Counter[str] = field(default_factory=Counter)
    acts: Counter[str] = field(default_factory=Counter)
    ends: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    reconciled: int = 0
    late: int = 0
    doubles: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def table(self) -> str:
        """Return it as lines for people."""
        rows: list[tuple[str, Any]] = [(f"fault: {name}", count) for name, count in sorted(self.faults.items())]
        rows += [("acts asked for", self.acts.total())]
        rows += [(f"acts by {scheme}:", count) for scheme, count in sorted(self.acts.items())]
        rows += [(f"ended {name}", count) for name, count in sorted(self.ends.items())]
        rows += [(f"errors {code}", count) for code, count in sorted(self.errors.items())]
        rows += [("of those ok, settled by asking the world", self.reconciled)]
        rows += [("resolved by the operator afterwards", self.late)]
        rows += [("done twice", len(self.doubles)), ("lost without a receipt that says so", len(self.lost))]
        rows += [("receipts that are wrong", len(self.wrong))]
        return "\n".join(f"{name:44} {count:>7}" for name, count in rows)


class Storm:
    """A queue with workers, witnesses, and somebody who does harm; `seed` chooses all of it."""

    deeds: ClassVar = ("child killed", "worker killed", "stopped past its lease", "server killed", "gate killed",
                       "cut from the server", "cut from a witness", "messages delivered twice",
                       "messages lost")  # fmt: skip

    def __init__(self, directory: Path, seed: int) -> None:
        self.chance = random.Random(seed)
        self.tally = Tally()
        self._number = 0
        self._calm = threading.Event()
        self._keys: dict[str, str] = {}
        self.witnesses = Witnesses(self._dawdle, self._answer_or_not)
        directory.mkdir(parents=True, exist_ok=True)
        config = directory / "effects.toml"
        config.write_text(self.witnesses.config())
        self.stack = Behind(directory, lease=LEASE, aof=True, effects_config=config)

    def __enter__(self) -> Self:
        self.stack.start_valkey()
        for name in ("a", "b"):
            self._start_worker(name)
        return self

    def __exit__(self, *_: object) -> None:
        self._calm.set()
        self.stack.stop()
        self.stack.proxy.close()
        self.witnesses.close()

    def blow(self, acts: int) -> Tally:
        """Ask for so many acts while harm is done, wait for the end, and compare."""
        with self.stack.client() as client:
            runs: list[tuple[Run, dict[str, Any]]] = []
            asked = 0
            while asked < acts:
                jobs = self._jobs()
                job = client.read({"header": {"nonce": self.chance.randbytes(8).hex()}, "jobs": jobs})
                times = 1 + (self.chance.random() < 0.3)  # the same signed job comes twice now and then
                runs += [(patiently(lambda job=job: client.submit(job)), jobs) for _ in range(times)]
                asked += len(jobs)
                self.harm()
                time.sleep(self.chance.uniform(0.0, 0.4))
            self._calm.set()
            for run, _ in runs:
                patiently(lambda run=run: run.wait(180))
            self._compare(runs)
            self._resolve(client, [run for run, _ in runs])
        return self.tally

    # What is asked for

    def _jobs(self) -> dict[str, Any]:
        count = self.chance.randrange(1, 6)
        return {f"t{number}": self.witnesses.act(self.chance, number) for number in range(count)}

    def _dawdle(self, _key: str) -> None:
        if not self._calm.is_set():
            time.sleep(random.uniform(0.0, 0.4))

    def _answer_or_not(self, _key: str) -> None:
        if not self._calm.is_set():
            time.sleep(random.uniform(0.0, 0.4))
            if random.random() < 0.05:
                raise ConnectionAbortedError

    # Harm

    def harm(self) -> None:
        """Do the next harm."""
        deed = self.deeds[self._number % len(self.deeds)]
        self._number += 1
        with suppress(ProcessLookupError, RedisError):
            {
                "child killed": self._kill_child,
                "worker killed": self._kill_worker,
                "stopped past its lease": self._stop_child,
                "server killed": self._kill_server,
                "gate killed": self._kill_gate,
                "cut from the server": lambda: self._cut(self.stack.proxy),
                "cut from a witness": lambda: self._cut(self.chance.choice(list(self.witnesses.proxies.values()))),
                "messages delivered twice": self._repeat,
                "messages lost": lambda: self.stack.redis.delete(_LIST),
            }[deed]()
            self.tally.faults[deed] += 1

    def _start_worker(self, name: str) -> None:
        self.tally.faults["worker started with a wrong clock"] += 1
        self.stack.start_worker(name, "-P", "prefork", "-c", "2", program="ipvm_queue.worker", ready=False)

    def _workers(self) -> list[str]:
        return [name for name in self.stack.groups if name not in ("valkey", "gate")]

    def _child(self) -> int:
        found = [pid for name in self._workers() for pid in self.stack.children(name)]
        if not found:
            raise ProcessLookupError
        return self.chance.choice(found)

    def _kill_child(self) -> None:
        os.kill(self._child(), signal.SIGKILL)

    def _kill_worker(self) -> None:
        name = self._workers()[0]
        self.stack.kill(name)
        self._start_worker(f"w{self._number}")

    def _stop_child(self) -> None:
        pid = self._child()
        os.kill(pid, signal.SIGSTOP)

        def wake() -> None:
            time.sleep(LEASE * 2)
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

        threading.Thread(target=wake, daemon=True).start()

    def _kill_gate(self) -> None:
        self.stack.kill("gate")
        self.stack.start_worker("gate", "-P", "solo", "--without-mingle", program="workers.gate", ready=False)

    def _kill_server(self) -> None:
        self.stack.kill("valkey")
        self.stack.start_valkey()

    def _cut(self, proxy: Proxy) -> None:
        proxy.shut(shut=True)
        time.sleep(self.chance.uniform(0.0, 0.5))
        proxy.shut(shut=False)

    def _repeat(self) -> None:
        for message in self.stack.redis.lrange(_LIST, 0, 20):
            self.stack.redis.lpush(_LIST, message)

    # The comparison

    def _compare(self, runs: list[tuple[Run, dict[str, Any]]]) -> None:
        """Hold what each receipt says against what its witness counted."""
        ends: dict[str, dict[str, Any]] = {}
        schemes: dict[str, str] = {}
        for run, jobs in runs:
            for label, result in patiently(run.results).items():
                key = self._keys[str(result.task)] = self.witnesses.key(jobs[label], str(result.task))
                ends.setdefault(key, {})[result.state] = result
                schemes[key] = jobs[label]["with"].partition(":")[0]
        self.tally.acts.update(schemes.values())
        for key, by_state in ends.items():
            count = self.witnesses.count(key)
            state = next(each for each in ("ok", "in-doubt", "error", *by_state) if each in by_state)
            self.tally.ends[state] += 1
            self.tally.reconciled += state == "ok" and bool(by_state["ok"].meta.get("reconciled"))
            if state == "error":
                self.tally.errors[by_state[state].error["code"]] += 1
            if state == "waiting":
                self.tally.lost.append(key)
            elif (state == "ok" and count != 1) or (state == "error" and count):
                self.tally.wrong.append(f"{schemes[key]} {key} {state} {by_state[state].out} counted {count}")
        self.tally.doubles += [key for key, count in self.witnesses.all() if count > 1]
        self.tally.lost += [key for key, _ in self.witnesses.all() if key not in ends]

    def _resolve(self, client: Any, runs: list[Run]) -> None:
        """Be the operator who asks the witnesses: afterwards each act that was in doubt has happened once."""
        told = set()
        for act in patiently(lambda: client.acts.all(in_doubt=True, limit=10_000)):
            key = self._keys[str(act.task)]
            if self.witnesses.count(key):
                client.acts.done(act.id, act.fence, _word(client, act), [act.task], judged=True)
            else:
                client.acts.not_done(act.id, act.fence, "the witness has not seen it", judged=True)
            told.add(key)
        for run in {run.id: run for run in runs}.values():
            if run.status == "in-doubt":
                run.resume()
                run.wait(180)
        self.tally.late = len(told)
        counts = {key: self.witnesses.count(key) for key in told}
        self.tally.wrong += [f"{key} counted {count} at last" for key, count in counts.items() if count != 1]
        self.tally.doubles = [key for key, count in self.witnesses.all() if count > 1]


def _word(client: Any, act: Any) -> Any:
    from ipvm_queue.ucan import issue

    return issue(
        client.signer, act.task, {"ok": None}, {"resolved": {"why": "the witness has seen it"}}, int(time.time())
    )


def patiently(action: Callable[[], Any], patience: float = 120.0) -> Any:
    """Do something with a server that goes away now and then."""
    deadline = time.monotonic() + patience
    while True:
        try:
            return action()
        except (UnavailableError, UsageError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)

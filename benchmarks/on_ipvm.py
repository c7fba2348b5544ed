"""The product on the same work: a job document to `Client.submit`, a worker of two children, receipts back."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import guest
import shapes
from measure import Broker, family

from ipvm_queue import Client
from ipvm_queue.errors import WaitTimeoutError

if TYPE_CHECKING:
    from typing import Self

    from shapes import Shape

ROOT = Path(__file__).parent.parent
WARM_UP_TASKS = 64


class Ipvm:
    """A gate, and one `celery -A workers.wasm worker` with two prefork children, on one Valkey, each with keys."""

    name = "ipvm"
    celery: tuple[str, ...] = ("-m", "celery")

    def __enter__(self) -> Self:
        self._home = tempfile.TemporaryDirectory(prefix="ipvm-benchmark-")
        self.broker = Broker().__enter__()
        os.environ |= {
            "IPVM_BROKER_URL": self.broker.url,
            "XDG_CONFIG_HOME": self._home.name,
            "XDG_CACHE_HOME": self._home.name,
            "XDG_DATA_HOME": self._home.name,
            "IPVM_MAX_DOCUMENT_BYTES": str(64 << 20),
            "IPVM_EVENTS": "false",  # as plain Celery's are, until somebody watches
            "IPVM_SINGLE_OWNER": "true",
        }
        self._gate = self._start("workers.gate", "-n", "gate@%h", "-P", "solo")
        self._worker = self._start("workers.wasm", "-n", "wasm@%h", "-P", "prefork", "-c", "2")
        self._client = Client(self.broker.url)
        self._scalars = str(self._client.blocks.put(guest.SCALARS))
        self._total = str(self._client.blocks.put(guest.TOTAL))
        for _ in range(2):
            self.run(shapes.reduce(WARM_UP_TASKS), 60)
        return self

    def _start(self, program: str, *options: str) -> subprocess.Popen:
        command = [sys.executable, *self.celery, "-A", program, "worker", *options, "-l", "WARNING"]
        return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=sys.stderr)

    def __exit__(self, *_: object) -> None:
        self._client.close()
        for process in (self._worker, self._gate):
            process.terminate()
            try:
                process.wait(40)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.broker.__exit__()
        self._home.cleanup()

    def pids(self) -> list[int]:
        """List the worker, its children and the gate."""
        return [*family(self._worker.pid), *family(self._gate.pid)]

    def consumed(self) -> int:
        """Ask the worker how many messages it has taken."""
        from ipvm_queue.worker import make_app

        told = make_app().control.inspect(timeout=5).stats().values()
        return sum(sum(stats["total"].values()) for stats in told)

    def prepare(self, shape: Shape) -> dict:
        """Write the job document of a shape."""
        return shape.document(self._scalars, self._total)

    def latency(self, first: int) -> int:
        """One task, submitted and waited for."""
        return self.run(shapes.Shape("independent", (shapes.Node("sum2", (first, 1)),)), 60)[0]

    def run(self, shape: Shape, timeout: float) -> list[int]:
        """Run all nodes; answers the sinks' results."""
        run = self._client.submit(self.prepare(shape))
        try:
            run.wait(timeout)
        except WaitTimeoutError as error:
            raise SystemExit(f"{error}; the worker's exit code is {self._worker.poll()}") from error
        if len(shape.sinks) == 1:
            return [run[shapes.label(shape.sinks[0])].ok]
        results = run.results()
        return [results[shapes.label(sink)].ok for sink in shape.sinks]

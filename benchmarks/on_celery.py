"""Plain Celery on the same work: `group`, `chain`, `chord`; for a graph, a chain of groups, one a level."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from celery import chain, chord, group
from celery.exceptions import TimeoutError as CeleryTimeoutError
from measure import Broker, family
from shapes import Ref

if TYPE_CHECKING:
    from typing import Self

    from shapes import Node, Shape

HERE = Path(__file__).parent


class Hung(Exception):  # noqa: N818 - an outcome of the measurement, not a fault of it
    """Raised when a canvas did not end within its time."""


class PlainCelery:
    """One prefork worker of two children; broker and result backend on one Valkey of its own."""

    name = "celery"

    def __enter__(self) -> Self:
        self.broker = Broker().__enter__()
        os.environ["BENCHMARK_REDIS"] = self.broker.url
        self._start()
        import celery_app

        self._tasks = celery_app
        celery_app.end.delay().get(timeout=60)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()
        self.broker.__exit__()

    def _start(self) -> None:
        quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat"]
        self._worker = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "celery",
                "-A",
                "celery_app",
                "worker",
                "-P",
                "prefork",
                "-c",
                "2",
                "-l",
                "ERROR",
                *quiet,
            ],
            cwd=HERE,
            stdout=subprocess.DEVNULL,
            stderr=sys.stderr,
        )

    def _stop(self) -> None:
        self._worker.terminate()
        try:
            self._worker.wait(40)
        except subprocess.TimeoutExpired:
            self._worker.kill()
            self._worker.wait()

    def pids(self) -> list[int]:
        """List the worker and its children."""
        return family(self._worker.pid)

    def latency(self, first: int) -> int:
        """One task, sent and waited for."""
        return self._tasks.call.delay(first, 1, function="sum2").get(timeout=60)

    def run(self, shape: Shape, timeout: float) -> list[int]:
        """Run all nodes; answers the sinks' results, or raises `Hung`."""
        try:
            return getattr(self, f"_{shape.kind}")(shape, timeout)
        except CeleryTimeoutError:
            raise Hung from None

    def restart(self) -> None:
        """Throw away everything queued and begin with a fresh worker, as after a canvas that never ended."""
        self._worker.kill()
        self._worker.wait()
        self.broker.flush()
        self._start()
        self._tasks.end.delay().get(timeout=60)

    # `propagate=False`: else a waiting `get` asks for the state of every earlier step again and again. An error would
    # come back as a value then, and fail the comparison with the right answers.

    def _independent(self, shape: Shape, timeout: float) -> list[int]:
        return group(self._call(node) for node in shape.nodes).apply_async().get(timeout, propagate=False)

    def _line(self, shape: Shape, timeout: float) -> list[int]:
        return [chain(*map(self._call, shape.nodes)).apply_async().get(timeout, propagate=False)]

    def _reduce(self, shape: Shape, timeout: float) -> list[int]:
        return [
            chord(map(self._call, shape.nodes[:-1]), self._tasks.total.s()).apply_async().get(timeout, propagate=False)
        ]

    def _dag(self, shape: Shape, timeout: float) -> list[int]:
        ids = [str(uuid.uuid4()) for _ in shape.nodes]

        def member(index: int):
            node = shape.nodes[index]
            arguments = [item for item in node.arguments if not isinstance(item, Ref)]
            parents = [ids[parent] for parent in node.parents]
            return self._tasks.node.si(node.function, arguments, parents).set(task_id=ids[index])

        levels = [group(member(index) for index in level) for level in shape.levels]
        chain(*levels, self._tasks.end.si()).apply_async().get(timeout, propagate=False)
        found = {
            id_: meta["result"] for id_, meta in self._tasks.app.backend.get_many(ids[sink] for sink in shape.sinks)
        }
        return [found[ids[sink]] for sink in shape.sinks]

    def _call(self, node: Node):
        arguments = (item for item in node.arguments if not isinstance(item, Ref))
        return self._tasks.call.s(*arguments, function=node.function)

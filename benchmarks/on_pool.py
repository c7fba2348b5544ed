"""The floor: the same calls on a bare `ProcessPoolExecutor(2)`, no broker, no receipts, nothing kept."""

from __future__ import annotations

from concurrent.futures import Future, ProcessPoolExecutor, wait
from queue import SimpleQueue
from typing import TYPE_CHECKING

import guest

if TYPE_CHECKING:
    from typing import Self

    from shapes import Shape


class Pool:
    """Two processes; a node is submitted when its parents are done."""

    name = "pool"

    def __enter__(self) -> Self:
        self._executor = ProcessPoolExecutor(2)
        return self

    def __exit__(self, *_: object) -> None:
        self._executor.shutdown()

    def pids(self) -> list[int]:
        """List the worker processes."""
        return list(self._executor._processes)  # noqa: SLF001 - the executor has no public way to say

    def latency(self, first: int) -> int:
        """One call, submitted and waited for."""
        return self._executor.submit(guest.call, "sum2", [first, 1]).result()

    def run(self, shape: Shape, timeout: float) -> list[int]:
        """Run all nodes; answers the sinks' results."""
        if shape.kind == "independent":
            futures = [self._executor.submit(guest.call, node.function, list(node.arguments)) for node in shape.nodes]
            wait(futures, timeout)
            return [future.result(0) for future in futures]
        results = self._in_order(shape, timeout)
        return [results[index] for index in shape.sinks]

    def _in_order(self, shape: Shape, timeout: float) -> dict[int, int]:
        children: list[list[int]] = [[] for _ in shape.nodes]
        missing = [0] * len(shape.nodes)
        for index, node in enumerate(shape.nodes):
            missing[index] = len(node.parents)
            for parent in node.parents:
                children[parent].append(index)
        done: SimpleQueue[tuple[int, Future[int]]] = SimpleQueue()
        results: dict[int, int] = {}

        def submit(index: int) -> None:
            node = shape.nodes[index]
            future = self._executor.submit(guest.call, node.function, node.resolved(results))
            future.add_done_callback(lambda ended: done.put((index, ended)))

        for index, count in enumerate(missing):
            if not count:
                submit(index)
        while len(results) < len(shape.nodes):
            index, future = done.get(timeout=timeout)
            results[index] = future.result()
            for child in children[index]:
                missing[child] -= 1
                if not missing[child]:
                    submit(child)
        return results

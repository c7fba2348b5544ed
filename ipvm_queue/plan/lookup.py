"""Which nodes of a plan may be taken from the memo table before any of it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ipvm_queue.plan.model import Node


def looked_up(nodes: Iterable[tuple[int, Node]], may_run: Callable[[Node], bool]) -> Iterator[tuple[int, Node]]:
    """Yield the pure nodes that a receipt of their Task settles, out of all nodes in order. (UCAN Promise 1.1.2).

    A node that may yet be skipped, or that `may_run` does not answer for, has to wait for that, and so has whatever its
    Result goes into: what another run made of a Result says nothing of a run in which there is none.
    """
    undecided: set[int] = set()
    for number, node in nodes:
        unsure = node.when or (undecided and not undecided.isdisjoint(source for source, _ in node.inputs))
        if unsure or not may_run(node):
            undecided.add(number)
        elif node.shared:
            yield number, node

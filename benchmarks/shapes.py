"""The graphs that are measured: one plain description, from which a job document and the baselines' work are made."""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import guest

MAX_PARENTS: Final = guest.MAX_ARITY - 1


@dataclass(frozen=True, slots=True)
class Ref:
    """Stands for the result of an earlier node."""

    node: int


@dataclass(frozen=True, slots=True)
class Node:
    """One call: the guest's function, and its arguments, which hold integers, `Ref`s, or one list of `Ref`s."""

    function: str
    arguments: tuple[Any, ...]

    @property
    def parents(self) -> tuple[int, ...]:
        """The earlier nodes whose results this one takes."""
        flat = self.arguments[0] if self.function == "total" else self.arguments
        return tuple(item.node for item in flat if isinstance(item, Ref))

    def resolved(self, results: Any) -> list:
        """Replace every `Ref` in the arguments out of `results`, which is indexed by node."""
        return [_resolve(item, results) for item in self.arguments]


def _resolve(item: Any, results: Any) -> Any:
    if isinstance(item, Ref):
        return results[item.node]
    return [_resolve(part, results) for part in item] if isinstance(item, tuple) else item


@dataclass(frozen=True)
class Shape:
    """A graph in topological order. `kind` is one of independent, line, reduce, dag."""

    kind: str
    nodes: tuple[Node, ...]

    @cached_property
    def edges(self) -> int:
        """How many results are handed from node to node."""
        return sum(len(node.parents) for node in self.nodes)

    @cached_property
    def sinks(self) -> tuple[int, ...]:
        """The nodes whose results nobody takes: what a caller reads."""
        used = {parent for node in self.nodes for parent in node.parents}
        return tuple(index for index in range(len(self.nodes)) if index not in used)

    @cached_property
    def levels(self) -> tuple[tuple[int, ...], ...]:
        """The nodes by their distance from a source; no node needs another of its own level."""
        depth: list[int] = []
        levels: list[list[int]] = []
        for index, node in enumerate(self.nodes):
            depth.append(1 + max((depth[parent] for parent in node.parents), default=-1))
            if depth[index] == len(levels):
                levels.append([])
            levels[depth[index]].append(index)
        return tuple(map(tuple, levels))

    @cached_property
    def answers(self) -> list[int]:
        """Every node's right result, worked out in plain Python."""
        results: list[int] = []
        for node in self.nodes:
            results.append(guest.expected(node.resolved(results)))
        return results

    def document(self, scalars: str, total: str) -> dict[str, Any]:
        """Write the job document, a bare map of labelled jobs; `scalars` and `total` name the guests."""

        def promised(item: Any) -> Any:
            if isinstance(item, Ref):
                return {"from": label(item.node)}
            return [promised(part) for part in item] if isinstance(item, tuple) else item

        return {
            label(index): {
                "type": "wasm/1.0",
                "with": total if node.function == "total" else scalars,
                "func": node.function,
                "input": [promised(item) for item in node.arguments],
            }
            for index, node in enumerate(self.nodes)
        }


def label(node: int) -> str:
    """Name a node in a job document."""
    return f"t{node}"


def salt() -> int:
    """Draw a first operand far from every other run's, so that no run finds its work in the memo table by accident."""
    return random.SystemRandom().randrange(1 << 20, 1 << 46)


def independent(size: int) -> Shape:
    """`size` calls that know nothing of each other."""
    start = salt()
    return Shape("independent", tuple(Node("sum2", (start + index, 1)) for index in range(size)))


def line(size: int) -> Shape:
    """`size` calls, each on the result of the one before."""
    first = Node("sum2", (salt(), 1))
    return Shape("line", (first, *(Node("sum2", (Ref(index), 1)) for index in range(size - 1))))


def reduce(size: int) -> Shape:
    """`size` independent calls and one over all their results."""
    maps = independent(size).nodes
    return Shape("reduce", (*maps, Node("total", (tuple(Ref(index) for index in range(size)),))))


def dag(size: int, edges: int, seed: int = 1) -> Shape:
    """Draw a graph with at most four parents a node; the same seed gives the same graph, with other operands."""
    draw = random.Random(seed)  # noqa: S311 - a reproducible graph, nothing secret
    parents: list[list[int]] = [[] for _ in range(size)]
    while edges:
        child = draw.randrange(1, size)
        parent = draw.randrange(child)
        if len(parents[child]) < MAX_PARENTS and parent not in parents[child]:
            parents[child].append(parent)
            edges -= 1
    start = salt()
    return Shape(
        "dag",
        tuple(
            Node(f"sum{1 + len(before)}", (start + index, *map(Ref, sorted(before))))
            for index, before in enumerate(parents)
        ),
    )

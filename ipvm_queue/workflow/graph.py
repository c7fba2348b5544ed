"""Who waits for whom: data promises and `on` edges, and the cycles that a document must not have (IPVM job 3.2.3)."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

from ipvm_queue.workflow.promises import promises

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ipvm_queue.workflow.model import Task

_SHOWN: Final = 12


def dependencies(task: Task) -> tuple[str, ...]:
    """Return the labels whose results `task` takes, each once, in the order of their first use."""
    return tuple(dict.fromkeys(promise.label for promise in promises(task) if promise.label is not None))


def predecessors(tasks: Mapping[str, Task], taken: Mapping[str, Sequence[str]] | None = None) -> dict[str, list[str]]:
    """Return, for each label, the labels it waits for: those it takes results from, and those whose `on` names it.

    Only labels of `tasks` appear, each once. `taken` are the `dependencies` of every task where they are known
    already. Linear in tasks and edges.
    """
    if taken is None:
        taken = {label: dependencies(task) for label, task in tasks.items()}
    waits = {label: dict.fromkeys(taken[label]) for label in tasks if taken[label]}
    for label, task in tasks.items():
        if task.on_success or task.on_error:
            for follower in (*task.on_success, *task.on_error):
                waits.setdefault(follower, {})[label] = None
    return {label: [name for name in waits[label] if name in tasks] if label in waits else [] for label in tasks}


def find_cycles(waits: Mapping[str, Sequence[str]]) -> list[list[str]]:
    """Return cycles without common members, at least one for each knot; empty for an acyclic graph.

    Every label of a cycle waits for the next, the last for the first. Never recurses; linear.
    """
    knotted = _unordered(waits)
    cycles = []
    seen: dict[str, int] = {}
    for start in knotted:
        label, walk = start, len(seen)
        trail: list[str] = []
        while label not in seen:
            seen[label] = walk + len(trail)
            trail.append(label)
            label = next(name for name in waits[label] if name in knotted)
        if seen[label] >= walk and trail:
            cycles.append(trail[seen[label] - walk :])
    return cycles


def _unordered(waits: Mapping[str, Sequence[str]]) -> dict[str, None]:
    """Return what is left when everything that can be put in order is taken away."""
    open_edges = {label: len(names) for label, names in waits.items() if names}
    followers: dict[str, list[str]] = defaultdict(list)
    for label in open_edges:
        for name in waits[label]:
            followers[name].append(label)
    ready = [label for label in followers if label not in open_edges]
    while ready:
        for follower in followers.get(ready.pop(), ()):
            open_edges[follower] -= 1
            if open_edges[follower] == 0:
                del open_edges[follower]
                ready.append(follower)
    return dict.fromkeys(open_edges)


def spell_out(cycle: Sequence[str]) -> str:
    """Return a cycle as `a → b → c → a`; a long one with its middle counted."""
    if len(cycle) <= _SHOWN:
        return " → ".join((*cycle, cycle[0]))
    half = _SHOWN // 2
    return " → ".join((*cycle[:half], f"… {len(cycle) - 2 * half} more …", *cycle[-half:], cycle[0]))

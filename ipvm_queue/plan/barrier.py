"""The transaction of a job: what must have succeeded before the world is changed (IPVM job 1.1).

Commands that no pure task depends on stand behind one barrier, together with whatever depends on them. In front of it
is everything else. The barrier is a node of its own: those that nothing in front follows feed it, those behind that
wait for nothing else behind are fed by it; so a plan stays linear in size.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ipvm_queue.workflow.safety import Safety

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Barrier(NamedTuple):
    """Labels, in plan order: the `last` in front, all that are `behind`, and the `first` of those."""

    last: list[str]
    behind: list[str]
    first: list[str]


def find_barrier(order: Sequence[str], before: Mapping[str, Sequence[str]], safety: Mapping[str, Safety]) -> Barrier:
    """Divide tasks by the barrier; `before` are those that each waits for. Nothing is behind where none is needed."""
    if Safety.COMMAND not in safety.values():
        return Barrier([], [], [])
    feeds_pure: set[str] = set()
    for label in reversed(order):
        if label in feeds_pure or safety[label] is Safety.PURE:
            feeds_pure.update(before[label])
    behind: dict[str, None] = {}
    first = []
    for label in order:
        follows = any(source in behind for source in before[label])
        if follows or (safety[label] is Safety.COMMAND and label not in feeds_pure):
            behind[label] = None
            if not follows:
                first.append(label)
    front = dict.fromkeys(label for label in order if label not in behind)
    if not front or not behind:
        return Barrier([], [], [])
    followed = {source for label in front for source in before[label]}
    return Barrier([label for label in front if label not in followed], list(behind), first)

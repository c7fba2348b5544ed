"""How many nodes a process takes at a time: as many as it runs between two settlements, by what the last ones cost."""

from __future__ import annotations

from collections import OrderedDict
from math import inf
from typing import Final

from ipvm_queue.plan import EFFECT_QUEUE

_QUANTUM: Final = 0.04  # seconds of work between two settlements
_MOST: Final = 256
_CHEAP: Final = 0.001  # seconds; a dearer node is worth a look for a receipt under its reified address first
_FIRST: Final = 0.001
_FASTEST: Final = 1e-5


class Paces:
    """Seconds a node, by run and queue; those used last are remembered."""

    def __init__(self) -> None:
        self._seconds: OrderedDict[tuple[str, str], float] = OrderedDict()

    def want(self, run: str, queue: str) -> int:
        """Return how many nodes fit into a quantum; of effects one, for the world is slow and others are free."""
        if queue == EFFECT_QUEUE:
            return 1
        return max(1, min(_MOST, int(_QUANTUM / self._seconds.get((run, queue), _FIRST))))

    def cheap(self, run: str, queue: str) -> bool:
        """Whether nodes are known to cost less than asking the store about them."""
        return self._seconds.get((run, queue), inf) < _CHEAP

    def learn(self, run: str, queue: str, seconds: float) -> None:
        """Remember what a node has cost, mixed with what was known."""
        before = self._seconds.pop((run, queue), None)
        self._seconds[run, queue] = max(_FASTEST, seconds if before is None else (before + seconds) / 2)
        if len(self._seconds) > _MOST:
            self._seconds.popitem(last=False)

"""Large graphs of small objects, built without the garbage collector walking them again and again."""

from __future__ import annotations

import gc
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_OBJECTS: Final = 100_000


@contextmanager
def collector_paused() -> Iterator[None]:
    """Keep the garbage collector off for a while: it doubles the time in which a plan is made."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def collect_seldom() -> None:
    """Have this process's garbage looked for seldom, and not among what is there already: that is for good."""
    gc.freeze()
    gc.set_threshold(_OBJECTS)

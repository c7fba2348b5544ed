"""Asking one source after the other: how long each of them has."""

from __future__ import annotations

from time import monotonic

import pytest

from ipvm_queue.effects.fetch import share


@pytest.mark.parametrize(("sources", "part"), [(0, 1), (1, 1), (2, 2), (9, 2)])
def test_a_silent_source_leaves_half_of_the_time_to_those_behind_it(sources, part):
    """And the last one may use all of it."""
    start = monotonic()

    assert share(start + 1000, sources) - start == pytest.approx(1000 / part, abs=100)

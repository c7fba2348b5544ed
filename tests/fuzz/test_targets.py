"""The fuzz targets run on their own seeds, so that neither goes stale between fuzzing runs."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from seeds import seeds
from targets import TARGETS, one_input

SEEDS = seeds()


def test_every_target_has_seeds_that_it_takes_whole():
    """Each target has a seed that breaks no rule: fuzzing starts from what is right."""
    taken = set()
    for seed in SEEDS:
        number = seed[0]
        try:
            TARGETS[number](seed[1:])
        except Exception:  # noqa: BLE001, S112 - a seed may break a rule; one of each target's must not
            continue
        taken.add(number)

    assert taken == set(range(len(TARGETS)))


@pytest.mark.parametrize("number", range(len(SEEDS)))
def test_no_change_of_a_byte_brings_a_target_down(number):
    """Some bytes of each seed changed, cut and doubled: a rule is broken, or none is."""
    seed = SEEDS[number]
    for place in range(0, len(seed), max(1, len(seed) // 20)):
        for changed in (
            seed[:place] + bytes([seed[place] ^ 0x41]) + seed[place + 1 :],
            seed[:place],
            seed[:place] + seed[place:] * 2,
        ):
            one_input(changed)


def test_nothing_is_no_input():
    """The fuzzer begins with no bytes at all."""
    one_input(b"")

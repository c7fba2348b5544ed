"""The protocol of docs/exactly-once.md, checked by spin in every interleaving of crashes, pauses, lapses and losses."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

MODEL = Path(__file__).with_name("act.pml")
NEEDED = ("spin", "cc")

pytestmark = pytest.mark.skipif(
    any(shutil.which(program) is None for program in NEEDED),
    reason="spin and a C compiler are needed (as root: apt-get install spin gcc)",
)


def explore(directory: Path, **constants: int) -> tuple[int, int]:
    """Return how many errors a search of all states finds, and how many states there are."""
    given = [f"-D{name}={value}" for name, value in constants.items()]
    commands = (
        ["spin", "-a", *given, MODEL],
        ["cc", "-O2", "-w", "-DSAFETY", "-o", "pan", "pan.c"],
        ["./pan", "-m100000", "-n"],
    )
    for command in commands:
        done = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=True, timeout=300)
    errors, states = re.search(r"errors: (\d+)", done.stdout), re.search(r"(\d+) states, stored", done.stdout)
    assert errors, done.stdout
    assert states, done.stdout
    assert "max search depth too small" not in done.stdout
    return int(errors[1]), int(states[1])


@pytest.mark.parametrize("mode", [0, 1, 2, 3])
def test_an_act_is_done_at_most_once_and_never_lost_without_a_doubt(tmp_path, mode):
    """Whatever dies, sleeps, lapses or is lost: no state breaks what docs/exactly-once.md promises."""
    errors, states = explore(tmp_path, MODE=mode)

    assert errors == 0
    assert states > 100_000  # the search went where it should


@pytest.mark.parametrize("mistake", [1, 2, 3, 4])
def test_the_model_finds_mistakes(tmp_path, mistake):
    """A protocol with one step left out is refuted, so that a search without errors says something."""
    errors, _ = explore(tmp_path, MODE=1, WRONG=mistake)

    assert errors == 1


def test_the_model_finds_a_key_of_each_jobs_own(tmp_path):
    """A world that refuses a second act under a key refuses nothing where who comes second has another."""
    errors, _ = explore(tmp_path, MODE=2, WRONG=6)

    assert errors == 1


def test_the_model_finds_a_refusal_that_is_the_acts_own_doing(tmp_path):
    """A second attempt that is refused because the first has come after all must not end as if nothing had happened."""
    errors, _ = explore(tmp_path, MODE=3, WRONG=5)

    assert errors == 1

"""Acts under fire, for long: print what was done to whom, and how often each act has happened.

`python benchmarks/acts.py --acts 600 --seed 1`; ends with 1 if an act was done twice or was lost.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic

from measure import tidy_when_stopped

TESTS = Path(__file__).resolve().parents[1] / "tests"
sys.path[:0] = [str(TESTS), str(TESTS / "witness"), str(TESTS / "chaos")]


def main() -> int:
    """Run one storm and print its table."""
    from storm import Storm

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--acts", type=int, default=600)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    tidy_when_stopped()
    started = monotonic()
    with TemporaryDirectory() as directory, Storm(Path(directory), given.seed) as storm:
        tally = storm.blow(given.acts)
    print(tally.table())
    print(f"{'seconds':44} {monotonic() - started:>7.0f}")
    for what in (*tally.doubles, *tally.lost, *tally.wrong):
        print(what)
    return 1 if tally.doubles or tally.lost or tally.wrong else 0


if __name__ == "__main__":
    sys.exit(main())

"""Fuzz the readers of tokens: `python tests/fuzz/fuzz.py CORPUS [libFuzzer flags]`; needs atheris."""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

ROOMS = ("ucan", "ipld", "crypto", "effects", "wasm")

with atheris.instrument_imports(include=[*(f"ipvm_queue.{room}" for room in ROOMS), "targets"]):
    from seeds import seeds
    from targets import one_input


def main() -> None:
    """Write the seeds into the corpus, and fuzz until libFuzzer's flags say stop."""
    corpus = Path(sys.argv[1])
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds()):
        (corpus / f"seed-{number:03}").write_bytes(seed)
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()

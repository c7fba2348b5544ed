"""The examples say what they print: `scripts/examples.py`, a stage of its own in CI, holds them to it."""

from __future__ import annotations

import importlib.util
from pathlib import Path

ROOT = Path(__file__).parents[2]
EXAMPLES = ["effects", "errors", "image", "in-my-name", "map-reduce", "pipeline", "secrets", "wasi"]


def test_every_example_says_what_it_prints():
    """An example is a folder whose README has commands, and every command is followed by its output."""
    spec = importlib.util.spec_from_file_location("runner", ROOT / "scripts" / "examples.py")
    runner = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(runner)
    found = {path.parent.name: runner.blocks(path) for path in ROOT.glob("examples/*/README.md")}

    assert sorted(name for name, blocks in found.items() if blocks) == EXAMPLES
    assert all(output for blocks in found.values() for _, output in blocks)

"""The examples, run as their READMEs tell a reader to: the same commands in a real shell, with the same output."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RUNNER = ROOT / "scripts" / "examples.py"
EXAMPLES = ["effects", "errors", "image", "in-my-name", "map-reduce", "pipeline", "secrets", "wasi"]


@pytest.mark.integration
@pytest.mark.timeout(300)
@pytest.mark.parametrize("example", EXAMPLES)
def test_readme_runs_as_written(example):
    """Every command of an example's README exits 0 and prints what the README says."""
    settings = {name: value for name, value in os.environ.items() if not name.startswith("IPVM_")}
    path = f"{sysconfig.get_path('scripts')}:{settings['PATH']}"
    command = [sys.executable, RUNNER, f"examples/{example}/README.md"]

    done = subprocess.run(
        command, cwd=ROOT, env={**settings, "PATH": path}, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "ok examples/" in done.stdout


def test_every_example_says_what_it_prints():
    """An example is a folder whose README has commands, and every command is followed by its output."""
    spec = importlib.util.spec_from_file_location("runner", RUNNER)
    runner = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(runner)
    found = {path.parent.name: runner.blocks(path) for path in ROOT.glob("examples/*/README.md")}

    assert sorted(name for name, blocks in found.items() if blocks) == EXAMPLES
    assert all(output for blocks in found.values() for _, output in blocks)

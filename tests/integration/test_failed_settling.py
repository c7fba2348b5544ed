"""A worker whose broker fails while it works: what it has done is settled with the next, and not done again."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from modules import numbers, salt

pytestmark = pytest.mark.integration
HICCUP = Path(__file__).parents[1] / "witness" / "hiccup.py"


def test_what_could_not_be_settled_is_settled_with_the_next(idle):
    """The beat between two nodes of a batch fails: both have their receipts at its end."""
    with idle.client() as client:
        module = str(client.blocks.put(numbers()))
        task = {"type": "wasm/1.0", "with": module, "func": "add"}
        jobs = {name: {**task, "input": [salt(), 1]} for name in "ab"}
        going = client.submit(jobs)
        environment = {**os.environ, **idle.settings.environment(), "IPVM_BUDGET": "0"}

        done = subprocess.run(
            [sys.executable, HICCUP, going.id], env=environment, capture_output=True, text=True, check=False
        )

        assert (done.returncode, done.stdout) == (0, "2\n"), done.stderr
        assert [result.state for result in going.results().values()] == ["ok", "ok"]
        assert going.status == "ok"

"""What a real gate remembers of what was pushed: it has an end."""

from __future__ import annotations

from pathlib import Path

import pytest
from wasm_guests import exporting

from ipvm_queue.ipld import Link

pytestmark = pytest.mark.integration


def test_a_gate_does_not_grow_with_the_modules_that_it_looks_into(parties):
    """It looks into modules for jobs that name no function; ten that are all exports leave it as large as two did."""
    process, sizes = parties.stack.groups["gate"].process, []
    for number in range(10):
        module = exporting(["only", *(f"_{number}.{each}" for each in range(33_000))])
        job = {"type": "wasm/1.0", "with": str(Link.of(module)), "input": []}
        request = parties.push(document=parties.document(only=job))
        request.blocks[Link.of(module)] = module
        assert "ok" in parties.ask(request)
        sizes.append(resident(process.pid))

    assert sizes[-1] - sizes[1] < 40


def resident(pid):
    """Return how much memory a process has, in MiB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) // 1024

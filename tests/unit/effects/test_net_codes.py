"""docs/net.md names every error of DNS, HTTP and mail."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("family", ["dns", "http", "mail"])
def test_every_error_is_described_and_no_other(family):
    """A code that a handler gives is in a table, and a code in a table is one that a handler gives."""
    abilities = {"http/get", "http/head", "http/post", "http/put", "http/patch", "http/delete"}
    given: set[str] = set()
    for path in (ROOT / "ipvm_queue" / "effects").glob(f"{family}*.py"):
        source = path.read_text()
        given |= set(re.findall(rf'"({family}/[a-z-]+)"', source)) - abilities
        given |= {f"{family}/{code}" for code in re.findall(r'_refuse\(\s*"([a-z-]+)", ', source)}
    described = set(re.findall(rf"`({family}/[a-z-]+)`", (ROOT / "docs" / "net.md").read_text())) - abilities

    assert given
    assert given == described

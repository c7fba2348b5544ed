"""Where published test vectors are, which are not kept in this repository."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
VECTORS = Path(os.environ.get("IPVM_VECTORS") or ROOT.parent / "shared" / "vectors")


def vector(name: str) -> Path:
    """Return a vector's file; skips the tests that need it where there is none."""
    path = VECTORS / name
    if not path.exists():
        pytest.skip(f"no vectors in {VECTORS}; IPVM_VECTORS names their folder", allow_module_level=True)
    return path

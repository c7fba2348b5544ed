"""docs/effects.md is what the registry holds."""

from __future__ import annotations

import runpy

from commands import ROOT


def test_the_reference_is_up_to_date():
    """The page is that which the script prints: only our own effects are on it, whatever else is installed."""
    page = runpy.run_path(str(ROOT / "scripts" / "effects_reference.py"))["page"]()

    assert page == (ROOT / "docs" / "effects.md").read_text()
    assert "`http:` `https:`" in page
    assert "witness:" not in page

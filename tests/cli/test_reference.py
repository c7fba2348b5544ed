"""docs/cli.md is what the commands say of themselves."""

from __future__ import annotations

import runpy

from commands import ROOT


def test_the_reference_is_up_to_date():
    """The page is that which the script prints."""
    page = runpy.run_path(str(ROOT / "scripts" / "cli_reference.py"))["page"]()

    assert page == (ROOT / "docs" / "cli.md").read_text()

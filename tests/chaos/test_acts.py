"""No act is done twice, and none is lost without a receipt that says so, whatever dies."""

from __future__ import annotations

import pytest
from storm import Storm

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(420)]


def test_witnesses_outside_count_each_act_once_at_most(tmp_path):
    """What they counted is what the receipts say, and an operator who asks them settles the rest."""
    with Storm(tmp_path / "storm", seed=7) as storm:
        tally = storm.blow(acts=80)

    assert tally.acts.total() >= 80
    assert {"dns", "http", "mailto", "witness"} == tally.acts.keys(), tally.table()
    assert tally.doubles == [], tally.table()
    assert tally.lost == [], tally.table()
    assert tally.wrong == [], tally.table()
    assert tally.ends["ok"] > 0

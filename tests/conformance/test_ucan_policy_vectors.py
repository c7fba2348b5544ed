"""The UCAN specification's fixtures: policies and args that they hold or do not hold for."""

from __future__ import annotations

import json

import pytest
from vectors import vector

from ipvm_queue.ucan import Policy

FIXTURE = json.loads(vector("ucan-1.0.0/policy.json").read_bytes())
CASES = [
    pytest.param(case["args"], policy, name == "valid", id=f"{name}-{json.dumps(policy)[:60]}")
    for name in ("valid", "invalid")
    for case in FIXTURE[name]
    for policy in case["policies"]
]


@pytest.mark.parametrize(("args", "policy", "expected"), CASES)
def test_policies_hold_where_the_fixture_says(args, policy, expected):
    """Policies mean what the specification says they mean."""
    assert Policy.parse(policy).judge(args) is expected

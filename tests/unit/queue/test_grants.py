"""What the delegations sent along with a job let its tasks do, and what finding that out may cost."""

from __future__ import annotations

import pytest
from bundles import S, U, dlg
from principals import NOW

from ipvm_queue.queue import Grants
from ipvm_queue.ucan import MatchError, Validator
from ipvm_queue.ucan.meter import Meter

ITEMS = 10_000
NEVER = [["all", ".params", ["or", [["==", ".", -1]] * 30 + [["<", ".", 0]]]]]  # a third of a million steps
ALWAYS = [["all", ".params", ["and", [["!=", ".", -1]] * 30]]]


def grants(*policies):
    """Return grants of delegations from the service to the user, one for each policy."""
    made = [dlg(S, U, S, "/wasm/run", policy=policy, nonce=bytes([n]) * 12) for n, policy in enumerate(policies)]
    return Grants({each.link: each.data for each in made}, S.did, U.did, Validator())


def allow(granted, params, meter=None):
    """Ask for one task."""
    return granted.allow("/wasm/run", {"params": params}, now=NOW, revoked=(), meter=meter)


def test_one_of_several_delegations_is_enough():
    """What one chain says no to another may allow."""
    no, yes = [["==", ".params[0]", 2]], [["==", ".params[0]", 1]]

    assert allow(grants(no, yes), [1]) is False  # not with any other args
    with pytest.raises(MatchError, match=r"pol\[0\]"):
        allow(grants(no, no), [1])


def test_all_chains_of_a_task_are_judged_within_one_measure():
    """Many delegations, each of whose policies nearly takes all the steps there are, do not take many times as many."""
    params = [-2] * ITEMS + [1]

    assert allow(grants(ALWAYS), params) is False
    with pytest.raises(MatchError, match="steps"):
        allow(grants(*[NEVER] * 9, ALWAYS), params)


def test_delegations_that_say_nothing_cost_something_too():
    """Chains that are passed over because they have ended are counted, for there may be thousands of them."""
    over = [dlg(S, U, S, "/wasm/run", expiration=NOW - 100, nonce=bytes([n]) * 12) for n in range(50)]
    granted = Grants({each.link: each.data for each in over}, S.did, U.did, Validator())

    with pytest.raises(MatchError, match="steps"):
        allow(granted, [1], Meter(49))


def test_the_tasks_of_a_large_job_have_as_many_steps_as_they_need():
    """A hundred thousand tasks of a few bytes, each judged by some statements of some delegations, are allowed."""
    policies = [[["==", ".fun", "f"], ["<", ".params[0]", most], ["like", ".uri?", "https://*"]] for most in (0, 0, 9)]
    granted = grants(*policies)
    meter = Meter(
        2 * 80 * 1000
    )  # a thousand of them stand for all: two steps a byte are what a job has beside a million

    for number in range(1000):
        args = {"fun": "f", "params": [number % 9], "uri": "https://example.com/"}
        assert granted.allow("/wasm/run", args, now=NOW, revoked=(), meter=meter) is False

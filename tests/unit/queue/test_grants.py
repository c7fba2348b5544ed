"""What the delegations sent along with a job let its tasks do, and what finding that out may cost."""

from __future__ import annotations

from time import process_time

import pytest
from bundles import MALLORY, S, U, dlg
from principals import NOW

from ipvm_queue.queue import Grants
from ipvm_queue.ucan import Delegation, MatchError, UcanError, Validator
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


def test_delegations_in_circles_do_not_make_a_search_long():
    """Who has let himself do something a thousand times over is answered as soon as anybody else."""
    circles = [dlg(U, U, S, "/wasm", nonce=n.to_bytes(12, "big"), policy=[["==", ".x", n]]) for n in range(1500)]
    root = dlg(S, U, S, "/")
    granted = Grants({each.link: each.data for each in (root, *circles)}, S.did, U.did, Validator())
    started = process_time()

    assert allow(granted, [1]) is True
    assert process_time() - started < 1  # of some milliseconds; with every one tried after every other it was a minute


def test_a_chain_is_found_link_by_link():
    """Each delegation follows from the one before it, powerlines too, whatever order they came in."""
    root, other = dlg(S, MALLORY, S, "/"), dlg(MALLORY, U, MALLORY, "/wasm")
    passed = Delegation.issue(MALLORY, U.did, None, "/wasm", [], expiration=NOW + 100, nonce=b"n" * 12)

    for tokens in ((root, passed), (passed, root)):
        granted = Grants({each.link: each.data for each in tokens}, S.did, U.did, Validator())
        assert allow(granted, [1]) is True
    with pytest.raises(UcanError):
        allow(Grants({each.link: each.data for each in (root, other)}, S.did, U.did, Validator()), [1])

"""Random jobs through the real worker come out as a plain evaluator says, whatever their shape."""

from __future__ import annotations

import random

import pytest
from evaluator import Expected
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from modules import salt

pytestmark = pytest.mark.integration


@st.composite
def jobs(draw, numbers, values):
    """Draw a job of up to 12 tasks: any edges, every kind of promise, branches, tasks that trap."""
    base = salt()
    labels = [f"t{i}" for i in range(draw(st.integers(1, 12)))]
    document = {}
    for index, label in enumerate(labels):
        numeric = [name for name in labels[:index] if document[name]["func"] == "add"]
        func = draw(st.sampled_from(["add", "add", "echo", "echo", "trap"]))
        if func == "add":
            number = st.integers(0, 3).map(lambda number: base + number)
            leaf = st.one_of(number, st.sampled_from(numeric).map(lambda name: {"from": name})) if numeric else number
            inputs = [draw(leaf), draw(leaf)]
        elif func == "trap":
            inputs = [base + draw(st.integers(0, 3))]
        else:
            inputs = draw(st.lists(nested(labels[:index], base), max_size=3))
        module = values if func == "echo" else numbers
        document[label] = {"type": "wasm/1.0", "with": module, "func": func, "input": inputs}
    for index, label in enumerate(labels):
        later = labels[index + 1 :]
        if later and draw(st.integers(0, 3)) == 0:
            branch = draw(st.sampled_from(["success", "error"]))
            document[label]["on"] = {
                branch: draw(st.lists(st.sampled_from(later), min_size=1, max_size=2, unique=True))
            }
    return document


def nested(sources, base):
    """Draw an argument: a number, a promise of any branch, or a list or map of such."""
    leaf = st.integers(0, 2).map(lambda number: base + number)
    if sources:
        source = st.sampled_from(sources).map(lambda name: {"from": name})
        tag = st.sampled_from(["await/ok", "await/error", "await/*"])
        leaf = st.one_of(leaf, source, st.builds(lambda tag, name: {tag: name}, tag, source))
    return st.one_of(leaf, st.lists(leaf, max_size=2), st.dictionaries(st.sampled_from("xy"), leaf, max_size=2))


def check(run, document):
    """Compare every Result and state of a run with what the evaluator expects."""
    actual = run.results()
    traps = [result.error for label, result in actual.items() if document[label]["func"] == "trap" and result.out]
    trap = next((error for error in traps if error.get("code") == "wasm/unreachable"), None)
    expected = Expected(document, {label: result.receipt for label, result in actual.items()}, trap)
    assert expected.states == {label: result.state for label, result in actual.items()}
    assert expected.results == {label: result.out for label, result in actual.items()}
    assert expected.status == run.status


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_random_jobs(client, numbers_cid, values_cid, data):
    """Results and states of small random jobs equal the evaluator's, fresh and from memory."""
    document = data.draw(jobs(numbers_cid, values_cid))

    check(client.submit(document).wait(30), document)
    check(client.submit(document).wait(30), document)


@pytest.mark.parametrize("seed", range(4))
def test_large_random_jobs(client, numbers_cid, seed):
    """Jobs of 800 tasks with 1,600 random edges come out as the evaluator says."""
    chance, base = random.Random(seed), salt()
    document = {}
    for index in range(800):
        first, second = ({"from": f"t{chance.randrange(max(0, index - 60), index)}"} if index > 3 else base + i
                         for i in range(2))  # fmt: skip
        document[f"t{index}"] = {"type": "wasm/1.0", "with": numbers_cid, "func": "add", "input": [first, second]}

    check(client.submit(document).wait(60), document)

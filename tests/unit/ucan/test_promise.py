"""Promises: which Result goes where, and what cannot be kept."""

from __future__ import annotations

import pytest

from ipvm_queue.ipld import Link
from ipvm_queue.ucan import PromiseError, form, resolve

TASK, RECEIPT = Link.of(b"task"), Link.of(b"receipt")


def settled(result):
    """Return a lookup in which every Task has this Result."""
    return lambda _task: (RECEIPT, result)


@pytest.mark.parametrize(
    ("branch", "result", "value"),
    [
        ("ok", {"ok": 1}, 1),
        ("error", {"error": "no"}, "no"),
        ("*", {"ok": 1}, {"ok": 1}),
        ("*", {"error": 2}, {"error": 2}),
    ],
)
def test_the_selected_branch_is_put_in(branch, result, value):
    """`await/ok` and `await/error` put their branch in place, `await/*` the whole Result."""
    assert {"a": [value, 7]} == resolve({"a": [form(branch, TASK), 7]}, settled(result))


@pytest.mark.parametrize(("expected", "got"), [("ok", "error"), ("error", "ok")])
def test_the_wrong_branch_is_worded_as_the_spec_does(expected, got):
    """A mismatch names the reason, both branches and the receipt (UCAN Promise 3.2)."""
    with pytest.raises(PromiseError) as raised:
        resolve([form(expected, TASK)], settled({got: 1}))

    assert raised.value.error == {"reason": "branch mismatch", "expected": expected, "got": got, "from": RECEIPT}


def test_what_is_put_in_is_not_looked_into():
    """A value that looks like a promise is left alone where it came from a receipt."""
    value = form("ok", Link.of(b"another"))

    assert [value] == resolve([form("ok", TASK)], settled({"ok": value}))


@pytest.mark.parametrize(("value", "out", "picked"), [([5, 6], 1, 6), (5, 0, 5), ([[1]], 0, [1])])
def test_out_picks_a_return_value(value, out, picked):
    """`out` counts the values of a list from 0, and a single value is its only one."""
    assert picked == resolve(form("ok", TASK, out), settled({"ok": value}))


@pytest.mark.parametrize(("value", "out"), [([5, 6], 2), (5, 1), ([], 0)])
def test_out_past_the_end_is_an_error(value, out):
    """An `out` past the end cannot be kept, and says how many values there are."""
    with pytest.raises(PromiseError) as raised:
        resolve(form("ok", TASK, out), settled({"ok": value}))

    assert raised.value.error["code"] == "promise/out"


@pytest.mark.parametrize("value", [{"await/ok": "text"}, {"await/ok": TASK, "x": 1}, {"from": "a", "out": 0}, {}])
def test_what_only_looks_like_a_promise_stays(value):
    """A map that is no promise is a value."""
    assert resolve(value, settled({"ok": 1})) == value

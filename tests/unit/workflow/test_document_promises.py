"""Promises: every form, at every place, and those that are none."""

import pytest
from documents import MODULE, effect, only_fault, read_json, wasm

from ipvm_queue.ipld import Link
from ipvm_queue.workflow import Promise, dependencies, promises

LINK = {"/": MODULE}
TASK = Link.parse(MODULE)
FORMS = [
    ({"from": "a"}, Promise(label="a")),
    ({"from": "a", "out": 2}, Promise(label="a", out=2)),
    ({"ucan/promise": ["/", "a"]}, Promise(label="a")),
    ({"await/ok": LINK}, Promise("ok", task=TASK)),
    ({"await/error": LINK}, Promise("error", task=TASK)),
    ({"await/*": LINK}, Promise("*", task=TASK)),
    ({"await/error": {"from": "a", "out": 1}}, Promise("error", "a", out=1)),
    ({"await/*": {"ucan/promise": ["/", "a"]}}, Promise("*", "a")),
]


@pytest.mark.parametrize(("written", "promise"), FORMS)
def test_each_form_is_a_promise_at_any_depth(written, promise):
    """A promise is found in lists and maps, however deep."""
    task = read_json({"a": wasm(), "b": wasm({"x": [1, {"y": written}]}, written)}).tasks["b"]

    assert task.args == [{"x": [1, {"y": promise}]}, promise]


@pytest.mark.parametrize(("written", "promise"), FORMS)
def test_module_function_and_uri_may_be_promises(written, promise):
    """`with` and `func` of a Wasm job and `with` of an effect may come from another job."""
    jobs = {"a": wasm(), "b": {"type": "wasm/1.0", "with": written, "func": written}, "c": effect(uri=written)}
    tasks = read_json(jobs).tasks

    assert (tasks["b"].resource, tasks["b"].func, tasks["c"].resource) == (promise, promise, promise)


def test_a_map_with_more_than_from_and_out_is_data():
    """`from` beside other names is a map like any other."""
    assert read_json({"a": wasm({"m": {"from": 1, "to": 2}})}).tasks["a"].args == [{"m": {"from": 1, "to": 2}}]


@pytest.mark.parametrize(
    ("written", "path"),
    [
        ({"from": 3}, "b.input[0].x.from"),
        ({"from": "a", "out": -1}, "b.input[0].x.out"),
        ({"from": "a", "out": True}, "b.input[0].x.out"),
        ({"ucan/promise": "a"}, 'b.input[0].x["ucan/promise"]'),
        ({"await/ok": "a"}, 'b.input[0].x["await/ok"]'),
        ({"await/ok": MODULE}, 'b.input[0].x["await/ok"]'),
        ({"await/ok": 5}, 'b.input[0].x["await/ok"]'),
        ({"await/ok": LINK, "more": 1}, "b.input[0].x"),
    ],
)
def test_badly_written_promises_are_faults(written, path):
    """What looks like a promise and is none is refused where it stands."""
    fault = only_fault({"a": wasm(), "b": wasm({"x": written})})

    assert (fault.code, fault.path) == ("bad-promise", path)


def test_promises_and_dependencies_of_a_task():
    """Promises come in the order of the text; labels once each, and only those of this document."""
    b = read_json(
        {"z": wasm(), "a": wasm(), "b": wasm({"from": "z"}, [{"from": "a"}], {"from": "z"}, {"await/*": LINK})}
    )
    task = b.tasks["b"]

    assert [promise.label for promise in promises(task)] == ["z", "a", "z", None]
    assert dependencies(task) == ("z", "a")

"""Plan → real Celery canvas, and the message that scripts splice."""

from __future__ import annotations

import json

from celery import Celery
from celery.canvas import Signature, _chain, _chord
from plans import DIAMOND, MODULE, job, plan_of

from ipvm_queue.plan.canvas import compile_canvas, message

APP = Celery("test", set_as_current=False)


def members(signature):
    """Return the task ids in a chain."""
    return [task.options["task_id"] for task in signature.tasks]


def test_a_line_is_one_chain():
    """Consecutive nodes with one neighbour each become a chain, in order."""
    plan = plan_of({"a": job(1), "b": job({"from": "a"}), "c": job({"from": "b"})})
    (line,) = compile_canvas(plan, APP, "r")

    assert isinstance(line, _chain)
    assert members(line) == ["r:0", "r:1", "r:2"]


def test_a_fan_in_is_a_chord_whose_body_may_be_a_chain():
    """A node with several predecessors is the body of a chord, they are its header; what follows it is its chain."""
    canvas = compile_canvas(plan_of(DIAMOND), APP, "r")
    (chord,) = [part for part in canvas if isinstance(part, _chord)]

    assert {task.options["task_id"] for task in chord.tasks} == {"r:1", "r:2"}
    assert members(chord.body) == ["r:3", "r:4"]
    assert len(canvas) == 4


def test_members_are_references_of_constant_size():
    """What a member carries does not grow with the graph or its values."""
    small = compile_canvas(plan_of({"a": job(1)}), APP, "r")[0]
    large = compile_canvas(plan_of({"a": job("x" * 10_000), **{f"b{i}": job(i) for i in range(99)}}), APP, "r")[0]

    assert isinstance(small, Signature)
    assert small.args == large.args == ("r", 0)
    assert len(json.dumps(small)) == len(json.dumps(large))


def test_every_node_is_in_the_canvas():
    """No node is left out, and none stands as a unit twice."""
    plan = plan_of(DIAMOND)
    bodies = []
    for part in compile_canvas(plan, APP, "r"):
        unit = part.body if isinstance(part, _chord) else part
        bodies += members(unit) if isinstance(unit, _chain) else [unit.options["task_id"]]

    assert sorted(bodies) == [f"r:{number}" for number in range(plan.count)]


def test_a_message_is_what_a_worker_reads():
    """Splicing the marks gives JSON of Celery's protocol 2, with the plan's CID and a time limit, and no value."""
    text = message("ipvm.wasm", MODULE, 300.0).replace("@RUN@", "run1").replace("@NODE@", "7")
    envelope = json.loads(text)
    (args, kwargs, _), headers = json.loads(envelope["body"]), envelope["headers"]

    assert args == ["run1", 7, str(MODULE)]
    assert kwargs == {}
    assert headers["task"] == "ipvm.run"
    assert headers["id"] == "run1:7"
    assert headers["root_id"] == "run1"
    assert headers["timelimit"] == [450.0, None]
    assert envelope["properties"]["delivery_info"]["routing_key"] == "ipvm.wasm"

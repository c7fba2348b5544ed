"""Workflow → Plan: numbers, addresses, edges."""

from __future__ import annotations

from time import process_time

import pytest
from plans import DOCUMENT, MODULE, QUEUE, by_ability, job, plan_of

from ipvm_queue.ipld import DAG_CBOR, Link, cid_of, decode
from ipvm_queue.plan import Bounds, compile_plan, load
from ipvm_queue.plan.model import PAGE
from ipvm_queue.queue.pause import collector_paused
from ipvm_queue.ucan import task_link
from ipvm_queue.workflow import read


def test_nodes_stand_after_what_they_wait_for():
    """The order is topological, and document order among equals."""
    plan = plan_of({"c": job({"from": "b"}), "a": job(1), "b": job({"from": "a"}), "d": job(2)})

    assert [node.label for node in plan] == ["a", "d", "b", "c"]
    for number, node in enumerate(plan):
        assert all(source < number for source in node.predecessors)


def test_a_task_without_promises_has_the_cid_of_sub_cmd_args_nonce():
    """The Task CID is what UCAN Invocation says, with an empty nonce for pure work."""
    (node,) = plan_of({"a": job(1, {"x": "y"})})
    task = {
        "sub": QUEUE,
        "cmd": "/wasm/run",
        "args": {"mod": MODULE, "fun": "f", "params": [1, {"x": "y"}]},
        "nonce": b"",
    }

    assert cid_of(task) == node.task
    assert node.is_static


def test_a_promise_becomes_an_await_on_the_task_it_waits_for():
    """A promise by label, at any depth, stands in the args as the CID of that label's Task."""
    plan = plan_of({"a": job(1), "b": job({"deep": [{"from": "a"}]}, {"await/error": {"from": "a"}})})
    a, b = plan

    assert [{"deep": [{"await/ok": a.task}]}, {"await/error": a.task}] == b.args["params"]
    assert [[0, a.task]] == b.inputs
    assert a.targets == [[1, 1, 0]]


def test_the_index_of_a_return_value_stands_beside_its_promise():
    """`out` is kept with the promise that it belongs to."""
    a, b = plan_of({"a": job(1), "b": job({"from": "a", "out": 2})})

    assert [{"from": {"await/ok": a.task}, "out": 2}] == b.args["params"]


def test_a_promise_by_the_cid_of_an_own_task_is_an_edge():
    """A Task of the same document awaited by CID is waited for like one awaited by label."""
    task = task_link(QUEUE, "/wasm/run", {"mod": MODULE, "fun": "f", "params": [1]}, b"")
    plan = plan_of({"b": job({"await/ok": task}), "a": job(1)})

    assert [node.label for node in plan] == ["a", "b"]
    assert plan.node(1).awaits == []
    assert plan.node(1).predecessors == [0]


def test_a_promise_by_the_cid_of_a_strange_task_is_awaited():
    """A Task of another run makes no edge; the node waits for its receipt."""
    strange = Link.of(b"strange", DAG_CBOR)
    (node,) = plan_of({"a": job({"await/*": strange})})

    assert node.awaits == [strange]
    assert node.predecessors == []
    assert not node.is_static


def test_a_memory_limit_of_its_own_is_part_of_a_task():
    """A guest sees where its memory ends: another limit is another Task, another gas is not."""
    plain, memory, gas = (
        plan_of({"a": job(1, **{"ipvm/config": config})}).node(0)
        for config in ({}, {"memory": [1, "mega", "bytes"]}, {"gas": 7})
    )

    assert memory.task != plain.task
    assert gas.task == plain.task


def test_on_makes_conditions_and_handles():
    """`on` makes edges with a branch, and an error that has a handler does not fail the run."""
    plan = plan_of({"a": job(1, on={"error": ["b"], "success": ["c"]}), "b": job(2), "c": job(3)})
    a, b, c = plan

    assert b.when == [[0, "error"]]
    assert c.when == [[0, "ok"]]
    assert a.handled
    assert not b.handled
    assert b.inputs == []


def test_equal_work_under_two_labels_has_one_task():
    """Two labels with the same call share an address, and each stays a node of its own."""
    one, two = plan_of({"a": job(1), "b": job(1)})

    assert one.task == two.task


def test_the_catch_handler_is_the_last_node_and_does_not_count():
    """The handler stands behind the others and is fed by none."""
    plan = plan_of({"a": job(1)}, catch={"type": "wasm/1.0", "with": str(MODULE), "func": "g", "input": []})

    assert plan.count == 1
    assert plan.has_catch
    assert [node.label for node in plan] == ["a", "catch"]
    assert plan.labels == {"a": 0}


@pytest.mark.parametrize("count", [1, PAGE, PAGE + 1, 3 * PAGE + 1])
def test_a_plan_reads_back_from_its_blocks(count):
    """Root and pages hold the whole plan; a small one needs no page."""
    compiled = compile_plan(
        read({f"t{i}": job({"from": f"t{i - 1}"} if i else 0) for i in range(count)}),
        QUEUE,
        DOCUMENT,
        safety=by_ability,
    )
    plan, pages = compiled
    again = load(plan.data, pages.__getitem__)

    assert list(again) == list(plan) == [again.node(number) for number in range(count)]
    assert again.link == plan.link
    assert again.bounds == (Bounds(300.0, 64 * 1024 * 1024, 10_000_000, 10_000_000),)
    assert len(pages) == (0 if count <= PAGE else -(-count // PAGE))
    assert all(cid.matches(data) for cid, data in pages.items())
    assert decode(plan.data)["count"] == count


@pytest.mark.parametrize("count", [3, PAGE + 7])
def test_the_outline_of_a_plan_says_what_its_nodes_do(count):
    """Label, Task and secrecy of the tasks alone: of a plan just made, and of one that was read, small or in pages."""
    jobs = {f"t{i}": job(i, **{"ipvm/config": {"secret": i == 1}}) for i in range(count)} | {"sum": job({"from": "t1"})}
    plan, pages = compile_plan(read({"header": {"catch": job()}, "jobs": jobs}), QUEUE, DOCUMENT, safety=by_ability)
    again = load(plan.data, pages.__getitem__)

    for each in (plan, again):
        assert [(row.label, row.task, row.secret) for row in each.outline] == [
            (node.label, node.task, node.secret) for node in plan.nodes[: plan.count]
        ]
        assert [row.label for row in each.outline if row.secret] == ["t1", "sum"]
    assert list(again.labels.values()) == list(range(count + 1))


def test_compiling_is_linear():
    """Eight times the tasks and edges cost about eight times the time, not sixty-four."""

    def workflow(count):
        return read({f"t{i}": job({"from": f"t{i // 2}"} if i else 0, i) for i in range(count)})

    def seconds(jobs):
        with collector_paused():  # as the gate does; else every run pays for what is there already
            start = process_time()
            compile_plan(jobs, QUEUE, DOCUMENT, safety=by_ability)
            return process_time() - start

    few, many = workflow(2_000), workflow(16_000)
    pairs = [(seconds(few), seconds(many)) for _ in range(5)]  # side by side: a machine may change its speed

    assert min(large for _, large in pairs) < 24 * min(small for small, _ in pairs)


def test_effects_are_the_service_s_and_pure_tasks_the_queue_s():
    """Equal pure work has one address whoever it is for; an effect happens in the name of one service."""
    effect = {"type": "ipvm/effect", "with": "dns://example.com?TYPE=A", "do": "crud/read"}
    workflow = read({"a": job(1), "b": effect})

    for_one, for_other = (
        compile_plan(workflow, QUEUE, DOCUMENT, service, safety=by_ability).plan for service in ("did:one", "did:other")
    )

    assert for_one.node(0).task == for_other.node(0).task
    assert for_one.node(1).task == task_link("did:one", "/crud/read", for_one.node(1).args, for_one.node(1).nonce)
    assert [for_one.subject_of(node) for node in for_one] == [QUEUE, "did:one"]
    assert load(for_one.data, lambda _: b"").service == "did:one"

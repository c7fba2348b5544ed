"""The transaction of a job in its plan: what stands behind the barrier, and what cannot."""

from __future__ import annotations

from plans import DOCUMENT, effect, job, plan_of

from ipvm_queue.ipld import DAG_CBOR, Link
from ipvm_queue.plan import EFFECT_QUEUE
from ipvm_queue.plan.draw import as_table, as_text, early_commits
from ipvm_queue.plan.nonces import act_nonce, query_nonce
from ipvm_queue.workflow.safety import Safety

COMMAND = "crud/update"


def behind(plan):
    """Return the labels of the commands that wait for the barrier."""
    return [row.label for row in as_table(plan) if row.commit]


def test_commands_wait_for_everything_that_does_not_wait_for_them():
    """A command and what follows it are behind one barrier, whatever else is in front."""
    plan = plan_of(
        {
            "act": effect(COMMAND),
            "then": effect(COMMAND, value={"from": "act"}),
            "look": effect("crud/read", inputs={"x": {"from": "act"}}),
            "sum": job(1),
            "more": job({"from": "sum"}),
            "ask": effect("crud/read"),
        }
    )

    assert behind(plan) == ["act", "then"]
    assert [node.label for node in plan.steps.values()] == [
        *("sum", "ask", "more"),
        *("act", "then", "look"),
        "ipvm/commit",
    ]
    assert plan.barrier == 6
    barrier = plan.node(6)
    assert barrier.predecessors == [plan.labels["ask"], plan.labels["more"]]
    assert barrier.targets == [[plan.labels["act"], 1, plan.queues.index(EFFECT_QUEUE)]]
    assert plan.node(plan.labels["act"]).when == [[6, "ok"]]
    assert plan.count == 6


def test_a_command_that_a_pure_task_needs_cannot_wait():
    """It is an early commit point, and the plan says for whom."""
    plan = plan_of({"act": effect(COMMAND), "use": job({"from": "act"}), "last": effect(COMMAND)})

    assert behind(plan) == ["last"]
    assert [(node.label, [each.label for each in needed]) for node, needed in early_commits(plan)] == [("act", ["use"])]


def test_no_barrier_stands_where_nothing_is_on_one_side():
    """A job of commands alone, and one of none, has no barrier."""
    for jobs in ({"a": effect(COMMAND), "b": effect(COMMAND)}, {"a": job(1), "b": effect("crud/read")}):
        assert plan_of(jobs).barrier is None


def test_the_barrier_stands_behind_the_handler_of_failures():
    """Both have numbers behind the tasks, and neither is counted."""
    catch = {"type": "wasm/1.0", "with": str(Link.of(b"a module")), "func": "g", "input": []}
    plan = plan_of({"a": job(1), "b": effect(COMMAND)}, catch=catch)

    assert (plan.count, plan.catch, plan.barrier) == (2, 2, 3)
    assert list(plan.steps) == [0, 1, 3]
    assert plan.queues[plan.node(2).queue] == plan.queues[0]


def test_a_plan_with_a_barrier_is_linear_in_size():
    """A thousand tasks in front and a thousand commands behind have a few thousand edges, not a million."""
    plan = plan_of({f"t{i}": job(i) for i in range(1000)} | {f"c{i}": effect(COMMAND) for i in range(1000)})

    assert sum(len(node.targets) for node in plan) == 2000


def test_pictures_show_the_barrier():
    """What waits for it stands under it."""
    assert as_text(plan_of({"a": job(1), "b": effect(COMMAND)})).splitlines() == [
        "a",
        "└─ ipvm/commit",
        "   └─ b",
    ]


def test_the_class_of_safety_makes_the_nonce():
    """Pure work has none, a query one for each run, a command one for each job; what a job states stays."""
    jobs = {
        "pure": job(1),
        "query": effect("crud/read"),
        "command": effect(COMMAND),
        "stated": effect(COMMAND, nonce="mine"),
    }
    plan, again = plan_of(jobs, seed=b"run 1"), plan_of(jobs, seed=b"run 2")
    nonces = {node.label: node.nonce for node in plan}
    others = {node.label: node.nonce for node in again}

    assert nonces["pure"] == b""
    assert nonces["query"] == query_nonce(b"run 1", "query") != others["query"]
    assert nonces["command"] == act_nonce(DOCUMENT, "command") == others["command"]
    assert act_nonce(DOCUMENT, "command") != act_nonce(Link.of(b"another", DAG_CBOR), "command")
    assert nonces["stated"] == b"mine"


def test_an_act_on_an_answer_is_known_by_its_place_in_the_job():
    """Its Task is another in each run, for a query's answer is in it; the act is not."""
    jobs = {"q": effect("crud/read"), "via": job({"from": "q"}), "a": effect(COMMAND, value={"from": "via"})}
    one, two = (plan_of(jobs, seed=seed) for seed in (b"1", b"2"))
    first, second = (plan.node(plan.labels["a"]) for plan in (one, two))

    assert first.task != second.task
    assert first.act == second.act is not None
    assert plan_of({"a": effect(COMMAND)}).node(0).act is None
    assert first.safety is Safety.COMMAND

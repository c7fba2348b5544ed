"""Cycles, found and spelled out; who waits for whom."""

from documents import effect, faults_of, only_fault, read_json, wasm

from ipvm_queue.workflow import find_cycles, predecessors
from ipvm_queue.workflow.graph import spell_out


def ring(count: int) -> dict:
    """Return a ring of jobs, each taking the next one's result."""
    return {f"j{index}": wasm({"from": f"j{(index + 1) % count}"}) for index in range(count)}


def test_a_cycle_of_three_is_spelled_out():
    """The message names every member, in order, back to the first."""
    fault = only_fault(ring(3))

    assert fault.code == "cycle"
    assert "j0 → j1 → j2 → j0" in fault.message
    assert (fault.line, fault.column) == (1, 2)


def test_a_cycle_of_ten_thousand_is_found():
    """A long cycle is found without recursion and told with its middle counted."""
    fault = only_fault(ring(10_000))

    assert fault.code == "cycle"
    assert fault.message.startswith("10000 jobs wait for each other: j0 → j1 →")
    assert "9988 more" in fault.message
    assert fault.message.endswith("→ j9999 → j0")


def test_a_job_that_waits_for_itself():
    """A self-reference has its own code."""
    assert only_fault({"a": wasm({"from": "a"})}).code == "self-reference"


def test_on_edges_close_cycles_too():
    """A job that runs after another cannot also be its input."""
    fault = only_fault({"a": wasm({"from": "b"}, on={"success": ["b"]}), "b": wasm()})

    assert fault.code == "cycle"


def test_a_module_promise_closes_a_cycle():
    """`with` and `func` are edges like inputs."""
    jobs = {"a": {"type": "wasm/1.0", "with": {"from": "b"}}, "b": wasm(func={"from": "a"})}

    assert only_fault(jobs).code == "cycle"


def test_every_separate_cycle_is_told():
    """Two cycles are two faults, and what only hangs on one is none."""
    jobs = {**ring(3), "x": wasm({"from": "y"}), "y": effect(inputs={"v": {"from": "x"}}), "z": wasm({"from": "x"})}

    assert [fault.code for fault in faults_of(jobs)] == ["cycle", "cycle"]


def test_predecessors_join_data_and_on_edges():
    """Each label lists what it takes results from, then whose `on` names it, each once."""
    jobs = {
        "a": wasm(on={"success": ["c"], "error": ["d"]}),
        "b": wasm(),
        "c": wasm({"from": "b"}, {"from": "a"}),
        "d": wasm(),
    }

    assert predecessors(read_json(jobs).tasks) == {"a": [], "b": [], "c": ["b", "a"], "d": ["a"]}


def test_a_cycle_is_found_behind_a_tail():
    """What leads into a cycle is not part of it."""
    assert find_cycles({"tail": ["a"], "a": ["b"], "b": ["a"], "free": []}) == [["a", "b"]]


def test_short_cycles_are_told_in_full():
    """Up to twelve members are all named."""
    assert spell_out([str(n) for n in range(12)]) == " → ".join([*map(str, range(12)), "0"])

"""Pictures of a plan: a table, a text tree, DOT and Mermaid."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from ipvm_queue.workflow.safety import Safety

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ipvm_queue.plan.model import Node, Plan

_COLOURS: Final = {
    "ok": "palegreen",
    "error": "lightcoral",
    "in-doubt": "orange",
    "skipped": "lightgrey",
    "waiting": "white",
}


class Row(NamedTuple):
    """One line of a plan's table."""

    number: int
    label: str
    command: str
    task: str
    after: list[str]
    when: list[str]
    shape: str
    gas: int
    time: float
    safety: str
    commit: bool
    secret: bool


def as_table(plan: Plan) -> list[Row]:
    """Return a row a node, in the order in which nodes may run.

    `after` are the labels whose Results it needs, `when` the branches it stands on, `shape` its place in the canvas:
    `chain` (the next link of one), `chord` (the body of one), or empty. `commit` says that a command stands behind the
    barrier: it runs only when everything in front has succeeded.
    """
    nodes = plan.steps
    behind = _behind(plan)
    return [
        Row(
            number=number,
            label=node.label,
            command=node.command,
            task=str(node.task),
            after=[nodes[source].label for source, _ in node.inputs],
            when=[f"{nodes[source].label}: {branch}" for source, branch in node.when if source != plan.barrier],
            shape=_shape(nodes, number),
            gas=plan.bounds[node.bounds].gas,
            time=plan.bounds[node.bounds].time,
            safety=node.safety.value,
            commit=node.safety is Safety.COMMAND and number in behind,
            secret=node.secret,
        )
        for number, node in nodes.items()
        if number < plan.count
    ]


def early_commits(plan: Plan) -> list[tuple[Node, list[Node]]]:
    """Return the commands that wait for no barrier, each with the tasks that it is an input of.

    They are in the midst of the pure part; or there is nothing else, and no barrier.
    """
    nodes = plan.steps
    behind = _behind(plan)
    return [
        (node, [nodes[target] for target, _, _ in node.targets if target < plan.count])
        for number, node in nodes.items()
        if node.safety is Safety.COMMAND and number not in behind
    ]


def _behind(plan: Plan) -> set[int]:
    """Return the numbers of all nodes that wait for the barrier, however far behind; empty where there is none."""
    if plan.barrier is None:
        return set()
    nodes, behind = plan.steps, {plan.barrier}
    ahead = [plan.barrier]
    while ahead:
        for target, _, _ in nodes[ahead.pop()].targets:
            if target not in behind:
                behind.add(target)
                ahead.append(target)
    return behind


def as_text(plan: Plan, states: Mapping[str, str] | None = None) -> str:
    """Return the graph as indented text: each node under the first of those it waits for, other edges by name."""
    nodes = plan.steps
    below: dict[int, list[int]] = {}
    for number, node in nodes.items():
        sources = node.predecessors
        if sources:
            below.setdefault(max(sources), []).append(number)
    lines = []
    pending = [(number, 0) for number, node in nodes.items() if not node.predecessors][::-1]
    while pending:
        number, depth = pending.pop()
        node = nodes[number]
        others = [_one_line(nodes[source].label) for source in node.predecessors if source != max(node.predecessors)]
        also = f"  (and after {', '.join(others)})" if others else ""
        state = "" if states is None or number == plan.barrier else f"  [{states.get(node.label, 'waiting')}]"
        lines.append(f"{'   ' * (depth - 1)}{'└─ ' if depth else ''}{_one_line(node.label)}{state}{also}")
        pending.extend((follower, depth + 1) for follower in reversed(below.get(number, [])))
    return "\n".join(lines)


def as_dot(plan: Plan, states: Mapping[str, str] | None = None) -> str:
    """Return the graph in Graphviz' language, coloured by state where there are states."""
    nodes = plan.steps
    lines = ["digraph plan {", "  rankdir=LR;", "  node [shape=box, style=filled, fillcolor=white];"]
    for number, node in nodes.items():
        colour = "" if states is None else f", fillcolor={_COLOURS[states.get(node.label, 'waiting')]}"
        lines.append(f"  n{number} [label={_quoted(node.label)}{colour}];")
    for number, node in nodes.items():
        lines += [f"  n{source} -> n{number};" for source, _ in node.inputs]
        lines += [f"  n{source} -> n{number} [style=dashed, label={branch}];" for source, branch in node.when]
    return "\n".join([*lines, "}"])


def as_mermaid(plan: Plan, states: Mapping[str, str] | None = None) -> str:
    """Return the graph in Mermaid's language, coloured by state where there are states."""
    nodes = plan.steps
    lines = ["graph LR"]
    for number, node in nodes.items():
        lines.append(f'  n{number}["{_escaped(node.label)}"]')
    for number, node in nodes.items():
        lines += [f"  n{source} --> n{number}" for source, _ in node.inputs]
        lines += [f"  n{source} -. {branch} .-> n{number}" for source, branch in node.when]
    if states is not None:
        lines += [f"  style n{number} fill:{_COLOURS[states.get(n.label, 'waiting')]}" for number, n in nodes.items()]
    return "\n".join(lines)


def _shape(nodes: dict[int, Node], number: int) -> str:
    sources = nodes[number].predecessors
    if len(sources) > 1:
        return "chord"
    return "chain" if sources and nodes[sources[0]].runs_into == number else ""


def _one_line(label: str) -> str:
    return label.replace("\n", "\\n")


def _quoted(label: str) -> str:
    return '"' + label.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def _escaped(label: str) -> str:
    return label.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;").replace("\n", " ")

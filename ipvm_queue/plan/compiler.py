"""Workflow → Plan: number the tasks, address them, connect them. Linear in tasks and promises."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

from ipvm_queue.errors import DocumentError, Fault
from ipvm_queue.plan.model import EFFECT_QUEUE, WASM_QUEUE, Bounds, Node, Plan, paginate
from ipvm_queue.ucan import WASM_RUN, form, task_link
from ipvm_queue.workflow.model import DEFAULT_MEMORY, Promise

if TYPE_CHECKING:
    from ipvm_queue.ipld import Link, Value
    from ipvm_queue.workflow.model import Branch, Config, Task, Workflow


class _Address(NamedTuple):
    command: str
    args: Value
    nonce: bytes
    task: Link


class _Edges:
    """Who waits for whom, by label."""

    def __init__(self, workflow: Workflow) -> None:
        self.promises = {label: list(_promises(task)) for label, task in workflow.tasks.items()}
        self.when: dict[str, list[tuple[str, Branch]]] = {label: [] for label in workflow.tasks}
        for label, task in workflow.tasks.items():
            for target in task.on_success:
                self.when[target].append((label, "ok"))
            for target in task.on_error:
                self.when[target].append((label, "error"))
        self.by_task: dict[Link, str] = {}

    def inputs(self, label: str) -> dict[str, None]:
        """Return the labels whose Results a task's args promise, each once."""
        found = (self._target(promise) for promise in self.promises[label])
        return dict.fromkeys(target for target in found if target is not None)

    def before(self, label: str) -> dict[str, None]:
        """Return the labels that must settle before a task, each once."""
        return self.inputs(label) | dict.fromkeys(source for source, _ in self.when[label])

    def awaits(self, label: str) -> list[Link]:
        """Return the Tasks of other runs that a task waits for."""
        return list(
            dict.fromkeys(p.task for p in self.promises[label] if p.task is not None and p.task not in self.by_task)
        )

    def handled(self) -> set[str]:
        """Return the labels whose error is an input of another task."""
        return {
            target
            for promises in self.promises.values()
            for promise in promises
            if promise.branch != "ok" and (target := self._target(promise)) is not None
        }

    def _target(self, promise: Promise) -> str | None:
        return self.by_task.get(promise.task) if promise.task is not None else promise.label


def compile_plan(workflow: Workflow, subject: str, document: Link) -> tuple[Plan, dict[Link, bytes]]:
    """Compile a workflow for the queue whose DID is `subject`; return the plan and the blocks that hold its pages.

    Every task must have its `func` and a Link or Promise for resource. Promises by label become `await/*` forms with
    the CID of the Task they wait for, so each node's address is fixed by its inputs' addresses. (DESIGN: one line of
    the plan a task; IPVM job 2.2: concurrency derives from dataflow alone.)
    """
    edges = _Edges(workflow)
    addresses: dict[str, _Address] = {}
    for label in _order(workflow, edges):
        addresses[label] = _address(workflow.tasks[label], subject, addresses)
    edges.by_task = {address.task: label for label, address in reversed(addresses.items())}
    order = _order(workflow, edges)
    numbers = {label: number for number, label in enumerate(order)}
    waits = {label: len(edges.before(label)) for label in order}
    queues: dict[str, int] = {}
    for task in (*workflow.tasks.values(), workflow.catch):
        if task is not None:
            queues.setdefault(_queue(task), len(queues))
    targets: dict[str, list[list[int]]] = {label: [] for label in order}
    for label in order:
        for source in edges.before(label):
            targets[source].append([numbers[label], waits[label], queues[_queue(workflow.tasks[label])]])
    handled = edges.handled()
    bounds: dict[Bounds, int] = {}

    def node(label: str, task: Task, address: _Address) -> Node:
        return Node(
            label=label,
            command=address.command,
            args=address.args,
            nonce=address.nonce,
            task=address.task,
            bounds=bounds.setdefault(_bounds(task.config), len(bounds)),
            queue=queues[_queue(task)],
            inputs=[[numbers[source], addresses[source].task] for source in edges.inputs(label)],
            when=[[numbers[source], branch] for source, branch in edges.when[label]],
            awaits=edges.awaits(label),
            targets=targets[label],
            handled=label in handled or bool(task.on_error),
        )

    nodes = [node(label, workflow.tasks[label], addresses[label]) for label in order]
    if workflow.catch is not None:
        edges.promises["catch"], edges.when["catch"], targets["catch"] = [], [], []
        nodes.append(node("catch", workflow.catch, _address(workflow.catch, subject, {})))
    blocks = paginate(nodes)
    plan = Plan(
        subject=subject,
        document=document,
        count=len(order),
        bounds=tuple(bounds),
        queues=tuple(queues),
        has_catch=workflow.catch is not None,
        pages=tuple(blocks),
        read_page=blocks.__getitem__,
    )
    return plan, blocks


def _order(workflow: Workflow, edges: _Edges) -> list[str]:
    """Return the labels so that each stands after what it waits for (Kahn; document order among equals)."""
    before = {label: edges.before(label) for label in workflow.tasks}
    after: dict[str, list[str]] = {label: [] for label in workflow.tasks}
    for label, sources in before.items():
        for source in sources:
            after[source].append(label)
    waiting = {label: len(sources) for label, sources in before.items()}
    ready = deque(label for label, count in waiting.items() if count == 0)
    order = []
    while ready:
        order.append(label := ready.popleft())
        for target in after[label]:
            waiting[target] -= 1
            if waiting[target] == 0:
                ready.append(target)
    if len(order) < len(workflow.tasks):  # the readers refuse cycles of labels with the cycle spelled out
        stuck = sorted(set(workflow.tasks).difference(order))
        raise DocumentError([Fault("cycle", f"these jobs wait for each other in a circle: {', '.join(stuck[:10])}")])
    return order


def _address(task: Task, subject: str, addresses: dict[str, _Address]) -> _Address:
    def place(value: Value | Promise) -> Value:
        if isinstance(value, Promise):
            target = value.task if value.label is None else addresses[value.label].task
            return form(value.branch, target, value.out)  # type: ignore[arg-type]
        if isinstance(value, list):
            return [place(item) for item in value]
        if isinstance(value, dict):
            return {key: place(item) for key, item in value.items()}
        return value

    if task.kind == "wasm":
        args: dict[str, Any] = {"mod": place(task.resource), "fun": place(task.func), "params": place(task.args)}
        if task.config.memory != DEFAULT_MEMORY:
            args["mem"] = task.config.memory  # a guest sees where its memory ends, so the limit is an input
        command, nonce = WASM_RUN, task.nonce or b""
    else:
        command, nonce = "/" + task.ability, task.nonce or b""
        args = {"uri": place(task.resource), **place(task.args)}
    return _Address(command, args, nonce, task_link(subject, command, args, nonce))


def _promises(task: Task) -> list[Promise]:
    found: list[Promise] = []
    pending: list[Any] = [task.resource, task.func, task.args]
    while pending:
        value = pending.pop()
        if isinstance(value, Promise):
            found.append(value)
        elif isinstance(value, list):
            pending.extend(value)
        elif isinstance(value, dict):
            pending.extend(value.values())
    return found


def _bounds(config: Config) -> Bounds:
    return Bounds(config.time, config.memory, config.gas, config.disk)


def _queue(task: Task) -> str:
    return WASM_QUEUE if task.kind == "wasm" else EFFECT_QUEUE

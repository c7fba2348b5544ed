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
        self._promises = {label: _promises(task) for label, task in workflow.tasks.items()}
        self.when: dict[str, list[tuple[str, Branch]]] = {label: [] for label in workflow.tasks}
        for label, task in workflow.tasks.items():
            for target in task.on_success:
                self.when[target].append((label, "ok"))
            for target in task.on_error:
                self.when[target].append((label, "error"))
        self._by_task: dict[Link, str] = {}
        self._connect()

    def name(self, by_task: dict[Link, str]) -> bool:
        """Learn which Tasks are the workflow's own; True where a promise by CID has become an edge by it."""
        self._by_task = by_task
        if not any(promise.task in by_task for promises in self._promises.values() for promise in promises):
            return False
        self._connect()
        return True

    def _connect(self) -> None:
        self.inputs = {
            label: list(dict.fromkeys(target for promise in promises if (target := self._target(promise)) is not None))
            for label, promises in self._promises.items()
        }
        self.before = {
            label: list(dict.fromkeys([*inputs, *(source for source, _ in self.when[label])]))
            for label, inputs in self.inputs.items()
        }

    def awaits(self, label: str) -> list[Link]:
        """Return the Tasks of other runs that a task waits for."""
        tasks = (promise.task for promise in self._promises[label])
        return list(dict.fromkeys(task for task in tasks if task is not None and task not in self._by_task))

    def handled(self) -> set[str]:
        """Return the labels whose error is an input of another task."""
        return {
            target
            for promises in self._promises.values()
            for promise in promises
            if promise.branch != "ok" and (target := self._target(promise)) is not None
        }

    def _target(self, promise: Promise) -> str | None:
        return promise.label if promise.task is None else self._by_task.get(promise.task)


class Compiled(NamedTuple):
    """A plan, and the blocks that hold its pages."""

    plan: Plan
    pages: dict[Link, bytes]


def compile_plan(workflow: Workflow, subject: str, document: Link, service: str | None = None) -> Compiled:
    """Compile a workflow for the queue whose DID is `subject`; concurrency derives from dataflow alone (job 2.2).

    Pure Tasks are the queue's, equal for everyone on it; effects are `service`'s, in whose name they happen (None:
    the queue's own).
    Every task must have its `func` and a Link or Promise for resource. Promises by label become `await/*` forms with
    the CID of the Task they wait for, so each node's address is fixed by its inputs' addresses.
    """
    service = service or subject
    edges = _Edges(workflow)
    addresses: dict[str, _Address] = {}
    order = _order(edges)
    for label in order:
        addresses[label] = _address(workflow.tasks[label], subject, service, addresses)
    if edges.name({address.task: label for label, address in reversed(addresses.items())}):
        order = _order(edges)
    numbers = {label: number for number, label in enumerate(order)}
    queues: dict[str, int] = {}
    for task in (*workflow.tasks.values(), workflow.catch):
        if task is not None:
            queues.setdefault(_queue(task), len(queues))
    targets: dict[str, list[list[int]]] = {label: [] for label in order}
    for label in order:
        target = [numbers[label], len(edges.before[label]), queues[_queue(workflow.tasks[label])]]
        for source in edges.before[label]:
            targets[source].append(target)
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
            inputs=[[numbers[source], addresses[source].task] for source in edges.inputs[label]],
            when=[[numbers[source], branch] for source, branch in edges.when[label]],
            awaits=edges.awaits(label),
            targets=targets[label],
            handled=label in handled or bool(task.on_error),
        )

    nodes = [node(label, workflow.tasks[label], addresses[label]) for label in order]
    if workflow.catch is not None:
        nodes.append(_handler(workflow.catch, subject, service, bounds, queues))
    pages = paginate(nodes)
    plan = Plan(
        subject=subject,
        service=service,
        document=document,
        count=len(order),
        bounds=tuple(bounds),
        queues=tuple(queues),
        has_catch=workflow.catch is not None,
        pages=tuple(pages) or ([list(node) for node in nodes],),
        read_page=pages.__getitem__,
        nodes=nodes,
    )
    return Compiled(plan, pages)


def _handler(task: Task, subject: str, service: str, bounds: dict[Bounds, int], queues: dict[str, int]) -> Node:
    command, args, nonce, link = _address(task, subject, service, {})
    limits = bounds.setdefault(_bounds(task.config), len(bounds))
    return Node("catch", command, args, nonce, link, limits, queues[_queue(task)], [], [], [], [], handled=False)


def _order(edges: _Edges) -> list[str]:
    """Return the labels so that each stands after what it waits for (Kahn; document order among equals)."""
    after: dict[str, list[str]] = {label: [] for label in edges.before}
    for label, sources in edges.before.items():
        for source in sources:
            after[source].append(label)
    waiting = {label: len(sources) for label, sources in edges.before.items()}
    ready = deque(label for label, count in waiting.items() if count == 0)
    order = []
    while ready:
        order.append(label := ready.popleft())
        for target in after[label]:
            waiting[target] -= 1
            if waiting[target] == 0:
                ready.append(target)
    if len(order) < len(waiting):  # the readers refuse cycles of labels with the cycle spelled out
        stuck = sorted(set(waiting).difference(order))
        raise DocumentError([Fault("cycle", f"these jobs wait for each other in a circle: {', '.join(stuck[:10])}")])
    return order


def _address(task: Task, subject: str, service: str, addresses: dict[str, _Address]) -> _Address:
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
        owner, command, nonce = subject, WASM_RUN, task.nonce or b""
    else:
        owner, command, nonce = service, "/" + task.ability, task.nonce or b""
        args = {"uri": place(task.resource), **place(task.args)}
    return _Address(command, args, nonce, task_link(owner, command, args, nonce))


def _promises(task: Task) -> list[Promise]:
    found: list[Promise] = []
    pending: list[Any] = [task.resource, task.func, task.args]
    for value in pending:  # it grows while it is walked
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

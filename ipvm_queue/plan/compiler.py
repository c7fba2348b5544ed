"""Workflow → Plan: number the tasks, address them, connect them. Linear in tasks and promises."""

from __future__ import annotations

from collections import defaultdict, deque
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ipvm_queue.crypto import check_recipient
from ipvm_queue.errors import DocumentError, Fault
from ipvm_queue.plan.barrier import find_barrier
from ipvm_queue.plan.model import COMMIT, EFFECT_QUEUE, SAFETIES, WASM_QUEUE, Bounds, Node, Plan, paginate
from ipvm_queue.plan.nonces import act_nonce, query_nonce
from ipvm_queue.ucan import WASM_RUN, form, task_link
from ipvm_queue.workflow.model import DEFAULT_MEMORY, Config, Promise
from ipvm_queue.workflow.safety import Safety
from ipvm_queue.workflow.taint import Taint, every_effect, find_taints, taint_of_catch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ipvm_queue.ipld import Link, Value
    from ipvm_queue.workflow.model import Branch, Task, Workflow


_WALKED: Final = frozenset((Promise, list, dict))


class _Address(NamedTuple):
    command: str
    args: Value
    nonce: bytes
    task: Link


class _Edges:
    """Who waits for whom, by label. Most tasks of a large job wait for nobody, and cost nothing here."""

    def __init__(self, workflow: Workflow) -> None:
        self.promises = {label: _promises(task) for label, task in workflow.tasks.items()}
        self.when: dict[str, list[tuple[str, Branch]]] = defaultdict(list)
        for label, task in workflow.tasks.items():
            for target in task.on_success:
                self.when[target].append((label, "ok"))
            for target in task.on_error:
                self.when[target].append((label, "error"))
        self.any_by_cid = any(promise.task is not None for promises in self.promises.values() for promise in promises)
        self._by_task: dict[Link, str] = {}
        self._connect()

    def name(self, by_task: dict[Link, str]) -> bool:
        """Learn which Tasks are the workflow's own; True where a promise by CID has become an edge by it."""
        self._by_task = by_task
        if not any(promise.task in by_task for promises in self.promises.values() for promise in promises):
            return False
        self._connect()
        return True

    def _connect(self) -> None:
        self.inputs = {label: self._targets(promises) if promises else [] for label, promises in self.promises.items()}
        self.before = {
            label: self._sources(label) if label in self.when else inputs for label, inputs in self.inputs.items()
        }

    def awaits(self, label: str) -> list[Link]:
        """Return the Tasks of other runs that a task waits for."""
        tasks = (promise.task for promise in self.promises[label])
        return list(dict.fromkeys(task for task in tasks if task is not None and task not in self._by_task))

    def handled(self) -> set[str]:
        """Return the labels whose error is an input of another task."""
        return {
            target
            for promises in self.promises.values()
            for promise in promises
            if promise.branch != "ok" and (target := self._target(promise)) is not None
        }

    def _targets(self, promises: list[Promise]) -> list[str]:
        found = map(self._target, promises)
        return list(dict.fromkeys(target for target in found if target is not None))

    def _sources(self, label: str) -> list[str]:
        return list(dict.fromkeys([*self.inputs[label], *(source for source, _ in self.when[label])]))

    def _target(self, promise: Promise) -> str | None:
        return promise.label if promise.task is None else self._by_task.get(promise.task)


class Compiled(NamedTuple):
    """A plan, and the blocks that hold its pages."""

    plan: Plan
    pages: dict[Link, bytes]


def compile_plan(
    workflow: Workflow,
    subject: str,
    document: Link,
    service: str | None = None,
    *,
    safety: Callable[[Task], Safety],
    seed: bytes = b"",
    private: Callable[[Task], bool] = every_effect,
) -> Compiled:
    """Compile a workflow for the queue whose DID is `subject`; concurrency derives from dataflow alone (job 2.2).

    Pure Tasks are the queue's, equal for everyone on it; effects are `service`'s, in whose name they happen (None:
    the queue's own). `safety` is the registry's word on a task (`effects.safety_of`), `private` on an effect
    (`effects.is_private`); `seed` names the run, whose queries are its own. Secrets are sealed for who signed the job.
    Every task must have its `func` and a Link or Promise for resource. Promises by label become `await/*` forms with
    the CID of the Task they wait for, so each node's address is fixed by its inputs' addresses.
    """
    service = service or subject
    edges = _Edges(workflow)
    addresses: dict[str, _Address] = {}
    order = _order(edges)
    classes = {label: safety(task) for label, task in workflow.tasks.items()}
    nonces = _Nonces(document, seed)
    for label in order:
        task = workflow.tasks[label]
        nonce = nonces.of(task, classes[label])
        addresses[label] = _address(task, nonce, subject, service, addresses if edges.promises[label] else None)
    if edges.any_by_cid and edges.name({address.task: label for label, address in reversed(addresses.items())}):
        order = _order(edges)
    taints = find_taints(workflow, order, edges.inputs, private)
    wobbly = _wobbly(order, edges, workflow, classes)
    barrier = find_barrier(order, edges.before, classes)
    if barrier.behind:
        behind = set(barrier.behind)
        order = [*(label for label in order if label not in behind), *barrier.behind]
    numbers = {label: number for number, label in enumerate(order)}
    queues = _queues(workflow)
    commit = len(order) + (workflow.catch is not None)
    held = set(barrier.first)
    inward = {
        label: [numbers[label], len(edges.before[label]) + (label in held), queues[_queue(workflow.tasks[label])]]
        for label in order
        if edges.before[label] or label in held
    }
    targets: dict[str, list[list[int]]] = {label: [] for label in order}
    for label in barrier.last:
        targets[label].append([commit, len(barrier.last), queues[EFFECT_QUEUE]])
    for label in order:
        for source in edges.before[label]:
            targets[source].append(inward[label])
    handled = edges.handled()
    bounds: dict[Bounds, int] = {}
    used = (workflow.tasks[label].config for label in order)
    configs = {id(config): config for config in used}  # equal ones are mostly one object
    bounds_of = {each: bounds.setdefault(_bounds(config), len(bounds)) for each, config in configs.items()}

    def node(label: str, task: Task, address: _Address) -> Node:
        when = [[numbers[source], branch] for source, branch in edges.when[label]] if label in edges.when else []
        promised = edges.promises[label]
        return Node(  # by position: there are many of them
            label,
            *address,
            bounds_of[id(task.config)],
            queues[_queue(task)],
            [[numbers[source], addresses[source].task] for source in edges.inputs[label]] if promised else [],
            [*when, [commit, "ok"]] if label in held else when,
            edges.awaits(label) if promised else [],
            targets[label],
            handled=label in handled or bool(task.on_error),
            risk=SAFETIES.index(classes[label]),
            act=_act(service, document, label, address) if label in wobbly else None,
            taint=int(taints.get(label, Taint.NONE)),
        )

    nodes = [node(label, workflow.tasks[label], addresses[label]) for label in order]
    if workflow.catch is not None:
        handler = _handler(workflow.catch, subject, service, bounds, queues)
        nodes.append(handler._replace(taint=int(taint_of_catch(workflow.catch, taints))))
    if barrier.behind:
        place = {"bounds": bounds.setdefault(_bounds(Config()), len(bounds)), "queue": queues[EFFECT_QUEUE]}
        last = [numbers[label] for label in barrier.last]
        nodes.append(_commit(service, document, last, [inward[label] for label in barrier.first], **place))
    pages = paginate(nodes)
    plan = Plan(
        subject=subject,
        service=service,
        document=document,
        count=len(order),
        bounds=tuple(bounds),
        queues=tuple(queues),
        has_catch=workflow.catch is not None,
        has_barrier=bool(barrier.behind),
        pages=tuple(pages) or ([list(node) for node in nodes],),
        read_page=pages.__getitem__,
        nodes=nodes,
        owner=_owner(workflow, subject) if taints or nodes[-1].secret else None,
    )
    return Compiled(plan, pages)


def _handler(task: Task, subject: str, service: str, bounds: dict[Bounds, int], queues: dict[str, int]) -> Node:
    command, args, nonce, link = _address(task, task.nonce or b"", subject, service, None)
    limits = bounds.setdefault(_bounds(task.config), len(bounds))
    return Node("catch", command, args, nonce, link, limits, queues[_queue(task)], [], [], [], [], handled=False)


def _commit(service: str, document: Link, last: list[int], first: list[list[int]], *, bounds: int, queue: int) -> Node:
    """Return the barrier: it waits for the `last` in front, and releases the `first` behind."""
    args: Value = {"job": document}
    return Node(
        label="ipvm/commit",  # no job has this label, for it has a slash
        command=COMMIT,
        args=args,
        nonce=b"",
        task=task_link(service, COMMIT, args, b""),
        bounds=bounds,
        queue=queue,
        inputs=[],
        when=[[number, "*"] for number in last],
        awaits=[],
        targets=first,
        handled=True,
    )


def _wobbly(order: list[str], edges: _Edges, workflow: Workflow, classes: Mapping[str, Safety]) -> set[str]:
    """Return the commands whose Tasks are others in each run, because a query without a nonce is among their inputs."""
    fresh: set[str] = set()
    for label in order if Safety.QUERY in classes.values() else ():
        own = classes[label] is Safety.QUERY and not workflow.tasks[label].nonce
        if own or not fresh.isdisjoint(edges.inputs[label]):
            fresh.add(label)
    return {label for label in fresh if classes[label] is Safety.COMMAND}


def _act(service: str, document: Link, label: str, address: _Address) -> Link:
    """Return what such a command is known by: its place in the signed job."""
    return task_link(service, address.command, {"job": document, "label": label}, address.nonce)


class _Nonces:
    """The nonces of one run's tasks: what a job states, or what its class of safety asks for."""

    def __init__(self, document: Link, seed: bytes) -> None:
        self._document = document
        self._seed = seed

    def of(self, task: Task, safety: Safety) -> bytes:
        """Return the nonce of a task."""
        if task.nonce or safety is Safety.PURE:
            return task.nonce or b""
        if safety is Safety.QUERY:
            return query_nonce(self._seed, task.label)
        return act_nonce(self._document, task.label)


def _owner(workflow: Workflow, subject: str) -> str:
    """Return whom secrets are for; raises `UsageError` where their key can sign, but read nothing that is sealed."""
    if workflow.signature is None:
        return workflow.requestor or subject
    check_recipient(workflow.signature.issuer)
    return workflow.signature.issuer


def _order(edges: _Edges) -> list[str]:
    """Return the labels so that each stands after what it waits for (Kahn; document order among equals)."""
    waiting = {label: len(sources) for label, sources in edges.before.items() if sources}
    after: dict[str, list[str]] = defaultdict(list)
    for label in waiting:
        for source in edges.before[label]:
            after[source].append(label)
    ready = deque(label for label in edges.before if label not in waiting)
    order = []
    while ready:
        order.append(label := ready.popleft())
        for target in after.get(label, ()):
            waiting[target] -= 1
            if waiting[target] == 0:
                ready.append(target)
    if len(order) < len(edges.before):  # the readers refuse cycles of labels with the cycle spelled out
        stuck = sorted(set(edges.before).difference(order))
        raise DocumentError([Fault("cycle", f"these jobs wait for each other in a circle: {', '.join(stuck[:10])}")])
    return order


def _address(
    task: Task, nonce: bytes, subject: str, service: str, addresses: Mapping[str, _Address] | None
) -> _Address:
    """Return the address of a task; `addresses` are those of others, None for a task without promises."""
    args: dict[str, Any]
    if task.kind == "wasm":
        args = {"mod": task.resource, "fun": task.func, "params": task.args}
        if task.config.memory != DEFAULT_MEMORY:
            args["mem"] = task.config.memory  # a guest sees where its memory ends, so the limit is an input
        owner, command = subject, WASM_RUN
    else:
        args = {"uri": task.resource, **task.args}
        owner, command = service, "/" + task.ability
    if addresses is not None:
        args = _placed(args, addresses)
    return _Address(command, args, nonce, task_link(owner, command, args, nonce))


def _placed(value: Any, addresses: Mapping[str, _Address]) -> Any:
    """Return a value with its promises in IPLD form."""
    kind = type(value)
    if kind is Promise:
        target = value.task if value.label is None else addresses[value.label].task
        return form(value.branch, target, value.out)
    if kind is list:
        return [_placed(item, addresses) if type(item) in _WALKED else item for item in value]
    if kind is dict:
        return {key: _placed(item, addresses) if type(item) in _WALKED else item for key, item in value.items()}
    return value


def _promises(task: Task) -> list[Promise]:
    found: list[Promise] = []
    pending: list[Any] = [task.resource, task.func, task.args]
    for value in pending:  # it grows while it is walked
        kind = type(value)
        if kind is Promise:
            found.append(value)
        elif kind is list:
            pending.extend(value)
        elif kind is dict:
            pending.extend(value.values())
    return found


def _bounds(config: Config) -> Bounds:
    return Bounds(config.time, config.memory, config.gas, config.disk)


def _queues(workflow: Workflow) -> dict[str, int]:
    """Return the queues that a workflow needs, with their numbers; the handler of failures is on the first."""
    kinds = {task.kind for task in (*workflow.tasks.values(), workflow.catch) if task is not None}
    wanted = [queue for kind, queue in (("wasm", WASM_QUEUE), ("effect", EFFECT_QUEUE)) if kind in kinds]
    return {queue: number for number, queue in enumerate(wanted)}


def _queue(task: Task) -> str:
    return WASM_QUEUE if task.kind == "wasm" else EFFECT_QUEUE

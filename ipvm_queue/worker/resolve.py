"""Before a node runs: its inputs put in place of its promises, its conditions looked at.

(UCAN Promise 3; IPVM job 3.2.1 `on`)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from ipvm_queue.queue.unrun import ABORTED, SKIPPED
from ipvm_queue.ucan import PromiseError, resolve, task_link

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ipvm_queue.ipld import Link, Value
    from ipvm_queue.plan import Node, Plan
    from ipvm_queue.store import Answer, State


class Known(NamedTuple):
    """A Result that a node may need: the receipt, how its task ended, the Result itself, and whether it is lasting."""

    receipt: Link
    state: State
    result: dict[str, Value]
    lasting: bool


class Resolved(NamedTuple):
    """A node that can run: its args without promises, its Task, and the receipts that its args were taken from.

    It is `lasting` where its promises come to the same args whenever they are kept.
    """

    args: Value
    task: Link
    under: tuple[Link, ...] = ()
    lasting: bool = True


class Step(NamedTuple):
    """A node that this process will run: `tasks` are what it has claimed, `ahead` that it is not released yet."""

    number: int
    node: Node
    ready: Resolved | None
    tasks: list[Link]
    answer: Answer | None
    ahead: bool


class Stopped(NamedTuple):
    """A node that cannot run: the error that its receipt says, and the state that it ends in."""

    error: dict[str, Any]
    state: State
    lasting: bool = False


def follow(plan: Plan, node: Node, links: int) -> Iterator[Step]:
    """Yield up to `links` of the nodes that follow a pure one and nothing else: their turn comes when it has run."""
    for _ in range(links if node.pure else 0):
        number = node.runs_into
        if number is None:
            return
        node = plan.node(number)
        if node.awaits or not node.pure:
            return
        yield Step(number, node, None, [node.task] if node.shared else [], None, ahead=True)


def handle(plan: Plan, node: Node, failure: dict[str, Value]) -> Resolved:
    """Return the `catch` handler as it runs: on the first failure."""
    args = {**node.args, "params": [failure]}
    return Resolved(args, task_link(plan.subject_of(node), node.command, args, node.nonce))


def prepare(plan: Plan, node: Node, known: dict[int, Known], others: dict[Link, Known]) -> Resolved | Stopped:
    """Resolve a node whose predecessors have all settled.

    `known` holds the Results of the plan's own nodes, `others` those of Tasks of other runs.
    """
    aborted = _aborted(plan, node, known)
    if aborted is not None:
        return Stopped(aborted, "error")
    for source, branch in node.when:
        if branch not in known[source].result or known[source].state == "skipped":
            return _not_taken(plan, source, branch, known[source])
    if node.is_static:
        return Resolved(node.args, node.task)
    found = {task: known[source] for source, task in node.inputs} | others
    lasting = all(each.lasting for each in found.values())
    try:
        args = resolve(node.args, lambda task: (found[task].receipt, found[task].result))
    except PromiseError as stop:
        state = _state_of(plan, stop.error, node, known)
        return Stopped(stop.error, state, lasting=lasting and state == "error")
    under = tuple(dict.fromkeys(each.receipt for each in found.values()))
    return Resolved(args, task_link(plan.subject_of(node), node.command, args, node.nonce), under, lasting)


def addresses(node: Node, ready: Resolved) -> list[Link]:
    """Return the Tasks under which a node's receipt is found: under none where it is secret.

    A pure one is found under its promises only where they come to the same args in any other run, too.
    """
    if node.secret:
        return []
    if ready.task is node.task:
        return [node.task]
    return list(dict.fromkeys((node.task, ready.task))) if ready.lasting or not node.pure else [ready.task]


def commit(plan: Plan, failed: int | None) -> dict[str, Any]:
    """Return the Result of the barrier: may commands run? `failed` is the first task that failed. (job 1.1)."""
    if failed is None:
        return {"ok": None}
    label = plan.node(failed).label
    message = f"not run: the transaction was aborted, because {label!r} failed"
    return {"error": {"code": ABORTED, "message": message, "failed": label, "fault": "requestor"}}


def _aborted(plan: Plan, node: Node, known: dict[int, Known]) -> dict[str, Any] | None:
    """Return the error of a node behind a barrier that did not open; what waits for such a node is behind it, too."""
    for source in node.predecessors:
        error = known[source].result.get("error")
        if isinstance(error, dict) and error.get("code") == ABORTED and not plan.node(source).pure:
            return error
    return None


def _not_taken(plan: Plan, source: int, branch: str, known: Known) -> Stopped:
    label = plan.node(source).label
    ended = "was skipped" if known.state == "skipped" else f"ended in {known.state}"
    message = f"not run: it is for the {branch} of {label!r}, which {ended}"
    return Stopped({"code": SKIPPED, "message": message, "from": known.receipt}, "skipped")


def _state_of(plan: Plan, error: dict[str, Any], node: Node, known: dict[int, Known]) -> State:
    """Return `skipped` where a branch was not taken, `error` where something failed and nobody handles it."""
    if "expected" not in error:
        return "error"
    if error["expected"] == "error":
        return "skipped"
    for source, _ in node.inputs:
        if known[source].receipt == error["from"]:
            return "skipped" if known[source].state == "skipped" or plan.node(source).handled else "error"
    return "error"

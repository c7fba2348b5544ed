"""Which task of a job a receipt answers: the job is compiled again, and the Task computed from its inputs' receipts."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from ipvm_queue.errors import DocumentError
from ipvm_queue.plan import compile_plan
from ipvm_queue.queue.let_in import run_of
from ipvm_queue.queue.unrun import SKIPPED
from ipvm_queue.queue.verdict import Flaw, Verdict
from ipvm_queue.ucan import MatchError, PromiseError, resolve, task_link
from ipvm_queue.ucan.proof import is_same
from ipvm_queue.workflow import DocumentLimits, read
from ipvm_queue.workflow.safety import Safety

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ipvm_queue.ipld import Link, Value
    from ipvm_queue.plan import Node, Plan
    from ipvm_queue.ucan import Invocation
    from ipvm_queue.ucan.meter import Meter
    from ipvm_queue.workflow import Task, Workflow

_LIMITS: Final = DocumentLimits()


class Known(NamedTuple):
    """A Result that holds: its receipt, the Result itself, and every Task CID that the receipt answers.

    `unrun` says why the task was not run, empty for one that was.
    """

    receipt: Link
    result: dict[str, Value]
    addresses: frozenset[Link]
    unrun: str = ""


class Match(NamedTuple):
    """A task that a receipt answers, its args, and whether every promise in them is resolved."""

    node: Node
    args: Value
    resolved: bool = True


class Registry(NamedTuple):
    """What jobs are compiled with: how dangerous a task is to do again, and whether an effect's result is secret.

    `uses` gives what a task asks for beside itself, as commands with their args.
    """

    safety: Callable[[Task], Safety]
    private: Callable[[Task], bool]
    uses: Callable[[str, Value], Iterable[tuple[str, Value]]]


@dataclass(frozen=True)
class Job:
    """A signed job, compiled: its plan, and its nodes by what they can be found by."""

    plan: Plan
    static: Mapping[Link, list[Node]]  # by Task
    waiting: Mapping[Link, list[Node]]  # by the first Task that they await
    promised: Mapping[Link, list[Node]]  # those with promises, by the Task that has them

    def matches(self, ran: Link, result: Mapping[str, Value], inputs: Iterable[Known], unrun: str) -> list[Match]:
        """Return the tasks whose receipt has this `ran`, given its inputs' receipts; `unrun` is why it was not run.

        A task with promises that did not run (a promise was on the wrong branch, a branch was not taken) is answered by
        an error under the address that has the promises; one that has to do with secrets is known by that alone.
        """
        found = [Match(node, node.args) for node in self.static.get(ran, ()) if _may_be(node, unrun)]
        known = {address: each for each in inputs for address in each.addresses}
        for address in known:
            for node in self.waiting.get(address, ()):
                if all(task in known for task in _awaited(node)):
                    args = _resolved(node, known)
                    if args is not None and self._task(node, args) == ran:
                        found.append(Match(node, args))
        if found:
            return found
        promised = self.promised.get(ran, ())
        return [Match(node, node.args, resolved=False) for node in promised if "error" in result or node.veiled]

    def labels(self, known: Iterable[Known]) -> dict[Link, list[Node]]:
        """Return the tasks of this job that receipts answer, whatever job they were made for, by receipt.

        That a task was not run answers only where nothing else does.
        """
        by_address: dict[Link, Known] = {}
        for each in sorted(known, key=lambda each: bool(each.unrun)):
            for address in each.addresses:
                by_address.setdefault(address, each)
        found: dict[Link, list[Node]] = defaultdict(list)
        for node in self.plan:
            answer = by_address.get(node.task)
            if answer is not None and not _may_be(node, answer.unrun):
                answer = None
            if answer is None and not node.is_static and all(task in by_address for task in _awaited(node)):
                args = _resolved(node, by_address)
                answer = None if args is None else by_address.get(self._task(node, args))
            if answer is not None:
                by_address.setdefault(node.task, answer)
                found[answer.receipt].append(node)
        return found

    def _task(self, node: Node, args: Value) -> Link:
        return task_link(self.plan.subject_of(node), node.command, args, node.nonce)


class Jobs:
    """The jobs of a bundle, each read and compiled once. All methods raise a `Flaw`.

    `meter` counts what that costs, which is about a step for each byte of a document.
    """

    def __init__(self, registry: Registry, meter: Meter) -> None:
        self._registry = registry
        self._meter = meter
        self._workflows: dict[Link, tuple[Workflow, bool]] = {}  # and whether there are queries in it
        self._jobs: dict[tuple[Link, str, str, bytes], Job] = {}

    def job(self, document: bytes, link: Link, asked: Invocation, queue: str) -> Job:
        """Return the job of an invocation (8), compiled as `queue` does; `document` is what it names by `link`.

        Jobs of one document are one, but for queries, which are others in each run.
        """
        workflow = self.workflow(document, link)
        if workflow.signature is None:
            raise Flaw(Verdict.MALFORMED, f"the document {link} is not signed")
        if not is_same(workflow.signature.issuer, asked.iss):
            raise Flaw(Verdict.SWAPPED, f"the document is {workflow.signature.issuer}'s, the job is {asked.iss}'s")
        _, queries = self._workflows[link]
        key = (link, asked.executor, queue, run_of(asked).encode() if queries else b"")
        if key not in self._jobs:
            self.spend(len(document) // 2)
            self._jobs[key] = self._compiled(workflow, *key)
        return self._jobs[key]

    def workflow(self, document: bytes, link: Link) -> Workflow:
        """Return what stands in a document."""
        if link not in self._workflows:
            self.spend(len(document) // 2)
            try:
                found = read(document, limits=_LIMITS)
            except DocumentError as error:
                raise Flaw(Verdict.MALFORMED, f"the document {link}: {error.message}") from error
            queries = any(self._registry.safety(task) is Safety.QUERY for task in found.tasks.values())
            self._workflows[link] = found, queries
        return self._workflows[link][0]

    def spend(self, steps: int) -> None:
        """Count what reading jobs costs."""
        try:
            self._meter.spend(steps)
        except MatchError as error:
            raise Flaw(
                Verdict.MALFORMED, "the jobs here take too long to compile, for a bundle of this size"
            ) from error

    def _compiled(self, workflow: Workflow, link: Link, service: str, queue: str, seed: bytes) -> Job:
        safety, private, _ = self._registry
        try:
            plan = compile_plan(workflow, queue, link, service, safety=safety, private=private, seed=seed).plan
        except DocumentError as error:
            raise Flaw(Verdict.MALFORMED, f"the document {link}: {error.message}") from error
        return _job(plan)


def _job(plan: Plan) -> Job:
    static: dict[Link, list[Node]] = defaultdict(list)
    waiting: dict[Link, list[Node]] = defaultdict(list)
    promised: dict[Link, list[Node]] = defaultdict(list)
    for node in plan:
        if node.is_static:
            static[node.task].append(node)
        else:
            waiting[_awaited(node)[0]].append(node)
            promised[node.task].append(node)
    return Job(plan, dict(static), dict(waiting), dict(promised))


def _may_be(node: Node, unrun: str) -> bool:
    """Whether a task can have come to that: one that is for no branch and waits for no promise is never skipped."""
    return unrun != SKIPPED or bool(node.when) or not node.is_static


def _awaited(node: Node) -> list[Link]:
    return [*(task for _, task in node.inputs), *node.awaits]


def _resolved(node: Node, known: Mapping[Link, Known]) -> Value | None:
    try:
        return resolve(node.args, lambda task: (known[task].receipt, known[task].result))
    except PromiseError:
        return None

"""Which task of a job a receipt answers: the job is compiled again, and the Task computed from its inputs' receipts."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from ipvm_queue.errors import DocumentError
from ipvm_queue.ipld import Link, encode
from ipvm_queue.plan import compile_plan
from ipvm_queue.queue.let_in import run_of
from ipvm_queue.queue.unrun import SKIPPED
from ipvm_queue.queue.verdict import Flaw, Verdict
from ipvm_queue.ucan import PromiseError, resolve, task_link
from ipvm_queue.ucan.proof import is_same
from ipvm_queue.workflow import DocumentLimits, read

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ipvm_queue.ipld import Value
    from ipvm_queue.plan import Node, Plan
    from ipvm_queue.ucan import Invocation
    from ipvm_queue.workflow import Task
    from ipvm_queue.workflow.safety import Safety

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


def read_job(document: Value, link: Link, asked: Invocation, queue: str, registry: Registry) -> Job:
    """Return the job of an invocation (8), compiled as `queue` does; `document` is the block that it names by `link`.

    Raises a `Flaw` for a document that is none, or is not signed by who invoked it.
    """
    try:
        workflow = read(encode(document), limits=_LIMITS)
        if workflow.signature is None:
            raise Flaw(Verdict.MALFORMED, f"the document {link} is not signed")
        if not is_same(workflow.signature.issuer, asked.iss):
            raise Flaw(Verdict.SWAPPED, f"the document is {workflow.signature.issuer}'s, the job is {asked.iss}'s")
        safety, private, _ = registry
        seed = run_of(asked).encode()
        plan = compile_plan(workflow, queue, link, asked.executor, safety=safety, private=private, seed=seed).plan
    except DocumentError as error:
        raise Flaw(Verdict.MALFORMED, f"the document {link}: {error.message}") from error
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

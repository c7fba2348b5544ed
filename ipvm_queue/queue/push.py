"""Opening runs: a signed workflow that was let in becomes a run on the queue."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

from ipvm_queue.errors import BlockError
from ipvm_queue.ipld import Link, decode, encode
from ipvm_queue.plan import compile_plan, looked_up
from ipvm_queue.plan.canvas import message
from ipvm_queue.store import FAILED, Known, NewRun, Opening, Record
from ipvm_queue.store.transitions import NOTHING
from ipvm_queue.ucan import read

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Mapping, Sequence

    from ipvm_queue.ipld import Value
    from ipvm_queue.plan import Node, Plan
    from ipvm_queue.plan.compiler import Compiled
    from ipvm_queue.store import ByRequest, Entry, RedisBlocks, RedisReceipts, RedisRuns, State
    from ipvm_queue.store.transitions import Outcome
    from ipvm_queue.workflow import Task, Workflow
    from ipvm_queue.workflow.safety import Safety

    Lookup = list[tuple[int, Link]]  # nodes of a run, and the pure Tasks that are looked for in the memo table

_FEW: Final = 1000  # Tasks that are looked up in the step that opens a run


class Filed(NamedTuple):
    """What stays with a run of how it was asked for.

    The requestor's DID, the CIDs of the invocations 8 and 9, the container of all tokens that were sent along, the
    signed document, the queue's answer to 9, and the hand-outs (11) to the workers that are there already, by pop.
    """

    requestor: str
    invocation: Link
    push: Link
    tokens: bytes
    document: bytes
    answer: bytes
    handed: Mapping[Link, bytes]


class Admission(NamedTuple):
    """A job that may be run, about to become the run `run`: its plan, its papers, and the blocks that it brings.

    `free` are the commands that may be with any args.
    """

    run: str
    compiled: Compiled
    papers: Filed
    blocks: Mapping[Link, bytes]
    free: Container[str]


class WorkQueue:
    """The queue as its users see it. `run_lifetime` counts in seconds from a run's end."""

    def __init__(
        self,
        runs: RedisRuns,
        receipts: RedisReceipts,
        blocks: RedisBlocks,
        run_lifetime: float | None,
        *,
        safety: Callable[[Task], Safety],
        private: Callable[[Task], bool],
        uses: Callable[[str, Value], Iterable[tuple[str, Value]]],
    ) -> None:
        self._runs = runs
        self._receipts = receipts
        self._blocks = blocks
        self._private = private
        self._run_lifetime = run_lifetime or 0.0
        self._safety = safety
        self._uses = uses

    def compile(self, run: str, workflow: Workflow, document: Link, *, subject: str, service: str) -> Compiled:
        """Return the plan of a signed workflow: `subject` is the queue's DID, `service` whom it is done for."""
        return compile_plan(
            workflow, subject, document, service, safety=self._safety, private=self._private, seed=run.encode()
        )

    def asked(self, node: Node) -> Iterable[tuple[str, Value]]:
        """Return what has to be allowed for a node to run: its command with its args, and what it uses beside."""
        own = (node.command, node.args)
        return (own,) if node.pure else (own, *self._uses(*own))

    def open(self, jobs: Sequence[tuple[Admission, ByRequest]]) -> list[Outcome]:
        """Release what waits for nothing in the runs of jobs, and answer the requests that they come by.

        That is one round trip for all that have nothing in the memo table, and a few for those that have, or a thousand
        Tasks. Return for each job what became of it, never `Known`. Its blocks stay as long as blocks do, and so do the
        document and the tokens: with them receipts are verified long after the run is forgotten.
        """
        lookups = [_pure(each.compiled.plan.steps, each.free) for each, _ in jobs]
        outcomes = self._open_unless_known(jobs, lookups)
        late = [(number, each.entries) for number, each in enumerate(outcomes) if isinstance(each, Known)]
        known = self._known([(lookups[number], entries) for number, entries in late])
        again = [self._new(*jobs[number], records) for (number, _), records in zip(late, known, strict=True)]
        for (number, _), outcome in zip(late, self._runs.open_all(again), strict=True):
            outcomes[number] = outcome
        return outcomes

    def _open_unless_known(
        self, jobs: Sequence[tuple[Admission, ByRequest]], lookups: Sequence[Lookup]
    ) -> list[Outcome]:
        """Open runs of whose Tasks nothing is known; of a job that has many of them, only look that up."""
        new = [
            self._new(admission, by._replace(tasks=_tasks(lookup)))
            for (admission, by), lookup in zip(jobs, lookups, strict=True)
            if len(lookup) <= _FEW
        ]
        opened = iter(self._runs.open_all(new))
        return [
            next(opened) if len(lookup) <= _FEW else Known(self._receipts.of_tasks(_tasks(lookup)))
            for lookup in lookups
        ]

    def _new(self, admission: Admission, by: ByRequest, known: Mapping[int, Record] = NOTHING) -> NewRun:
        (plan, pages), papers = admission.compiled, admission.papers
        opening = replace(
            _opening(plan, plan.steps, papers.requestor, known),
            invocation=papers.invocation,
            push=papers.push,
            service=plan.service,
            grants=Link.of(papers.tokens),
            answer=papers.answer,
            handed=papers.handed,
        )
        kept = {**admission.blocks, plan.document: papers.document, Link.of(papers.tokens): papers.tokens}
        return NewRun(
            admission.run,
            opening,
            self._run_lifetime,
            {**pages, plan.link: plan.data},
            self._blocks.puts(kept),
            by,
        )

    def resume(self, run: str, plan: Plan, requestor: str) -> None:
        """Open a run again from its plan and receipts, whatever else of it was lost or cancelled.

        It is withdrawn first, so that what is read here is all that settles before it is open again. A task that ended
        in doubt is looked at again, with all that waited for it: by now somebody may know what became of it.
        """
        self._runs.withdraw(run)
        header = self._runs.header(run)
        numbers = list(plan.steps)
        records = zip(numbers, self._runs.records(run, numbers), strict=True)
        settled = {number: record for number, record in records if record is not None}
        again = _doubtful(plan, settled)
        self._runs.unsettle(run, sorted(again & settled.keys()))
        settled = {number: record for number, record in settled.items() if number not in again}
        nodes = plan.steps
        pure = _pure(nodes, ())
        (known,) = self._known([(pure, self._receipts.of_tasks(_tasks(pure)))])
        opening = replace(
            _opening(plan, nodes, requestor, {**known, **settled}),
            invocation=header.invocation,
            push=header.push,
            service=header.service,
            grants=header.grants,
        )
        self._runs.open(NewRun(run, opening, self._run_lifetime))

    def _known(self, lookups: Sequence[tuple[Lookup, Sequence[Entry | None]]]) -> list[dict[int, Record]]:
        """Return the nodes that need not run, because their pure Task has a receipt, for each of several runs."""
        found = [
            (run, node, entry.receipt)
            for run, (tasks, entries) in enumerate(lookups)
            for (node, _), entry in zip(tasks, entries, strict=True)
            if entry is not None and entry.reusable
        ]
        envelopes = self._receipts.bytes_of([receipt for _, _, receipt in found])
        known: list[dict[int, Record]] = [{} for _ in lookups]
        for (run, node, _), data in zip(found, envelopes, strict=True):
            record = self._record(data)
            if record is not None:
                known[run][node] = record
        return known

    def _record(self, data: bytes | None) -> Record | None:
        """Return the record of a receipt, None where it or its result is lost: what is lost is computed again."""
        if data is None:
            return None
        receipt = read(data, trusted=True)
        try:
            result = decode(self._blocks.get(receipt.out)) if isinstance(receipt.out, Link) else receipt.out
        except BlockError:
            return None
        state: State = "ok" if "ok" in result else "error"
        return Record(receipt.link, state, cached=True, out=encode(receipt.out), lasting=True)


def _doubtful(plan: Plan, settled: Mapping[int, Record]) -> set[int]:
    """Return the nodes that ended in doubt, and those that they feed, however far."""
    ahead = [number for number, record in settled.items() if record.state == "in-doubt"]
    found = set(ahead)
    nodes = plan.steps if ahead else {}
    while ahead:
        for target, _, _ in nodes[ahead.pop()].targets:
            if target not in found:
                found.add(target)
                ahead.append(target)
    return found


def _pure(nodes: Mapping[int, Node], free: Container[str]) -> Lookup:
    """Return what to look up of the nodes of a run; `free` are the commands that may be with any args.

    Of others, a task with promises is not taken for done because there is a receipt under its promises: the worker
    looks at its policies once they are kept.
    """
    found = looked_up(nodes.items(), lambda node: node.is_static or node.command in free)
    return [(number, node.task) for number, node in found]


def _tasks(lookup: Lookup) -> list[Link]:
    return [task for _, task in lookup]


def _opening(plan: Plan, nodes: Mapping[int, Node], requestor: str, settled: Mapping[int, Record]) -> Opening:
    """Return all that a run of `nodes` starts from, of which some have settled already."""
    arrived: dict[int, int] = {}
    for number in settled:
        for target, _, _ in nodes[number].targets:
            arrived[target] = arrived.get(target, 0) + 1
    ready: dict[int, list[int]] = {}
    for number, node in nodes.items():
        if number not in settled and len(node.predecessors) == arrived.get(number, 0):
            ready.setdefault(node.queue, []).append(number)
    failed = [number for number, record in settled.items() if record.state in FAILED and not nodes[number].handled]
    return Opening(
        plan=plan.link,
        document=plan.document,
        count=plan.count,
        requestor=requestor,
        messages={queue: message(queue, plan.link, plan.longest) for queue in plan.queues},
        settled=settled,
        arrived={number: count for number, count in arrived.items() if number not in settled},
        ready=ready,
        failed=len(failed),
        first_failed=min(failed, default=None),
        catch=plan.catch,
        barrier=plan.barrier,
    )

"""Push: a signed workflow becomes a run on the queue.

This is the one door into the work queues. Everything about a run is decided here, from the signed document alone;
whoever stands at the door (today the submitter itself, with the broker's credentials) sees it before anything is
stored.
"""

from __future__ import annotations

from secrets import token_hex
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

from ipvm_queue.errors import BlockError, RefusedError
from ipvm_queue.ipld import DAG_CBOR, Link, decode, encode
from ipvm_queue.plan import Plan, compile_plan
from ipvm_queue.plan.canvas import message
from ipvm_queue.store import FAILED, Opening, Record
from ipvm_queue.ucan import read
from ipvm_queue.workflow import to_document

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ipvm_queue.plan import Node
    from ipvm_queue.store import RedisBlocks, RedisReceipts, RedisRuns, Registry
    from ipvm_queue.workflow import Task, Workflow
    from ipvm_queue.workflow.safety import Safety


_NOTHING: Final[Mapping[int, Record]] = MappingProxyType({})


class Pushed(NamedTuple):
    """An accepted workflow: the run's id and its plan."""

    run: str
    plan: Plan


class WorkQueue:
    """The queue as its users see it. `run_lifetime` counts in seconds from a run's end."""

    def __init__(
        self,
        runs: RedisRuns,
        receipts: RedisReceipts,
        blocks: RedisBlocks,
        registry: Registry,
        run_lifetime: float | None,
        *,
        safety: Callable[[Task], Safety],
        private: Callable[[Task], bool],
    ) -> None:
        self._runs = runs
        self._receipts = receipts
        self._blocks = blocks
        self._registry = registry
        self._private = private
        self._run_lifetime = run_lifetime or 0.0
        self._safety = safety

    def push(self, workflow: Workflow, subject: str, blocks: Mapping[Link, bytes]) -> Pushed:
        """Accept a signed workflow with the blocks it brings, and release what waits for nothing.

        Raises `RefusedError` for one that nobody has signed.
        """
        if workflow.signature is None:
            raise RefusedError("the job is not signed", hint="sign it, or let ipvm-submit sign it", rule="signature")
        document = encode(to_document(workflow))
        run = token_hex(8)
        link = Link.of(document, DAG_CBOR)
        plan, pages = compile_plan(
            workflow, subject, link, safety=self._safety, private=self._private, seed=run.encode()
        )
        opening = self._opening(plan, workflow.signature.issuer)
        self._runs.open(
            run,
            opening,
            lifetime=self._run_lifetime,
            blocks={**pages, plan.document: document, plan.link: plan.data},
            stage=lambda pipeline: self._blocks.stage(pipeline, blocks),
        )
        return Pushed(run, plan)

    def resume(self, run: str, plan: Plan, requestor: str) -> None:
        """Open a run again from its plan and receipts, whatever else of it was lost or cancelled.

        It is withdrawn first, so that what is read here is all that settles before it is open again. A task that ended
        in doubt is looked at again, with all that waited for it: by now somebody may know what became of it.
        """
        self._runs.withdraw(run)
        numbers = list(plan.steps)
        records = zip(numbers, self._runs.records(run, numbers), strict=True)
        settled = {number: record for number, record in records if record is not None}
        again = _doubtful(plan, settled)
        self._runs.unsettle(run, sorted(again & settled.keys()))
        settled = {number: record for number, record in settled.items() if number not in again}
        opening = self._opening(plan, requestor, settled)
        self._runs.open(run, opening, lifetime=self._run_lifetime)

    def _opening(self, plan: Plan, requestor: str, had: Mapping[int, Record] = _NOTHING) -> Opening:
        nodes = plan.steps
        settled = {**self._known(nodes), **had}
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

    def _known(self, nodes: Mapping[int, Node]) -> dict[int, Record]:
        """Return the nodes that need not run, because their pure Task has a receipt. (UCAN Promise 1.1.2)."""
        pure = [(number, node.task) for number, node in nodes.items() if node.shared and not node.when]
        entries = self._receipts.of_tasks([task for _, task in pure])
        found = [
            (number, entry.receipt)
            for (number, _), entry in zip(pure, entries, strict=True)
            if entry is not None and entry.reusable
        ]
        envelopes = self._receipts.bytes_of([receipt for _, receipt in found])
        records = {number: self._record(data) for (number, _), data in zip(found, envelopes, strict=True)}
        return {number: record for number, record in records.items() if record is not None}

    def _record(self, data: bytes | None) -> Record | None:
        """Return the record of a receipt, None where it or its result is lost: what is lost is computed again."""
        if data is None:
            return None
        receipt = read(data, trusted=True)
        try:
            result = decode(self._blocks.get(receipt.out)) if isinstance(receipt.out, Link) else receipt.out
        except BlockError:
            return None
        return Record(receipt.link, "ok" if "ok" in result else "error", cached=True, out=encode(receipt.out))


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

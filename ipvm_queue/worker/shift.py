"""A worker process's stay with one run: lease nodes, run them, settle them, until its time or the work is over.

Work first: what a settlement makes ready, the process that made it ready goes on with, up to its share and a time
budget; the rest is published for others to steal. Links of a chain run ahead of their release and settle in one step
with it. Many small nodes travel in one script call, sized by what the last ones cost.
"""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from threading import Lock
from time import monotonic, sleep
from typing import TYPE_CHECKING, Final

from ipvm_queue.errors import BlockError, CodecError
from ipvm_queue.observe import logger
from ipvm_queue.queue.unrun import ABORTED, REASONS, SKIPPED, UNRUN
from ipvm_queue.store import FAILED, Ask, Record, Settlement
from ipvm_queue.store.blocks import verified
from ipvm_queue.store.runs import DEATH_LIMIT
from ipvm_queue.ucan import UcanError
from ipvm_queue.worker.attest import Scribe
from ipvm_queue.worker.authority import NotHandedError
from ipvm_queue.worker.catch import answer, failure
from ipvm_queue.worker.effect import Errand
from ipvm_queue.worker.execute import execute
from ipvm_queue.worker.resolve import (
    Known,
    Resolved,
    Step,
    Stopped,
    addresses,
    commit,
    follow,
    handle,
    prepare,
)
from ipvm_queue.worker.results import Results
from ipvm_queue.worker.sealing import SecretLostError
from ipvm_queue.worker.stops import CRASHED, FOREIGN, late, lost
from ipvm_queue.worker.tools import LostPlanError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ipvm_queue.ipld import Link, Value
    from ipvm_queue.plan import Node, Plan
    from ipvm_queue.store import Grant, State
    from ipvm_queue.worker.tools import Tools

_log = logger(__name__)
_KNOWN: Final = 4096
_RESPITE: Final = 0.5


class Shift:
    """One process at work on one queue of one run."""

    def __init__(self, tools: Tools, run: str, plan: Plan, queue: int) -> None:
        self._tools = tools
        self._run = run
        self._plan = plan
        self._queue = queue
        self._queue_name = plan.queues[queue]
        self._known: dict[int, Known] = {}
        self._twins: dict[bytes, tuple[Record, dict[str, Value]]] = {}  # by the CID of the Task
        self._unclaimed: list[tuple[int, list[Link]]] = []
        self._lock = Lock()
        self._pending: deque[list[Step]] = deque()
        self._current: list[Step] = []
        self._since = monotonic()
        self._done: list[Settlement] = []
        self._crashed: set[int] = set()
        self._scribe = Scribe(tools.signer, tools.stored)
        self._results = Results(tools.blocks, tools.vault, plan, self._scribe)

    def work(self, grant: Grant) -> None:
        """Do what has been leased, and more of the run, until its time or the work is over.

        Raises `LostPlanError` where a part of the plan is not to be had.
        """
        tools = self._tools
        deadline = monotonic() + tools.budget
        while grant.nodes and self._may(grant):
            started = monotonic()
            count = self._run_batch(grant)
            tools.paces.learn(self._run, self._queue_name, (monotonic() - started) / count)
            with self._lock:
                grant = self._settle(want=self._want() if monotonic() < deadline else 0)
        tools.announcer.flush()

    def receipt(self, node: int) -> Link | None:
        """Return the receipt of a node that has settled, None for one that has not."""
        if node in self._known:
            return self._known[node].receipt
        (record,) = self._tools.runs.records(self._run, [node])
        return None if record is None else record.receipt

    def _may(self, grant: Grant) -> bool:
        """Whether the run may go on: its mandate holds, is this worker's, and its secrets are open to it."""
        tools = self._tools
        try:
            plan = self._plan
            self._scribe.mandate = tools.authorities.mandate(self._run, plan.link, plan.document, grant)
            self._scribe.sealing = tools.vault.of(self._run, self._plan)
        except UcanError as error:
            if tools.runs.cancel(self._run, f"{error.name}: {error.message}") == "running":  # others say so, too
                _log.warning("a run's authority does not hold", run=self._run, rule=error.name, reason=error.message)
            self._give_back(grant)
            return False
        except NotHandedError as error:
            _log.warning("a run is left to other workers", run=self._run, reason=str(error))
            self._give_back(grant)
            sleep(_RESPITE)  # so that others come to it first
            return False
        return True

    def _give_back(self, grant: Grant) -> None:
        with self._lock:
            self._settle(want=0, back=[(number, []) for number, _ in grant.nodes])

    def _want(self) -> int:
        return self._tools.paces.want(self._run, self._queue_name)

    def _run_batch(self, grant: Grant) -> int:
        """Run leased nodes and the chains that follow from them; return how many nodes that was."""
        groups = self._enter(grant)
        with self._lock:
            self._pending.extend(groups)
        count = 0
        while True:
            with self._lock:
                if not self._pending:
                    self._current = []
                    return count or 1
                self._current = list(self._pending.popleft())
            count += self._run_group()

    def _run_group(self) -> int:
        count = 0
        while True:
            with self._lock:
                if not self._current:
                    return count
                step = self._current[0]
            count += 1
            if not self._run_step(step):
                return count

    def _run_step(self, step: Step) -> bool:
        """Run one step; False where the rest of its chain must go the ordinary way."""
        settlement = self._outcome(step)
        with self._lock:
            if settlement is not None:
                self._done.append(settlement)
            if settlement is not None and (claimed := [task for task in step.tasks if task not in settlement.tasks]):
                self._unclaimed.append((step.number, claimed))
            self._current = self._current[1:]
            following = self._current[0].answer if self._current else None
            if following is not None and following.verdict == "busy":
                self._unclaimed += [(later.number, later.tasks) for later in self._current[1:]]
                self._current = []
        return bool(self._current)

    # Leasing: what is known already, what is somebody else's

    def _enter(self, grant: Grant) -> list[list[Step]]:
        """Resolve leased nodes and ask the store for receipts; what cannot run settles here."""
        try:
            nodes = {number: self._plan.node(number) for number, _ in grant.nodes}
        except (CodecError, LookupError) as error:
            raise LostPlanError(str(error)) from error
        self._crashed = {number for number, points in grant.nodes if points >= DEATH_LIMIT}
        for number in [each for each in self._crashed if nodes[each].pure]:
            self._stop(number, nodes.pop(number), CRASHED, "error")
        if self._plan.barrier in nodes:
            self._commit(self._plan.barrier, nodes.pop(self._plan.barrier))
        others = self._await(nodes)
        self._fetch(nodes)
        steps: list[Step] = []
        for number, node in nodes.items():
            ready = self._prepare(node, others.get(number, {}), handler=number == self._plan.catch)
            if isinstance(ready, Stopped):
                self._stop(number, node, ready.error, ready.state, lasting=ready.lasting)
            elif number == self._plan.catch:
                steps.append(Step(number, node, ready, [], None, ahead=False))
            else:
                steps.append(Step(number, node, ready, addresses(node, ready), None, ahead=False))
        alone = grant.careful or any(points for _, points in grant.nodes)
        cheap = self._tools.paces.cheap(self._run, self._queue_name)
        links = max(1, self._want() // max(1, len(steps))) if cheap and not alone else 1
        if links == 1:
            return self._claim([[step] for step in steps])
        return self._claim([[step, *follow(self._plan, step.node, links - 1)] for step in steps])

    def _claim(self, groups: list[list[Step]]) -> list[list[Step]]:
        """Ask for every pure step at once; leave out what another owner is computing."""
        asked = [step for group in groups for step in group if step.tasks and step.node.shared]
        if not asked:
            return groups
        asks = [Ask(step.number, "ahead" if step.ahead else "work", step.tasks) for step in asked]
        answers = self._tools.runs.enter(self._run, self._tools.owner, self._queue, asks)
        found = {step.number: answer for step, answer in zip(asked, answers, strict=True)}
        kept = []
        for group in groups:
            # `_replace` would take several times as long, here and below: this is done for every node
            steps = [Step(*step[:4], found.get(step.number), step.ahead) for step in group]
            if steps[0].answer is not None and steps[0].answer.verdict == "wait":
                self._unclaimed += [(step.number, step.tasks) for step in steps[1:]]
            else:
                kept.append(steps)
        return kept

    def _await(self, nodes: dict[int, Node]) -> dict[int, dict[Link, Known]]:
        """Return the Results of other runs' Tasks, by node; nodes that must still wait leave `nodes`."""
        asks = [
            Ask(number, "await", node.awaits, self._plan.bounds[node.bounds].time)
            for number, node in nodes.items()
            if node.awaits
        ]
        others: dict[int, dict[Link, Known]] = {}
        if not asks:
            return others
        answers = self._tools.runs.enter(self._run, self._tools.owner, self._queue, asks)
        for ask, found in zip(asks, answers, strict=True):
            if found.verdict == "have":
                pairs = zip(ask.tasks, found.receipts, strict=True)
                try:
                    others[ask.node] = {task: self._results.of_receipt(*each) for task, each in pairs}
                except SecretLostError:
                    self._stop(ask.node, nodes.pop(ask.node), FOREIGN, "error")
                except BlockError as error:
                    self._stop(ask.node, nodes.pop(ask.node), lost(error), "error")
                continue
            node = nodes.pop(ask.node)
            if found.verdict == "late":
                self._stop(ask.node, node, late(ask), "error")
        return others

    def _fetch(self, nodes: dict[int, Node]) -> None:
        """Bring the Results of all predecessors; nodes that need one that is lost leave `nodes`."""
        if len(self._known) > _KNOWN:
            self._known.clear()
        needed = dict.fromkeys(each for node in nodes.values() for each in node.predecessors if each not in self._known)
        if not needed:
            return
        records = self._tools.runs.records(self._run, list(needed))
        known, gone = self._results.of_nodes(dict(zip(needed, records, strict=True)))
        self._known |= known
        for number in [number for number, node in nodes.items() if not gone.keys().isdisjoint(node.predecessors)]:
            node = nodes.pop(number)
            self._stop(number, node, lost(next(gone[each] for each in node.predecessors if each in gone)), "error")

    # Running

    def _prepare(self, node: Node, others: dict[Link, Known], *, handler: bool = False) -> Resolved | Stopped:
        """Resolve a node's args (those of the `catch` handler are the first failure); look whether it may run so."""
        ready: Resolved | Stopped
        if handler:
            ready = handle(self._plan, node, failure(self._tools, self._run, self._plan, self._scribe.sealing))
        else:
            ready = prepare(self._plan, node, self._known, others)
        if node.veiled and isinstance(ready, Resolved):
            ready = ready._replace(task=node.task)  # another CID would be a hash of secrets, which could be guessed
        if isinstance(ready, Stopped):
            return ready
        refusal = self._scribe.mandate.refusal(node.command, ready.args, ready.task)
        if refusal is None:
            return ready
        _log.warning("a task was refused", run=self._run, label=node.label, rule=refusal["rule"])
        return Stopped(refusal, "error")

    def _commit(self, number: int, barrier: Node) -> None:
        """Settle the barrier: everything in front of it has settled."""
        out = commit(self._plan, self._tools.runs.first_failed(self._run))
        state: State = "ok" if "ok" in out else "error"
        record, receipt = self._scribe.sign(barrier, barrier.task, out, state, {})
        step = Step(number, barrier, None, [], None, ahead=False)
        settled = self._settled(step, record, out, receipt, reusable=False)
        with self._lock:
            self._done.append(settled)

    def _effect(self, step: Step, ready: Resolved) -> Settlement | None:
        """Do an effect; None where its turn has not come, or somebody else has it."""
        crashed = step.number in self._crashed
        errand = Errand(self._run, self._queue, step.number, self._plan, step.node, ready, crashed)
        acted = self._tools.effects.perform(errand, self._scribe)
        if acted is None:
            return None
        if acted.record is not None and acted.out is not None:
            return self._settled(step, acted.record, acted.out, acted.receipt, reusable=acted.over)
        try:
            return self._found(step, acted.receipt)
        except BlockError as error:
            return self._stopped(step.number, step.node, lost(error), "error", ahead=False)

    def _outcome(self, step: Step) -> Settlement | None:
        if step.ready is None:
            ready = self._prepare(step.node, {})
            if isinstance(ready, Stopped):
                return self._stopped(
                    step.number, step.node, ready.error, ready.state, ahead=step.ahead, lasting=ready.lasting
                )
            tasks = addresses(step.node, ready)
            step = step._replace(ready=ready, tasks=tasks, answer=step.answer if step.node.task in tasks else None)
        assert step.ready is not None  # noqa: S101 - for the type checker
        if not step.node.pure:
            return self._effect(step, step.ready)
        if step.answer is not None and step.answer.verdict == "hit":
            with suppress(BlockError):  # a result that is lost is computed again
                return self._found(step, verified(*step.answer.receipts[0]))
        task = step.ready.task
        shared = step.node.shared
        twin = self._twins.get(task.bytes) if shared else None
        if twin is not None:
            return self._settled(step, twin[0]._replace(cached=True), twin[1], b"", reusable=True)
        done = execute(self._tools, step.node.command, step.ready.args, self._plan.bounds[step.node.bounds])
        meta = done.meta | self._scribe.under(step.ready.under)
        state: State = "ok" if "ok" in done.out else "error"
        record, receipt = self._scribe.sign(step.node, task, done.out, state, meta)
        if done.reusable and shared:
            self._twins[task.bytes] = (record, done.out)
        return self._settled(step, record, done.out, receipt, reusable=done.reusable)

    def _found(self, step: Step, data: bytes) -> Settlement:
        record, result = self._results.stand_in(step.node, data)
        return self._settled(step, record, result, b"", reusable=True)

    def _settled(
        self, step: Step, record: Record, result: dict[str, Value], receipt: bytes, *, reusable: bool
    ) -> Settlement:
        node = step.node
        lasting = step.ready is not None and step.ready.lasting and (record.state == "ok" or reusable)
        record = Record(*record[:4], lasting)
        self._known[step.number] = Known(record.receipt, record.state, result, lasting)
        fails = record.state in FAILED and not node.handled
        return Settlement(step.number, record, receipt, step.tasks, reusable, fails, step.ahead, node.targets)

    def _stop(self, number: int, node: Node, error: dict[str, Value], state: State, *, lasting: bool = False) -> None:
        settlement = self._stopped(number, node, error, state, ahead=False, lasting=lasting)
        with self._lock:
            self._done.append(settlement)

    def _stopped(
        self, number: int, node: Node, error: dict[str, Value], state: State, *, ahead: bool, lasting: bool = False
    ) -> Settlement:
        """Settle a node that does not run. A skipped or refused one is indexed under no Task: it says nothing of it."""
        reason = SKIPPED if state == "skipped" else error.get("code")
        silent = reason in REASONS
        record, receipt = self._scribe.sign(node, node.task, {"error": error}, state, {UNRUN: reason} if silent else {})
        record = record._replace(lasting=lasting)
        self._known[number] = Known(record.receipt, state, {"error": error}, lasting)
        tasks = [] if silent or node.secret else [node.task]
        fails = state in FAILED and error.get("code") != ABORTED and not node.handled
        return Settlement(
            number, record, receipt, tasks, reusable=False, fails=fails, ahead=ahead, targets=node.targets
        )

    def _settle(self, *, want: int, ahead: Sequence[int] = (), back: Sequence[tuple[int, list[Link]]] = ()) -> Grant:
        """Settle what is done (the lock is held) and lease up to `want` nodes more."""
        tools = self._tools
        done, unclaimed = self._done, self._unclaimed
        self._since = monotonic()
        status = ""
        for each in done:
            if each.node == self._plan.catch:
                status = answer(tools, self._run, self._plan, each.record, self._scribe.sealing)
        said = self._scribe.attest(done)
        grant = tools.runs.settle(
            self._run,
            tools.owner,
            self._queue,
            done,
            want=want,
            ahead=ahead,
            back=[*unclaimed, *back],
            status=status,
            attestations=said,
        )
        self._done, self._unclaimed = [], []  # not before: what could not be stored is settled with the next
        if done:
            tools.announcer.note(self._run, self._plan, done)
        return grant

    def beat(self) -> None:
        """Keep the leases; if the batch takes long, settle what is done and give back what is not begun."""
        with self._lock:
            tools = self._tools
            if monotonic() - self._since > tools.budget and (self._done or self._pending):
                back = [(step.number, step.tasks) for group in self._pending for step in group]
                self._settle(want=0, ahead=[step.number for step in self._current[:1] if step.ahead], back=back)
                self._pending.clear()
            steps = [step for group in (self._current, *self._pending) for step in group]
            held = [step.number for step in steps] + [each.node for each in self._done]
            if held:
                tasks = [task for step in steps for task in step.tasks]
                tools.runs.renew(self._run, tools.owner, self._queue, held, tasks)

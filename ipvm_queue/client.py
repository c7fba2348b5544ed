"""The public Python API: submit jobs, follow runs, read receipts."""

from __future__ import annotations

from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

from ipvm_queue.crypto import load_signer
from ipvm_queue.effects import is_private, safety_of, uses
from ipvm_queue.errors import IpvmError, RefusedError, UsageError
from ipvm_queue.ipld import DAG_CBOR, Link
from ipvm_queue.plan import Plan, compile_plan, load
from ipvm_queue.queue import Proofs, WorkQueue, establish
from ipvm_queue.queue.agents import keep
from ipvm_queue.queue.counter import Counter, NoAnswerError
from ipvm_queue.queue.export import Asked, export
from ipvm_queue.queue.pause import collector_paused
from ipvm_queue.queue.requests import GATE_QUEUE
from ipvm_queue.run import Run, RunSummary, Stores, summarise
from ipvm_queue.settings import Settings
from ipvm_queue.store import Inbox, Keys, RedisActs, RedisBlocks, RedisReceipts, RedisRuns, Registry, connect
from ipvm_queue.submission import ModuleBook, bring_files, complete
from ipvm_queue.ucan.memo import Memo
from ipvm_queue.workflow import DocumentLimits, Workflow, read, sign

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ipvm_queue.crypto import Signer
    from ipvm_queue.ipld import Value
    from ipvm_queue.ipld.block import Block
    from ipvm_queue.queue import Request
    from ipvm_queue.store import Worker
    from ipvm_queue.ucan import Delegation
    from ipvm_queue.wasm import ModuleInfo


class Client:
    """A submitter's connection to a queue.

    Without a broker URL (argument or settings) the embedded stack is joined, or started for the time of the client.
    `signer` is who asks; by default the user's own key, made at first use. `proofs` are container files of delegations
    beside those of the settings: by them the queue lets the signer in. `waiting` is told, in words, when the gate keeps
    one waiting. Every method raises `UnavailableError` where no
    broker answers.
    """

    def __init__(
        self,
        broker_url: str | None = None,
        *,
        signer: Signer | None = None,
        settings: Settings | None = None,
        proofs: Iterable[Path] = (),
        waiting: Callable[[str], None] | None = None,
    ) -> None:
        self.settings = settings or Settings(broker_url=broker_url)
        self._signer = signer
        self._stack = ExitStack()
        self.broker_url = broker_url or self.settings.broker_url or self._join_embedded()
        if self.settings.single_owner or self.settings.broker_url is None:
            establish(self.settings)
        keys = Keys(self.settings.queue)
        redis = connect(self.broker_url)
        self._stack.callback(redis.close)
        self.blocks = RedisBlocks(redis, keys, self.settings.block_ttl)
        self.receipts = RedisReceipts(redis, keys, self.blocks)
        self.acts = RedisActs(redis, keys, lease=self.settings.lease, receipt_lifetime=self.settings.receipt_ttl)
        self._registry = Registry(redis, keys)
        self._runs = RedisRuns(redis, keys, lease=self.settings.lease, receipt_lifetime=self.settings.receipt_ttl)
        self._queue = WorkQueue(
            self._runs,
            self.receipts,
            self.blocks,
            self.settings.run_ttl,
            safety=safety_of,
            private=is_private,
            uses=uses,
        )
        self._inbox = Inbox(redis, keys, max_bytes=self.settings.max_request_bytes)
        self._modules: Memo[ModuleInfo] = Memo()
        self._proof_files = list(proofs)
        self._waiting = waiting
        self._counter: Counter | None = None

    def _join_embedded(self) -> str:
        from ipvm_queue.embedded import Embedded  # noqa: PLC0415 - brings a server; only who needs one pays

        return str(self._stack.enter_context(Embedded.join(self.settings, workers=True)).broker_url)

    @property
    def signer(self) -> Signer:
        """Who asks."""
        if self._signer is None:
            self._signer = load_signer(self.settings.key, create=True)
        return self._signer

    @property
    def counter(self) -> Counter:
        """The gate's counter, as this user stands before it; raises `RefusedError` where no proof lets them in."""
        if self._counter is None:
            own = [self.settings.proofs] if self.settings.proofs.exists() else []
            proofs = Proofs.load([*self._proof_files, *own])
            ttl = int(self.settings.job_ttl)
            self._counter = Counter(
                self.signer, proofs, self._inbox, self._registry, job_ttl=ttl, waiting=self._waiting
            )
        return self._counter

    @property
    def is_let_in(self) -> bool:
        """Whether the signer has proofs by which the queue lets them have jobs run."""
        try:
            return bool(self.counter.queue and self.counter.service)
        except RefusedError:
            return False

    @property
    def subject(self) -> str:
        """The queue's DID, whose name every pure Task bears; the signer's own where no queue lets them in."""
        return self.counter.queue if self.is_let_in else self.signer.did

    # Jobs

    def read(self, document: bytes | str | dict[str, Value], *, name: str = "document") -> Workflow:
        """Return the checked workflow of a document; raises `DocumentError` with every fault."""
        limits = DocumentLimits(self.settings.max_document_bytes, self.settings.max_tasks, self.settings.max_depth)
        return read(document, name=name, limits=limits)

    def plan(
        self, workflow: Workflow, *, folder: Path | None = None, blocks: Iterable[Block] = ()
    ) -> tuple[Plan, dict[Link, bytes]]:
        """Return the plan of a workflow and the blocks it brings; nothing is enqueued.

        For a signer whom no queue lets in it is the plan that a queue of their own would have.
        """
        ready, brought = self._complete(workflow, folder, blocks)
        document = Link.of(ready.document, DAG_CBOR)
        service = self.counter.service if self.is_let_in else self.signer.did
        plan, pages = compile_plan(ready, self.subject, document, service, safety=safety_of, private=is_private)
        return plan, {**brought, **pages}

    def submit(
        self,
        document: bytes | str | dict[str, Value] | Workflow,
        *,
        name: str = "document",
        folder: Path | None = None,
        blocks: Iterable[Block] = (),
        patience: float | None = None,
    ) -> Run:
        """Sign a job (unless it is signed), have the gate enqueue it, and return its run.

        `file:` modules are looked for in `folder` (default: the working directory), `blocks` are stored with the job.
        Raises `DocumentError` for a job that cannot run, `RefusedError` for one that the queue does not take,
        `UnavailableError` where no gate answers in `patience` seconds (a minute); nothing of any of them is enqueued.
        """
        with collector_paused():
            workflow = document if isinstance(document, Workflow) else self.read(document, name=name)
            ready, brought = self._complete(workflow, folder, blocks)
            link = Link.of(ready.document, DAG_CBOR)
            missing = {cid: data for cid, data in brought.items() if self.blocks.size(cid) is None}
            try:
                accepted = self.counter.push(link, {link: ready.document, **missing}, patience=patience)
            except NoAnswerError as error:
                with suppress(IpvmError):  # the gate may have let it in, and died before it answered
                    return self.run(str(error.fields["run"]))
                raise
            plan = self._plan(accepted.plan)
        return Run(accepted.run, plan, self._stores())

    def request(self, asked: Request) -> dict[str, Value]:
        """Hand a request to the gate and return what its answer says is `ok`; raises `RefusedError`."""
        return self.counter.ask(asked)

    def exchange(self, jwt: str) -> Delegation:
        """Have the gate exchange a JWT of an older wallet for a delegation to push, and keep that among the proofs.

        It is good for an hour at most (docs/ucan.md, Classic wallets). Raises `RefusedError` with the broken rule.
        """
        counter = Counter(self.signer, Proofs({}), self._inbox, self._registry)
        given = counter.exchange(jwt)
        keep(self.settings.proofs, [given])
        self._counter = None  # it knows the proofs as they were
        return given

    def _plan(self, link: Link) -> Plan:
        """Return a plan, all of its pages fetched at once."""
        root = load(self.blocks.get(link), self.blocks.get)
        pages = [page for page in root.pages if isinstance(page, Link)]
        fetched = dict(zip(pages, self.blocks.get_many(pages), strict=True)) if pages else {}
        return replace(root, read_page=fetched.__getitem__)

    def _stores(self) -> Stores:
        return Stores(self._runs, self.blocks, self._registry, self._queue, self.counter, lambda: self.signer)

    def _complete(
        self, workflow: Workflow, folder: Path | None, blocks: Iterable[Block]
    ) -> tuple[Workflow, dict[Link, bytes]]:
        bound, files = bring_files(workflow, folder or Path(), self.settings.max_block_bytes)
        brought = {**files, **{block.cid: block.data for block in blocks}}
        ready = complete(bound, ModuleBook(self._modules, brought, self.blocks))
        return (ready if ready.signature else sign(ready, self.signer)), brought

    # Runs

    def run(self, run: str) -> Run:
        """Return a run by its id; raises `UsageError` for one that is not known."""
        header = self._runs.header(run)
        return Run(run, self._plan(header.plan), self._stores())

    def runs(self, limit: int = 100) -> list[RunSummary]:
        """Return the runs opened last, newest first."""
        return [summarise(header) for header in self._runs.recent(limit)]

    def runs_beginning(self, start: str, limit: int = 100) -> list[str]:
        """Return the ids of the runs that begin with `start`, newest first."""
        return self._runs.beginning(start, limit)

    def bundle(self, receipts: Iterable[Link], run: str | None = None) -> bytes:
        """Return receipts with all that it takes to verify them offline (`queue.bundle.verify`), as a container.

        With `run` its job is in it, which they answer. Raises `UsageError` for what came through no gate,
        `MissingBlockError` where something has lapsed.
        """
        asked = None
        if run is not None:
            header = self._runs.header(run)
            if header.invocation is None or header.grants is None:
                raise UsageError(f"run {run} came through no gate: nothing says its receipts in a service's name")
            asked = Asked(header.invocation, header.grants)
        return export(receipts, self.blocks, self._runs, asked)

    def hand_over(self, bundle: bytes) -> list[Link]:
        """Have the queue take in what a bundle of another queue proves, for tasks that await it; return the receipts.

        Raises `RefusedError` with the step of its verification that does not hold.
        """
        return self.counter.hand_over(bundle)

    def workers(self) -> list[Worker]:
        """Return the workers that live."""
        return [each for each in self._registry.workers() if GATE_QUEUE not in each.queues]

    @property
    def is_all_powerful(self) -> bool:
        """Whether this client is the broker's default user, whom nothing is kept from."""
        return self._registry.user() == "default"

    def gates(self) -> list[Worker]:
        """Return the gates that serve."""
        return [each for each in self._registry.workers() if GATE_QUEUE in each.queues]

    def close(self) -> None:
        """Let go of the broker, and of the embedded stack if this client held it."""
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

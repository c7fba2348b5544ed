"""The public Python API: submit jobs, follow runs, read receipts."""

from __future__ import annotations

import gc
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Self

from ipvm_queue.crypto import load_signer
from ipvm_queue.effects import is_private, safety_of
from ipvm_queue.ipld import DAG_CBOR, Link, encode
from ipvm_queue.plan import Plan, compile_plan, load
from ipvm_queue.queue import WorkQueue
from ipvm_queue.run import Run, RunSummary, Stores, summarise
from ipvm_queue.settings import Settings
from ipvm_queue.store import Keys, RedisActs, RedisBlocks, RedisReceipts, RedisRuns, Registry, connect
from ipvm_queue.submission import bring_files, complete
from ipvm_queue.wasm import ModuleInfo, inspect
from ipvm_queue.workflow import DocumentLimits, Workflow, read, sign, to_document

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from ipvm_queue.crypto import Signer
    from ipvm_queue.ipld import Value
    from ipvm_queue.ipld.block import Block
    from ipvm_queue.store import Worker


class Client:
    """A submitter's connection to a queue.

    Without a broker URL (argument or settings) the embedded stack is joined, or started for the time of the client.
    `signer` is who asks; by default the user's own key, made at first use. Every method raises `UnavailableError`
    where no broker answers.
    """

    def __init__(
        self, broker_url: str | None = None, *, signer: Signer | None = None, settings: Settings | None = None
    ) -> None:
        self.settings = settings or Settings(broker_url=broker_url)
        self._signer = signer
        self._stack = ExitStack()
        self.broker_url = broker_url or self.settings.broker_url or self._join_embedded()
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
            self._registry,
            self.settings.run_ttl,
            safety=safety_of,
            private=is_private,
        )
        self._modules: dict[Link, ModuleInfo] = {}
        self._subject: str | None = None

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
    def subject(self) -> str:
        """The queue's DID, whose name every Task bears."""
        if self._subject is None:
            own = load_signer(self.settings.queue_key, create=True).did
            self._subject = self._registry.subject(own)
        return self._subject

    # Jobs

    def read(self, document: bytes | str | dict[str, Value], *, name: str = "document") -> Workflow:
        """Return the checked workflow of a document; raises `DocumentError` with every fault."""
        limits = DocumentLimits(self.settings.max_document_bytes, self.settings.max_tasks, self.settings.max_depth)
        return read(document, name=name, limits=limits)

    def plan(
        self, workflow: Workflow, *, folder: Path | None = None, blocks: Iterable[Block] = ()
    ) -> tuple[Plan, dict[Link, bytes]]:
        """Return the plan of a workflow and the blocks it brings; nothing is enqueued."""
        ready, brought = self._complete(workflow, folder, blocks)
        document = Link.of(encode(to_document(ready)), DAG_CBOR)
        plan, pages = compile_plan(ready, self.subject, document, safety=safety_of, private=is_private)
        return plan, {**brought, **pages}

    def submit(
        self,
        document: bytes | str | dict[str, Value] | Workflow,
        *,
        name: str = "document",
        folder: Path | None = None,
        blocks: Iterable[Block] = (),
    ) -> Run:
        """Sign a job (unless it is signed), enqueue it, and return its run.

        `file:` modules are looked for in `folder` (default: the working directory), `blocks` are stored with the job.
        Raises `DocumentError` for a job that cannot run, `RefusedError` for one that the queue does not take; nothing
        of either is enqueued.
        """
        with _collector_paused():
            workflow = document if isinstance(document, Workflow) else self.read(document, name=name)
            ready, brought = self._complete(workflow, folder, blocks)
            run, plan = self._queue.push(ready, self.subject, brought)
        return Run(run, plan, Stores(self._runs, self.blocks, self._registry, self._queue))

    def _complete(
        self, workflow: Workflow, folder: Path | None, blocks: Iterable[Block]
    ) -> tuple[Workflow, dict[Link, bytes]]:
        bound, files = bring_files(workflow, folder or Path())
        brought = {**files, **{block.cid: block.data for block in blocks}}
        ready = complete(bound, _Modules(self._modules, brought, self.blocks))
        return (ready if ready.signature else sign(ready, self.signer)), brought

    # Runs

    def run(self, run: str) -> Run:
        """Return a run by its id; raises `UsageError` for one that is not known."""
        header = self._runs.header(run)
        plan = load(self.blocks.get(header.plan), self.blocks.get)
        return Run(run, plan, Stores(self._runs, self.blocks, self._registry, self._queue))

    def runs(self, limit: int = 100) -> list[RunSummary]:
        """Return the runs opened last, newest first."""
        return [summarise(header) for header in self._runs.recent(limit)]

    def workers(self) -> list[Worker]:
        """Return the workers that live."""
        return self._registry.workers()

    def close(self) -> None:
        """Let go of the broker, and of the embedded stack if this client held it."""
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Modules:
    """What is known of modules: looked at once a client."""

    def __init__(self, known: dict[Link, ModuleInfo], brought: Mapping[Link, bytes], blocks: RedisBlocks) -> None:
        self._known = known
        self._brought = brought
        self._blocks = blocks

    def info(self, cid: Link) -> ModuleInfo:
        """Return what a module is."""
        if cid not in self._known:
            data = self._brought.get(cid)
            self._known[cid] = inspect(self._blocks.get(cid) if data is None else data)
        return self._known[cid]


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Keep the garbage collector from walking a growing plan again and again: it doubles the time of a submission."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()

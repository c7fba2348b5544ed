"""The gate as a Celery worker: `celery -A workers.gate worker -P solo`.

It consumes no messages: submitters may not write any. A thread of it serves the inbox; being a worker, it is seen in
Flower, answers remote control and stops as workers do.
"""

from __future__ import annotations

from threading import Event, Thread
from typing import TYPE_CHECKING, Any, Final

from celery import bootsteps
from celery.signals import after_setup_logger, worker_shutting_down

from ipvm_queue.crypto import load_signer
from ipvm_queue.effects import is_private, safety_of, uses
from ipvm_queue.errors import IpvmError, UnavailableError
from ipvm_queue.observe import logger
from ipvm_queue.queue import Desk, Gate, Proofs, Stores, WorkQueue, establish
from ipvm_queue.queue.neighbours import Foreign, Neighbour
from ipvm_queue.queue.pause import collect_seldom
from ipvm_queue.queue.recompute import Registry as JobRegistry
from ipvm_queue.queue.requests import GATE_QUEUE, PROXY_SIGN
from ipvm_queue.store import (
    Inbox,
    Keys,
    Leases,
    RedisBlocks,
    RedisReceipts,
    RedisReplays,
    RedisRuns,
    Registry,
    Revocations,
    Users,
    connect,
)
from ipvm_queue.submission import ModuleBook, choose
from ipvm_queue.ucan.memo import Memo
from ipvm_queue.worker.app import make_app, settings
from ipvm_queue.worker.bootsteps import Presence, dress_logs
from ipvm_queue.workflow import DocumentLimits

if TYPE_CHECKING:
    from celery import Celery

    from ipvm_queue.settings import Settings
    from ipvm_queue.store.connection import Broker
    from ipvm_queue.wasm import ModuleInfo

_log = logger(__name__)
_PATIENCE: Final = 1.0
_REFUSED: Final = 78  # EX_CONFIG


class ServeInbox(bootsteps.StartStopStep):  # type: ignore[misc]
    """Serves the inbox in a thread, from the worker's start to its stop."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, parent: Any, **_: Any) -> None:
        del parent
        self._thread: Thread | None = None
        self._end = Event()
        worker_shutting_down.connect(self._finish, weak=False)

    def start(self, parent: Any) -> None:
        """Begin to serve; once in a process, however often it reconnects."""
        if self._thread is not None:
            return
        try:
            gate = make_gate(settings(), parent.app.conf.broker_url, parent.hostname)
        except IpvmError as error:
            _log.error("the gate cannot serve", reason=error.message, hint=error.hint)
            raise SystemExit(_REFUSED) from None
        collect_seldom()
        self._thread = Thread(target=self._serve, args=(gate,), name="inbox", daemon=True)
        self._thread.start()

    def _finish(self, **_: Any) -> None:
        """Let the thread end with the request at hand."""
        self._end.set()

    def _serve(self, gate: Gate) -> None:
        while not self._end.is_set():
            try:
                gate.serve(_PATIENCE)
            except UnavailableError as error:
                _log.warning("the broker is away", reason=error.message)
                self._end.wait(_PATIENCE)
            except Exception:  # noqa: BLE001 - the gate goes on
                _log.exception("the inbox could not be served")
                self._end.wait(_PATIENCE)


def make_gate(configured: Settings, broker_url: str, name: str) -> Gate:
    """Return the gate of a queue; raises `KeyFileError` or `UsageError` where key or proofs are not there."""
    if configured.single_owner:
        establish(configured)
    signer = load_signer(configured.queue_key)
    proofs = Proofs.load([configured.queue_proofs])
    keys = Keys(configured.queue)
    redis = connect(broker_url, retries=8, kept=True)
    blocks = RedisBlocks(redis, keys, configured.block_ttl)
    runs = RedisRuns(redis, keys, lease=configured.lease, receipt_lifetime=configured.receipt_ttl)
    users = Users(redis, keys)
    revocations = Revocations(redis, keys)
    work = WorkQueue(
        runs,
        RedisReceipts(redis, keys, blocks),
        blocks,
        configured.run_ttl,
        safety=safety_of,
        private=is_private,
        uses=uses,
    )
    foreign = Foreign(runs, blocks, JobRegistry(safety_of, is_private, uses), _neighbours(configured, redis))
    stores = Stores(runs, blocks, work, RedisReplays(redis, keys), revocations, Leases(redis, keys), users, foreign)
    modules: Memo[ModuleInfo] = Memo()
    desk = Desk(
        signer,
        proofs,
        stores,
        lease=configured.pop_lease,
        limits=DocumentLimits(configured.max_document_bytes, configured.max_tasks, configured.max_depth),
        complete=lambda workflow, brought: choose(workflow, ModuleBook(modules, brought, blocks)),
    )
    Registry(redis, keys).establish(signer.did)
    _log.info(
        "the gate serves",
        queue=signer.did,
        services=proofs.subjects(signer.did, PROXY_SIGN),
        enforced_by_broker=users.enforced,
    )
    inbox = Inbox(redis, keys, max_bytes=configured.max_request_bytes)
    return Gate(name, signer, desk, inbox, revocations, max_bytes=configured.max_request_bytes)


def _neighbours(configured: Settings, redis: Broker) -> list[Neighbour]:
    found = []
    for name in filter(None, (each.strip() for each in configured.neighbours.split(","))):
        keys = Keys(name)
        blocks = RedisBlocks(redis, keys)
        runs = RedisRuns(redis, keys, lease=configured.lease, receipt_lifetime=None)
        found.append(Neighbour(name, runs, RedisReceipts(redis, keys, blocks), blocks))
    return found


class GatePresence(Presence):
    """Says that the gate is there, in the queue's own name."""

    requires = ("celery.worker.consumer.tasks:Tasks", ServeInbox)
    key = "queue_key"


def make_gate_app() -> Celery:
    """Return the application of the gate."""
    app = make_app([GATE_QUEUE])
    after_setup_logger.connect(dress_logs, weak=False)
    app.steps["consumer"].add(GatePresence)
    app.steps["consumer"].add(ServeInbox)
    return app


app = make_gate_app()

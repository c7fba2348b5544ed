"""What a worker does beside tasks: refuse pools that cannot work, say that it lives, repair runs."""

from __future__ import annotations

from tempfile import TemporaryFile
from time import time
from typing import TYPE_CHECKING, Any

from celery import bootsteps
from celery.signals import after_setup_logger

from ipvm_queue.crypto import load_signer
from ipvm_queue.errors import KeyFileError
from ipvm_queue.observe import dress, logger
from ipvm_queue.store import BEAT_SECONDS, Keys, RedisRuns, Registry, Worker, connect
from ipvm_queue.worker.announce import want_events
from ipvm_queue.worker.app import settings

if TYPE_CHECKING:
    from celery import Celery

_log = logger(__name__)
_SWEEP_SECONDS = 0.5
_POOLS = ("celery.concurrency.prefork", "celery.concurrency.solo")
_REFUSED = 78  # EX_CONFIG


class CheckPool(bootsteps.StartStopStep):  # type: ignore[misc]
    """Refuses pools other than prefork and solo before anything is consumed."""

    def __init__(self, worker: Any, **_: Any) -> None:
        pool = worker.pool_cls.__module__
        if pool not in _POOLS:
            _log.error(
                "this pool cannot run Wasm: wasmtime keeps one pending error a process and is not thread-safe, "
                "so a process runs one task at a time; use -P prefork (or solo)",
                pool=pool,
            )
            raise SystemExit(_REFUSED)


class CheckPlaces(bootsteps.StartStopStep):  # type: ignore[misc]
    """Refuses to start where no task could run: with a key or a cache directory that cannot be used."""

    def __init__(self, worker: Any, **_: Any) -> None:
        del worker
        configured = settings()
        try:
            load_signer(configured.worker_key, create=True)
            configured.cache_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
            with TemporaryFile(dir=configured.cache_dir):
                pass
        except (KeyFileError, OSError) as error:
            _log.error(
                "the worker's key or cache cannot be used; IPVM_WORKER_KEY and IPVM_CACHE_DIR say where they are",
                reason=str(error),
            )
            raise SystemExit(_REFUSED) from None


class Presence(bootsteps.StartStopStep):  # type: ignore[misc]
    """Says every two seconds that this worker lives and what it consumes."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    _timer: Any = None

    def start(self, parent: Any) -> None:
        """Begin to tell."""
        configured = settings()
        self._registry = Registry(connect(parent.app.conf.broker_url), Keys(configured.queue))
        self._did = load_signer(configured.worker_key, create=True).did
        self._registry.subject(load_signer(configured.queue_key, create=True).did)
        self._beat(parent)
        self._timer = parent.timer.call_repeatedly(BEAT_SECONDS, self._beat, (parent,))

    def stop(self, parent: Any) -> None:
        """Say goodbye."""
        if self._timer is not None:
            self._timer.cancel()
        _quietly(lambda: self._registry.leave(parent.hostname))

    def _beat(self, parent: Any) -> None:
        queues = sorted(parent.app.amqp.queues.consume_from)
        slots = parent.pool.num_processes or 1
        worker = Worker(parent.hostname, self._did, queues, slots, time())
        _quietly(lambda: self._registry.beat(worker))


class Events(bootsteps.StartStopStep):  # type: ignore[misc]
    """Hands Celery's switch for task events (`-E`, or Flower's `enable_events`) on to the processes."""

    requires = ("celery.worker.consumer.tasks:Tasks", "celery.worker.consumer.events:Events")
    _timer: Any = None

    def start(self, parent: Any) -> None:
        """Begin to look at the switch."""
        self._look(parent)
        self._timer = parent.timer.call_repeatedly(_SWEEP_SECONDS, self._look, (parent,))

    def stop(self, parent: Any) -> None:
        """Look no more."""
        del parent
        if self._timer is not None:
            self._timer.cancel()

    def _look(self, parent: Any) -> None:
        dispatcher = parent.event_dispatcher
        want_events(dispatcher.enabled and (not dispatcher.groups or "task" in dispatcher.groups))


class Sweep(bootsteps.StartStopStep):  # type: ignore[misc]
    """Repairs runs: lapsed leases, lost messages. Every worker does; one at a time."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    _timer: Any = None

    def start(self, parent: Any) -> None:
        """Begin to sweep."""
        configured = settings()
        redis = connect(parent.app.conf.broker_url)
        runs = RedisRuns(redis, Keys(configured.queue), lease=configured.lease, receipt_lifetime=None)
        self._timer = parent.timer.call_repeatedly(_SWEEP_SECONDS, _quietly, (runs.sweep,))

    def stop(self, parent: Any) -> None:
        """Sweep no more."""
        del parent
        if self._timer is not None:
            self._timer.cancel()


def add_steps(app: Celery) -> None:
    """Add these steps to a worker of `app`, and let it log as the settings say."""
    after_setup_logger.connect(_dress_logs, weak=False)
    app.steps["worker"].add(CheckPool)
    app.steps["worker"].add(CheckPlaces)
    app.steps["consumer"].add(Presence)
    app.steps["consumer"].add(Events)
    app.steps["consumer"].add(Sweep)


def _dress_logs(logger: Any, **_: Any) -> None:
    dress(logger, settings().log_form)


def _quietly(action: Any) -> None:
    """Do something that will be done again in a moment; the broker may be away."""
    try:
        action()
    except Exception as error:  # noqa: BLE001 - redis-py's errors, which only the store may name
        _log.warning("the broker is away", reason=str(error))

"""What a worker does beside tasks: refuse pools that cannot work, say that it lives, repair runs."""

from __future__ import annotations

from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any

from celery import bootsteps
from celery.signals import after_setup_logger
from celery.worker import state

from ipvm_queue.crypto import load_signer
from ipvm_queue.errors import IpvmError, KeyFileError, UnavailableError
from ipvm_queue.observe import dress, logger
from ipvm_queue.plan import EFFECT_QUEUE
from ipvm_queue.store import BEAT_SECONDS, Keys, NotDurableError, RedisActs, RedisRuns, Registry, Worker
from ipvm_queue.worker.announce import want_events
from ipvm_queue.worker.app import settings
from ipvm_queue.worker.secrecy import add_secrecy
from ipvm_queue.worker.standing import Door, Lease, broker, enter_as_minted

if TYPE_CHECKING:
    from celery import Celery

_log = logger(__name__)
_SWEEP_SECONDS = 0.5
_POOLS = ("celery.concurrency.prefork", "celery.concurrency.solo")
_REFUSED = 78  # EX_CONFIG
NO_LEASE = 77  # EX_NOPERM


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


class TakeLease(bootsteps.StartStopStep):  # type: ignore[misc]
    """Pops before anything is consumed, and keeps the lease; without one the worker ends, and says why."""

    requires = (CheckPlaces,)

    def __init__(self, worker: Any, **_: Any) -> None:
        queues = sorted(worker.app.amqp.queues.consume_from)
        stall = (worker.hostname, queues, worker.concurrency or 1)
        try:
            self._lease = Lease(Door(settings(), worker.app.conf.broker_url), stall, self._lost)
        except IpvmError as error:
            rule = error.fields.get("rule", error.code)
            _log.error("the queue hands this worker nothing", rule=rule, reason=error.message, hint=error.hint)
            raise SystemExit(NO_LEASE) from None
        enter_as_minted(worker.app)

    def stop(self, parent: Any) -> None:
        """Let the lease lapse."""
        del parent
        self._lease.stop()

    def _lost(self, reason: str) -> None:
        """Stop to consume: finish what runs, and end with an exit code that says why."""
        _log.error("the lease is lost, nothing more is consumed", reason=reason)
        state.should_stop = NO_LEASE


class Presence(bootsteps.StartStopStep):  # type: ignore[misc]
    """Says every two seconds that this worker lives and what it consumes."""

    requires: tuple[Any, ...] = ("celery.worker.consumer.tasks:Tasks",)
    key = "worker_key"  # whose DID it tells

    _timer: Any = None

    def start(self, parent: Any) -> None:
        """Begin to tell."""
        configured = settings()
        self._registry = Registry(broker(parent.app), Keys(configured.queue))
        self._did = load_signer(getattr(configured, self.key)).did
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
        worker = Worker(parent.hostname, self._did, queues, slots)
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
        redis = broker(parent.app)
        runs = RedisRuns(redis, Keys(configured.queue), lease=configured.lease, receipt_lifetime=None)
        self._timer = parent.timer.call_repeatedly(_SWEEP_SECONDS, _quietly, (runs.sweep,))

    def stop(self, parent: Any) -> None:
        """Sweep no more."""
        del parent
        if self._timer is not None:
            self._timer.cancel()


class CheckDurable(bootsteps.StartStopStep):  # type: ignore[misc]
    """Warns at the start of a worker that does effects on a broker on which it may do no command."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def start(self, parent: Any) -> None:
        """Ask the broker whether it keeps what it is told."""
        if EFFECT_QUEUE not in parent.app.amqp.queues.consume_from:
            return
        configured = settings()
        redis = broker(parent.app)
        acts = RedisActs(redis, Keys(configured.queue), lease=configured.lease, receipt_lifetime=None)
        try:
            acts.check_durable()
        except NotDurableError as error:
            _log.warning("commands will be refused here", reason=error.message, hint=error.hint)
        except UnavailableError as error:
            _log.warning("the broker is away", reason=error.message)
        finally:
            redis.close()


def add_steps(app: Celery) -> None:
    """Add these steps to a worker of `app`, and let it log as the settings say."""
    after_setup_logger.connect(dress_logs, weak=False)
    app.steps["worker"].add(CheckPool)
    app.steps["worker"].add(CheckPlaces)
    app.steps["worker"].add(TakeLease)
    app.steps["consumer"].add(Presence)
    app.steps["consumer"].add(Events)
    app.steps["consumer"].add(Sweep)
    app.steps["consumer"].add(CheckDurable)
    add_secrecy(app)


def dress_logs(logger: Any, **_: Any) -> None:
    """Let a worker log as the settings say."""
    dress(logger, settings().log_form)


def _quietly(action: Any) -> None:
    """Do something that will be done again in a moment; the broker may be away."""
    try:
        action()
    except Exception as error:  # noqa: BLE001 - redis-py's errors, which only the store may name
        _log.warning("the broker is away", reason=str(error))

"""What a worker does for secrets beside tasks: leave no core file, and let newcomers in on the keys of runs."""

from __future__ import annotations

import resource
from typing import TYPE_CHECKING, Any

from celery import bootsteps

from ipvm_queue.crypto import load_signer
from ipvm_queue.errors import IpvmError
from ipvm_queue.observe import logger
from ipvm_queue.store import BEAT_SECONDS, Keys, Registry, RunKeys
from ipvm_queue.worker.app import settings
from ipvm_queue.worker.sealing import Vault, readers
from ipvm_queue.worker.standing import broker

if TYPE_CHECKING:
    from celery import Celery

_log = logger(__name__)


class NoCores(bootsteps.StartStopStep):  # type: ignore[misc]
    """Forbids core files to this worker and all that it starts: what a dead process had in memory stays unwritten."""

    def __init__(self, worker: Any, **_: Any) -> None:
        del worker
        _soft, most = resource.getrlimit(resource.RLIMIT_CORE)
        # 1 is less than any core has, and of all limits the one that keeps Linux from piping it to a collector, too.
        few = 0 if most == 0 else 1
        resource.setrlimit(resource.RLIMIT_CORE, (few, few))


class Enrol(bootsteps.StartStopStep):  # type: ignore[misc]
    """Seals the keys of runs with secrets to workers that came later and ask for them."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    _timer: Any = None

    def start(self, parent: Any) -> None:
        """Begin to look who asks."""
        configured = settings()
        redis, keys = broker(parent.app), Keys(configured.queue)
        registry = Registry(redis, keys)
        signer = load_signer(configured.worker_key, create=True)
        self._vault = Vault(signer, RunKeys(redis, keys), lambda: readers(registry.workers()))
        self._timer = parent.timer.call_repeatedly(BEAT_SECONDS / 2, self._enrol)

    def stop(self, parent: Any) -> None:
        """Look no more."""
        del parent
        if self._timer is not None:
            self._timer.cancel()

    def _enrol(self) -> None:
        try:
            self._vault.enrol()
        except IpvmError as error:  # they ask again
            _log.warning("nobody could be given a key", reason=error.message)


def add_secrecy(app: Celery) -> None:
    """Add these steps to a worker of `app`."""
    app.steps["worker"].add(NoCores)
    app.steps["consumer"].add(Enrol)

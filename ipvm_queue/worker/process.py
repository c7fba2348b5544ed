"""One worker process: its tools, and a thread that keeps its leases while a node runs."""

from __future__ import annotations

import os
from contextlib import suppress
from threading import Event, Thread
from traceback import extract_tb
from typing import TYPE_CHECKING

from ipvm_queue.errors import BlockError, CodecError, IpvmError, UsageError
from ipvm_queue.observe import logger
from ipvm_queue.queue.pause import collect_seldom
from ipvm_queue.worker.announce import Announcer
from ipvm_queue.worker.app import settings
from ipvm_queue.worker.authority import NotHandedError
from ipvm_queue.worker.shift import Shift
from ipvm_queue.worker.standing import broker
from ipvm_queue.worker.tools import LostPlanError, Tools

if TYPE_CHECKING:
    from celery import Celery

    from ipvm_queue.ipld import Link

_log = logger(__name__)


class Process:
    """A worker process (a prefork child, or the whole of a solo worker)."""

    def __init__(self, tools: Tools, interval: float) -> None:
        self.tools = tools
        self._interval = interval
        self._shift: Shift | None = None
        self._stop = Event()
        Thread(target=self._keep, name="leases", daemon=True).start()

    def work(self, run: str, node: int, queue: str, link: Link | None = None) -> Link | None:
        """Answer a message that came by `queue` (`link` is the plan's); return its node's receipt, if there is one."""
        tools = self.tools
        link = link or tools.runs.plan_of(run)
        if link is None:
            _log.info("message for a run that is not known", run=run, node=node)
            return None
        plan = tools.plans.get(link)
        try:
            pop = tools.authorities.pop(run)
        except NotHandedError as error:
            _log.warning("a run is left to other workers", run=run, reason=str(error))
            return None
        want = tools.paces.want(run, queue)
        grant = tools.runs.begin(run, tools.owner, queue, want, node, plan=link if plan is None else None, pop=pop)
        if not grant.nodes:
            (record,) = tools.runs.records(run, [node])
            return None if record is None else record.receipt
        try:
            plan = plan or tools.keep(link, grant.plan)
            self._shift = shift = Shift(tools, run, plan, grant.queue)
        except (BlockError, CodecError, LookupError) as error:
            self._give_up(run, error)
            return None
        try:
            shift.work(grant)
        except LostPlanError as error:
            self._give_up(run, error)
            return None
        except Exception as error:
            if plan.owner is None or isinstance(error, IpvmError):
                raise
            raise _nameless(error) from None
        finally:
            self._shift = None
        return shift.receipt(node)

    def _give_up(self, run: str, error: Exception) -> None:
        """End a run whose plan cannot be read, and let go of what is held of it."""
        with suppress(UsageError):  # it may be forgotten by now
            if self.tools.runs.cancel(run, f"its plan cannot be read: {error}") == "running":
                _log.warning("a run's plan cannot be read", run=run, reason=str(error))
        self.tools.runs.abandon(run, self.tools.owner, crashed=False)

    def _keep(self) -> None:
        while not self._stop.wait(self._interval):
            shift = self._shift
            if shift is None:
                continue
            try:
                self.tools.effects.guard.renew()
                shift.beat()
            except Exception:  # noqa: BLE001 - leases that are not renewed lapse, and the work is done elsewhere
                _log.warning("leases could not be renewed", exc_info=True)


def _nameless(error: Exception) -> RuntimeError:
    """Return an error that may be logged where secrets are worked on: what kind it was and where, not what it says."""
    place = extract_tb(error.__traceback__)[-1]
    return RuntimeError(f"{type(error).__name__} in {place.filename}, line {place.lineno}")


_processes: dict[int, Process] = {}


def process(app: Celery, hostname: str) -> Process:
    """Return this process's own, made at its first message: nothing of it may cross a fork."""
    pid = os.getpid()
    if pid not in _processes:
        configured = settings()
        announcer = Announcer(app, hostname)
        tools = Tools.make(configured, broker(app, kept=True), hostname, announcer, waiting=broker(app))
        _processes.clear()
        _processes[pid] = Process(tools, interval=min(1.0, configured.lease / 4))
        collect_seldom()
    return _processes[pid]

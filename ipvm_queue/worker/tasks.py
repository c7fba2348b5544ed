"""`ipvm.run`: the one Celery task. Its message says "there is work in this run, this node for instance"."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from billiard.exceptions import WorkerLostError
from celery import shared_task
from celery.exceptions import Ignore
from celery.worker.request import Request

from ipvm_queue.ipld import Link
from ipvm_queue.plan.canvas import TASK_NAME
from ipvm_queue.store import Keys, RedisRuns
from ipvm_queue.worker.app import settings
from ipvm_queue.worker.process import process
from ipvm_queue.worker.standing import broker
from ipvm_queue.worker.tools import owner_of

if TYPE_CHECKING:
    from celery.app.task import Task

_KILLED_FROM_OUTSIDE = ("SIGKILL", "SIGTERM", "SIGINT", "SIGQUIT")


class RunRequest(Request):  # type: ignore[misc]
    """A message as the parent of the worker processes sees it: here their deaths are told to the store."""

    def revoked(self) -> bool:
        """Whether Celery's own list has this message: it has no say here, where `ipvm run cancel` ends a run."""
        return False

    def on_failure(self, exc_info: Any, *args: Any, **kwargs: Any) -> Any:
        """Make a dead process's nodes ready at once, instead of when its lease lapses."""
        error = getattr(exc_info.exception, "exc", exc_info.exception)
        if isinstance(error, WorkerLostError):
            self._abandon(crashed=not any(signal in str(error) for signal in _KILLED_FROM_OUTSIDE))
        return super().on_failure(exc_info, *args, **kwargs)

    def on_timeout(self, soft: bool, timeout: float) -> Any:  # noqa: FBT001 - Celery's signature
        """Count a hard time limit against the node: it outlived every limit of its own."""
        if not soft:
            self._abandon(crashed=True)
        return super().on_timeout(soft, timeout)

    def _abandon(self, *, crashed: bool) -> None:
        run = self.args[0]
        configured = settings()
        redis = broker(self.app)
        runs = RedisRuns(redis, Keys(configured.queue), lease=configured.lease, receipt_lifetime=None)
        runs.abandon(run, owner_of(self.hostname, self.worker_pid), crashed=crashed)
        redis.close()


@shared_task(bind=True, name=TASK_NAME, Request="ipvm_queue.worker.tasks:RunRequest", typing=False)  # type: ignore[untyped-decorator]
def run(self: Task, run_id: str, node: int, plan: str | None = None) -> str:
    """Work on a run (with the plan of this CID) and return the CID of the node's receipt, never a value."""
    link = None if plan is None else Link.parse(plan)
    queue = self.request.delivery_info["routing_key"]
    receipt = process(self.app, self.request.hostname).work(run_id, node, queue, link)
    if receipt is None:
        raise Ignore  # somebody else has this node, or the run is over; whoever settles it says so
    return str(receipt)

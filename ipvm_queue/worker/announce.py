"""Events for Flower: each settled node as a Celery task of its own, sent by batch.

An event holds the label and short CIDs, never an argument or a result.
"""

from __future__ import annotations

from time import time
from typing import TYPE_CHECKING, Any, Final

from ipvm_queue.plan.canvas import TASK_NAME

if TYPE_CHECKING:
    from collections.abc import Sequence

    from celery import Celery

    from ipvm_queue.plan import Node, Plan
    from ipvm_queue.store import Settlement

_GROUP: Final = "task"
_UNLIMITED: Final = 1_000_000


class Announcer:
    """Tells of settled nodes in one broker message a settlement."""

    def __init__(self, app: Celery, hostname: str) -> None:
        self._connection = app.connection_for_write()
        self._dispatcher = app.events.Dispatcher(
            self._connection, hostname=hostname, buffer_group=frozenset({_GROUP}), buffer_limit=_UNLIMITED
        )

    def settled(self, run: str, plan: Plan, settlements: Sequence[Settlement]) -> None:
        """Send received, started and succeeded for nodes; what cannot be sent is dropped."""
        for each in settlements:
            node = plan.node(each.node)
            task_id = f"{run}:{each.node}"
            common = {"uuid": task_id, "root_id": run, "parent_id": None}
            self._send("task-received", **common, **_description(run, node))
            self._send("task-started", uuid=task_id)
            result = f"{each.record.state} {each.record.receipt}"
            self._send("task-succeeded", uuid=task_id, result=result, runtime=0.0)
        try:
            self._dispatcher.flush(errors=False, groups=True)
        except Exception:  # noqa: BLE001 - a lost event costs a line in Flower, a raised one would cost a task
            self._dispatcher._group_buffer[_GROUP].clear()  # noqa: SLF001 - Celery has no other way to drop them

    def _send(self, kind: str, **fields: Any) -> None:
        self._dispatcher.send(kind, timestamp=time(), **fields)


def _description(run: str, node: Node) -> dict[str, Any]:
    return {
        "name": TASK_NAME,
        "args": f"{node.label} {node.task.short}",
        "kwargs": f"run={run}",
        "retries": 0,
        "eta": None,
        "expires": None,
    }

"""Events for Flower: each settled node as a Celery task of its own, sent by batch.

An event holds the label and short CIDs, never an argument or a result.
"""

from __future__ import annotations

from mmap import mmap
from time import time
from typing import TYPE_CHECKING, Final

from ipvm_queue.observe import describe
from ipvm_queue.plan.canvas import TASK_NAME

if TYPE_CHECKING:
    from collections.abc import Sequence

    from celery import Celery

    from ipvm_queue.plan import Plan
    from ipvm_queue.store import Settlement

_GROUP: Final = "task"
_UNLIMITED: Final = 1_000_000


# One byte that a worker shares with the processes that it forks: whether somebody wants events.
_wanted = mmap(-1, 1)


def want_events(wanted: bool) -> None:  # noqa: FBT001 - the one thing that it says
    """Tell this worker's processes whether to announce what they settle."""
    _wanted[0] = int(wanted)


class Announcer:
    """Tells of settled nodes, many in one broker message. `flush` sends what has been noted since."""

    def __init__(self, app: Celery, hostname: str) -> None:
        self._connection = app.connection_for_write()
        self._dispatcher = app.events.Dispatcher(
            self._connection, hostname=hostname, buffer_group=frozenset({_GROUP}), buffer_limit=_UNLIMITED
        )
        self._noted: list[tuple[str, Plan, Settlement, float]] = []

    def note(self, run: str, plan: Plan, settlements: Sequence[Settlement]) -> None:
        """Remember nodes for the next flush, if anybody wants to know."""
        if not _wanted[0]:
            return
        now = time()
        self._noted.extend((run, plan, each, now) for each in settlements)

    def flush(self) -> None:
        """Send one event a node; what cannot be sent is dropped.

        It says all at once what a plain task's events say one after the other: Flower merges them by the same rule.
        """
        noted, self._noted = self._noted, []
        if not noted:
            return
        for run, plan, each, when in noted:
            node = plan.node(each.node)
            self._dispatcher.send(
                "task-succeeded",
                uuid=f"{run}:{each.node}",
                root_id=run,
                name=TASK_NAME,
                args=describe(node.label, node.task.short),
                kwargs=f"run={run}",
                received=when,
                started=when,
                timestamp=when,
                runtime=0.0,
                result=f"{each.record.state} {each.record.receipt}",
            )
        try:
            self._dispatcher.flush(errors=False, groups=True)
        except Exception:  # noqa: BLE001 - a lost event costs a line in Flower, a raised one would cost a task
            self._dispatcher._group_buffer[_GROUP].clear()  # noqa: SLF001 - Celery has no other way to drop them

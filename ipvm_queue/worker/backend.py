"""Celery's result backend: receipts.

`AsyncResult("run:node")` sees SUCCESS with the receipt's CID once the node has settled, and PENDING before. Chords
and chains need nothing from here: `settle` counts and releases.
"""

from __future__ import annotations

from typing import Any

from celery import states
from celery.backends.base import BaseBackend

from ipvm_queue.store import Keys, RedisRuns
from ipvm_queue.worker.app import settings
from ipvm_queue.worker.standing import broker


class ReceiptBackend(BaseBackend):  # type: ignore[misc]
    """Reads receipts; writes nothing, for `settle` has written before Celery asks."""

    supports_autoexpire = True
    supports_native_join = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._runs: RedisRuns | None = None

    def store_result(self, *_: Any, **__: Any) -> None:
        """Leave it: the receipt is the result."""

    def mark_as_done(self, *_: Any, **__: Any) -> None:
        """Leave it: the receipt is the result."""

    def apply_chord(self, header_result_args: Any, body: Any, **_: Any) -> Any:
        """Leave the counting to `settle`, which releases a body with the last of its header."""
        del body
        return self.app.GroupResult(*header_result_args)

    def on_chord_part_return(self, *_: Any, **__: Any) -> None:
        """Leave it: `settle` has counted this part."""

    def on_task_call(self, *_: Any, **__: Any) -> None:
        """Subscribe to nothing: whoever waits reads the run's events."""

    def add_pending_result(self, result: Any, *_: Any, **__: Any) -> Any:
        """Remember nothing."""
        return result

    def remove_pending_result(self, result: Any) -> Any:
        """Forget nothing."""
        return result

    def get_task_meta(self, task_id: str, cache: bool = True) -> dict[str, Any]:  # noqa: FBT001, FBT002, ARG002
        """Return Celery's view of a node: its state, and the CID of its receipt."""
        run, _, node = task_id.rpartition(":")
        record = self._records(run, int(node)) if node.isdigit() else None
        done = record is not None
        result = None if record is None else str(record.receipt)
        status = states.SUCCESS if done else states.PENDING
        return {"task_id": task_id, "status": status, "result": result, "traceback": None, "children": []}

    def _records(self, run: str, node: int) -> Any:
        if self._runs is None:
            keys = Keys(settings().queue)
            self._runs = RedisRuns(broker(self.app), keys, lease=1.0, receipt_lifetime=None)
        return self._runs.records(run, [node])[0]

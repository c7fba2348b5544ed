"""What the receipts of tasks that could not be run say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ipvm_queue.errors import BlockError
    from ipvm_queue.ipld import Value
    from ipvm_queue.store import Ask

CRASHED: Final[dict[str, Value]] = {
    "code": "runner/crashed",
    "message": "every worker process that ran this task died of it",
    "fault": "runner",
}


FOREIGN: Final[dict[str, Value]] = {
    "code": "promise/secret",
    "message": "an awaited result is secret, and secrets do not leave their run",
    "fault": "requestor",
}


def lost(error: BlockError) -> dict[str, Value]:
    """Return the error of a task one of whose inputs is not in the store any more."""
    return {"code": "promise/lost", "message": f"a result that is needed is lost: {error.message}", "fault": "runner"}


def late(ask: Ask) -> dict[str, Value]:
    """Return the error of a task that has waited in vain for a Task of another run."""
    return {
        "code": "promise/timeout",
        "message": f"no receipt came for the awaited Task within {ask.patience:g} seconds",
        "fault": "requestor",
    }

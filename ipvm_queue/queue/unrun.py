"""Receipts that say that a task was not run: what became of it in its run, which says nothing of its Task.

They are found under no Task, and answer no job but their own. The worker that signs one says so in its `meta`, as
`{"unrun": reason}`, beside the error: what is in an error a guest may choose.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ipvm_queue.ipld import Value

UNRUN: Final = "unrun"
SKIPPED: Final = "skipped"
REFUSED: Final = "refused"
ABORTED: Final = "transaction/aborted"
REASONS: Final = frozenset((SKIPPED, REFUSED, ABORTED))


def unrun(meta: Mapping[str, Any], result: Mapping[str, Value]) -> str:
    """Return why a task was not run, empty for one that was.

    The version before had nothing in `meta` then, and the reason in the error; what a guest says has its gas in `meta`.
    """
    said = meta.get(UNRUN)
    if isinstance(said, str):
        return said
    error = result.get("error")
    code = error.get("code") if isinstance(error, dict) and not meta else None
    return code if isinstance(code, str) and code in REASONS else ""

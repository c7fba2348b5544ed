"""How dangerous a task is to run again, by the pair (URI scheme, ability) (effects 2)."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ipvm_queue.workflow.model import Task


class Safety(StrEnum):
    """The three classes of work, from the safest to the most dangerous."""

    PURE = "pure"  # inputs to outputs; kept for ever, shared by everyone
    QUERY = "query"  # asks the world; may be retried and raced
    COMMAND = "command"  # changes the world; once, and never again by itself


ANY_SCHEME: Final = "*"
_QUERIES: Final = frozenset(
    {
        (ANY_SCHEME, "crud/read"),
        (ANY_SCHEME, "crypto/sign"),
        (ANY_SCHEME, "crypto/decrypt"),
        (ANY_SCHEME, "handle/resolve"),
        ("ipvm", "secret/get"),
        ("http", "http/get"),
        ("http", "http/head"),
        ("https", "http/get"),
        ("https", "http/head"),
    }
)


def safety_of(task: Task) -> Safety:
    """Return the class of a task; what is not known to only ask is taken for a command.

    A resource that is a promise has no scheme yet: it counts as a query only if the ability is one under every scheme.
    """
    if task.kind == "wasm":
        return Safety.PURE
    scheme = task.resource.partition(":")[0].lower() if isinstance(task.resource, str) else ANY_SCHEME
    asks = (scheme, task.ability) in _QUERIES or (ANY_SCHEME, task.ability) in _QUERIES
    return Safety.QUERY if asks else Safety.COMMAND

"""Long lists, sent in parts that a server takes at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_BATCH: Final = 1000


def chunks(items: list[Any]) -> Iterator[list[Any]]:
    """Return `items` in parts of a thousand."""
    return (items[start : start + _BATCH] for start in range(0, len(items), _BATCH))

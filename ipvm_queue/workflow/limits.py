"""How large a document may be."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DocumentLimits:
    """What is refused before anything is looked at: bytes, values, tasks, nested levels."""

    size: int = 8 * 1024 * 1024
    tasks: int = 100_000
    depth: int = 64

    @property
    def values(self) -> int:
        """Most values in a DAG-CBOR document: as many as there are in the smallest tasks, and some more."""
        return self.size // 4

"""The words for a task where others may read them: events, Flower, logs."""

from __future__ import annotations

from typing import Final

_MAX_LABEL: Final = 80


def describe(label: str, task: str) -> str:
    """Return a task as `label …CID`: which one it is, and never a value of it.

    Labels come from documents, so what could steer a terminal or a page's layout is written out, and long ones cut.
    """
    plain = (
        label if label.isprintable() else "".join(char if char.isprintable() else ascii(char)[1:-1] for char in label)
    )
    shown = plain if len(plain) <= _MAX_LABEL else plain[: _MAX_LABEL - 1] + "…"
    return f"{shown} …{task[-8:]}"
